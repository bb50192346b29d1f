//! The key log: what each command notes, of which keys, and what happens when nobody takes it.

use std::collections::HashMap;

use larder_core::{Clock, ErrorKind};
use larder_resp::key_log::Op::{self, Read, Remove, Write};
use larder_resp::key_log::{NOTES_MAX, Note};

use crate::common::{Bench, S, Setup, field, int, ok, text};

fn logged(sample: f64) -> Bench {
    Bench::with(Setup { sample: Some(sample), ..Setup::default() })
}

/// What was noted since this was last asked.
fn notes(bench: &Bench) -> Vec<Note> {
    bench.notes.as_ref().expect("this server has a log").try_iter().collect()
}

/// The same, all of one key: what was done, the size, the ttl in milliseconds.
#[track_caller]
fn told(bench: &Bench) -> Vec<(Op, usize, u64)> {
    let notes = notes(bench);
    assert!(notes.iter().all(|note| note.hash == notes[0].hash), "{notes:?}");
    notes.iter().map(|note| (note.op, note.size, note.ttl_ms)).collect()
}

#[tokio::test]
async fn plain_keys_are_noted_with_their_size_and_what_is_left_of_their_time() {
    let bench = logged(1.0);
    let mut client = bench.client();
    for (line, expected) in [
        ("GET p", &[(Read, 0, 0)][..]),
        ("SET p 12345", &[(Write, 5, 0)]),
        ("GET p", &[(Read, 5, 0)]),
        ("SET p 123 EX 60", &[(Write, 3, 60_000)]),
        ("STRLEN p", &[(Read, 3, 60_000)]),
        ("SET p 1234 KEEPTTL", &[(Write, 4, 60_000)]),
        ("INCR p", &[(Write, 4, 60_000)]),
        ("PEXPIRE p 500", &[(Write, 4, 500)]),
        ("PERSIST p", &[(Write, 4, 0)]),
        ("EXISTS p p", &[(Read, 4, 0), (Read, 4, 0)]),
        ("TYPE p", &[(Read, 4, 0)]),
        ("MGET p", &[(Read, 4, 0)]),
        ("LARDER.GET p", &[(Read, 4, 0)]),
        ("DEL p", &[(Remove, 0, 0)]),
        ("SETEX p 7 12", &[(Write, 2, 7_000)]),
        ("EXPIRE p -1", &[(Remove, 0, 0)]),
        ("SETNX p 1", &[(Write, 1, 0)]),
        ("LARDER.INVALIDATE KEYS p", &[(Remove, 0, 0)]),
        // What changes nothing, or asks for no value, is no request.
        ("SET p 1 XX", &[]),
        ("EXPIRE p 5", &[]),
        ("TTL p", &[]),
        ("SET p 1 EX 0", &[]),
        ("PING", &[]),
    ] {
        client.talk(line).await;
        assert_eq!(told(&bench), expected, "{line}");
    }

    let reply = client.talk("LARDER.GET p LEASE").await;
    let token = text(field(&reply, "token")).to_owned();
    let fill = format!("LARDER.FILL p {token} 123456 PX 900");
    assert_eq!(client.talk(&fill).await, int(1));
    // It is held already: the second fill is refused.
    assert_eq!(client.talk(&fill).await, int(0));
    assert_eq!(told(&bench), [(Read, 0, 0), (Write, 6, 900)]);
}

