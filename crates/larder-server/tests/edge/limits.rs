//! Clients that mean harm, or are slow: raw bytes on sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use larder_test::origin::Response;

use crate::support::{Answer, Bench, fresh, until};

/// Writes all of `bytes` from another thread, while the answer is read: who is refused early may
/// never take all of them.
fn push(bench: &Bench, bytes: &[u8]) -> Option<Answer> {
    let mut client = bench.connect();
    let mut writer = client.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = writer.write_all(bytes);
        });
        Answer::read(&mut client)
    })
}

#[test]
fn a_message_that_can_be_read_in_two_ways_is_refused() {
    let bench = Bench::new("");
    bench.put("/", Response::new("text/plain", "x"));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for lines in [
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "Content-Length: 4, 5\r\n\r\nabcde",
        "Content-Length: +4\r\n\r\nabcd",
        "Content-Length: 0x4\r\n\r\nabcd",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Content-Length : 4\r\n\r\nabcd",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "X-Folded: a\r\n b\r\n\r\n",
        "X-Folded: a\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        " X-First: folded\r\n\r\n",
        "X-Null: a\0b\r\n\r\n",
        "X-Bare: a\rb\r\n\r\n",
        "No-Colon\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}{smuggled}");
        let answer = push(&bench, request.as_bytes()).unwrap_or_else(|| panic!("{lines:?}"));
        assert_eq!(answer.status, 400, "{lines:?}");
        // What follows is nobody's request.
        assert!(!answer.body.contains("HTTP/1.1"), "{lines:?}: {answer:?}");
    }
    for version in ["HTTP/1.0", "HTTP/1.1 ", "HTTP/3.7", "http/1.1"] {
        let request = format!("POST / {version}\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = push(&bench, format!("{request}0\r\n\r\n{smuggled}").as_bytes());
        assert!(answer.is_none_or(|answer| answer.status >= 400), "{version}");
    }
    assert_eq!((bench.origin.count("/"), bench.origin.count("/smuggled")), (0, 0));
}

#[test]
fn a_body_in_chunks_that_are_none_is_not_passed_on_whole() {
    let bench = Bench::new("");
    bench.put("/", Response::new("text/plain", "x"));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for chunks in [
        "x\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3;a=\nabc\r\n0\r\n\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = push(&bench, format!("{head}{chunks}{smuggled}").as_bytes());
        assert!(answer.is_none_or(|answer| answer.status >= 400), "{chunks:?}");
    }
    assert_eq!((bench.origin.count("/"), bench.origin.count("/smuggled")), (0, 0));
}

/// RFC 9112 section 6.1: what is coded in another way isn't passed on without that coding's name.
#[test]
fn a_transfer_coding_that_is_not_read_is_refused() {
    let bench = Bench::new("");
    bench.put("/", Response::new("text/plain", "x"));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for coding in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{coding}\r\n\r\n");
        let answer = push(&bench, format!("{head}3\r\nabc\r\n0\r\n\r\n{smuggled}").as_bytes());
        let answer = answer.unwrap_or_else(|| panic!("{coding}"));
        assert_eq!(answer.status, 501, "{coding}");
        assert!(!answer.body.contains("HTTP/1.1"), "{coding}: {answer:?}");
    }
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n";
    let answer = push(&bench, format!("{head}3\r\nabc\r\n0\r\n\r\n").as_bytes());
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!((bench.origin.count("/"), bench.origin.count("/smuggled")), (1, 0));
}

/// RFC 9112 section 6.1: the chunks count alone, and the connection ends behind them, because
/// whoever passed it on may have counted otherwise.
#[test]
fn with_both_lengths_the_origin_sees_one_and_the_connection_ends() {
    let bench = Bench::new("");
    bench.put("/", Response::new("text/plain", "x"));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for lengths in [
        "Content-Length: 45\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 45",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lengths}\r\n\r\n");
        let answer = push(&bench, format!("{head}3\r\nabc\r\n0\r\n\r\n{smuggled}").as_bytes());
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "x"));
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
        let request = bench.origin.requests("/").pop().unwrap();
        assert_eq!(&request.body, b"abc");
        let lengths = [request.header("content-length"), request.header("transfer-encoding")];
        assert_eq!(lengths.iter().flatten().count(), 1);
    }
    assert_eq!(bench.origin.count("/smuggled"), 0);
}

#[test]
fn a_mebibyte_of_headers_is_refused() {
    let bench = Bench::new("");
    bench.put("/", fresh("x"));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(push(&bench, long.as_bytes()).unwrap().status, 431);
    let many = "X: x\r\n".repeat((1 << 20) / 6);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    assert_eq!(push(&bench, many.as_bytes()).unwrap().status, 431);
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1 << 20));
    assert!((400..500).contains(&push(&bench, target.as_bytes()).unwrap().status));
    assert_eq!(bench.origin.count("/"), 0);
    let fits = format!("Connection: close\r\nX: {}\r\n", "x".repeat(32 << 10));
    assert_eq!(bench.ask("GET /", &fits).status, 200);
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let bench = Bench::new("head_timeout = \"40ms\"\nidle_timeout = \"40ms\"");
    for begun in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let mut client = bench.connect();
        client.write_all(begun.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // It may be reset, which ends it as well.
        let _ = client.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{begun:?}");
    }
    until("nobody is connected", || bench.metric("larder_edge_clients{edge=\"shop\"}") == 0.0);
}

#[test]
fn a_body_that_never_ends_is_not_waited_for() {
    let bench = Bench::new("body_timeout = \"40ms\"");
    bench.put("/", Response::new("text/plain", "x"));
    let answer = bench.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    assert!(answer.status >= 400, "{answer:?}");
    assert_eq!(bench.origin.count("/"), 0);
}

/// Asks for what fills every buffer on the way, and takes nothing of it.
fn takes_nothing(bench: &Bench) -> TcpStream {
    let mut client = bench.connect();
    client.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client
}

#[test]
fn who_takes_nothing_is_disconnected() {
    let bench = Bench::new("send_timeout = \"100ms\"\nobject_max = \"32MiB\"\nmemory = \"64MiB\"");
    bench.put("/long", fresh(&"x".repeat(16 << 20)));
    let _clients: Vec<_> = (0..4).map(|_| takes_nothing(&bench)).collect();
    until("all were disconnected", || {
        bench.metric("larder_edge_clients_slow_total{edge=\"shop\"}") == 4.0
    });
    assert_eq!(bench.metric("larder_edge_clients{edge=\"shop\"}"), 0.0);
    assert_eq!(bench.get("/long").body.len(), 16 << 20);
}

#[test]
fn one_client_too_many_is_told_so() {
    let bench = Bench::new("clients_max = 1");
    bench.put("/", fresh("x"));
    let mut first = bench.connect();
    first.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    first.read_exact(&mut [0; 15]).unwrap();
    let mut second = bench.connect();
    second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let answer = Answer::read(&mut second).unwrap();
    assert_eq!((answer.status, answer.header("retry-after").as_deref()), (503, Some("1")));
    assert_eq!(bench.metric("larder_edge_clients_refused_total{edge=\"shop\"}"), 1.0);
    drop(first);
    until("there is room again", || {
        let mut client = bench.connect();
        let asked = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(asked).is_ok()
            && Answer::read(&mut client).is_some_and(|answer| answer.status == 200)
    });
}
