//! An origin that is down, slow, or breaks off.

use std::io::Write;
use std::net::TcpListener;

use larder_test::origin::{At, Origin, Response};

use crate::support::{Answer, Bench, fresh, until};

/// The URL of a port at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn while_the_origin_is_down_what_is_stale_is_sent_if_the_operator_says_so() {
    for (lines, status) in [("", 502), ("stale_on_error = \"1h\"", 200)] {
        let mut bench = Bench::new(lines);
        for (path, control) in [("/a", "max-age=0"), ("/b", "max-age=0, must-revalidate")] {
            let page = Response::new("text/plain", "kept").header("Cache-Control", control);
            bench.put(path, page.header("ETag", "\"1\""));
            assert_eq!(bench.get(path).status, 200);
        }
        bench.origin = Origin::start();
        let answer = bench.get("/a");
        assert_eq!(answer.status, status, "{lines}: {answer:?}");
        assert_eq!(answer.body == "kept", status == 200);
        // The response itself forbids it.
        assert!(bench.get("/b").status >= 502);
    }
}

#[test]
fn an_origin_that_nobody_hears_of_is_a_502() {
    let bench = Bench::over(Origin::start(), &nobody(), "");
    assert_eq!(bench.get("/").status, 502);
    assert_eq!(bench.ask("POST /", "Content-Length: 1\r\n\r\nx").status, 502);
    assert!(bench.metric("larder_edge_origin_errors_total{edge=\"shop\"}") >= 2.0);
}

#[test]
fn an_origin_that_is_silent_is_a_504() {
    let bench = Bench::new("answer_timeout = \"50ms\"");
    bench.put("/", Response::new("text/plain", "x").held(At::Head));
    assert_eq!(bench.get("/").status, 504);
    assert_eq!(bench.ask("POST /", "Content-Length: 1\r\n\r\nx").status, 504);
    bench.origin.release("/");
}

#[test]
fn a_body_that_stops_coming_ends_its_answer() {
    let bench = Bench::new("body_timeout = \"50ms\"");
    bench.put("/", Response::new("text/plain", "0123456789").held(At::Body(4)));
    let answer = bench.get("/");
    assert!(answer.body.starts_with("0123") && answer.body.len() < 10, "{answer:?}");
    bench.origin.release("/");
}

#[test]
fn only_what_means_the_same_twice_is_sent_twice() {
    let bench = Bench::new("");
    bench.put("/", Response::new("text/plain", "x").cut(At::Head));
    assert_eq!(bench.get("/").status, 502);
    assert_eq!(bench.origin.count("/"), 2);
    assert_eq!(bench.ask("POST /", "Content-Length: 0\r\n").status, 502);
    assert_eq!(bench.origin.count("/"), 3);
    assert_eq!(bench.ask("PUT /", "Content-Length: 1\r\n\r\nx").status, 502);
    assert_eq!(bench.origin.count("/"), 4);
    // What began to come isn't asked for again.
    bench.put("/half", fresh("0123456789").cut(At::Body(4)));
    let mut client = bench.connect();
    client.write_all(b"GET /half HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let answer = Answer::read(&mut client);
    assert!(answer.is_none_or(|answer| answer.body.len() < 10));
    assert_eq!(bench.origin.count("/half"), 1);
    assert!(bench.metric("larder_edge_origin_retries_total{edge=\"shop\"}") >= 1.0);
}

#[test]
fn one_request_too_many_for_the_origin_is_a_503() {
    let bench = Bench::new("requests_max = 1");
    let held = Response::new("text/plain", "x").held(At::Head);
    bench.put("/held", held);
    bench.put("/other", Response::new("text/plain", "x"));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| bench.get("/held"));
        bench.origin.wait_for("/held", 1);
        assert_eq!(bench.ask("POST /other", "Content-Length: 0\r\n").status, 503);
        bench.origin.release("/held");
        assert_eq!(first.join().unwrap().status, 200);
    });
    until("the place is free again", || {
        bench.ask("POST /other", "Content-Length: 0\r\n").status == 200
    });
}
