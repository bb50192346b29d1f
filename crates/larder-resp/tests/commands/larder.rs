//! LARDER.GET, LARDER.FILL, LARDER.STATS.

use larder_memory::Bounds;
use larder_resp::codec::Reply;

use crate::common::{
    Bench, Client, MS, S, Setup, assert_error, bulk, field, int, row, settle, text,
};

/// The names of a map's fields.
pub(crate) fn names(reply: &Reply) -> Vec<&str> {
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|(name, _)| text(name)).collect(),
        Reply::Array(parts) => parts.iter().step_by(2).map(text).collect(),
        other => panic!("it is no map: {other:?}"),
    }
}

/// Checks what LARDER.GET tells of an answer: value, tier, age and currency in milliseconds,
/// state, reason.
#[track_caller]
pub(crate) fn assert_answer(reply: &Reply, value: &Reply, told: (&str, i64, i64, &str, &str)) {
    assert_eq!(names(reply), ["value", "tier", "age_ms", "current_ms", "state", "reason"]);
    let (tier, age, current, state, reason) = told;
    assert_eq!(field(reply, "value"), value);
    let texts = ["tier", "state", "reason"].map(|name| text(field(reply, name)));
    assert_eq!(texts, [tier, state, reason]);
    assert_eq!((field(reply, "age_ms"), field(reply, "current_ms")), (&int(age), &int(current)));
}

/// The token of a miss.
#[track_caller]
fn token(reply: &Reply) -> String {
    assert_eq!(names(reply), ["value", "tier", "state", "reason", "token"]);
    assert_eq!(field(reply, "value"), &Reply::Null);
    let texts = ["tier", "state", "reason"].map(|name| text(field(reply, name)));
    assert_eq!(texts, ["memory", "gone", "missing"]);
    let token = text(field(reply, "token"));
    assert_eq!(token.len(), 80);
    token.to_owned()
}

async fn lease(client: &mut Client, key: &str) -> String {
    token(&client.command(&["LARDER.GET", key, "lease"]).await)
}

async fn fill(client: &mut Client, key: &str, token: &str, value: &str) -> Reply {
    client.command(&["LARDER.FILL", key, token, value]).await
}

#[tokio::test]
async fn get_tells_where_an_answer_comes_from_and_how_old_it_is() {
    for hello in ["HELLO 2", "HELLO 3"] {
        let bench = Bench::with(Setup { stale_for: 4 * S, ..Setup::default() });
        let mut client = bench.client();
        client.talk(hello).await;
        let reply = client.talk("LARDER.GET user:1").await;
        assert_answer(&reply, &row("user:1"), ("source", 0, 0, "fresh", "loaded"));
        bench.clock.advance(2500 * MS);
        let reply = client.talk("LARDER.GET user:1").await;
        assert_answer(&reply, &row("user:1"), ("memory", 2500, 2500, "fresh", "held"));
        bench.clock.advance(4500 * MS);
        bench.users().close();
        let reply = client.talk("LARDER.GET user:1").await;
        assert_answer(&reply, &row("user:1"), ("memory", 7000, 7000, "stale", "refreshing"));
        bench.users().open();
        settle().await;
        let reply = client.talk("LARDER.GET user:1").await;
        assert_answer(&reply, &row("user:1"), ("memory", 0, 0, "fresh", "held"));
        let reply = client.talk("LARDER.GET user:1000").await;
        assert_answer(&reply, &Reply::Null, ("source", 0, 0, "fresh", "loaded"));
        let reply = client.talk("LARDER.GET user:1000").await;
        assert_answer(&reply, &Reply::Null, ("memory", 0, 0, "fresh", "held"));
    }
}

#[tokio::test]
async fn a_plain_key_is_told_of_too() {
    let bench = Bench::new();
    let mut client = bench.client();
    let reply = client.talk("LARDER.GET p").await;
    assert_eq!(names(&reply), ["value", "tier", "state", "reason"]);
    assert_eq!(text(field(&reply, "reason")), "missing");
    client.talk("SET p v").await;
    bench.clock.advance(5 * S);
    for line in ["LARDER.GET p", "LARDER.GET p LEASE"] {
        let reply = client.talk(line).await;
        assert_answer(&reply, &bulk("v"), ("memory", 5000, 5000, "fresh", "held"));
    }
}

