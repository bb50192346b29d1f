//! What goes wrong on the way: answers that are lost, restarts, locks, refusals.

use std::time::Duration;

use larder_core::sink::{Sequence, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Write};
use larder_sql::{Database, Options};
use larder_test::Proxy;

use super::{PostgresShop, connect, execute, shop};
use crate::common::sinks::{Shop, counters, fates, numbered, user, users};

/// The shop behind a proxy that can be cut.
async fn shop_behind_a_proxy() -> (PostgresShop, Proxy) {
    let PostgresShop { postgres, .. } = shop().await;
    let proxy = Proxy::to(("127.0.0.1", postgres.port()));
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    let options = Options { write_timeout: Duration::from_secs(2), ..Options::new("shop") };
    let database = Database::open(&url, &options).unwrap();
    (PostgresShop { postgres, database }, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_counts_once_when_the_answer_to_the_commit_is_lost() {
    /// What Postgres answers to COMMIT: its name, and that it is ready.
    const COMMITTED: u64 = 13 + 6 - 1;
    let (shop, proxy) = shop_behind_a_proxy().await;
    shop.postgres.psql("INSERT INTO counters SELECT i, 0 FROM generate_series(1, 3) AS g(i)");
    let sink = counters(&shop);
    let epoch = sink.own("a").await.unwrap();
    let batch = |number| {
        [1, 2, 3].map(|id| numbered(&format!("counter:{id}"), Write::Add(1), epoch, number))
    };
    // Everything is prepared, and then a batch has so many bytes of answers; some more if its
    // connection was idle and is asked first.
    sink.apply(epoch, &batch(1)).await.unwrap();
    let mut answers = u64::MAX;
    for number in 2..=6 {
        let start = proxy.counts().replies.passed;
        sink.apply(epoch, &batch(number)).await.unwrap();
        answers = answers.min(proxy.counts().replies.passed - start);
    }
    // Where it was asked first, what is lost is not yet the answer to the commit.
    for attempt in 0.. {
        proxy.drop_replies_after(answers - COMMITTED);
        let error = sink.apply(epoch, &batch(7)).await.unwrap_err();
        if error.fault == WriteFault::Unknown {
            break;
        }
        assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
        assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "6");
        assert!(attempt < 20, "the answer to the commit is never lost");
        sink.prepare().await.unwrap();
        assert_eq!(fates(&sink.apply(epoch, &batch(6)).await.unwrap()), ["before"; 3]);
    }
    let keys = [1, 2, 3].map(|id| Key::from(format!("counter:{id}").as_str()));
    let at = |number| vec![Some(Sequence { epoch, number }); 3];
    assert_eq!(sink.applied(&keys).await.unwrap(), at(7));
    assert_eq!(fates(&sink.apply(epoch, &batch(7)).await.unwrap()), ["before"; 3]);
    assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "7");

    // Lost before the commit, nothing was written.
    sink.apply(epoch, &batch(8)).await.unwrap();
    proxy.drop_replies_after(answers - COMMITTED - 1);
    let error = sink.apply(epoch, &batch(9)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
    assert_eq!(sink.applied(&keys).await.unwrap(), at(8));
    assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "8");
    assert_eq!(fates(&sink.apply(epoch, &batch(9)).await.unwrap()), ["value"; 3]);
    assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_write_whose_answer_is_lost_is_unknown_and_not_repeated() {
    let (shop, proxy) = shop_behind_a_proxy().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let n = async || shop.sql("SELECT n FROM counters").await.parse::<i64>().unwrap();
    // A connection that was idle is asked first, and then it is that answer which is lost.
    for attempt in 0.. {
        let before = n().await;
        sink.write(&key, &Write::Add(1)).await.unwrap();
        proxy.drop_replies_after(0);
        let done = sink.write(&key, &Write::Add(1)).await;
        assert_eq!(n().await, before + 2, "written once, whether it is known or not");
        if let Err(error) = done {
            assert_eq!(error.fault, WriteFault::Unknown, "{}", error.error.chain());
            break;
        }
        assert!(attempt < 20, "the answer to the write is never lost");
    }
    // One that is silent is given up, and is as unknown.
    for attempt in 0.. {
        let before = n().await;
        sink.write(&key, &Write::Add(1)).await.unwrap();
        proxy.stall_replies();
        let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
        if error.fault == WriteFault::Unknown {
            assert_eq!(n().await, before + 2);
            break;
        }
        assert_eq!((error.fault, n().await), (WriteFault::Transient, before + 1));
        assert!(attempt < 20, "the answer to the write is never lost");
        proxy.heal();
        let start = std::time::Instant::now();
        while sink.prepare().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "no recovery");
        }
    }
    proxy.cut();
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
    proxy.heal();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_writes_is_noticed_by_nobody() {
    let shop = shop().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let epoch = sink.own("a").await.unwrap();
    for number in 1..=3 {
        sink.write(&key, &Write::Add(1)).await.unwrap();
        sink.apply(epoch, &[numbered("counter:1", Write::Add(10), epoch, number)]).await.unwrap();
        tokio::task::block_in_place(|| shop.postgres.restart());
    }
    assert_eq!(shop.sql("SELECT n FROM counters").await, "33");
    shop.postgres.stop();
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
    let error = sink.apply(epoch, &[]).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient);
    let error = sink.prepare().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceDown);
    shop.postgres.restart();
    let start = std::time::Instant::now();
    while sink.write(&key, &Write::Add(1)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "no recovery");
        tokio::task::yield_now().await;
    }
    assert_eq!(shop.sql("SELECT n FROM counters").await, "34");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_transient() {
    let shop = shop().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let options = Options { write_timeout: Duration::from_millis(500), ..Options::new("shop") };
    let database = Database::open(&shop.postgres.url(), &options).unwrap();
    let shop = PostgresShop { database, ..shop };
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let fault = async || sink.write(&key, &Write::Add(1)).await.unwrap_err();
    sink.write(&key, &Write::Add(1)).await.unwrap();
    // Another one has the row.
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN; UPDATE counters SET n = n + 100").await;
    let error = fault().await;
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::Timeout));
    execute(&mut other, "ROLLBACK").await;
    sink.write(&key, &Write::Add(1)).await.unwrap();
    // Nobody may write.
    shop.postgres.psql("ALTER DATABASE postgres SET default_transaction_read_only = on");
    let read_only = Database::open(&shop.postgres.url(), &options).unwrap();
    let read_only = PostgresShop { database: read_only, postgres: shop.postgres };
    let error = counters(&read_only).write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
    assert!(error.error.chain().contains("read-only"), "{}", error.error.chain());
}

