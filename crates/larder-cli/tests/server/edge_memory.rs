//! What an edge holds, whatever its clients do: they ask for much and read nothing, for many things
//! once, and begin what they never end.

use std::io::Write;
use std::net::TcpStream;

use larder_test::Larder;
use larder_test::origin::{Origin, Response};

use crate::support::{PATIENCE, http, serve};

const MIB: u64 = 1024 * 1024;

/// A client that asks and does nothing else.
fn ask(larder: &Larder, text: &str) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", larder.edge_port())).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.write_all(text.as_bytes()).unwrap();
    client
}

#[test]
fn clients_cost_an_edge_what_its_bounds_say_and_no_more() {
    let origin = Origin::start();
    let larder = serve(&format!(
        "[edge.shop]\nlisten = \"{{edge}}\"\norigin = \"{}\"\nmemory = \"8MiB\"\nobject_max = \"1MiB\"\n",
        origin.url()
    ));
    let is_served = |path: &str| assert_eq!(http(&larder.edge_url(), path, None).0, 200, "{path}");
    let fresh = |length: usize| {
        Response::new("text/plain", vec![b'x'; length]).header("Cache-Control", "max-age=60")
    };
    origin.put("/", fresh(1));
    is_served("/");

    // More than it may hold, each asked for once.
    let page = fresh(500_000);
    for at in 0..100 {
        origin.put(&format!("/page/{at}"), page.clone());
        is_served(&format!("/page/{at}"));
    }
    let held = larder.metric("larder_edge_memory_bytes", "edge=\"shop\"");
    assert!(held <= 8.0 * MIB as f64, "{held} bytes are held");

    // Half a GiB that nobody reads, and what would be held of each until somebody does.
    let before = larder.rss_bytes();
    let (clients, huge) = (8, fresh(64 * MIB as usize));
    let deaf: Vec<TcpStream> = (0..clients)
        .map(|at| {
            let path = format!("/huge/{at}");
            origin.put(&path, huge.clone());
            let client = ask(&larder, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            origin.wait_for(&path, 1);
            client
        })
        .collect();
    // Heads that never end, and bodies that are announced.
    let half = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(60 << 10));
    let announced = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nbegun";
    let begun: Vec<TcpStream> =
        (0..50).flat_map(|_| [ask(&larder, &half), ask(&larder, announced)]).collect();
    for _ in 0..100 {
        is_served("/");
    }
    let grown = larder.rss_bytes().saturating_sub(before);
    assert!(grown < 48 * MIB, "{grown} bytes for clients that don't read");
    drop((deaf, begun));
    is_served("/");
    assert!(larder.is_running());
}
