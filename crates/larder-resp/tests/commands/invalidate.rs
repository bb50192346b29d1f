//! LARDER.INVALIDATE: by key, tag, prefix, or a whole cache.

use larder_core::Value;
use larder_resp::codec::Reply;

use crate::common::{Bench, Client, S, Setup, assert_error, bulk, field, int, row, settle, text};
use crate::larder::assert_answer;

/// Sets what the sources have from now on for the keys that the tests read.
fn change(bench: &Bench) {
    for key in ["user:1", "user:12", "user:2"] {
        bench.users().set(key.into(), Value::raw("new"));
    }
    bench.notes().set("note:a1".into(), Value::raw("new"));
}

/// What the client reads of each key.
async fn read(client: &mut Client) -> Vec<Reply> {
    client.talk_all(&["GET user:1", "GET user:12", "GET user:2", "GET note:a1", "GET p1"]).await
}

/// Whether each key that [`read`] reads was read anew, all held ones being as they were.
async fn anew(line: &str, reply: Reply) -> [bool; 5] {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk("SET p1 old").await;
    let old = read(&mut client).await;
    change(&bench);
    assert_eq!(read(&mut client).await, old, "nothing is read anew by itself");
    assert_eq!(client.talk(line).await, reply, "{line}");
    let new = read(&mut client).await;
    std::array::from_fn(|at| new[at] != old[at])
}

#[tokio::test]
async fn invalidate_drops_and_soft_marks_stale() {
    let bench = Bench::with(Setup { stale_for: 4 * S, ..Setup::default() });
    let mut client = bench.client();
    client.talk_all(&["SET p v", "SET q v", "GET user:1", "GET user:2", "GET note:a"]).await;
    let reply = client.talk("LARDER.INVALIDATE keys user:1 p note:a user:9 nothing").await;
    assert_eq!(reply, int(3));
    assert_eq!(client.talk_all(&["TTL user:1", "GET p"]).await, [int(-2), Reply::Null]);
    bench.users().set("user:2".into(), Value::raw("new"));
    bench.clock.advance(S);
    assert_eq!(client.talk("LARDER.INVALIDATE soft KEYS user:2 q user:9").await, int(2));
    // A plain key can't be refreshed, so it is forgotten.
    assert_eq!(client.talk("GET q").await, Reply::Null);
    let reply = client.talk("LARDER.GET user:2").await;
    assert_answer(&reply, &row("user:2"), ("memory", 1000, 1000, "stale", "refreshing"));
    settle().await;
    assert_eq!(client.talk("GET user:2").await, bulk("new"));
}

#[tokio::test]
async fn a_tag_strikes_what_has_it_in_every_cache() {
    // Each row of the bench is tagged with the last character of its key.
    for (line, reply, expected) in [
        ("LARDER.INVALIDATE TAGS last:1", int(1), [true, false, false, true, false]),
        ("LARDER.INVALIDATE tags last:2 nobody", int(2), [false, true, true, false, false]),
        ("LARDER.INVALIDATE TAGS nobody", int(1), [false; 5]),
    ] {
        assert_eq!(anew(line, reply).await, expected, "{line}");
    }
}

#[tokio::test]
async fn a_prefix_strikes_the_declared_keys_that_begin_so() {
    for (line, reply, expected) in [
        ("LARDER.INVALIDATE PREFIX user:1", int(2), [true, true, false, false, false]),
        ("LARDER.INVALIDATE PREFIX user:12", int(1), [false, true, false, false, false]),
        ("LARDER.INVALIDATE PREFIX user:7", int(0), [false; 5]),
        ("LARDER.INVALIDATE PREFIX note:a", int(1), [false, false, false, true, false]),
        // All keys of a cache: its generation is over.
        ("LARDER.INVALIDATE PREFIX user:", int(1), [true, true, true, false, false]),
        ("LARDER.INVALIDATE PREFIX us", int(1), [true, true, true, false, false]),
    ] {
        assert_eq!(anew(line, reply).await, expected, "{line}");
    }
}

#[tokio::test]
async fn a_prefix_of_several_namespaces_strikes_them_all() {
    let templates = &["user:{id:int}", "user:mail:{name:text}", "users:{id:int}"];
    let bench = Bench::with(Setup { templates, ..Setup::default() });
    let mut client = bench.client();
    let lines = ["GET user:1", "GET user:mail:a", "GET users:1"];
    client.talk_all(&lines).await;
    let asked = bench.questions();
    assert_eq!(client.talk("LARDER.INVALIDATE PREFIX user:").await, int(2));
    client.talk_all(&lines).await;
    assert_eq!(bench.questions() - asked, 2);
    assert_eq!(client.talk("LARDER.INVALIDATE PREFIX user").await, int(3));
    assert_eq!(client.talk("LARDER.INVALIDATE PREFIX user:m").await, int(1));
    assert_eq!(client.talk("LARDER.INVALIDATE PREFIX user:-").await, int(0));
}

#[tokio::test]
async fn a_cache_is_struck_as_a_whole() {
    let line = "LARDER.INVALIDATE CACHE user";
    assert_eq!(anew(line, int(1)).await, [true, true, true, false, false]);
}

