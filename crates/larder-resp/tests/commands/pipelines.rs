//! Pipelines: the order of their replies, how they are cut into pieces, faults in them, and how
//! much output stands before it is sent.

use bytes::Bytes;
use larder_core::Value;
use larder_resp::codec::{Reply, encode_request};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::Config;
use proptest::{prop_assert_eq, proptest};

use crate::common::{Bench, block_on, bulk, error, int, ok, replies, row, words};

/// One reply may come on top of it.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Declared keys with and without a row, bad ones, and plain ones.
fn key() -> impl Strategy<Value = &'static str> {
    select(vec![
        "user:1",
        "user:2",
        "user:3",
        "user:1000",
        "note:a",
        "note:b",
        "user:x",
        "note:",
        "p",
        "q",
        "r",
    ])
}

/// A command on these keys; now and then one that can't be.
fn command() -> impl Strategy<Value = Vec<String>> {
    let one_key = select(vec![
        "GET KEY",
        "GET KEY",
        "GET KEY",
        "GET KEY extra",
        "EXISTS KEY",
        "STRLEN KEY",
        "TYPE KEY",
        "TTL KEY",
        "PTTL KEY",
        "SET KEY value",
        "SET KEY 7 EX 10",
        "SET KEY v NX GET",
        "SET KEY v NONSENSE",
        "SETNX KEY v",
        "EXPIRE KEY 100",
        "PERSIST KEY",
        "INCR KEY",
        "DECRBY KEY 3",
        "DEL KEY",
        "LARDER.GET KEY LEASE",
        "LARDER.INVALIDATE SOFT KEYS KEY",
    ]);
    let no_key = select(vec![
        "PING",
        "PING a",
        "ECHO b",
        "HELLO 2",
        "HELLO 3",
        "NONSENSE x",
        "SELECT 1",
        "DBSIZE",
        "CLIENT NONSENSE",
        "MGET",
        "RESET",
    ]);
    let many = (select(vec!["MGET", "EXISTS", "UNLINK"]), vec(key(), 1..5));
    let words = |line: &str| words(line).into_iter().map(str::to_owned).collect::<Vec<_>>();
    prop_oneof![
        8 => (one_key, key()).prop_map(move |(line, key)| words(&line.replace("KEY", key))),
        2 => no_key.prop_map(words),
        2 => many.prop_map(|(name, keys)| {
            [name].into_iter().chain(keys).map(str::to_owned).collect()
        }),
    ]
}

/// How clients send requests: as arrays, with blank lines between them, or as lines.
fn encode(command: &[String], form: u8) -> Vec<u8> {
    let mut input = Vec::new();
    match form {
        0 => input.extend_from_slice(format!("{}\r\n", command.join(" ")).as_bytes()),
        1 => {
            input.extend_from_slice(b"\r\n*0\r\n");
            encode_request(&mut input, command);
        }
        _ => encode_request(&mut input, command),
    }
    input
}

/// What another server would have replied: its tokens are its own.
fn without_tokens(reply: Reply) -> Reply {
    match reply {
        Reply::Bulk(bytes) if bytes.len() == 80 => Reply::Bulk(Bytes::from_static(b"token")),
        Reply::Array(parts) => Reply::Array(parts.into_iter().map(without_tokens).collect()),
        Reply::Map(pairs) => Reply::Map(
            pairs.into_iter().map(|(name, value)| (name, without_tokens(value))).collect(),
        ),
        other => other,
    }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn a_pipeline_in_any_pieces_is_answered_as_its_commands_one_by_one(
        commands in vec((command(), 0_u8..6), 1..40),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let inputs: Vec<_> = commands.iter().map(|(command, form)| encode(command, *form)).collect();
        let (singly, questions) = block_on(async {
            let bench = Bench::new();
            let mut client = bench.client();
            let mut output = Vec::new();
            for input in &inputs {
                output.extend(client.send(input).await);
            }
            (output, bench.questions())
        });
        let whole = inputs.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let (together, asked) = block_on(async {
            let bench = Bench::new();
            let mut client = bench.client();
            let mut output = Vec::new();
            for cut in cuts.windows(2) {
                output.extend(client.send(&whole[cut[0]..cut[1]]).await);
            }
            (output, bench.questions())
        });
        let comparable = |output: &[u8]| {
            replies(output).into_iter().map(without_tokens).collect::<Vec<_>>()
        };
        let (singly, together) = (comparable(&singly), comparable(&together));
        prop_assert_eq!(singly.len(), commands.len());
        prop_assert_eq!(singly, together);
        proptest::prop_assert!(asked <= questions, "{} questions instead of {}", asked, questions);
    }

    #[test]
    fn garbage_is_answered_alike_in_any_pieces_and_never_panics(
        input in vec(
            prop_oneof![
                3 => any::<u8>().prop_map(|byte| vec![byte]),
                2 => select(vec!["\r\n", "*1\r\n", "*2\r\n", "$3\r\n", "$-1\r\n", "GET", " ", "\"", "*"])
                    .prop_map(|part| part.as_bytes().to_vec()),
                2 => (command(), Just(2)).prop_map(|(command, form)| encode(&command, form)),
            ],
            0..30,
        ),
        cuts in vec(any::<Index>(), 0..4),
    ) {
        let whole = input.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let answer = |cuts: Vec<usize>| block_on(async {
            let mut client = Bench::new().client();
            let mut output = Vec::new();
            for cut in cuts.windows(2) {
                if !client.closed {
                    output.extend(client.send(&whole[cut[0]..cut[1]]).await);
                }
            }
            let replies: Vec<_> = replies(&output).into_iter().map(without_tokens).collect();
            (replies, client.closed)
        });
        prop_assert_eq!(answer(vec![0, whole.len()]), answer(cuts));
    }
}

