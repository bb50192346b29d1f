//! Ten thousand clients at once, and the one after the last.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread;

use larder_test::{Larder, Reply, RespClient, clients};

use crate::page::Page;
use crate::support::{PATIENCE, connect, serve, until};

/// How many idle clients are tried, where the system lets a process have so many descriptors.
const IDLE: usize = 10_000;
/// Descriptors that aren't idle clients, on either side.
const BESIDE: usize = 100;
const MIB: u64 = 1024 * 1024;

/// What a process may open at most, by the limit that it can't raise.
fn descriptors_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(4).unwrap().parse().unwrap_or(usize::MAX)
}

/// Another process that holds `count` connections open and says nothing.
fn idle(larder: &Larder, count: usize) -> Child {
    let mut python = clients::python();
    python.args(["-c", include_str!("../clients/idle.py")]);
    python.args([larder.resp_port().to_string(), count.to_string()]);
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), count.to_string());
    child
}

/// Waits until so many clients are connected.
fn connected(client: &mut RespClient, count: usize) {
    let wanted = format!("connected_clients:{count}\r\n");
    until(&wanted, || client.command(&["INFO", "clients"]).text().contains(&wanted));
}

fn is_refused(larder: &Larder) {
    let mut refused = connect(larder);
    let reason = "ERR max number of clients reached";
    assert_eq!(refused.receive(), Reply::Error(reason.to_owned()));
    assert!(refused.is_closed());
}

#[test]
fn ten_thousand_idle_clients_cost_little_and_one_more_is_refused() {
    let idle_count = IDLE.min(descriptors_max().saturating_sub(BESIDE));
    if idle_count < IDLE {
        println!("the system allows {idle_count} clients only (ulimit -Hn)");
    }
    let larder = serve(&format!("clients_max = {}\n", idle_count + 1));
    let mut client = connect(&larder);
    assert_eq!(client.command(&["SET", "key", "value"]), Reply::Simple("OK".into()));
    let before = larder.rss_bytes();
    let mut crowd = idle(&larder, idle_count);
    connected(&mut client, idle_count + 1);
    let grown = larder.rss_bytes().saturating_sub(before);
    println!("{idle_count} idle clients: {} bytes each", grown / idle_count as u64);
    assert!(grown < 100 * MIB, "{grown} bytes for {idle_count} idle clients");
    is_refused(&larder);
    for _ in 0..1_000 {
        assert_eq!(client.command(&["GET", "key"]), Reply::bulk("value"));
    }
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_resp_clients", &[]), idle_count as u64 + 1);
    assert_eq!(page.sum("larder_resp_refused_total", &[]), 1);
    // Their places are free again when they are gone.
    drop(crowd.stdin.take());
    assert!(crowd.wait().unwrap().success());
    connected(&mut client, 1);
    assert_eq!(connect(&larder).command(&["PING"]), Reply::Simple("PONG".into()));
}

#[test]
fn clients_that_come_all_at_once_get_no_more_places_than_there_are() {
    let larder = serve("clients_max = 5\n");
    let served: Vec<TcpStream> = thread::scope(|scope| {
        let clients: Vec<_> = (0..100).map(|_| scope.spawn(|| ping(&larder))).collect();
        clients.into_iter().filter_map(|client| client.join().unwrap()).collect()
    });
    // Each that was served is still connected.
    assert_eq!(served.len(), 5);
    is_refused(&larder);
}

/// A client that is answered; none where the connection ends before that.
fn ping(larder: &Larder) -> Option<TcpStream> {
    let mut client = TcpStream::connect(("127.0.0.1", larder.resp_port())).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 7];
    let answered = client.write_all(b"PING\r\n").and_then(|()| client.read_exact(&mut answer));
    (answered.is_ok() && &answer == b"+PONG\r\n").then_some(client)
}