#[tokio::test]
async fn what_is_swept_softly_is_served_while_one_refresh_runs() {
    for sweep in ["TAGS last:1", "PREFIX user:1", "PREFIX user:", "CACHE user"] {
        let bench = Bench::with(Setup { stale_for: 4 * S, ..Setup::default() });
        let mut client = bench.client();
        client.talk("GET user:1").await;
        change(&bench);
        bench.clock.advance(S);
        assert_eq!(client.talk(&format!("LARDER.INVALIDATE SOFT {sweep}")).await, int(1));
        let reply = client.talk("LARDER.GET user:1").await;
        assert_answer(&reply, &row("user:1"), ("memory", 1000, 1000, "stale", "refreshing"));
        settle().await;
        assert_eq!(client.talk("GET user:1").await, bulk("new"), "{sweep}");
    }
}

#[tokio::test]
async fn a_token_of_before_a_sweep_fills_nothing() {
    for sweep in ["PREFIX user:1", "PREFIX u", "CACHE user"] {
        let bench = Bench::new();
        let mut client = bench.client();
        let lease = client.talk("LARDER.GET user:1 LEASE").await;
        let token = text(field(&lease, "token")).to_owned();
        client.talk(&format!("LARDER.INVALIDATE {sweep}")).await;
        let fill = format!("LARDER.FILL user:1 {token} old");
        assert_eq!(client.talk(&fill).await, int(0), "{sweep}");
    }
}

#[tokio::test]
async fn what_a_client_fills_has_the_tags_that_it_says() {
    let bench = Bench::new();
    let mut client = bench.client();
    let token = async |key: &str| {
        let lease = bench.client().talk(&format!("LARDER.GET {key} LEASE")).await;
        text(field(&lease, "token")).to_owned()
    };
    let (one, other) = (token("user:1").await, token("user:2").await);
    let many = |count: usize| (0..count).map(|at| format!(" t{at}")).collect::<String>();
    let fill = |rest: &str| format!("LARDER.FILL user:1 {one} mine TAGS{rest}");
    assert_error(&client.talk(&fill("")).await, "ERR", "syntax");
    assert_error(&client.talk(&fill(&many(129))).await, "REFUSED", "at most 128 tags");
    let long = format!(" {}", "x".repeat(1025));
    assert_error(&client.talk(&fill(&long)).await, "BADKEY", "at most 1024 bytes");
    assert_eq!(client.talk(&fill(&many(128))).await, int(1));
    assert_eq!(client.talk(&format!("LARDER.FILL user:2 {other} mine")).await, int(1));
    assert_eq!(client.talk_all(&["GET user:1", "GET user:2"]).await, [bulk("mine"), bulk("mine")]);
    client.talk("LARDER.INVALIDATE TAGS t127").await;
    let replies = client.talk_all(&["GET user:1", "GET user:2"]).await;
    assert_eq!(replies, [row("user:1"), bulk("mine")]);
    let plain = token("p").await;
    let reply = client.talk(&format!("LARDER.FILL p {plain} mine TAGS t")).await;
    assert_error(&reply, "ERR", "syntax");
}

#[tokio::test]
async fn a_sweep_is_counted_and_plain_keys_are_not_its_business() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["SET user 1", "SET p 1"]).await;
    for sweep in ["CACHE user", "PREFIX user:", "PREFIX user:1", "TAGS p", "CACHE note"] {
        assert!(matches!(
            client.talk(&format!("LARDER.INVALIDATE {sweep}")).await,
            Reply::Integer(_)
        ));
    }
    let stats = client.talk("LARDER.STATS user").await;
    assert_eq!((field(&stats, "sweeps"), field(&stats, "invalidations")), (&int(3), &int(0)));
    assert_eq!(client.talk("MGET user p").await, Reply::Array(vec![bulk("1"), bulk("1")]));
}

#[tokio::test]
async fn what_cant_be_swept_is_told_with_the_reason() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["GET user:1", "SET plain 1"]).await;
    let asked = bench.questions();
    let long = format!("LARDER.INVALIDATE TAGS {}", "x".repeat(1025));
    for (line, code, part) in [
        ("LARDER.INVALIDATE PREFIX pl", "BADKEY", "plain keys are deleted with DEL"),
        ("LARDER.INVALIDATE PREFIX usr:", "BADKEY", "did you mean user:?"),
        ("LARDER.INVALIDATE PREFIX user:x", "BADKEY", "the keys of user look like user:{id:int}"),
        ("LARDER.INVALIDATE PREFIX user:01", "BADKEY", "(key user:01)"),
        ("LARDER.INVALIDATE PREFIX ''", "BADKEY", "name each with CACHE"),
        ("LARDER.INVALIDATE CACHE usr", "ERR", "did you mean user?"),
        ("LARDER.INVALIDATE CACHE elsewhere", "ERR", "no cache of this name"),
        (&long, "BADKEY", "at most 1024 bytes"),
        ("LARDER.INVALIDATE PREFIX user: note:", "ERR", "syntax"),
        ("LARDER.INVALIDATE CACHE user note", "ERR", "syntax"),
        ("LARDER.INVALIDATE SOFT CACHE", "ERR", "syntax"),
        ("LARDER.INVALIDATE ALL user", "ERR", "syntax"),
    ] {
        assert_error(&client.talk(line).await, code, part);
    }
    for kind in ["TAGS", "PREFIX", "CACHE"] {
        let reply = client.command(&[b"LARDER.INVALIDATE", kind.as_bytes(), b"user:\xff"]).await;
        assert!(matches!(reply, Reply::Error(_)), "{kind}: {reply:?}");
    }
    client.talk_all(&["GET user:1", "GET plain"]).await;
    assert_eq!(bench.questions(), asked, "nothing was done");
}
