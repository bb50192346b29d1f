//! Memcached, started, asked, killed, paused and restarted.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use larder_test::Memcached;

#[test]
fn it_answers_and_forgets_what_a_kill_takes() {
    let memcached = Memcached::start();
    assert_eq!(memcached.ask("ms greeting 5\r\nhello"), "HD");
    assert_eq!(memcached.ask("mg greeting v"), "VA 5\nhello");
    let port = memcached.port();
    memcached.kill();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    memcached.restart();
    assert_eq!(memcached.port(), port);
    assert_eq!(memcached.ask("mg greeting v"), "EN");
}

#[test]
fn it_takes_arguments() {
    let memcached = Memcached::start_with(&["-I", "2m"]);
    assert!(memcached.ask("stats settings").contains("item_size_max 2097152"));
}

#[test]
fn a_paused_server_accepts_connections_and_answers_after_it_is_resumed() {
    let memcached = Memcached::start();
    memcached.pause();
    let mut connection = TcpStream::connect(("127.0.0.1", memcached.port())).unwrap();
    connection.write_all(b"mn\r\n").unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    connection.read_exact(&mut [0; 4]).unwrap_err();
    memcached.resume();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; 4];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"MN\r\n");
}
