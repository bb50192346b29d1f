//! Writes of rows that can't be, and those that fail: what is said, and what was done.

use larder_core::sink::{SinkAbilities, WriteFault};
use larder_core::{Journal, Key, Value};
use larder_engine::WriteMode;
use larder_resp::codec::Reply;
use larder_test::TestSink;
use larder_test::sink::Step;

use crate::common::{S, assert_error, bulk, ok};
use crate::row_bench::{Bench, MODES, NOT_A_NUMBER, Setup, setup};

#[tokio::test]
async fn what_a_row_has_no_meaning_for_is_refused_and_asks_nothing() {
    for mode in MODES {
        let bench = Bench::new(mode).await;
        let mut client = bench.client();
        for (line, instead) in [
            ("SET user:1 v EX 10", "SET it without EX"),
            ("SET user:1 v px 10", "SET it without PX"),
            ("SET user:1 v NX EXAT 10", "SET it without EXAT"),
            ("SET user:1 v PXAT 10 GET", "SET it without PXAT"),
            ("SET user:1 v KEEPTTL", "SET it without KEEPTTL"),
            ("SETEX user:1 10 v", "declared with the cache"),
            ("PSETEX user:1 10 v", "declared with the cache"),
            ("EXPIRE user:1 10", "declared with the cache"),
            ("PERSIST user:1", "declared with the cache"),
            ("GETEX user:1", "declared with the cache"),
            ("GETDEL user:1", "GET the key, then LARDER.DELETE it"),
            ("APPEND user:1 v", "SET its whole value"),
            ("SETRANGE user:1 0 v", "SET its whole value"),
            ("SETBIT user:1 0 1", "SET its whole value"),
            ("INCRBYFLOAT user:1 1.5", "a row counts in whole numbers"),
            ("MSET user:1 v", "SET each key"),
            ("MSETNX user:1 v p v", "SET each key"),
            ("RENAME user:1 user:2", "GET the one key and SET the other"),
            ("COPY user:1 p", "GET the one key and SET the other"),
            ("LARDER.SET user:1 v TAGS t", "its tags are those that its load says"),
        ] {
            let reply = client.talk(line).await;
            assert_error(&reply, "REFUSED", instead);
            assert_error(&reply, "REFUSED", "belongs to the cache user");
        }
        for (line, message) in [
            ("SET user:1 v NX XX", "syntax error"),
            ("INCRBY user:1 x", NOT_A_NUMBER),
            ("DECRBY user:1 -9223372036854775808", "decrement would overflow"),
        ] {
            assert_error(&client.talk(line).await, "ERR", message);
        }
        assert_error(&client.talk("SET user:x v").await, "BADKEY", "user:x");
        bench.apply().await;
        assert_eq!(
            (bench.sink.writes(), bench.source.loads(), bench.journal.standing().next),
            (0, 0, 0)
        );
    }
}

const NOTHING: SinkAbilities =
    SinkAbilities { store: false, delete: false, add: false, replace: false, behind: false };

#[tokio::test]
async fn who_lacks_a_statement_is_told_which_to_declare() {
    type Able = fn(TestSink<Key, Value>) -> TestSink<Key, Value>;
    let stores: Able = |sink| sink.able(SinkAbilities { store: true, ..NOTHING });
    let adds: Able = |sink| sink.able(SinkAbilities { add: true, ..NOTHING });
    let deletes: Able = |sink| sink.able(SinkAbilities { delete: true, ..NOTHING });
    for (sink, missing) in [
        (stores, [None, Some("add"), Some("delete")]),
        (adds, [Some("store"), None, Some("delete")]),
        (deletes, [Some("store"), Some("add"), None]),
    ] {
        let bench = Bench::with(Setup { sink, ..setup(WriteMode::Around) }).await;
        let mut client = bench.client();
        let lines = ["SET user:1 1", "INCR user:1", "LARDER.DELETE user:1"];
        for (line, missing) in lines.into_iter().zip(missing) {
            let reply = client.talk(line).await;
            match missing {
                Some(option) => {
                    let what =
                        format!("no {option} declared for the cache user: declare {option} =");
                    assert_error(&reply, "REFUSED", &what);
                }
                None => assert!(!matches!(reply, Reply::Error(_)), "{reply:?}"),
            }
        }
        assert_eq!(bench.sink.writes(), 1);
    }
}

#[tokio::test]
async fn where_nothing_can_be_compared_a_condition_is_refused() {
    let sink = |sink: TestSink<Key, Value>| sink.able(SinkAbilities { store: true, ..NOTHING });
    let bench = Bench::with(Setup { sink, ..setup(WriteMode::Around) }).await;
    for line in ["SET user:1 1 NX", "SET user:1 1 GET", "SETNX user:1 1", "GETSET user:1 1"] {
        let reply = bench.client().talk(line).await;
        assert_error(&reply, "REFUSED", "can't compare what is held with what is expected");
    }
    assert_eq!(bench.sink.writes(), 0);
}

