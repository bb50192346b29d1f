//! When a write of a row is replied to, and in which order: pipelines, clients that leave, and one
//! sync of the journal for many.

use futures_util::FutureExt;
use larder_core::Journal;
use larder_engine::WriteMode;
use larder_resp::codec::encode_request;
use larder_test::sink::Step;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::{Index, select};
use proptest::test_runner::Config;
use proptest::{prop_assert_eq, proptest};

use crate::common::{block_on, bulk, error, int, ok, replies, settle, simple, words};
use crate::row_bench::{Bench, MODES, NOT_A_NUMBER};

#[tokio::test]
async fn a_get_behind_a_set_in_one_pipeline_sees_what_was_set() {
    for mode in MODES {
        let bench = Bench::new(mode).await;
        bench.set("user:1", "old");
        let lines = [
            "GET user:1",
            "SET user:1 new",
            "GET user:1",
            "SET user:1 newer",
            "GET user:1",
            "PING",
        ];
        let replies = bench.client().talk_all(&lines).await;
        let expected = [bulk("old"), ok(), bulk("new"), ok(), bulk("newer"), simple("PONG")];
        assert_eq!(replies, expected, "{mode:?}");
        let (committed, loads) = match mode {
            WriteMode::Around => ("newer", 3),
            WriteMode::Through => ("newer", 1),
            _ => ("old", 1),
        };
        assert_eq!(bench.row("user:1").as_deref(), Some(committed), "{mode:?}");
        assert_eq!(bench.source.loads_of(&"user:1".into()), loads, "{mode:?}");
        bench.apply().await;
        assert_eq!(bench.row("user:1").as_deref(), Some("newer"), "{mode:?}");
        let writes = if mode == WriteMode::Behind { 1 } else { 2 };
        assert_eq!(bench.sink.writes(), writes, "{mode:?}");
    }
}

#[tokio::test]
async fn the_reply_comes_after_the_commit_and_who_leaves_before_takes_nothing_back() {
    for mode in [WriteMode::Around, WriteMode::Through] {
        let bench = Bench::new(mode).await;
        bench.sink.close(Step::BeforeCommit);
        let (mut stays, mut leaves) = (bench.client(), bench.client());
        let mut waits = Box::pin(stays.talk("SET user:1 a"));
        let mut left = Box::pin(leaves.talk("INCRBY user:2 7"));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(left.as_mut().now_or_never().is_none());
        bench.sink.until_waiting(2).await;
        assert!(waits.as_mut().now_or_never().is_none());
        drop(left);
        bench.sink.open();
        assert_eq!(waits.await, ok());
        settle().await;
        assert_eq!(bench.row("user:1").as_deref(), Some("a"));
        assert_eq!(bench.row("user:2").as_deref(), Some("7"));
        assert_eq!(bench.sink.writes(), 2);
    }
}

#[tokio::test]
async fn behind_the_reply_comes_when_the_journal_has_it_on_disk() {
    let bench = Bench::new(WriteMode::Behind).await;
    bench.journal.hold(true);
    let (mut stays, mut leaves) = (bench.client(), bench.client());
    let mut waits = Box::pin(stays.talk("SET user:1 a"));
    assert!(waits.as_mut().now_or_never().is_none());
    assert!(leaves.talk("SET user:2 b").now_or_never().is_none());
    settle().await;
    assert!(waits.as_mut().now_or_never().is_none());
    bench.journal.hold(false);
    assert_eq!(waits.await, ok());
    assert_eq!((bench.sink.writes(), bench.row("user:1")), (0, None));
    bench.apply().await;
    assert_eq!(bench.row("user:1").as_deref(), Some("a"));
    assert_eq!(bench.row("user:2").as_deref(), Some("b"));
}