#[tokio::test]
async fn a_lease_is_given_on_a_miss_and_fills_without_a_load() {
    let bench = Bench::new();
    let mut client = bench.client();
    let token = lease(&mut client, "user:1").await;
    bench.clock.advance(2 * S);
    assert_eq!(fill(&mut client, "user:1", &token, "mine").await, int(1));
    assert_eq!(client.talk("GET user:1").await, bulk("mine"));
    // What was filled was read after the lease, so that is its age.
    let reply = client.talk("LARDER.GET user:1 LEASE").await;
    assert_answer(&reply, &bulk("mine"), ("memory", 2000, 2000, "fresh", "held"));
    assert_eq!(client.talk("TTL user:1").await, int(8));
    assert_eq!(bench.questions(), 0);
}

#[tokio::test]
async fn a_lease_on_a_plain_key_fills_it_for_a_time() {
    let bench = Bench::new();
    let mut client = bench.client();
    for (options, ttl) in [("", -1), ("EX 7", 7), ("px 7000", 7)] {
        let token = lease(&mut client, "p").await;
        let line = format!("LARDER.FILL p {token} v {options}");
        assert_eq!(client.talk(&line).await, int(1));
        assert_eq!(client.talk_all(&["GET p", "TTL p"]).await, [bulk("v"), int(ttl)]);
        client.talk("DEL p").await;
    }
    let token = lease(&mut client, "p").await;
    for (options, message) in [
        ("EX", "syntax error"),
        ("EX 7 EX 7", "syntax error"),
        ("KEEPTTL", "syntax error"),
        ("NX", "syntax error"),
        ("EX 0", "invalid expire time in 'larder.fill' command"),
        ("EX x", "value is not an integer or out of range"),
    ] {
        let line = format!("LARDER.FILL p {token} v {options}");
        assert_error(&client.talk(&line).await, "ERR", message);
    }
    assert_eq!(client.talk("GET p").await, Reply::Null);
}

#[tokio::test]
async fn a_fill_is_refused_when_the_key_changed_since_the_lease() {
    for (key, change) in [
        ("user:1", "DEL user:1"),
        ("user:1", "UNLINK user:1"),
        ("user:1", "LARDER.INVALIDATE KEYS user:1"),
        ("user:1", "LARDER.INVALIDATE SOFT KEYS user:1"),
        ("p", "DEL p"),
        ("p", "SET p new"),
        ("p", "SETNX p new"),
        ("p", "INCR p"),
        ("p", "LARDER.INVALIDATE KEYS p"),
    ] {
        let bench = Bench::new();
        let mut client = bench.client();
        let token = lease(&mut client, key).await;
        bench.client().talk(change).await;
        let before = client.talk(&format!("TTL {key}")).await;
        assert_eq!(fill(&mut client, key, &token, "old").await, int(0), "{change}");
        assert_eq!(client.talk(&format!("TTL {key}")).await, before);
        let reply = client.command(&["GET", key]).await;
        assert_ne!(reply, bulk("old"), "{change}");
    }
}

#[tokio::test]
async fn of_two_fills_of_a_plain_key_the_first_stays() {
    let bench = Bench::new();
    let mut client = bench.client();
    let first = lease(&mut client, "p").await;
    let second = lease(&mut client, "p").await;
    assert_eq!(fill(&mut client, "p", &first, "first").await, int(1));
    assert_eq!(fill(&mut client, "p", &second, "second").await, int(0));
    assert_eq!(client.talk("GET p").await, bulk("first"));
}

#[tokio::test]
async fn of_two_fills_of_a_declared_key_the_one_that_was_read_later_stays() {
    let bench = Bench::new();
    let mut client = bench.client();
    let first = lease(&mut client, "user:1").await;
    bench.clock.advance(MS);
    let second = lease(&mut client, "user:1").await;
    assert_eq!(fill(&mut client, "user:1", &second, "second").await, int(1));
    assert_eq!(fill(&mut client, "user:1", &first, "first").await, int(0));
    assert_eq!(client.talk("GET user:1").await, bulk("second"));
    assert_eq!(field(&client.talk("LARDER.STATS user").await, "fills_refused"), &int(1));
}

