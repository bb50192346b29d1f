//! Clients of the cache API that take their time: for the head of a request there is a bound, for
//! what comes between two requests or behind a head it isn't this one.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use larder_test::Larder;

use crate::http_support::{JSON, Shop, get};
use crate::support::PATIENCE;

const ASK: &str = "GET /cache/user/user:1 HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn connect(larder: &Larder) -> TcpStream {
    let stream = TcpStream::connect(larder.http_url().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads so many answers that have a Content-Length or no content, and returns their statuses.
fn statuses(stream: &mut TcpStream, many: usize) -> Vec<String> {
    let mut said = Vec::new();
    let mut statuses = Vec::new();
    while statuses.len() < many {
        let text = String::from_utf8_lossy(&said).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if rest.len() >= length {
                statuses.push(head[9..12].to_owned());
                said.drain(..head.len() + 4 + length);
                continue;
            }
        }
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "it ended after {text:?}");
        said.extend_from_slice(&bytes[..read]);
    }
    statuses
}

#[test]
fn a_head_that_trickles_in_is_refused_and_nobody_else_is() {
    let shop = Shop::new();
    let larder = shop.serve("head_timeout = \"400ms\"");
    let mut idle = connect(&larder);
    let mut kept = connect(&larder);
    kept.write_all(ASK.as_bytes()).unwrap();
    assert_eq!(statuses(&mut kept, 1), ["200"]);
    let mut slow = connect(&larder);
    let row = "{\"id\":1,\"name\":\"Ada\",\"email\":null,\"visits\":0}";
    let length = row.len();
    let put = "PUT /cache/user/user:1 HTTP/1.1\r\nHost: localhost";
    write!(slow, "{put}\r\n{JSON}\r\nContent-Length: {length}\r\n\r\n").unwrap();

    let mut late = connect(&larder);
    late.write_all(b"GET /cache/user/user:1 HTTP/1.1\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let until = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    let mut lines = 0;
    loop {
        assert!(Instant::now() < until, "a head may take for ever");
        match late.read_to_end(&mut said) {
            Ok(_) => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // Some, and then nothing: what isn't read when it is closed would undo the answer.
                lines += 1;
                if lines < 5 {
                    late.write_all(b"X: y\r\n").unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said:?}");
    assert!(said.contains("connection: close\r\n") && said.ends_with("\r\n\r\n"), "{said:?}");

    // By now the time of a head is over for all of these.
    idle.write_all(ASK.as_bytes()).unwrap();
    assert_eq!(statuses(&mut idle, 1), ["200"], "without a byte there is no head");
    kept.write_all(ASK.as_bytes()).unwrap();
    assert_eq!(statuses(&mut kept, 1), ["200"], "nor after an answer");
    slow.write_all(row.as_bytes()).unwrap();
    assert_eq!(statuses(&mut slow, 1), ["204"], "a content isn't a head");
    assert_eq!(get(&larder, "/cache/user/user:1").status, 200);
}

#[test]
fn what_is_sent_ahead_is_answered_in_its_turn() {
    let shop = Shop::new();
    let larder = shop.serve("head_timeout = \"10s\"");
    let mut client = connect(&larder);
    let (first, rest) = ASK.split_at(20);
    client.write_all(format!("{ASK}{ASK}{first}").as_bytes()).unwrap();
    assert_eq!(statuses(&mut client, 2), ["200", "200"]);
    client.write_all(rest.as_bytes()).unwrap();
    assert_eq!(statuses(&mut client, 1), ["200"]);
}
