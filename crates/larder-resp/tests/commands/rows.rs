//! SET, INCR, LARDER.DELETE and their kin on keys of caches that are written around, through and
//! behind: what becomes of the row, and what is replied.

use larder_core::ErrorKind;
use larder_engine::WriteMode;
use larder_resp::codec::Reply;
use larder_resp::key_log::Op;
use larder_test::TestSink;
use larder_test::sink::Step;

use crate::common::{MS, assert_error, bulk, field, int, ok, text};
use crate::row_bench::{Bench, MODES, NOT_A_NUMBER, Setup, add_to_what_is_there, setup};

#[tokio::test]
async fn a_padded_number_names_the_row_of_the_number() {
    for mode in MODES {
        let bench = Bench::new(mode).await;
        let mut client = bench.client();
        let lines = ["SET user:000000000007 41", "INCR user:000000000007", "GET user:7"];
        assert_eq!(client.talk_all(&lines).await, [ok(), int(42), bulk("42")]);
        bench.apply().await;
        assert_eq!(bench.row("user:7").as_deref(), Some("42"), "{mode:?}");
        assert_eq!(client.talk("LARDER.DELETE user:000000000007").await, int(1));
        bench.apply().await;
        assert_eq!(bench.row("user:7"), None, "{mode:?}");
    }
}

