//! What is invalidated over HTTP, and positions: who has one reads what was written before it.

use larder_test::{Larder, Redis};
use serde_json::json;

use crate::http_support::{Answer, JSON, PATCH, Shop, ask, get, serve_http};
use crate::support::until;

fn invalidate(larder: &Larder, names: &str) -> Answer {
    ask(larder, "POST /invalidate", JSON, names)
}

#[test]
fn what_is_invalidated_is_gone_when_the_answer_comes() {
    let shop = Shop::new();
    let larder = shop.serve("");
    let name = |id: u32| get(&larder, &format!("/cache/user/user:{id}")).json()["name"].clone();
    for (at, names, entries) in [
        (0, r#"{"keys":["user:1","user:2"]}"#, 2),
        (1, r#"{"tags":["users"]}"#, 0),
        (2, r#"{"caches":["user"]}"#, 0),
        (3, r#"{"prefixes":["user:1"],"keys":["user:2"]}"#, 2),
    ] {
        let before = (name(1), name(2));
        shop.sql(&format!("UPDATE users SET name = name || '{at}'"));
        assert_eq!((name(1), name(2)), before);
        let done = invalidate(&larder, names);
        assert_eq!(done.status, 200, "{done:?}");
        // Alone there is no position.
        assert_eq!(done.json(), json!({"entries": entries, "position": null}));
        assert_eq!(done.field("larder-position"), None);
        let after = |before: &serde_json::Value| json!(format!("{}{at}", before.as_str().unwrap()));
        assert_eq!((name(1), name(2)), (after(&before.0), after(&before.1)), "{names}");
    }
    // Marked stale it may still be served: here it may not, so it is loaded.
    shop.sql("UPDATE users SET name = 'Soft' WHERE id = 1");
    assert_eq!(invalidate(&larder, r#"{"keys":["user:1"],"soft":true}"#).status, 200);
    until("the refresh has come", || name(1) == "Soft");

    for (names, status, part) in [
        ("{}", 400, "name 1 to 10000"),
        ("[]", 400, ""),
        ("{", 400, "EOF"),
        (r#"{"key":["user:1"]}"#, 400, "unknown field `key`"),
        (r#"{"keys":"user:1"}"#, 400, "sequence"),
        (r#"{"keys":["user:1","user:x"]}"#, 400, "user:"),
        (r#"{"keys":["user:01"]}"#, 400, "it is written 1"),
        (r#"{"keys":["user:000000000001"]}"#, 400, "this one is user:1"),
        (r#"{"keys":["plain"]}"#, 403, "DEL deletes a plain one"),
        (r#"{"tags":[""]}"#, 400, "1 to 1024 bytes"),
        (r#"{"caches":["usr"]}"#, 400, "did you mean user?"),
        (r#"{"prefixes":[""]}"#, 400, "empty prefix"),
        (r#"{"prefixes":["x:"]}"#, 400, "no declared key begins with"),
    ] {
        shop.sql("UPDATE users SET name = 'Nobody' WHERE id = 1");
        invalidate(&larder, names).is_problem(status, part);
        // Nothing was done before it was refused.
        assert_eq!(name(1), "Soft", "{names}");
    }
    let many: Vec<_> = (0..10_001).map(|id| format!("user:{id}")).collect();
    invalidate(&larder, &json!({ "keys": many }).to_string()).is_problem(400, "these are 10001");
    let long = json!({ "tags": ["x".repeat(1 << 20)] }).to_string();
    invalidate(&larder, &long).is_problem(413, "at most 1048576 bytes");

    let requests = |labels: &str| larder.metric("larder_http_requests_total", labels);
    assert!(requests("operation=\"read\",outcome=\"done\"") >= 20.0);
    assert_eq!(requests("operation=\"invalidate\",outcome=\"done\"").to_string(), "5");
    assert!(requests("operation=\"invalidate\",outcome=\"refused\"") >= 15.0);
}

#[test]
fn a_position_lets_one_read_its_own_writes_anywhere() {
    let redis = Redis::start();
    let shop = Shop::new();
    // What waits for an announcement may wait for it; what is held would do for a minute.
    let shared = format!("[shared]\nurl = \"{}\"\n", redis.url());
    let config = shared + &shop.config("changes = \"announced\"", "fresh_for = \"1h\"");
    let (one, other) = (serve_http(&config), serve_http(&config));
    let read = |larder: &Larder, position: &str| {
        let fields = format!("Larder-Position: {position}");
        ask(larder, "GET /cache/user/user:1", &fields, "")
    };
    for turn in 0..5 {
        assert_eq!(get(&other, "/cache/user/user:1").status, 200);
        let name = format!("Ada {turn}");
        let patch = json!({ "name": name }).to_string();
        let wrote = ask(&one, "PATCH /cache/user/user:1", PATCH, &patch);
        assert_eq!(wrote.status, 204, "{wrote:?}");
        let position = wrote.field("larder-position").unwrap();
        assert_eq!(read(&other, position).json()["name"], name);

        assert_eq!(get(&one, "/cache/user/user:1").status, 200);
        let name = format!("Augusta {turn}");
        shop.sql(&format!("UPDATE users SET name = '{name}' WHERE id = 1"));
        let done = invalidate(&other, r#"{"tags":["users"]}"#);
        let position = done.field("larder-position").unwrap();
        assert_eq!(done.json()["position"], position);
        assert_eq!(read(&one, position).json()["name"], name);
    }
    for position in ["", "1", "5eed0001", "5eed0001-x", "5eed0001-1, 5eed0001-2"] {
        read(&one, position).is_problem(400, "Larder-Position");
    }
}
