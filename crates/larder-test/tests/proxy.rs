//! The fault proxy, in front of a server that says back what it is told.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use larder_test::{Proxy, Redis, Reply, RespClient};

/// Long enough for what must not happen to happen.
const A_WHILE: Duration = Duration::from_millis(100);

/// A server that begins with its name, and then says back what it hears. It ends with the test.
fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                // A client that went away is no failure of the server.
                let _ = stream.write_all(name.as_bytes());
                let mut both = (stream.try_clone().unwrap(), stream);
                let _ = std::io::copy(&mut both.0, &mut both.1);
                let _ = both.1.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

#[track_caller]
fn hears(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
}

#[track_caller]
fn hears_nothing(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(A_WHILE)).unwrap();
    let outcome = stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(outcome, Err(ErrorKind::WouldBlock));
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
}

/// Whether the connection ends, one way or the other, with nothing more to read.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(size) => size == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn it_passes_everything_on_and_counts_it() {
    let proxy = Proxy::to(echo(""));
    let mut stream = connect(&proxy);
    // More than all buffers on the way, so that it must flow both ways at once.
    let sent: Vec<u8> = (0..8 << 20).map(|at: u32| at.to_le_bytes()[at as usize % 3]).collect();
    let mut received = Vec::new();
    thread::scope(|scope| {
        let mut writer = stream.try_clone().unwrap();
        let sent = &sent;
        scope.spawn(move || {
            writer.write_all(sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut received).unwrap();
    });
    assert!(received == sent);
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.requests.passed), (1, 8 << 20));
    assert_eq!(
        (counts.replies.passed, counts.replies.lost, counts.replies.held()),
        (8 << 20, 0, 0)
    );
    proxy.wait_until("the connection has ended", |counts| counts.open == 0);
}

#[test]
fn a_round_trip_is_a_question_and_its_reply_however_many_pieces_they_come_in() {
    let proxy = Proxy::to(echo(""));
    let (mut one, mut other) = (connect(&proxy), connect(&proxy));
    for trips in 1..=3 {
        say(&mut one, "question");
        hears(&mut one, "question");
        assert_eq!(proxy.counts().round_trips, trips);
    }
    say(&mut other, "another's");
    hears(&mut other, "another's");
    assert_eq!(proxy.counts().round_trips, 4);
    // The second is asked before the first is answered.
    proxy.stall();
    for (words, arrived) in [("first", 38), ("second", 44)] {
        say(&mut one, words);
        proxy.wait_until("it was asked", |counts| counts.requests.arrived == arrived);
    }
    proxy.heal();
    hears(&mut one, "firstsecond");
    assert_eq!(proxy.counts().round_trips, 5);
}

#[test]
fn one_end_may_close_and_still_hear() {
    let proxy = Proxy::to(echo(""));
    let mut stream = connect(&proxy);
    say(&mut stream, "last words");
    stream.shutdown(Shutdown::Write).unwrap();
    hears(&mut stream, "last words");
    assert!(is_closed(&mut stream));
}

#[test]
fn a_cut_closes_what_is_open_and_what_comes_until_it_heals() {
    let proxy = Proxy::to(echo(""));
    let mut streams = [connect(&proxy), connect(&proxy)];
    for stream in &mut streams {
        say(stream, "a");
        hears(stream, "a");
    }
    proxy.cut();
    assert!(streams.iter_mut().all(is_closed));
    assert!(is_closed(&mut connect(&proxy)));
    assert_eq!(proxy.counts().open, 0);
    proxy.heal();
    let mut stream = connect(&proxy);
    say(&mut stream, "b");
    hears(&mut stream, "b");
}

#[test]
fn a_stall_holds_both_ways_and_new_connections_and_closes_nothing() {
    let proxy = Proxy::to(echo("hello "));
    let mut old = connect(&proxy);
    hears(&mut old, "hello ");
    proxy.stall();
    say(&mut old, "held");
    let mut new = connect(&proxy);
    say(&mut new, "held too");
    proxy.wait_until("both are there", |counts| counts.open == 2 && counts.requests.held() == 4);
    hears_nothing(&mut old);
    hears_nothing(&mut new);
    proxy.heal();
    hears(&mut old, "held");
    hears(&mut new, "hello held too");
}