#[tokio::test]
async fn writes_of_a_pipeline_wait_for_one_sync_and_are_in_the_journal_in_their_order() {
    let bench = Bench::new(WriteMode::Behind).await;
    bench.set("user:2", "41");
    let mut client = bench.client();
    assert_eq!(client.talk("GET user:2").await, bulk("41"));
    bench.journal.hold(true);
    let lines = [
        "SET user:1 first",
        "INCR user:2",
        "INCRBY user:3 x",
        "LARDER.DELETE user:3",
        "SET user:4 fourth",
        "GET user:1",
        "SET user:5 fifth",
    ];
    let mut waits = Box::pin(client.talk_all(&lines));
    assert!(waits.as_mut().now_or_never().is_none());
    settle().await;
    // A read waits for what stands before it.
    assert_eq!(bench.journal.standing().next, 4);
    bench.journal.hold(false);
    let expected =
        [ok(), int(42), error(&format!("ERR {NOT_A_NUMBER}")), int(1), ok(), bulk("first"), ok()];
    assert_eq!(waits.await, expected);
    let keys = ["user:1", "user:2", "user:3", "user:4", "user:5"];
    let records: Vec<_> = bench.journal.read_from(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(records.len(), keys.len());
    for (record, key) in records.iter().zip(keys) {
        let has_it = record.bytes.windows(key.len()).any(|part| part == key.as_bytes());
        assert!(has_it, "{key} isn't in the record {}", record.number);
    }
}

#[tokio::test]
async fn each_of_many_increments_of_one_key_in_a_pipeline_replies_its_own_sum() {
    for mode in MODES {
        let bench = Bench::new(mode).await;
        bench.set("user:1", "10");
        let lines = ["INCR user:1", "INCRBY user:1 5", "DECR user:1", "DECRBY user:1 20", "INCR p"];
        let replies = bench.client().talk_all(&lines).await;
        assert_eq!(replies, [11, 16, 15, -5, 1].map(int), "{mode:?}");
        bench.apply().await;
        assert_eq!(bench.row("user:1").as_deref(), Some("-5"), "{mode:?}");
    }
}

#[tokio::test]
async fn so_many_writes_and_bytes_wait_for_one_sync_and_the_next_for_the_next() {
    let bench = Bench::new(WriteMode::Behind).await;
    let mut client = bench.client();
    let lines: Vec<_> = (0..600).map(|id| format!("INCRBY user:{id} {id}")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let replies = client.talk_all(&lines).await;
    assert_eq!(replies, (0..600).map(int).collect::<Vec<_>>());
    // 256 each.
    assert_eq!(client.waits, 3);
    let value = "x".repeat(100_000);
    let lines: Vec<_> = (0..6).map(|id| format!("SET user:{id} {value}")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(client.talk_all(&lines).await, vec![ok(); 6]);
    // Three have 256 KiB.
    assert_eq!(client.waits, 3 + 2);
}

/// A write or a read of a few keys; now and then one that can't be.
fn command() -> impl Strategy<Value = String> {
    let key = || select(vec!["user:1", "user:2", "user:3", "user:000000000003", "user:x", "p"]);
    let line = select(vec![
        "SET KEY 7",
        "SET KEY 7",
        "SET KEY text",
        "SET KEY 7 EX 10",
        "SET KEY 8 NX",
        "SET KEY 9 XX GET",
        "SETNX KEY 7",
        "GETSET KEY 6",
        "INCR KEY",
        "INCR KEY",
        "DECRBY KEY 3",
        "INCRBY KEY x",
        "LARDER.DELETE KEY",
        "LARDER.DELETE KEY user:1",
        "DEL KEY",
        "GET KEY",
        "GET KEY",
        "MGET KEY user:2",
        "EXISTS KEY",
        "PING",
    ]);
    (line, key()).prop_map(|(line, key)| line.replace("KEY", key))
}

proptest! {
    #![proptest_config(Config { cases: 192, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_pipeline_of_writes_in_any_pieces_is_answered_as_its_commands_one_by_one(
        commands in vec(command(), 1..40),
        cuts in vec(any::<Index>(), 0..4),
        mode in select(MODES.to_vec()),
    ) {
        let mut input = Vec::new();
        commands.iter().for_each(|line| encode_request(&mut input, &words(line)));
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let end = |bench: Bench| async move {
            bench.apply().await;
            ["user:1", "user:2", "user:3"].map(|key| bench.row(key))
        };
        let singly = block_on(async {
            let bench = Bench::new(mode).await;
            let mut client = bench.client();
            let mut came = Vec::new();
            for line in &commands {
                came.push(client.talk(line).await);
            }
            (came, end(bench).await)
        });
        let together = block_on(async {
            let bench = Bench::new(mode).await;
            let mut client = bench.client();
            let mut output = Vec::new();
            for cut in cuts.windows(2) {
                output.extend(client.send(&input[cut[0]..cut[1]]).await);
            }
            (replies(&output), end(bench).await)
        });
        prop_assert_eq!(singly, together);
    }
}
