//! An HTTP origin in the test's own process: it counts what it is asked, answers when it is let,
//! and breaks off where it is told to.
//!
//! It speaks HTTP/1.1 in its own few lines, as a server of files does, and knows nothing of
//! caches. It has threads of its own and needs no runtime.

mod connection;

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::PATIENCE;

/// An origin on a free port. It ends, with all its connections and threads, when it is dropped.
///
/// What isn't there is a 404. A HEAD gets the head alone; a request whose `If-None-Match` is the
/// response's `ETag` gets a 304.
///
/// ```
/// use larder_test::origin::{At, Origin, Response};
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// let origin = Origin::start();
/// origin.put("/slow", Response::new("text/plain", "hello").held(At::Body(2)));
/// let mut client = TcpStream::connect(origin.address()).unwrap();
/// client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
/// origin.wait_for("/slow", 1);
/// origin.release("/slow");
/// let mut answer = String::new();
/// client.read_to_string(&mut answer).unwrap();
/// assert!(answer.ends_with("\r\n\r\nhello"));
/// ```
pub struct Origin {
    site: Arc<Site>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

/// What an origin answers.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Arc<[u8]>,
    held: Option<At>,
    cut: Option<At>,
}

/// A place in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before its first byte.
    Head,
    /// After its head and so many bytes of its body.
    Body(usize),
}

/// What an origin was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`
    pub method: String,
    /// The path and the query, as they were sent.
    pub target: String,
    headers: Vec<(String, String)>,
    /// The bytes that came with it.
    pub body: Vec<u8>,
}

/// What all connections of an origin share.
struct Site {
    state: Mutex<State>,
    changed: Condvar,
}

/// What makes a response to a request.
type Responder = dyn Fn(&Request) -> Response + Send + Sync;

#[derive(Default)]
struct State {
    responses: HashMap<String, Arc<Responder>>,
    /// How often each target was asked for.
    counts: HashMap<String, usize>,
    /// The first requests.
    requests: Vec<Request>,
    released: Vec<String>,
    connections: HashMap<u64, TcpStream>,
    connections_made: u64,
    ended: bool,
}

impl Response {
    /// A 200 with a `Content-Type`, and its length.
    #[must_use]
    pub fn new(media: &str, body: impl AsRef<[u8]>) -> Self {
        let headers = vec![("Content-Type".to_owned(), media.to_owned())];
        Self { status: 200, headers, body: body.as_ref().into(), held: None, cut: None }
    }

    /// Another status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// A header line more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// It stops there until [`Origin::release`].
    #[must_use]
    pub fn held(self, at: At) -> Self {
        Self { held: Some(at), ..self }
    }

    /// It ends there, and its connection with it.
    #[must_use]
    pub fn cut(self, at: At) -> Self {
        Self { cut: Some(at), ..self }
    }

    fn value(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
}

impl Request {
    /// The first value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

impl Origin {
    /// The most connections that are open at a time; one more is closed as soon as it is made.
    pub const CONNECTIONS_MAX: usize = 4_096;
    /// How many requests are remembered. Those after them are answered and counted only.
    pub const REQUESTS_MAX: usize = 10_000;
    /// The most bytes of a request's head, and of its body. A longer one ends its connection.
    pub const REQUEST_BYTES_MAX: usize = 1 << 20;

    /// Starts one that has nothing.
    ///
    /// # Panics
    ///
    /// When this machine has no free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a listener knows its address");
        let site = Arc::new(Site { state: Mutex::default(), changed: Condvar::new() });
        let ours = Arc::clone(&site);
        let acceptor = Some(thread::spawn(move || connection::accept(&listener, &ours)));
        Self { site, address, acceptor }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers `target`, a path with its query, with `response` from now on.
    pub fn put(&self, target: &str, response: Response) {
        self.put_with(target, move |_| response.clone());
    }

    /// Answers `target` with what `respond` makes of each request, on the connection's thread.
    pub fn put_with(
        &self,
        target: &str,
        respond: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) {
        self.site.change(|state| {
            state.released.retain(|released| released != target);
            state.responses.insert(target.to_owned(), Arc::new(respond));
        });
    }

    /// Lets go of what is held of `target`, and holds nothing of it until the next
    /// [`put`](Self::put).
    pub fn release(&self, target: &str) {
        self.site.change(|state| state.released.push(target.to_owned()));
    }

    /// How often `target` was asked for.
    #[must_use]
    pub fn count(&self, target: &str) -> usize {
        self.site.lock().counts.get(target).copied().unwrap_or(0)
    }

    /// The requests for `target`, in the order in which they came.
    #[must_use]
    pub fn requests(&self, target: &str) -> Vec<Request> {
        let state = self.site.lock();
        state.requests.iter().filter(|request| request.target == target).cloned().collect()
    }

    /// Waits until `target` was asked for so often.
    ///
    /// # Panics
    ///
    /// When that takes more than 30 seconds.
    pub fn wait_for(&self, target: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.site.lock();
        while state.counts.get(target).copied().unwrap_or(0) < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {count} requests for {target}");
            let woken = self.site.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.site.change(|state| {
            state.ended = true;
            for connection in state.connections.values() {
                // One that is closed already is what is wanted.
                let _ = connection.shutdown(Shutdown::Both);
            }
        });
        // Wakes the thread that waits for connections. If that fails it isn't waiting.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
        if let Some(acceptor) = self.acceptor.take() {
            // Its panic has been printed, and this may run during another one.
            let _ = acceptor.join();
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Site {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Takes a connection in, if there is room.
    fn enter(&self, connection: TcpStream) -> Option<u64> {
        self.change(|state| {
            if state.ended || state.connections.len() >= Origin::CONNECTIONS_MAX {
                return None;
            }
            state.connections_made += 1;
            state.connections.insert(state.connections_made, connection);
            Some(state.connections_made)
        })
    }

    fn leave(&self, id: u64) {
        self.change(|state| state.connections.remove(&id));
    }

    /// Remembers a request, and finds what answers it.
    fn asked(&self, request: &Request) -> Option<Response> {
        let responder = self.change(|state| {
            *state.counts.entry(request.target.clone()).or_default() += 1;
            if state.requests.len() < Origin::REQUESTS_MAX {
                state.requests.push(request.clone());
            }
            state.responses.get(&request.target).cloned()
        });
        responder.map(|respond| respond(request))
    }

    /// Waits until `target` is released, or the origin ends.
    fn hold(&self, target: &str) {
        let held = |state: &mut State| !state.ended && !state.released.iter().any(|t| t == target);
        let waited = self.changed.wait_while(self.lock(), held);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
