//! What goes wrong on the way: answers that are lost, locks, refusals, limits.

use std::time::Duration;

use larder_core::sink::WriteFault;
use larder_core::{ErrorKind, Key, Sink, Value, Write};
use larder_sql::{Database, Options, SqlSink, Writes};
use larder_test::Proxy;

use super::{MariadbShop, connect, execute, shop, shop_with};
use crate::common::raw;
use crate::common::sinks::{Shop, counters, fates, numbered, user, users};

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_transient() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0), (2, 0)").await;
    let options = Options { write_timeout: Duration::from_secs(1), ..Options::new("shop") };
    let database = Database::open(&shop.mariadb.url(), &options).unwrap();
    let shop = MariadbShop { database, ..shop };
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let epoch = sink.own("a").await.unwrap();
    let batch = [numbered("counter:1", Write::Add(10), epoch, 1)];
    // A row that another one holds.
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN").await;
    execute(&mut other, "UPDATE counters SET n = n WHERE id = 1").await;
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
    assert_eq!(sink.apply(epoch, &batch).await.unwrap_err().fault, WriteFault::Transient);
    execute(&mut other, "ROLLBACK").await;
    sink.write(&key, &Write::Add(1)).await.unwrap();
    assert_eq!(fates(&sink.apply(epoch, &batch).await.unwrap()), ["value"]);
    // A server that only reads, as a replica does.
    shop.sql(
        "REVOKE READ_ONLY ADMIN, SUPER ON *.* FROM larder@'127.0.0.1'; SET GLOBAL read_only = 1",
    )
    .await;
    let reopened = Database::open(&shop.mariadb.url(), &options).unwrap();
    let shop = MariadbShop { database: reopened, ..shop };
    let sink = counters(&shop);
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
    assert_eq!(error.error.kind(), ErrorKind::SourceDown, "{}", error.error.chain());
    assert!(error.error.retry_delay().is_some());
    assert_eq!(shop.sql("SELECT n FROM counters WHERE id = 1").await, "11");
    // A server that is not there.
    shop.mariadb.stop();
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_raises_refuses_this_write_alone() {
    let shop = shop().await;
    shop.sql(
        "DELIMITER $$
         CREATE TRIGGER no BEFORE INSERT ON users FOR EACH ROW
            IF NEW.id = 13 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'odd'; END IF $$",
    )
    .await;
    let sink = users(&shop);
    sink.write(&Key::from("user:12"), &user(12, "a")).await.unwrap();
    let error = sink.write(&Key::from("user:13"), &user(13, "a")).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    assert!(error.error.chain().contains("odd"), "{}", error.error.chain());
    assert_eq!(shop.sql("SELECT id FROM users").await, "12");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_larger_than_the_server_takes_is_refused_before_it_is_sent() {
    let shop = shop_with(&[("max_allowed_packet", "1M")]).await;
    shop.sql("ALTER TABLE notes MODIFY body LONGTEXT").await;
    let load = raw("note:{id:int}", "SELECT body FROM notes WHERE id = {id}");
    let store = "REPLACE INTO notes VALUES ({id}, {value})".to_owned();
    let writes = Writes { store: Some(store), ..Writes::new("note", load) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    let key = Key::from("note:1");
    let store = |bytes: usize| Write::Store(Value::raw(vec![b'x'; bytes]));
    let error = sink.write(&key, &store(1 << 20)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.chain().contains("max_allowed_packet"), "{}", error.error.chain());
    let fits = (1 << 20) - 1024;
    sink.write(&key, &store(fits)).await.unwrap();
    assert_eq!(shop.sql("SELECT length(body) FROM notes").await, fits.to_string());
}

/// Whatever answer is lost, a batch counts once: what was not committed is rolled back, and what
/// was is known to have been.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_counts_once_whichever_answer_is_lost() {
    let MariadbShop { mariadb, .. } = shop().await;
    mariadb.sql("INSERT INTO counters VALUES (1, 0)");
    let proxy = Proxy::to(("127.0.0.1", mariadb.port()));
    let url = mariadb.url().replace(&mariadb.port().to_string(), &proxy.port().to_string());
    let options = Options { write_timeout: Duration::from_secs(2), ..Options::new("shop") };
    let database = Database::open(&url, &options).unwrap();
    let shop = MariadbShop { mariadb, database };
    let sink = counters(&shop);
    let epoch = sink.own("a").await.unwrap();
    let batch = |number| [numbered("counter:1", Write::Add(1), epoch, number)];
    sink.apply(epoch, &batch(1)).await.unwrap();
    let start = proxy.counts().replies.passed;
    sink.apply(epoch, &batch(2)).await.unwrap();
    let answers = proxy.counts().replies.passed - start;
    let mut faults = std::collections::HashSet::new();
    let mut number = 2;
    for lost in (0..answers).rev().step_by(9) {
        number += 1;
        proxy.drop_replies_after(lost);
        match sink.apply(epoch, &batch(number)).await {
            Ok(_) => {}
            Err(error) => {
                let known = [WriteFault::Unknown, WriteFault::Transient];
                assert!(known.contains(&error.fault), "{}", error.error.chain());
                faults.insert(error.fault == WriteFault::Unknown);
            }
        }
        proxy.heal();
        while sink.apply(epoch, &batch(number)).await.is_err() {}
        assert_eq!(shop.sql("SELECT n FROM counters").await, number.to_string());
    }
    assert_eq!(faults.len(), 2, "both the commit's answer and others were lost");
}