#[tokio::test]
async fn a_token_is_good_for_its_key_in_its_server_only() {
    let bench = Bench::new();
    let mut client = bench.client();
    let of_user = lease(&mut client, "user:1").await;
    let of_plain = lease(&mut client, "p").await;
    let of_other = lease(&mut Bench::new().client(), "user:1").await;
    for (key, token) in [
        ("user:2", &of_user),
        ("note:1", &of_user),
        ("p", &of_user),
        ("user:1", &of_plain),
        ("q", &of_plain),
        ("user:1", &of_other),
        ("user:1", &"0".repeat(80)),
    ] {
        let reply = fill(&mut client, key, token, "v").await;
        assert_error(&reply, "REFUSED", "the token was not given out here for this key");
    }
    for token in
        ["", "1", &"g".repeat(80), &of_user.to_uppercase().replace('0', "O"), &of_user[1..]]
    {
        let reply = fill(&mut client, "user:1", token, "v").await;
        assert_error(&reply, "ERR", "a token has 80 hexadecimal digits; LARDER.GET key LEASE");
    }
    let reply = client.command(&[&b"LARDER.FILL"[..], b"user:1", &[0xff; 80], b"v"]).await;
    assert_error(&reply, "ERR", "a token has 80 hexadecimal digits");
    assert_eq!(fill(&mut client, "user:1", &of_user, "v").await, int(1));
    assert_eq!(fill(&mut client, "p", &of_plain, "v").await, int(1));
}

#[tokio::test]
async fn a_declared_keys_lifetime_is_not_the_clients() {
    let bench = Bench::new();
    let mut client = bench.client();
    let token = lease(&mut client, "user:1").await;
    let reply = client.talk(&format!("LARDER.FILL user:1 {token} v EX 100")).await;
    assert_error(&reply, "REFUSED", "a declared key has its lifetime from its declaration");
}

#[tokio::test]
async fn a_fill_that_is_too_heavy_is_not_kept() {
    let bounds = Bounds::bytes(1 << 20).entry_bytes_max(1000);
    let bench = Bench::with(Setup { bounds, ..Setup::default() });
    let mut client = bench.client();
    for key in ["user:1", "p"] {
        let token = lease(&mut client, key).await;
        assert_eq!(fill(&mut client, key, &token, &"x".repeat(1001)).await, int(0));
        assert_eq!(client.command(&["TTL", key]).await, int(-2));
    }
}

#[tokio::test]
async fn a_lease_behind_a_cold_read_sees_what_that_read_loaded() {
    let bench = Bench::new();
    let replies = bench.client().talk_all(&["GET user:1", "LARDER.GET user:1 LEASE"]).await;
    assert_answer(&replies[1], &row("user:1"), ("memory", 0, 0, "fresh", "held"));
}

#[tokio::test]
async fn the_words_of_larders_commands_are_checked() {
    let bench = Bench::new();
    let mut client = bench.client();
    for line in [
        "LARDER.GET user:1 LEASES",
        "LARDER.GET user:1 LEASE LEASE",
        "LARDER.INVALIDATE user:1 user:2",
        "LARDER.INVALIDATE SOFT user:1",
        "LARDER.INVALIDATE SOFT KEYS",
        "LARDER.INVALIDATE KEYS SOFT user:1 user:x",
    ] {
        let reply = client.talk(line).await;
        let bad_key = line.ends_with("user:x");
        assert_error(&reply, if bad_key { "BADKEY" } else { "ERR" }, "");
    }
    assert_error(&client.talk("LARDER.FILL user:1 x").await, "ERR", "'larder.fill' command");
    assert_error(&client.talk("LARDER.INVALIDATE KEYS").await, "ERR", "'larder.invalidate'");
    assert_error(&client.talk("LARDER.STATS a b").await, "ERR", "'larder.stats' command");
}

