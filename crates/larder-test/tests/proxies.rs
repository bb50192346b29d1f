//! nginx and Varnish, in front of an origin of the kit: started, asked, and what they keep.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use larder_test::origin::{At, Response};
use larder_test::{Nginx, Origin, Server, Varnish, skipped};

/// What a server answers to a request, sent over a connection of its own: the head and the body.
fn ask(address: impl Into<SocketAddr>, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address.into()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

const GET: &str = "GET /a HTTP/1.1\nHost: a\nConnection: close\n\n";

fn kept(body: &str) -> Response {
    Response::new("text/plain", body).header("Cache-Control", "max-age=60")
}

#[test]
fn an_origin_counts_what_it_is_asked() {
    let origin = Origin::start();
    assert!(ask(origin.address(), GET).0.starts_with("HTTP/1.1 404 "));
    origin.put("/a", kept("hello").header("ETag", "\"1\""));
    let (head, body) = ask(origin.address(), GET);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("\r\nCache-Control: max-age=60"));
    assert_eq!(body, "hello");
    let (head, body) = ask(origin.address(), &GET.replace("GET", "HEAD"));
    assert!(head.contains("Content-Length: 5") && body.is_empty(), "{head}");
    let known = GET.replace("Host", "If-None-Match: \"1\"\nHost");
    let (head, body) = ask(origin.address(), &known);
    assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
    assert_eq!(origin.count("/a"), 4);
    let requests = origin.requests("/a");
    assert_eq!(
        requests.iter().map(|one| one.method.as_str()).collect::<Vec<_>>(),
        ["GET", "GET", "HEAD", "GET"]
    );
    assert_eq!(requests[3].header("if-none-match"), Some("\"1\""));
    assert_eq!(origin.count("/b"), 0);
}

#[test]
fn an_origin_reads_bodies_and_more_than_one_request() {
    let origin = Origin::start();
    origin.put("/a", kept("hello"));
    let sized = "POST /a HTTP/1.1\nHost: a\nContent-Length: 4\n\nbody";
    let chunked = "POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nbo\n2\ndy\n0\n\n";
    ask(origin.address(), &[sized, chunked, GET].concat());
    let requests = origin.requests("/a");
    assert_eq!(
        requests.iter().map(|one| one.body.as_slice()).collect::<Vec<_>>(),
        [&b"body"[..], b"body", b""]
    );
}

#[test]
fn an_origin_holds_and_breaks_off_where_it_is_told() {
    let origin = Origin::start();
    origin.put("/a", kept("hello").held(At::Body(2)));
    let mut stream = TcpStream::connect(origin.address()).unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhe") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(stream.read_exact(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    origin.release("/a");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = [0; 3];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"llo");
    origin.put("/a", kept("hello").cut(At::Body(1)));
    assert_eq!(ask(origin.address(), &GET.replace("Connection: close\n", "")).1, "h");
    origin.put("/a", kept("hello").cut(At::Head));
    let mut stream = TcpStream::connect(origin.address()).unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

/// What both proxies do with a response that may be kept, through a kill and a restart.
fn keeps(server: &Server, origin: &Origin, outlives_a_kill: bool) {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    for _ in 0..3 {
        let (head, body) = ask(address, GET);
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "hello", "{head}: {body}");
    }
    assert_eq!(origin.count("/a"), 1);
    server.kill();
    assert!(TcpStream::connect(address).is_err());
    server.restart();
    assert_eq!(ask(address, GET).1, "hello");
    assert_eq!(origin.count("/a"), if outlives_a_kill { 1 } else { 2 });
    assert!(server.stop().success(), "{}", server.log());
}

#[test]
fn nginx_keeps_what_it_may_on_its_disk() {
    let origin = Origin::start();
    origin.put("/a", kept("hello"));
    let Some(nginx) = Nginx::start(origin.address()) else { return skipped("nginx") };
    keeps(&nginx, &origin, true);
}

#[test]
fn varnish_keeps_what_it_may_in_memory() {
    let origin = Origin::start();
    origin.put("/a", kept("hello"));
    let Some(varnish) = Varnish::start(origin.address()) else { return skipped("varnishd") };
    keeps(&varnish, &origin, false);
}