#[tokio::test]
async fn declared_keys_are_noted_when_they_are_answered() {
    let bench = logged(1.0);
    let mut client = bench.client();
    let row = "row of user:1".len();
    // The first one loads, the second finds it; a number has one key, however it is padded.
    client.talk("GET user:1").await;
    client.talk("GET user:1").await;
    client.talk("GET user:000000000001").await;
    client.talk("LARDER.GET user:1").await;
    client.talk("DEL user:1").await;
    assert_eq!(
        told(&bench),
        [
            (Read, row, 10_000),
            (Read, row, 10_000),
            (Read, row, 10_000),
            (Read, row, 10_000),
            (Remove, 0, 0),
        ],
    );
    // Marked stale it is still held.
    client.talk("GET user:1").await;
    client.talk("LARDER.INVALIDATE SOFT KEYS user:1").await;
    assert_eq!(told(&bench), [(Read, row, 10_000)]);
    // An absence is held, too, and has no size.
    client.talk_all(&["GET user:1000", "GET user:1000"]).await;
    client.talk("GET user:1000").await;
    assert_eq!(told(&bench), [(Read, 0, 10_000); 3]);
    // Of what fails nothing is held, and what no cache knows is no request.
    bench.users().fail_next(1, ErrorKind::SourceDown);
    client.talk("GET user:2").await;
    client.talk("GET user:abc").await;
    client.talk("SET user:2 x").await;
    assert_eq!(told(&bench), [(Read, 0, 1)]);

    let reply = client.talk("LARDER.GET user:3 LEASE").await;
    let token = text(field(&reply, "token")).to_owned();
    assert_eq!(client.talk(&format!("LARDER.FILL user:3 {token} 1234567")).await, int(1));
    client.talk("LARDER.GET user:3 LEASE").await;
    assert_eq!(told(&bench), [(Read, 0, 10_000), (Write, 7, 10_000), (Read, 7, 10_000)]);
}

#[tokio::test]
async fn a_key_is_in_the_sample_with_all_its_requests_or_with_none() {
    const KEYS: usize = 4_000;
    let bench = logged(0.25);
    let mut client = bench.client();
    for key in 0..KEYS {
        let (get, set) = (format!("GET key:{key}"), format!("SET key:{key} x"));
        let del = format!("DEL key:{key}");
        client.talk_all(&[&get, &set, &get, &del]).await;
    }
    let mut requests: HashMap<u64, Vec<Op>> = HashMap::new();
    for note in notes(&bench) {
        requests.entry(note.hash).or_default().push(note.op);
    }
    // Within six standard deviations of 27.
    assert!((836..1_164).contains(&requests.len()), "{} of {KEYS}", requests.len());
    assert!(requests.values().all(|ops| ops[..] == [Read, Write, Read, Remove]));
    let highest = requests.keys().max().unwrap();
    assert!(*highest <= u64::MAX / 4, "{highest:x}");
}

#[tokio::test]
async fn a_hash_tells_nobody_anything() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let bench = logged(1.0);
        bench.client().talk_all(&["GET a", "GET b"]).await;
        seen.extend(notes(&bench).iter().map(|note| note.hash));
    }
    // The same keys have other hashes in every log.
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn times_are_those_of_the_wall_and_go_on_with_the_clock() {
    let bench = logged(1.0);
    let since_1970 = bench.clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap();
    bench.client().talk("GET a").await;
    bench.clock.advance(3 * S);
    bench.client().talk("GET a").await;
    let times: Vec<_> = notes(&bench).iter().map(|note| u128::from(note.time_ms)).collect();
    assert_eq!(times, [since_1970.as_millis(), since_1970.as_millis() + 3_000]);
}

#[tokio::test]
async fn what_nobody_takes_is_left_out_and_counted_and_nobody_waits() {
    let bench = logged(1.0);
    let mut client = bench.client();
    let requests = NOTES_MAX + 1_000;
    let keys = ["k"; 1_000];
    let line = format!("MGET {}", keys.join(" "));
    for _ in 0..requests / keys.len() {
        client.talk(&line).await;
    }
    let asked = requests / keys.len() * keys.len();
    assert_eq!(client.talk("SET k v").await, ok());
    let log = bench.service.keyspace().key_log().unwrap();
    let lost = (asked - NOTES_MAX) as u64;
    assert_eq!((log.lost(), log.lost_reads()), (lost + 1, lost));
    let info = client.talk("INFO stats").await;
    let line = format!("larder_trace_lost:{}\r\n", lost + 1);
    assert!(text(&info).contains(&line), "{}", text(&info));
    assert_eq!(notes(&bench).len(), NOTES_MAX);
    // There is room again.
    client.talk("GET k").await;
    assert_eq!(notes(&bench).len(), 1);
}
