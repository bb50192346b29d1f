//! Plain and declared keys in one pipeline and in one command.

use larder_test::Reply;

use crate::support::{Bench, int, ok, pipeline, refusal, talk};

fn row(id: u32) -> Reply {
    Reply::bulk(format!("row of user:{id}"))
}

#[test]
fn replies_of_both_come_in_the_order_of_their_commands() {
    let bench = Bench::new();
    let mut client = bench.client();
    let replies = pipeline(
        &mut client,
        &["SET p 1", "GET user:1", "GET p", "GET user:2", "PING", "INCR p", "GET user:1", "GET p"],
    );
    let pong = Reply::Simple("PONG".into());
    let expected = [ok(), row(1), Reply::bulk("1"), row(2), pong, int(2), row(1), Reply::bulk("2")];
    assert_eq!(replies, expected);
    let many: Vec<_> = (0..3000u32)
        .map(|number| match number % 3 {
            0 => format!("SET k{number} {number}"),
            1 => format!("GET user:{number}"),
            _ => format!("GET k{}", number - 2),
        })
        .collect();
    let lines: Vec<_> = many.iter().map(String::as_str).collect();
    for (number, reply) in (0..3000).zip(pipeline(&mut client, &lines)) {
        let expected = match number % 3 {
            0 => ok(),
            1 => row(number),
            _ => Reply::bulk((number - 2).to_string()),
        };
        assert_eq!(reply, expected, "{number}");
    }
}

#[test]
fn commands_on_both_kinds_of_keys_are_split_and_merged() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "MSET a 1 b 2");
    let mget = talk(&mut client, "MGET a user:1 nothing user:2 b");
    let expected = [Reply::bulk("1"), row(1), Reply::Null, row(2), Reply::bulk("2")];
    assert_eq!(mget, Reply::Array(expected.into()));
    assert_eq!(talk(&mut client, "EXISTS a user:1 nothing a user:3"), int(4));
    assert_eq!(talk(&mut client, "TOUCH a user:1 nothing"), int(2));
    assert_eq!(talk(&mut client, "TOUCH user:1"), int(1));
    let loads = bench.source.loads();
    assert_eq!(talk(&mut client, "DEL a user:1 nothing user:999"), int(2));
    assert_eq!(talk(&mut client, "GET a"), Reply::Null);
    assert_eq!(talk(&mut client, "GET user:1"), row(1));
    assert_eq!(bench.source.loads(), loads + 1, "it was invalidated");
    assert_eq!(talk(&mut client, "UNLINK b user:1"), int(2));
    // In RESP3, and behind others.
    talk(&mut client, "HELLO 3");
    let replies = pipeline(
        &mut client,
        &["SET a 3", "GET user:5", "MGET user:5 a x", "DEL user:5 a", "MGET a user:5"],
    );
    let three = vec![row(5), Reply::bulk("3"), Reply::Null];
    let two = vec![Reply::Null, row(5)];
    assert_eq!(replies, [ok(), row(5), Reply::Array(three), int(2), Reply::Array(two)]);
}

/// What is asked in turns of rows and of plain keys, and what is replied.
fn written_in_turns() -> Vec<(&'static str, Reply)> {
    vec![
        ("SET p 1", ok()),
        ("SET user:1 mine", ok()),
        ("GET user:1", Reply::bulk("mine")),
        ("SET p 2", ok()),
        ("INCR count:1", int(1)),
        ("INCRBY count:2 5", int(5)),
        ("INCR count:1", int(2)),
        ("LARDER.DELETE count:2", int(1)),
        ("GET p", Reply::bulk("2")),
        ("MGET count:1 p user:1 count:2", {
            let values = ["2", "2", "mine"].map(Reply::bulk);
            Reply::Array(values.into_iter().chain([Reply::Null]).collect())
        }),
        ("GETSET user:1 yours", Reply::bulk("mine")),
        ("SET user:1 his NX", Reply::Null),
        ("GET user:1", Reply::bulk("yours")),
        ("DEL user:1 p", int(2)),
        ("GET user:1", Reply::bulk("yours")),
        ("LARDER.DELETE user:1", int(1)),
        ("GET user:1", Reply::Null),
        ("EXISTS user:1 p count:1", int(1)),
    ]
}