#[test]
fn in_a_stall_no_end_learns_that_the_other_has_closed() {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = Proxy::to(server.local_addr().unwrap());
    let mut stream = connect(&proxy);
    let (far, _) = server.accept().unwrap();
    proxy.stall();
    drop(far);
    hears_nothing(&mut stream);
    proxy.heal();
    assert!(is_closed(&mut stream));
}

#[test]
fn stalled_replies_are_held_while_requests_arrive() {
    let redis = Redis::start();
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let mut client = RespClient::connect(proxy.address());
    assert_eq!(client.command(&["PING"]), Reply::Simple("PONG".into()));
    proxy.stall_replies();
    client.send(b"INCR n\r\n");
    // A connection that comes now reaches the server, too.
    let mut other = RespClient::connect(proxy.address());
    other.send(b"INCR n\r\n");
    proxy.wait_until("both replies are held", |counts| counts.replies.held() == 8);
    assert_eq!(redis.cli(&["GET", "n"]), "2");
    assert_eq!(proxy.counts().replies.passed, 7);
    proxy.heal();
    let mut replies = [client.receive(), other.receive()];
    replies.sort_by_key(|reply| format!("{reply:?}"));
    assert_eq!(replies, [Reply::Integer(1), Reply::Integer(2)]);
}

#[test]
fn held_replies_are_lost_by_a_cut() {
    let redis = Redis::start();
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let mut client = RespClient::connect(proxy.address());
    proxy.stall_replies();
    client.send(b"INCR n\r\n");
    proxy.wait_until("the reply is held", |counts| counts.replies.held() == 4);
    proxy.cut();
    assert!(client.is_closed());
    proxy.wait_until("it is lost", |counts| counts.replies.lost == 4);
    proxy.heal();
    let mut client = RespClient::connect(proxy.address());
    assert_eq!(client.command(&["GET", "n"]), Reply::bulk("1"));
}

#[test]
fn dropped_replies_end_in_the_middle_with_their_connection_and_only_once() {
    let redis = Redis::start();
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let (mut one, mut other) =
        (RespClient::connect(proxy.address()), RespClient::connect(proxy.address()));
    proxy.drop_replies_after(7 + 5);
    assert_eq!(one.command(&["PING"]), Reply::Simple("PONG".into()));
    one.send(b"ECHO hello\r\n");
    // "$5\r\nh" arrives, and then no more.
    assert!(one.is_closed());
    proxy.wait_until("the rest is lost", |counts| counts.replies.lost == 6);
    assert_eq!(proxy.counts().replies.passed, 12);
    assert_eq!(other.command(&["PING"]), Reply::Simple("PONG".into()));
    let mut third = RespClient::connect(proxy.address());
    assert_eq!(third.command(&["PING"]), Reply::Simple("PONG".into()));
}

#[test]
fn a_request_whose_reply_is_dropped_is_done() {
    let redis = Redis::start();
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let mut client = RespClient::connect(proxy.address());
    proxy.drop_replies_after(0);
    client.send(b"SET a 1\r\n");
    assert!(client.is_closed());
    assert_eq!(redis.cli(&["GET", "a"]), "1");
}

#[test]
fn a_delay_is_added_each_way_and_not_for_each_chunk() {
    let each_way = Duration::from_millis(60);
    let proxy = Proxy::to(echo(""));
    let mut stream = connect(&proxy);
    proxy.delay(each_way);
    let start = Instant::now();
    for _ in 0..20 {
        say(&mut stream, "a");
        thread::sleep(Duration::from_millis(1));
    }
    hears(&mut stream, &"a".repeat(20));
    let took = start.elapsed();
    assert!(took >= each_way * 2, "{took:?}");
    assert!(took < each_way * 20, "{took:?}");
    proxy.delay(Duration::MAX);
    say(&mut stream, "b");
    proxy.wait_until("it is held", |counts| counts.requests.held() == 1);
    proxy.heal();
    hears(&mut stream, "b");
}