#[tokio::test]
async fn what_comes_before_a_fault_is_answered_first() {
    for before in ["SET p v", "GET user:1"] {
        let bench = Bench::new();
        let mut client = bench.client();
        let mut input = Vec::new();
        encode_request(&mut input, &words(before));
        encode_request(&mut input, &["GET", "user:2"]);
        input.extend_from_slice(b"*1\r\n:1\r\n*1\r\n$4\r\nPING\r\n");
        let replies = replies(&client.send(&input).await);
        assert_eq!(replies[1], row("user:2"), "{before}");
        assert_eq!(replies[2], error("ERR Protocol error: expected '$', got ':'"));
        assert!(client.closed && replies.len() == 3);
    }
}

#[tokio::test]
async fn writes_wait_for_the_reads_before_them() {
    let bench = Bench::new();
    let replies = bench
        .client()
        .talk_all(&["GET user:1", "SET p 1", "GET user:2", "DEL user:2", "GET user:2", "INCR p"])
        .await;
    let rows = ["user:1", "user:2"].map(row);
    assert_eq!(replies[..3], [rows[0].clone(), ok(), rows[1].clone()]);
    assert_eq!(replies[3..], [int(1), rows[1].clone(), int(2)]);
    assert_eq!(bench.users().loads_of(&"user:2".into()), 2);
}

#[tokio::test]
async fn output_is_sent_before_it_grows_beyond_its_bound_and_one_reply() {
    let bench = Bench::new();
    let mut client = bench.client();
    let length = 100_000;
    let value = "x".repeat(length);
    client.command(&["SET", "p", &value]).await;
    for id in 1..=50 {
        bench.users().set(format!("user:{id}").as_str().into(), Value::raw(value.clone()));
    }
    let gets = |key: &dyn Fn(usize) -> String| -> Vec<_> {
        (1..=50).map(|id| vec!["GET".to_owned(), key(id)]).collect()
    };
    // Held, to be loaded, and held behind what is to be loaded.
    let held = gets(&|_| "p".to_owned());
    let cold = gets(&|id| format!("user:{id}"));
    let behind = [vec![vec!["GET".to_owned(), "note:a".to_owned()]], held.clone()].concat();
    for commands in [held, cold, behind] {
        client.output_max = 0;
        let replies = client.pipeline(&commands).await;
        assert_eq!(replies.len(), commands.len());
        assert_eq!(replies.iter().filter(|reply| **reply == bulk(&value)).count(), 50);
        let max = client.output_max;
        assert!((OUTPUT_BYTES_MAX..OUTPUT_BYTES_MAX + length + 12).contains(&max), "{max}");
    }
}

#[tokio::test]
async fn what_is_held_behind_a_cold_read_is_not_copied_without_bound() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.command(&["SET", "p", &"x".repeat(100_000)]).await;
    let mut commands = vec![vec!["GET", "user:1"]];
    commands.extend(vec![vec!["GET", "p"]; 4]);
    commands.push(vec!["GET", "user:2"]);
    assert_eq!(client.pipeline(&commands).await.len(), 6);
    // Three copies reach the bound, so the second cold key is asked for by itself.
    assert_eq!((client.waits, bench.users().batches()), (2, vec![]));
}