#[tokio::test]
async fn a_bad_or_plain_key_among_those_to_delete_leaves_all_as_they_are() {
    for mode in MODES {
        let bench = Bench::new(mode).await;
        bench.set("user:1", "v");
        let mut client = bench.client();
        client.talk("SET p v").await;
        let reply = client.talk("LARDER.DELETE user:1 user:x").await;
        assert_error(&reply, "BADKEY", "user:x");
        for line in ["LARDER.DELETE p", "LARDER.DELETE user:1 p", "LARDER.DELETE larder:x"] {
            assert_error(&client.talk(line).await, "REFUSED", "DEL deletes a plain key");
        }
        bench.apply().await;
        assert_eq!(client.talk_all(&["GET user:1", "GET p"]).await, [bulk("v"), bulk("v")]);
        assert_eq!(bench.sink.writes(), 0);
    }
}

#[tokio::test]
async fn a_delete_that_fails_says_how_many_came_before_it() {
    let bench = Bench::new(WriteMode::Around).await;
    for key in ["user:1", "user:2", "user:3"] {
        bench.set(key, "v");
    }
    bench.sink.close(Step::AfterCommit);
    let mut client = bench.client();
    let deleting = client.talk("LARDER.DELETE user:1 user:2 user:3");
    let (reply, ()) = futures_util::future::join(deleting, async {
        bench.sink.until_waiting(1).await;
        bench.sink.fail_next(1, WriteFault::Transient);
        bench.sink.open();
    })
    .await;
    assert_error(&reply, "SOURCEDOWN", "1 of 3 rows were deleted before this one");
    assert_error(&reply, "SOURCEDOWN", "nothing was written; it may be repeated");
    assert_error(&reply, "SOURCEDOWN", "(key user:2)");
    let rows = ["user:1", "user:2", "user:3"].map(|key| bench.row(key).is_some());
    assert_eq!(rows, [false, true, true]);
}

#[tokio::test]
async fn what_became_of_a_write_that_failed_is_told() {
    for mode in [WriteMode::Around, WriteMode::Through] {
        for (fault, code, what, row) in [
            (WriteFault::Transient, "SOURCEDOWN", "nothing was written; it may be repeated", "10"),
            (WriteFault::Poison, "REFUSED", "nothing was written: ", "10"),
            (WriteFault::Conflict, "CONFLICT", "nothing was written: another was first", "10"),
            (WriteFault::Unknown, "SOURCEDOWN", "it may be committed or not", "11"),
        ] {
            let bench = Bench::new(mode).await;
            bench.set("user:1", "10");
            let mut client = bench.client();
            assert_eq!(client.talk("GET user:1").await, bulk("10"));
            bench.sink.fail_next(1, fault);
            let replies = client.talk_all(&["INCR user:1", "GET user:1"]).await;
            assert_error(&replies[0], code, what);
            assert_error(&replies[0], code, "(key user:1)");
            assert_eq!(replies[1], bulk(row), "{fault:?}");
            assert_eq!(bench.sink.writes(), 1, "{fault:?}: it isn't repeated");
        }
    }
}

#[tokio::test]
async fn what_the_journal_has_no_room_for_is_shed_and_what_it_lost_is_told() {
    let bench = Bench::new(WriteMode::Behind).await;
    bench.journal.room(1);
    let lines = ["SET user:1 a", "SET user:2 b", "INCR user:3", "GET user:1", "GET user:2"];
    let replies = bench.client().talk_all(&lines).await;
    assert_eq!(replies[0], ok());
    for reply in &replies[1..3] {
        assert_error(reply, "SHED", "the journal is full");
    }
    assert_eq!(replies[3..], [bulk("a"), Reply::Null]);
    bench.journal.fail();
    let reply = bench.client().talk("LARDER.DELETE user:1 user:2").await;
    assert_error(&reply, "INTERNAL", "0 of 2 rows were deleted before this one");
}

#[tokio::test]
async fn what_the_database_refuses_later_is_a_dead_letter_and_no_reply() {
    let bench = Bench::new(WriteMode::Behind).await;
    bench.sink.fail_next(usize::MAX, WriteFault::Poison);
    assert_eq!(bench.client().talk("SET user:1 a").await, ok());
    bench.apply().await;
    assert_eq!(bench.sink.letters().len(), 1);
    assert_eq!(bench.client().talk("GET user:1").await, Reply::Null);
}

#[tokio::test]
async fn writes_are_refused_while_the_journal_is_stopped() {
    let bench = Bench::new(WriteMode::Behind).await;
    let stopped = bench.behind.stop(&bench.engine, S).await;
    drop(stopped);
    for line in ["SET user:1 a", "INCR user:1", "LARDER.DELETE user:1"] {
        let reply = bench.client().talk(line).await;
        assert_error(&reply, "SHED", "takes no writes now");
        assert_error(&reply, "SHED", "retry after");
    }
}