#[tokio::test]
async fn stats_tell_what_each_cache_has_counted() {
    for (hello, ratio) in [("HELLO 2", bulk("0.5")), ("HELLO 3", Reply::Double(0.5))] {
        let bench = Bench::new();
        let mut client = bench.client();
        client.talk(hello).await;
        let reply = client.talk("LARDER.STATS user").await;
        assert_eq!(field(&reply, "hit_ratio"), &Reply::Null);
        client.talk_all(&["GET user:1", "GET user:1000", "GET note:a"]).await;
        client.talk_all(&["GET user:1", "GET user:1000"]).await;
        client.talk("DEL user:1").await;
        let reply = client.talk("LARDER.STATS").await;
        assert_eq!(names(&reply).len(), 2);
        assert_eq!(field(&reply, "user"), &client.talk("LARDER.STATS user").await);
        let user = field(&reply, "user");
        let counted = [
            ("hits_fresh", 2),
            ("hits_stale", 0),
            ("stood_in", 0),
            ("misses", 2),
            ("joined", 0),
            ("loads", 1),
            ("load_errors", 0),
            ("absent", 1),
            ("unchanged", 0),
            ("fills_refused", 0),
            ("not_kept", 0),
            ("invalidations", 1),
            ("sweeps", 0),
            ("filtered", 0),
        ];
        for (name, count) in counted {
            assert_eq!(field(user, name), &int(count), "{name}");
        }
        let others = ["bytes", "load_seconds", "load_seconds_saved", "load_seconds_spent"];
        let others = others.into_iter().chain(["byte_seconds", "hit_ratio"]);
        let others = others.chain(["verdict_kind", "verdict"]);
        let mut told = names(user);
        told.sort_unstable();
        let mut all: Vec<_> = counted.iter().map(|(name, _)| *name).chain(others).collect();
        all.sort_unstable();
        assert_eq!(told, all);
        assert_eq!(field(user, "hit_ratio"), &ratio);
        let reply = client.talk("LARDER.STATS nobody").await;
        assert_error(&reply, "ERR", "no cache of this name is declared");
        let reply = client.talk("LARDER.STATS usr").await;
        assert_error(&reply, "ERR", "did you mean user?");
    }
}

/// A number of a reply, whichever protocol it is in.
#[track_caller]
fn number(reply: &Reply) -> f64 {
    match reply {
        Reply::Double(number) => *number,
        other => text(other).parse().expect("a number in text"),
    }
}

#[tokio::test]
async fn stats_tell_what_a_cache_saves_and_what_it_costs() {
    for hello in ["HELLO 2", "HELLO 3"] {
        let bench = Bench::new();
        let mut client = bench.client();
        client.talk(hello).await;
        let reply = client.talk("LARDER.STATS user").await;
        assert_eq!(text(field(&reply, "verdict")), "too early to say: 0 reads");
        assert_eq!(text(field(&reply, "verdict_kind")), "too_early");
        assert_eq!(field(&reply, "bytes"), &int(0));

        // A load of two seconds, and three hits that spare the same each.
        bench.users().close();
        let mut loading = bench.client();
        let (first, ()) = tokio::join!(loading.talk("GET user:1"), async {
            settle().await;
            bench.clock.advance(2 * S);
            bench.users().open();
        });
        assert_eq!(first, row("user:1"));
        for _ in 0..3 {
            assert_eq!(client.talk("GET user:1").await, row("user:1"));
        }
        bench.clock.advance(S);
        let reply = client.talk("LARDER.STATS user").await;
        assert_eq!(number(field(&reply, "load_seconds_spent")), 2.0);
        assert_eq!(number(field(&reply, "load_seconds_saved")), 6.0);
        let Reply::Integer(bytes) = *field(&reply, "bytes") else { panic!("{reply:?}") };
        assert!(bytes > 0);
        // It was there for a second.
        assert_eq!(number(field(&reply, "byte_seconds")), bytes as f64);
        assert_eq!(text(field(&reply, "verdict")), "too early to say: 4 reads");
        let other = client.talk("LARDER.STATS note").await;
        assert_eq!(text(field(&other, "verdict")), "too early to say: 0 reads");

        // What can be told with a hundred reads is told.
        for _ in 0..200 {
            client.talk("GET user:1").await;
        }
        let reply = client.talk("LARDER.STATS user").await;
        assert_eq!(text(field(&reply, "verdict_kind")), "worth_it", "{reply:?}");
        assert!(text(field(&reply, "verdict")).starts_with("worth it"), "{reply:?}");
    }
}