#[tokio::test]
async fn the_sum_is_read_in_the_column_that_is_declared_or_the_only_one() {
    for mode in MODES {
        for (counter, row, reply) in [
            (None, r#"{"id":1,"n":41}"#, Ok(42)),
            (Some("n"), r#"{"id":1,"m":7,"n":41}"#, Ok(42)),
            (None, r#"{"id":1,"m":7,"n":41}"#, Err("counter = \"...\" in [cache.user]")),
            (Some("m"), r#"{"id":1,"m":"seven","n":41}"#, Err(NOT_A_NUMBER)),
        ] {
            let bench = Bench::with(Setup { counter, ..setup(mode) }).await;
            bench.set("user:1", row);
            let said = bench.client().talk("INCR user:1").await;
            match reply {
                Ok(sum) => assert_eq!(said, int(sum), "{row}"),
                Err(what) => {
                    assert_error(&said, "ERR", NOT_A_NUMBER);
                    assert_error(&said, "ERR", "the row is written");
                    assert_error(&said, "ERR", what);
                }
            }
            bench.apply().await;
            assert_eq!(bench.row("user:1"), Some(row.replace("41", "42")));
        }
    }
}

#[tokio::test]
async fn where_the_sink_says_no_sum_it_is_read_with_what_waits() {
    for mode in MODES {
        let silent = Setup { sink: TestSink::silent, ..setup(mode) };
        let bench = Bench::with(silent).await;
        bench.set("user:1", "10");
        let mut client = bench.client();
        assert_eq!(client.talk("INCRBY user:1 5").await, int(15), "{mode:?}");
        bench.source.fail(ErrorKind::SourceDown);
        let reply = client.talk("INCRBY user:2 1").await;
        assert_error(&reply, "SOURCEDOWN", "it is written, and counts: don't repeat it");
        assert_error(&reply, "SOURCEDOWN", "(key user:2)");
        bench.source.succeed();
        bench.apply().await;
        assert_eq!(bench.row("user:2").as_deref(), Some("1"), "{mode:?}");
    }
}

#[tokio::test]
async fn nothing_is_invented_where_there_is_no_row_to_add_to() {
    let silent: fn(_) -> _ = TestSink::silent;
    for sink in [silent, |sink| sink] {
        for mode in [WriteMode::Around, WriteMode::Through] {
            let add = add_to_what_is_there;
            let bench = Bench::with(Setup { add, sink, ..setup(mode) }).await;
            let reply = bench.client().talk("INCR user:1").await;
            assert_error(&reply, "REFUSED", "there is no row that could be added to");
            assert_eq!(bench.row("user:1"), None);
        }
    }
}

#[tokio::test]
async fn conditions_are_decided_by_the_row_and_the_old_value_is_the_rows() {
    for mode in MODES {
        let bench = Bench::new(mode).await;
        let mut client = bench.client();
        // An absence is held, and what another one wrote is seen all the same.
        assert_eq!(client.talk("GET user:1").await, Reply::Null);
        bench.set("user:1", "theirs");
        bench.clock.advance(MS);
        for (line, reply) in [
            ("SETNX user:1 mine", int(0)),
            ("SET user:1 mine NX", Reply::Null),
            ("SET user:1 mine NX GET", bulk("theirs")),
            ("SET user:2 mine XX", Reply::Null),
            ("SET user:2 mine XX GET", Reply::Null),
        ] {
            assert_eq!(client.talk(line).await, reply, "{mode:?}: {line}");
        }
        bench.apply().await;
        assert_eq!(bench.sink.writes(), 0, "{mode:?}");
        for (line, reply, row) in [
            ("SET user:1 a XX", ok(), "a"),
            ("SET user:1 b GET", bulk("a"), "b"),
            ("GETSET user:1 c", bulk("b"), "c"),
            ("SET user:1 d XX GET", bulk("c"), "d"),
            ("SETNX user:2 e", int(1), "e"),
            ("SET user:3 f NX", ok(), "f"),
            ("SET user:4 g NX GET", Reply::Null, "g"),
            ("GETSET user:5 h", Reply::Null, "h"),
        ] {
            let key = line.split(' ').nth(1).unwrap();
            assert_eq!(client.talk(line).await, reply, "{mode:?}: {line}");
            assert_eq!(client.command(&["GET", key]).await, bulk(row), "{mode:?}: {line}");
            bench.apply().await;
            assert_eq!(bench.row(key).as_deref(), Some(row), "{mode:?}: {line}");
        }
    }
}

#[tokio::test]
async fn of_two_that_set_what_is_missing_one_does() {
    for mode in [WriteMode::Around, WriteMode::Through] {
        let bench = Bench::new(mode).await;
        bench.sink.close(Step::BeforeCommit);
        let (mut one, mut other) = (bench.client(), bench.client());
        let both = futures_util::future::join3(
            one.talk("SETNX user:1 a"),
            other.talk("SETNX user:1 b"),
            async {
                bench.sink.until_waiting(2).await;
                bench.sink.open();
            },
        );
        let (one, other, ()) = both.await;
        let won = if one == int(1) { "a" } else { "b" };
        assert!(one != other && [&one, &other].contains(&&int(0)), "{one:?} {other:?}");
        assert_eq!(bench.row("user:1").as_deref(), Some(won));
    }
}

#[tokio::test]
async fn larder_delete_deletes_rows_and_del_only_what_is_held_of_them() {
    for mode in MODES {
        let bench = Bench::new(mode).await;
        for key in ["user:1", "user:2", "user:3"] {
            bench.set(key, "v");
        }
        let mut client = bench.client();
        assert_eq!(client.talk("GET user:1").await, bulk("v"));
        assert_eq!(client.talk("DEL user:1 user:2").await, int(1));
        assert_eq!(client.talk("GET user:1").await, bulk("v"));
        let lines = ["LARDER.DELETE user:1 user:9 user:2", "GET user:1", "MGET user:2 user:3"];
        let replies = client.talk_all(&lines).await;
        let two = Reply::Array(vec![Reply::Null, bulk("v")]);
        assert_eq!(replies, [int(3), Reply::Null, two], "{mode:?}");
        assert_eq!(client.talk("LARDER.DELETE user:3").await, int(1));
        bench.apply().await;
        let rows = ["user:1", "user:2", "user:3"].map(|key| bench.row(key));
        assert_eq!(rows, [None, None, None], "{mode:?}");
    }
}

#[tokio::test]
async fn larder_delete_is_a_command_like_the_others() {
    let password = Some("secret");
    let bench = Bench::with(Setup { password, ..setup(WriteMode::Around) }).await;
    bench.set("user:1", "v");
    let mut client = bench.client();
    assert_error(&client.talk("LARDER.DELETE user:1").await, "NOAUTH", "Authentication required.");
    assert_eq!(bench.row("user:1").as_deref(), Some("v"));
    client.talk("AUTH secret").await;
    let reply = client.talk("LARDER.DELETE").await;
    assert_error(&reply, "ERR", "wrong number of arguments for 'larder.delete' command");
    let reply = client.talk("COMMAND GETKEYS LARDER.DELETE user:1 user:2").await;
    assert_eq!(reply, Reply::Array(vec![bulk("user:1"), bulk("user:2")]));
    let reply = client.talk("COMMAND DOCS LARDER.DELETE").await;
    let summary = field(field(&reply, "larder.delete"), "summary");
    assert!(text(summary).starts_with("Deletes the rows"), "{summary:?}");
    assert_eq!(client.talk("larder.delete user:1").await, int(1));
    assert_eq!(bench.row("user:1"), None);
}

#[tokio::test]
async fn the_key_log_notes_what_a_write_leaves_in_memory() {
    use Op::{Read, Remove, Write};
    for (mode, held) in [
        (WriteMode::Around, (Remove, 0)),
        (WriteMode::Through, (Write, 3)),
        (WriteMode::Behind, (Remove, 0)),
    ] {
        let bench = Bench::new(mode).await;
        bench.set("user:1", "v");
        let mut client = bench.client();
        // What wasn't held stays so.
        client.talk_all(&["SET user:2 123", "GET user:1", "SET user:1 123"]).await;
        assert_eq!(bench.noted(), [(Remove, 0), (Read, 1), held], "{mode:?}");
        client.talk_all(&["INCR user:1", "LARDER.DELETE user:1", "SET user:1 v XX"]).await;
        assert_eq!(bench.noted(), [held, (Remove, 0)], "{mode:?}");
    }
}