/// The server goes on with a statement that nobody waits for: for no longer than is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_given_up_is_committed_within_the_time_that_is_said_or_never() {
    let shop = shop().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let options = Options { write_timeout: Duration::from_secs(2), ..Options::new("shop") };
    let database = Database::open(&shop.postgres.url(), &options).unwrap();
    let shop = PostgresShop { database, ..shop };
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    sink.write(&key, &Write::Add(1)).await.unwrap();
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN; UPDATE counters SET n = n").await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    {
        let add = Write::Add(10);
        let mut given_up = Box::pin(sink.write(&key, &add));
        while shop.sql(waiting).await == "0" {
            let soon = tokio::time::timeout(Duration::from_millis(20), &mut given_up).await;
            assert!(soon.is_err(), "the row isn't locked");
        }
    }
    execute(&mut other, "COMMIT").await;
    let start = std::time::Instant::now();
    while shop.sql("SELECT n FROM counters").await != "11" {
        assert!(start.elapsed() < sink.lingers(), "it was ended with its client");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_raises_refuses_this_write_alone() {
    let shop = shop().await;
    shop.postgres.psql(
        "CREATE FUNCTION no() RETURNS trigger AS
            'BEGIN RAISE EXCEPTION ''odd'' USING ERRCODE = ''OD001''; END' LANGUAGE plpgsql;
         CREATE TRIGGER no BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.id = 13) EXECUTE FUNCTION no();
         ALTER TABLE counters ADD CONSTRAINT twice UNIQUE (n) DEFERRABLE INITIALLY DEFERRED;
         INSERT INTO counters VALUES (1, 1), (2, 2)",
    );
    let sink = users(&shop);
    sink.write(&Key::from("user:12"), &user(12, "a")).await.unwrap();
    let error = sink.write(&Key::from("user:13"), &user(13, "a")).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    // What only the commit finds out is as certain.
    let sink = counters(&shop);
    let error = sink.write(&Key::from("counter:1"), &Write::Add(1)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    let epoch = sink.own("a").await.unwrap();
    let batch = [numbered("counter:1", Write::Add(1), epoch, 1)];
    let error = sink.apply(epoch, &batch).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    assert_eq!(sink.applied(&[Key::from("counter:1")]).await.unwrap(), [None]);
    assert_eq!(shop.sql("SELECT n FROM counters ORDER BY id").await, "1\n2");
}
