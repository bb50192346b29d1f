//! Somebody else who is told of purges, and doesn't always listen.

use std::net::TcpStream;

use larder_test::RespClient;
use larder_test::origin::{At, Origin, Request, Response};
use serde_json::{Value, json};

use crate::support::{Bench, fresh, until};

const TARGET: &str = "/purge?key=secret";

fn bench(cdn: &Origin, more: &str) -> Bench {
    Bench::new(&format!(
        "purge_from = [\"127.0.0.1\"]\n[edge.shop.webhook]\nurl = \"http://{}{TARGET}\"\n\
         token = \"t0ken\"\n{more}",
        cdn.address()
    ))
}

fn told(request: &Request) -> Vec<Value> {
    let said: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(said["edge"], "shop");
    said["purges"].as_array().unwrap().clone()
}

#[test]
fn it_is_told_again_until_it_has_taken_a_purge() {
    let cdn = Origin::start();
    cdn.put(TARGET, Response::new("text/plain", "not now").status(503));
    let bench = bench(&cdn, "");
    assert_eq!(bench.ask("PURGE /a", "Soft-Purge: 1\r\n").status, 200);
    cdn.wait_for(TARGET, 2);
    cdn.put(TARGET, Response::new("text/plain", "taken").status(202));
    until("it was taken", || {
        bench.metric("larder_edge_webhook_posted_total{edge=\"shop\"}") >= 1.0
    });
    let requests = cdn.requests(TARGET);
    let last = requests.last().unwrap();
    assert_eq!(last.method, "POST");
    assert_eq!(last.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(last.header("content-type"), Some("application/json"));
    let purge = serde_json::json!({ "url": "http://shop.example/a", "how": "soft" });
    assert!(requests.iter().all(|request| told(request) == [purge.clone()]));
}

#[test]
fn it_is_told_of_tags_whoever_invalidates_them() {
    let cdn = Origin::start();
    cdn.put(TARGET, Response::new("text/plain", "taken"));
    let bench = bench(&cdn, "");
    bench.put("/a", fresh("a").header("Cache-Tag", "red"));
    RespClient::connect(bench.resp).command(&["LARDER.INVALIDATE", "TAGS", "red"]);
    cdn.wait_for(TARGET, 1);
    assert_eq!(bench.ask("PURGE /", "Cache-Tag: green\r\n").status, 200);
    cdn.wait_for(TARGET, 2);
    assert_eq!(bench.ask("PURGE /x/*", "").status, 200);
    cdn.wait_for(TARGET, 3);
    let said: Vec<Value> = cdn.requests(TARGET).iter().flat_map(told).collect();
    let expected = serde_json::json!([
        { "tag": "red", "how": "hard" },
        { "tag": "green", "how": "hard" },
        { "prefix": "http://shop.example/x/", "how": "hard" },
    ]);
    assert_eq!(Value::Array(said), expected);
}

#[test]
fn what_it_never_takes_is_given_up_and_too_much_becomes_everything() {
    let cdn = Origin::start();
    cdn.put(TARGET, Response::new("text/plain", "never").status(500));
    let bench = bench(&cdn, "attempts_max = 2\nqueue_max = 3");
    // The first is on its way when the others come.
    assert_eq!(bench.ask("PURGE /first", "").status, 200);
    cdn.wait_for(TARGET, 1);
    for at in 0..4 {
        assert_eq!(bench.ask(&format!("PURGE /{at}"), "Soft-Purge: 1\r\n").status, 200);
    }
    until("all were given up", || {
        bench.metric("larder_edge_webhook_failed_total{edge=\"shop\"}") >= 2.0
            && bench.metric("larder_edge_webhook_waiting{edge=\"shop\"}") == 0.0
    });
    assert_eq!(cdn.count(TARGET), 4);
    let last = told(cdn.requests(TARGET).last().unwrap());
    assert_eq!(last, [serde_json::json!({ "all": true, "how": "soft" })]);
}

#[test]
fn what_was_purged_is_told_before_the_server_has_stopped() {
    let cdn = Origin::start();
    cdn.put(TARGET, Response::new("text/plain", "taken").held(At::Head));
    let mut bench = bench(&cdn, "");
    assert_eq!(bench.ask("PURGE /first", "").status, 200);
    cdn.wait_for(TARGET, 1);
    // It comes while the first one is being told.
    assert_eq!(bench.ask("PURGE /last", "").status, 200);
    bench.stop();
    until("it listens no more", || TcpStream::connect(bench.edge).is_err());
    cdn.release(TARGET);
    bench.stopped();
    let said: Vec<Value> = cdn.requests(TARGET).iter().flat_map(told).collect();
    let url = |path: &str| json!({ "url": format!("http://shop.example/{path}"), "how": "hard" });
    assert_eq!(said, [url("first"), url("last")]);
}
