//! Clients that don't speak the protocol, stop in the middle, or ask and never listen: each is
//! dealt with alone, and the others notice nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use larder_test::{Larder, Reply, RespClient};

use crate::support::{PATIENCE, connect, serve, until};

const MIB: u64 = 1024 * 1024;

/// A client that behaves, beside the others.
struct Neighbour(RespClient, u32);

impl Neighbour {
    fn new(larder: &Larder) -> Self {
        Self(connect(larder), 0)
    }

    /// Sets and gets as if it were alone.
    fn is_served(&mut self) {
        self.1 += 1;
        let (key, value) = (format!("key:{}", self.1), format!("value:{}", self.1));
        assert_eq!(self.0.command(&["SET", &key, &value]), Reply::Simple("OK".into()));
        assert_eq!(self.0.command(&["GET", &key]), Reply::bulk(&value));
    }
}

#[test]
fn what_is_not_the_protocol_is_answered_with_an_error_and_the_end() {
    let larder = serve("");
    let mut neighbour = Neighbour::new(&larder);
    let nested = b"*1\r\n".repeat(100_000);
    let no_line = vec![b'x'; 70_000];
    let faults: [(&[u8], &str); 8] = [
        (b"*2\r\n$3\r\nGET\r\n$1073741824\r\n", "invalid bulk length"),
        (b"*1073741824\r\n", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n$-5\r\n", "invalid bulk length"),
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
        (b"PING \"unbalanced\r\n", "unbalanced quotes in request"),
        (&nested, "expected '$', got '*'"),
        (&no_line, "too big inline request"),
    ];
    for (bytes, what) in faults {
        let mut rude = connect(&larder);
        rude.send(b"PING\r\n");
        assert_eq!(rude.receive(), Reply::Simple("PONG".into()));
        rude.send(bytes);
        assert_eq!(rude.receive(), Reply::Error(format!("ERR Protocol error: {what}")));
        assert!(rude.is_closed(), "{what}");
        neighbour.is_served();
    }
}

#[test]
fn bytes_without_any_sense_disturb_nobody() {
    let larder = serve("");
    let mut neighbour = Neighbour::new(&larder);
    // A linear congruential generator (Knuth's MMIX), whose upper bits are random enough.
    let mut state = 1_u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..50 {
        let garbage: Vec<u8> = (0..round * 200).map(|_| random()).collect();
        let mut rude = stream(&larder);
        // It may be closed before all of it is sent.
        let _ = rude.write_all(&garbage);
        neighbour.is_served();
    }
    assert!(larder.is_running());
}

#[test]
fn a_web_page_can_not_make_a_browser_give_commands() {
    let larder = serve("");
    let mut neighbour = Neighbour::new(&larder);
    let requests: [&[u8]; 2] = [
        b"POST / HTTP/1.1\r\nHost: larder\r\n\r\nSET smuggled yes\r\n",
        b"GET / HTTP/1.1\r\nHost: larder\r\n\r\nSET smuggled yes\r\n",
    ];
    for request in requests {
        let mut browser = stream(&larder);
        browser.write_all(request).unwrap();
        let mut answer = Vec::new();
        // Closed with a reset where some of the request was never read.
        let end = browser.read_to_end(&mut answer);
        let reset = |error: std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(end.map_or_else(reset, |_| true));
        neighbour.is_served();
        assert_eq!(neighbour.0.command(&["EXISTS", "smuggled"]), Reply::Integer(0));
    }
}

#[test]
fn half_a_request_waits_for_the_rest_and_nobody_waits_for_it() {
    let larder = serve("");
    let mut neighbour = Neighbour::new(&larder);
    let mut halves: Vec<RespClient> = (0..100).map(|_| connect(&larder)).collect();
    for half in &mut halves {
        half.send(b"*2\r\n$4\r\nECHO\r\n$5\r\nhel");
    }
    for _ in 0..100 {
        neighbour.is_served();
    }
    for half in &mut halves {
        half.send(b"lo\r\n");
        assert_eq!(half.receive(), Reply::bulk("hello"));
    }
}

#[test]
fn a_length_that_is_announced_and_never_sent_takes_no_memory() {
    let larder = serve("");
    let mut neighbour = Neighbour::new(&larder);
    neighbour.is_served();
    let before = larder.rss_bytes();
    let mut announcing: Vec<RespClient> = (0..100).map(|_| connect(&larder)).collect();
    for client in &mut announcing {
        // 16 MiB is what is taken at most, and 1.6 GiB is what these would be.
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16777216\r\nbeginning");
    }
    for _ in 0..100 {
        neighbour.is_served();
    }
    let grown = larder.rss_bytes().saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes for lengths alone");
    drop(announcing);
    neighbour.is_served();
}

#[test]
fn who_asks_for_much_and_reads_nothing_costs_little_and_waits_alone() {
    let larder = serve("");
    let mut neighbour = Neighbour::new(&larder);
    let large = "v".repeat(1_000_000);
    assert_eq!(neighbour.0.command(&["SET", "large", &large]), Reply::Simple("OK".into()));
    let before = larder.rss_bytes();
    // A thousand MiB, and more questions until nothing more is taken.
    let deaf: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut client = stream(&larder);
            client.write_all(&b"GET large\r\n".repeat(100)).unwrap();
            client.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
            let more = b"GET large\r\n".repeat(1_000);
            let deadline = Instant::now() + PATIENCE;
            while client.write(&more).is_ok() {
                assert!(Instant::now() < deadline, "questions are taken without an end");
            }
            client
        })
        .collect();
    for _ in 0..100 {
        neighbour.is_served();
    }
    let grown = larder.rss_bytes().saturating_sub(before);
    // A quarter of a MiB and one reply for each.
    assert!(grown < 10 * 2 * MIB, "{grown} bytes for ten clients that don't read");
    drop(deaf);
    // Their connections end, and with them what they held.
    until("the deaf clients are gone", || {
        neighbour.0.command(&["INFO", "clients"]).text().contains("connected_clients:1\r\n")
    });
    neighbour.is_served();
}

fn stream(larder: &Larder) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", larder.resp_port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
