//! Interim answers of an origin: passed on before the answer, to who understands them and may.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use larder_test::origin::Origin;

use crate::support::{Answer, Bench, PATIENCE};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Two: 1\r\n\
                    X-Two: 2\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
const SEEN: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nx-two: 1\r\n\
                    x-two: 2\r\n\r\n";

/// Reads the head of one message.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An edge before an origin that hints at once, and answers each request when it is told to.
fn hinting(lines: &str) -> (Bench, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\
                      Connection: close\r\n\r\nok";
        for mut stream in listener.incoming().flatten() {
            if head(&mut stream).is_empty() {
                continue;
            }
            stream.write_all(HINT.as_bytes()).unwrap();
            if told.recv().is_err() {
                return;
            }
            // An edge that has gone needs no answer.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (Bench::over(Origin::start(), &url, lines), tell)
}

fn ask(bench: &Bench, lines: &str) -> TcpStream {
    let mut client = bench.connect();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(lines.as_bytes()).unwrap();
    client
}

#[test]
fn a_hint_comes_before_its_answer_and_is_not_kept() {
    for lines in ["early_hints = true", "profile = \"conformance\""] {
        let (bench, tell) = hinting(lines);
        let mut client = ask(&bench, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        // The origin hasn't been told to answer yet.
        assert_eq!(head(&mut client), SEEN, "{lines}");
        tell.send(()).unwrap();
        let answer = head(&mut client);
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("x-two"), "{answer}");
        client.read_exact(&mut [0; 2]).unwrap();
        // The same connection goes on, and the origin, which isn't told to answer again, isn't asked:
        // what came has no hint.
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let held = Answer::read(&mut client).unwrap();
        assert_eq!((held.status, held.body.as_str(), held.header("x-two")), (200, "ok", None));
    }
}

#[test]
fn who_might_take_a_hint_for_the_answer_gets_none() {
    for (lines, version) in [("", "1.1"), ("early_hints = true", "1.0")] {
        let (bench, tell) = hinting(lines);
        tell.send(()).unwrap();
        let request = format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = Answer::read(&mut ask(&bench, &request)).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{lines} {version}");
    }
}

#[test]
fn a_hint_for_what_was_sent_ahead_waits_for_the_answer_before_it() {
    let (bench, tell) = hinting("early_hints = true");
    let get = |path: &str, end: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{end}\r\n");
    let both = get("/a", "") + &get("/b", "Connection: close\r\n");
    let mut client = ask(&bench, &both);
    for _ in 0..2 {
        assert_eq!(head(&mut client), SEEN);
        tell.send(()).unwrap();
        assert!(head(&mut client).starts_with("HTTP/1.1 200"));
        let mut body = [0; 2];
        client.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"ok");
    }
}
