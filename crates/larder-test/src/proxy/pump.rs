//! The proxy's threads: one that accepts, and four for each connection, which read and write.
//!
//! A reader takes what an end sends as soon as it sends it, up to a bound, and a writer passes it
//! on when the link allows it: so bytes are accepted and held while nothing passes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::CONNECT_PATIENCE;
use super::counts::Way;
use super::link::Link;

/// The most bytes that are read at once.
pub(super) const CHUNK_BYTES: usize = 16 << 10;
/// How many chunks wait for their turn, each way of a connection.
pub(super) const CHUNKS_MAX: usize = 64;
/// How long to wait after the system has refused to accept.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);

/// Bytes and when they arrived. None at all: that end has closed.
struct Chunk {
    arrived: Instant,
    bytes: Vec<u8>,
}

/// Accepts connections until the link has ended, and waits until theirs have, too.
pub(super) fn accept(listener: &TcpListener, link: &Arc<Link>) {
    let mut threads: Vec<thread::JoinHandle<()>> = Vec::new();
    while !link.has_ended() {
        threads.retain(|thread| !thread.is_finished());
        let Ok((client, _)) = listener.accept() else {
            // Too many open files, for a moment.
            thread::sleep(AFTER_REFUSAL);
            continue;
        };
        let Ok(kept) = client.try_clone() else { continue };
        if let Some(id) = link.change(|state| state.enter(kept)) {
            let link = Arc::clone(link);
            threads.push(thread::spawn(move || {
                // A connection that fails is closed, as any other at its end.
                let _ = serve(id, client, &link);
                link.change(|state| state.close(id));
            }));
        }
    }
    for thread in threads {
        // Its panic has been printed.
        let _ = thread.join();
    }
}

/// Connects to the server and passes on what both say, until both have closed or one has failed.
fn serve(id: u64, client: TcpStream, link: &Link) -> std::io::Result<()> {
    let Some(address) = link.server_for(id) else { return Ok(()) };
    let server = TcpStream::connect_timeout(&address, CONNECT_PATIENCE)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let kept = server.try_clone()?;
    if !link.change(|state| state.join(id, kept)) {
        return Ok(());
    }
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    thread::scope(|scope| {
        let (requests, requests_out) = sync_channel(CHUNKS_MAX);
        let (replies, replies_out) = sync_channel(CHUNKS_MAX);
        scope.spawn(move || read(id, from_client, Way::Requests, &requests, link));
        scope.spawn(move || read(id, from_server, Way::Replies, &replies, link));
        scope.spawn(move || write(id, client, Way::Replies, &replies_out, link));
        write(id, server, Way::Requests, &requests_out, link);
    });
    Ok(())
}

/// Takes what comes from one end. A failure is to the other end what an orderly end is.
fn read(id: u64, mut from: TcpStream, way: Way, chunks: &SyncSender<Chunk>, link: &Link) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let size = from.read(&mut buffer).unwrap_or(0);
        link.arrived(id, way, size);
        let chunk = Chunk { arrived: Instant::now(), bytes: buffer[..size].to_vec() };
        if chunks.send(chunk).is_err() {
            // The connection is closed, and the writer gone.
            link.count(way, |flow| flow.lost += size as u64);
            return;
        }
        if size == 0 {
            return;
        }
    }
}

/// Passes on what the reader took, and the end.
fn write(id: u64, mut to: TcpStream, way: Way, chunks: &Receiver<Chunk>, link: &Link) {
    while let Ok(chunk) = chunks.recv() {
        let mut rest = &chunk.bytes[..];
        loop {
            let Some(size) = link.pass(id, way, chunk.arrived, rest.len()) else {
                return lose(id, way, chunks, rest.len(), link);
            };
            let (now, later) = rest.split_at(size);
            if to.write_all(now).is_err() {
                return lose(id, way, chunks, later.len(), link);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        if chunk.bytes.is_empty() {
            // An end that is closed already needs no word of it.
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
    }
}

/// Closes the connection, and counts what it will not carry any more.
fn lose(id: u64, way: Way, chunks: &Receiver<Chunk>, rest: usize, link: &Link) {
    link.change(|state| state.close(id));
    // Its socket is closed, so the reader comes to its end.
    let lost: usize = rest + chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
    link.count(way, |flow| flow.lost += lost as u64);
}
