//! A thousand clients want what nobody holds, while the origin stops in the middle of it.
//!
//! Nothing here is left to luck: the origin goes on when everybody has the first bytes of the
//! body, or when the time for that is over.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use larder_test::Origin;
use larder_test::origin::{At, Response};

use super::Extent;
use super::servers::{Contender, Servers};

/// How many clients come at once.
pub(super) const CLIENTS: usize = 1_000;
/// How many of them a thread is.
const CLIENTS_EACH: usize = 50;
/// How long the origin waits in the middle for those who have nothing yet.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a client waits for the rest: longer than a lock of nginx on a response.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(30);
/// What the origin says in all, and before it stops.
const BODY_BYTES: usize = 256 << 10;
const FIRST_BYTES: usize = 64 << 10;
/// The byte that the body is made of: in heads it is found too, in the lengths of chunks never.
const BODY_BYTE: u8 = b'x';

/// The worst herd at larder.
pub(super) struct Herds {
    /// How often the origin was asked.
    pub(super) requests: usize,
    /// How many clients had some of the body before the origin went on.
    pub(super) streamed: usize,
}

/// What one herd saw.
struct Herd {
    requests: usize,
    streamed: usize,
    /// The longest that one of those waited.
    first_byte: Duration,
}

/// Prints a table, and returns what larder did.
pub(super) fn measure(servers: &Servers, origin: &Origin, extent: Extent) -> Result<Herds, String> {
    println!("{CLIENTS} clients of a response that nobody holds and that stops in the middle\n");
    println!("server   origin asked   had its first bytes meanwhile   slowest of these");
    let mut ours = Herds { requests: 0, streamed: CLIENTS };
    for number in 0..extent.herds {
        for contender in servers.all() {
            let herd = come(contender, origin, number)?;
            let Herd { requests, streamed, first_byte } = herd;
            println!(
                "{:<7}  {requests:>12}   {streamed:>29}   {first_byte:>16.1?}",
                contender.name
            );
            if contender.name == "larder" {
                ours.requests = ours.requests.max(requests);
                ours.streamed = ours.streamed.min(streamed);
            }
        }
    }
    Ok(ours)
}

/// Lets a herd come to a server.
fn come(contender: Contender<'_>, origin: &Origin, number: usize) -> Result<Herd, String> {
    let path = format!("/cold/{}/{number}", contender.name);
    let body = Response::new("application/octet-stream", vec![BODY_BYTE; BODY_BYTES]);
    let body = body.header("Cache-Control", "max-age=86400").held(At::Body(FIRST_BYTES));
    origin.put(&path, body);
    let groups = CLIENTS / CLIENTS_EACH;
    // Two meetings: all are connected, and all have looked for their first bytes.
    let (start, looked) = (Barrier::new(groups), Barrier::new(groups + 1));
    let group = || -> Result<Vec<Option<Duration>>, String> {
        let clients = (0..CLIENTS_EACH).map(|_| Client::connect(contender.port, &path));
        let clients: std::io::Result<Vec<Client>> = clients.collect();
        start.wait();
        let began = Instant::now();
        let looked_for = clients.and_then(|mut clients| {
            clients.iter_mut().try_for_each(Client::ask)?;
            let firsts = clients.iter_mut().map(|client| client.first_bytes(began));
            let firsts: std::io::Result<Vec<_>> = firsts.collect();
            Ok((clients, firsts?))
        });
        looked.wait();
        let (clients, firsts) = looked_for.map_err(|error| format!("a client: {error}"))?;
        clients.into_iter().try_for_each(Client::rest)?;
        Ok(firsts)
    };
    let firsts = thread::scope(|scope| {
        let threads: Vec<_> = (0..groups).map(|_| scope.spawn(group)).collect();
        looked.wait();
        origin.release(&path);
        let firsts = threads.into_iter().map(|thread| thread.join().expect("it returns"));
        firsts.collect::<Result<Vec<_>, _>>()
    });
    let firsts = firsts.map_err(|error| format!("{}: {error}", contender.name))?.concat();
    let had: Vec<Duration> = firsts.into_iter().flatten().collect();
    let first_byte = had.iter().max().copied().unwrap_or_default();
    Ok(Herd { requests: origin.count(&path), streamed: had.len(), first_byte })
}

/// A client with its connection, and what it was sent.
struct Client {
    stream: TcpStream,
    request: String,
    received: Vec<u8>,
}

impl Client {
    fn connect(port: u16, path: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        Ok(Self { stream, request, received: Vec::new() })
    }

    fn ask(&mut self) -> std::io::Result<()> {
        self.stream.write_all(self.request.as_bytes())
    }

    /// How long after `began` it had bytes of the body; `None` when there were none in time.
    fn first_bytes(&mut self, began: Instant) -> std::io::Result<Option<Duration>> {
        while self.body_bytes() == 0 {
            // No time at all would be for ever.
            let left = PATIENCE.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(size) => self.received.extend_from_slice(&buffer[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(began.elapsed()))
    }

    /// Takes the rest, which must be all of it.
    fn rest(mut self) -> Result<(), String> {
        let read = self.stream.set_read_timeout(Some(PATIENCE_FOR_ALL));
        let read = read.and_then(|()| self.stream.read_to_end(&mut self.received));
        read.map_err(|error| format!("a client waited for the rest in vain: {error}"))?;
        match self.body_bytes() {
            BODY_BYTES => Ok(()),
            other => {
                let head = self.received.split(|&byte| byte == b'\r').next().unwrap_or_default();
                let head = String::from_utf8_lossy(head);
                Err(format!("a client was sent {other} of {BODY_BYTES} bytes after \"{head}\""))
            }
        }
    }

    fn body_bytes(&self) -> usize {
        let head = self.received.windows(4).position(|four| four == b"\r\n\r\n");
        let body = head.map_or(&[][..], |head| &self.received[head..]);
        body.iter().filter(|&&byte| byte == BODY_BYTE).count()
    }
}