#[test]
fn a_throttle_is_shared_by_all_connections() {
    let proxy = Proxy::to(echo(""));
    let mut streams = [connect(&proxy), connect(&proxy)];
    proxy.throttle(100_000);
    let start = Instant::now();
    let text = "a".repeat(15_000);
    streams.iter_mut().for_each(|stream| say(stream, &text));
    streams.iter_mut().for_each(|stream| hears(stream, &text));
    // 30,000 bytes take 300 ms; the last piece of 2,000 is not waited for.
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(270), "{took:?}");
    proxy.throttle(1);
    say(&mut streams[0], "ab");
    proxy.wait_until("the next second is awaited", |counts| counts.requests.held() == 1);
    proxy.heal();
    hears(&mut streams[0], "ab");
}

#[test]
fn another_server_gets_the_connections_that_come() {
    let proxy = Proxy::to(echo("one"));
    let mut old = connect(&proxy);
    hears(&mut old, "one");
    proxy.retarget(echo("two"));
    let mut new = connect(&proxy);
    hears(&mut new, "two");
    say(&mut old, "still here");
    hears(&mut old, "still here");
    proxy.stall();
    let mut held = connect(&proxy);
    proxy.retarget(echo("three"));
    proxy.heal();
    hears(&mut held, "three");
}

#[test]
fn a_connection_to_a_server_that_is_not_there_is_closed() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let proxy = Proxy::to(nobody);
    assert!(is_closed(&mut connect(&proxy)));
    proxy.retarget(echo("somebody"));
    hears(&mut connect(&proxy), "somebody");
}

#[test]
fn what_is_held_is_bounded_and_all_of_it_arrives() {
    let proxy = Proxy::to(echo(""));
    let mut stream = connect(&proxy);
    say(&mut stream, "a");
    hears(&mut stream, "a");
    proxy.stall();
    stream.set_write_timeout(Some(A_WHILE)).unwrap();
    let chunk = vec![b'b'; 1 << 20];
    let mut sent = 0;
    let refused = loop {
        match stream.write(&chunk) {
            Ok(size) => sent += size,
            Err(error) => break error.kind(),
        }
        assert!(sent < 64 << 20, "it takes whatever comes");
    };
    assert_eq!(refused, ErrorKind::WouldBlock);
    let held = proxy.counts().requests.held();
    // What one chunk too many has read waits in the reader's hands.
    assert!(held <= (Proxy::HELD_BYTES_MAX + (32 << 10)) as u64, "{held}");
    proxy.heal();
    hears(&mut stream, &"b".repeat(sent));
}

#[test]
fn one_connection_too_many_is_closed() {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = Proxy::to(server.local_addr().unwrap());
    // Held, so that the server's own queue of connections doesn't matter.
    proxy.stall();
    let mut streams: Vec<_> = (0..Proxy::CONNECTIONS_MAX).map(|_| connect(&proxy)).collect();
    proxy.wait_until("all are open", |counts| counts.open == Proxy::CONNECTIONS_MAX);
    assert!(is_closed(&mut connect(&proxy)));
    hears_nothing(&mut streams[0]);
}

#[test]
fn a_dropped_proxy_leaves_no_thread_and_no_listener() {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = Proxy::to(server.local_addr().unwrap());
    let address = proxy.address();
    let mut streams = [connect(&proxy), connect(&proxy)];
    let (mut far, _) = server.accept().unwrap();
    say(&mut streams[0], "a");
    hears(&mut far, "a");
    proxy.stall();
    let mut held = connect(&proxy);
    say(&mut streams[0], "held");
    drop(proxy);
    // Dropping waits for its threads, which have the sockets.
    assert!(is_closed(&mut far));
    assert!(is_closed(&mut held) && streams.iter_mut().all(is_closed));
    assert!(TcpStream::connect(address).is_err());
}