#[test]
fn rows_are_written_here_and_plain_keys_in_redis_in_the_order_of_their_commands() {
    for behind in [false, true] {
        let bench = Bench::new();
        let mut client = bench.client();
        let (lines, expected): (Vec<_>, Vec<_>) = written_in_turns().into_iter().unzip();
        let replies = match behind {
            true => pipeline(&mut client, &lines),
            false => lines.iter().map(|line| talk(&mut client, line)).collect(),
        };
        assert_eq!(replies, expected);
        let reply = talk(&mut client, "MSET p 1 user:1 1");
        assert!(refusal(&reply).contains("can't name plain keys and keys of caches"), "{reply:?}");
        for line in ["LARDER.DELETE p", "LARDER.DELETE count:1 p"] {
            let reply = talk(&mut client, line);
            assert!(refusal(&reply).contains("DEL deletes a plain key (key p)"), "{reply:?}");
        }
        assert_eq!(talk(&mut client, "GET count:1"), Reply::bulk("2"));
    }
}

#[test]
fn a_key_that_fits_no_template_fails_a_split_command_before_anything_is_done() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "SET a 1");
    for line in ["DEL a user:x", "MGET a user:x", "EXISTS user:x a"] {
        let reply = talk(&mut client, line);
        assert!(refusal(&reply).starts_with("BADKEY "), "{line}: {reply:?}");
    }
    assert_eq!(talk(&mut client, "GET a"), Reply::bulk("1"));
}

#[test]
fn an_error_from_redis_is_the_reply_of_a_split_command() {
    let bench = Bench::new();
    let mut client = bench.client();
    bench.redis.cli(&["ACL", "SETUSER", "default", "-mget"]);
    let reply = talk(&mut client, "MGET a user:1");
    assert!(refusal(&reply).starts_with("NOPERM "), "{reply:?}");
}

#[test]
fn a_value_of_sixteen_mebibytes_goes_and_comes() {
    let bench = Bench::new();
    let mut client = bench.client();
    let value: Vec<u8> = (0..16 << 20).map(|at: u32| (at % 251) as u8).collect();
    assert_eq!(client.command(&[&b"SET"[..], b"big", &value]), ok());
    assert_eq!(talk(&mut client, "GET big"), Reply::Bulk(value.clone()));
    let three = client.pipeline([["GET", "big"], ["GET", "user:1"], ["STRLEN", "big"]]);
    assert_eq!(three, [Reply::Bulk(value.clone()), row(1), int(16 << 20)]);
    let Reply::Array(values) = talk(&mut client, "MGET big user:1 big") else { panic!("no array") };
    assert!(values[0] == Reply::Bulk(value) && values[1] == row(1) && values[0] == values[2]);
}

#[test]
fn replies_beyond_the_limit_are_refused_and_nobody_else_notices() {
    let bench = Bench::new();
    let mut client = bench.client();
    let mut other = bench.client();
    talk(&mut client, "SETRANGE big 134217727 x");
    let replies = pipeline(&mut client, &["GET big", "PING", "GET user:1"]);
    assert!(refusal(&replies[0]).starts_with("REFUSED "), "{:?}", replies[0]);
    assert_eq!(replies[1..], [Reply::Simple("PONG".into()), row(1)]);
    assert_eq!(talk(&mut other, "STRLEN big"), int(128 << 20));
    // Several that fit each by itself.
    talk(&mut client, "SETRANGE half 80000000 x");
    let replies = pipeline(&mut client, &["STRLEN half", "GET half", "GET half", "STRLEN half"]);
    assert_eq!((&replies[0], &replies[3]), (&int(80_000_001), &int(80_000_001)));
    assert!(matches!(&replies[1], Reply::Bulk(bytes) if bytes.len() == 80_000_001));
    assert!(refusal(&replies[2]).contains("it was executed"), "{:?}", replies[2]);
}

#[test]
fn a_request_that_comes_in_pieces_goes_upstream_whole() {
    let bench = Bench::new();
    let mut client = bench.client();
    let request = b"*6\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n";
    for at in 1..request.len() {
        client.send(&request[..at]);
        client.send(&request[at..]);
        assert!(matches!(client.receive(), Reply::Integer(0 | 2)));
    }
}
