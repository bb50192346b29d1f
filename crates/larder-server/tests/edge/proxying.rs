//! What an edge passes on, what it keeps, and how it ends.

use std::io::{Read, Write};
use std::process::Command;

use larder_test::missing;
use larder_test::origin::{At, Response};

use crate::support::{Answer, Bench, fresh};

#[test]
fn what_is_fresh_is_sent_from_the_cache() {
    let bench = Bench::new("");
    bench.put("/a", fresh("hello"));
    let first = bench.get("/a");
    assert_eq!((first.status, first.body.as_str(), first.is_hit()), (200, "hello", false));
    assert!(first.header("cache-status").unwrap().starts_with("edge.shop; fwd=uri-miss"));
    let second = bench.get("/a");
    assert_eq!((second.status, second.body.as_str(), second.is_hit()), (200, "hello", true));
    assert!(second.header("age").is_some() && second.header("etag").is_some());
    assert_eq!(bench.origin.count("/a"), 1);
    // Another host is another response.
    let other = bench.raw("GET /a HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n");
    assert!(!other.is_hit() && bench.origin.count("/a") == 2);
    assert_eq!(bench.metric("larder_edge_requests_total{edge=\"shop\",outcome=\"hit\"}"), 1.0);
    assert_eq!(bench.metric("larder_edge_origin_requests_total{edge=\"shop\"}"), 2.0);
    assert_eq!(bench.metric("larder_edge_answers_total{edge=\"shop\",status=\"2xx\"}"), 3.0);
    assert!(bench.metric("larder_edge_memory_bytes{edge=\"shop\"}") > 0.0);
}

#[test]
fn what_has_no_lifetime_is_asked_for_each_time_and_so_is_what_sets_a_cookie() {
    let bench = Bench::new("");
    let old = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    bench.put("/old", Response::new("text/plain", "x").header(old.0, old.1));
    bench.put("/cookie", fresh("x").header("Set-Cookie", "a=b"));
    bench.put("/private", fresh("x").header("Cache-Control", "private"));
    for path in ["/old", "/cookie", "/private"] {
        for _ in 0..2 {
            assert!(!bench.get(path).is_hit(), "{path}");
        }
        // The first may be validated; none is sent without asking.
        assert_eq!(bench.origin.count(path), 2, "{path}");
    }
}

#[test]
fn every_method_and_body_is_passed_on() {
    let bench = Bench::new("");
    bench.put("/", fresh("made").status(201));
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "M-SEARCH"] {
        let answer = bench.ask(&format!("{method} /"), "Content-Length: 4\r\n\r\nbody");
        assert_eq!((answer.status, answer.body.as_str()), (201, "made"), "{method}");
        let request = bench.origin.requests("/").pop().unwrap();
        assert_eq!((request.method.as_str(), &request.body[..]), (method, &b"body"[..]));
    }
    assert_eq!(bench.ask("TRACE /", "").status, 405);
    assert_eq!(bench.ask("CONNECT shop.example:80", "").status, 405);
    assert_eq!(bench.ask("PURGE /", "").status, 405);
}

#[test]
fn the_profile_for_suites_caches_what_the_rfcs_allow() {
    let bench = Bench::new("profile = \"conformance\"");
    let old = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    bench.put("/old", Response::new("text/plain", "x").header(old.0, old.1));
    bench.put("/cookie", fresh("x").header("Set-Cookie", "a=b"));
    for path in ["/old", "/cookie"] {
        bench.get(path);
        assert!(bench.get(path).is_hit(), "{path}");
    }
    assert!(!bench.ask("GET /cookie", "Cache-Control: no-cache\r\n").is_hit());
    for method in ["PURGE", "TRACE"] {
        assert_eq!(bench.ask(&format!("{method} /cookie"), "").status, 200, "{method}");
        assert_eq!(bench.origin.requests("/cookie").pop().unwrap().method, method);
    }
}

#[test]
fn http2_is_spoken_without_being_agreed_on() {
    let bench = Bench::new("");
    bench.put("/a", fresh("hello"));
    let url = format!("http://{}/a", bench.edge);
    let args =
        ["-sS", "--max-time", "20", "--http2-prior-knowledge", "-w", "%{http_version}", &url];
    for _ in 0..2 {
        let output = Command::new("curl").args(args).output();
        let output = output.unwrap_or_else(|_| missing("curl"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello2", "{output:?}");
    }
    assert_eq!(bench.origin.count("/a"), 1);
}

/// RFC 9113 section 8.2.3: browsers send each cookie in a line of its own over HTTP/2.
#[test]
fn cookies_that_came_over_http2_are_one_line_for_the_origin() {
    let bench = Bench::new("");
    bench.put("/a", Response::new("text/plain", "hello"));
    let url = format!("http://{}/a", bench.edge);
    for (version, cookies) in [("--http2-prior-knowledge", "a=1; b=2; c=3"), ("--http1.1", "a=1")] {
        let args = ["-sS", "--max-time", "20", "-o", "/dev/null", version];
        let cookie = ["a=1", "b=2", "c=3"].map(|one| ["-H".to_owned(), format!("Cookie: {one}")]);
        let output = Command::new("curl").args(args).args(cookie.concat()).arg(&url).output();
        assert!(output.unwrap_or_else(|_| missing("curl")).status.success());
        assert_eq!(bench.origin.requests("/a").pop().unwrap().header("cookie"), Some(cookies));
    }
}

#[test]
fn what_has_arrived_is_answered_when_the_server_stops() {
    let mut bench = Bench::new("");
    bench.put("/slow", Response::new("text/plain", "late").held(At::Head));
    let mut idle = bench.connect();
    let mut client = bench.connect();
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    bench.origin.wait_for("/slow", 1);
    bench.stop();
    // Who has asked for nothing is told at once that nothing will come.
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    bench.origin.release("/slow");
    let answer = Answer::read(&mut client).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "late"));
    bench.stopped();
}

#[test]
fn a_body_is_passed_on_as_it_comes() {
    let bench = Bench::new("");
    bench.put("/slow", fresh("0123456789").held(At::Body(5)));
    let mut client = bench.connect();
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"01234") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    bench.origin.release("/slow");
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "56789");
}
