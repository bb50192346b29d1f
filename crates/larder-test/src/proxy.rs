//! A proxy in front of a server that makes the network's faults: connections cut, half open,
//! slow, or with replies that never come.
//!
//! It knows TCP and bytes, and nothing of what they mean. It has threads of its own and needs no
//! runtime; what the test switches holds at once for all connections, those that are open and
//! those to come.
//!
//! What was being written at the moment of a switch may still arrive; what is read afterwards is
//! under the fault.

mod counts;
mod link;
mod pump;
mod throttle;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use link::Link;

pub use counts::{Counts, Flow};

/// How long the proxy waits for a connection: its own to the server, and at its end its own to
/// itself.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// The longest delay: a moment that far ahead exists on every clock.
const DELAY_MAX: Duration = Duration::from_secs(86_400);

/// A proxy that passes on what it is sent, until it is told otherwise. It ends, with all its
/// connections and threads, when it is dropped.
///
/// *Requests* are the bytes from the clients to the server, *replies* those from the server to
/// the clients.
///
/// ```
/// use larder_test::{Proxy, Redis, Reply, RespClient};
///
/// let redis = Redis::start();
/// let proxy = Proxy::to(("127.0.0.1", redis.port()));
/// let mut client = RespClient::connect(proxy.address());
/// assert_eq!(client.command(&["SET", "greeting", "hello"]), Reply::Simple("OK".into()));
///
/// // The server does what it is asked, and nobody learns of it.
/// proxy.stall_replies();
/// client.send(b"APPEND greeting !\r\n");
/// proxy.wait_until("a reply is held", |counts| counts.replies.held() > 0);
/// assert_eq!(redis.cli(&["GET", "greeting"]), "hello!");
/// proxy.cut();
/// assert!(client.is_closed());
///
/// proxy.heal();
/// let mut client = RespClient::connect(proxy.address());
/// assert_eq!(client.command(&["GET", "greeting"]), Reply::bulk("hello!"));
/// ```
pub struct Proxy {
    link: Arc<Link>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// The most connections that are open at a time; one more is closed as soon as it is made.
    pub const CONNECTIONS_MAX: usize = 256;

    /// About how many bytes of a connection are held each way, plus what the system's own
    /// buffers take. Who sends more waits, as with a peer that doesn't read.
    pub const HELD_BYTES_MAX: usize = pump::CHUNK_BYTES * pump::CHUNKS_MAX;

    /// Starts one in front of `server`, on a free port of this machine. The server need not be
    /// there yet: a connection that can't be passed on is closed.
    ///
    /// # Panics
    ///
    /// When `server` is no address, or this machine has no free port.
    #[must_use]
    pub fn to(server: impl ToSocketAddrs) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a listener knows its address");
        let link = Arc::new(Link::to(resolve(server)));
        let ours = Arc::clone(&link);
        let acceptor = Some(thread::spawn(move || pump::accept(&listener, &ours)));
        Self { link, address, acceptor }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`address`](Self::address), on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends all faults. What was held passes now; what was cut or dropped stays lost.
    pub fn heal(&self) {
        self.link.change(link::State::heal);
    }

    /// Closes all connections, and every new one as soon as it is made. What was held is lost.
    pub fn cut(&self) {
        self.link.change(|state| {
            state.cut = true;
            state.close_all();
        });
    }

    /// Lets nothing pass any more, either way, and closes nothing: neither end can tell that the
    /// other is gone. New connections are accepted and held too; the server hears of them only
    /// after [`heal`](Self::heal). An end that closes its connection isn't noticed by the other.
    pub fn stall(&self) {
        self.link.change(|state| state.stalled = true);
    }

    /// Lets requests pass and holds the replies: the server commits, and nobody hears of it.
    pub fn stall_replies(&self) {
        self.link.change(|state| state.replies_stalled = true);
    }

    /// Lets `bytes` more bytes of replies pass, over all connections. The connection with the
    /// next one is then closed, with that reply lost, or cut off in its middle. It happens once;
    /// other connections and later ones are not touched.
    pub fn drop_replies_after(&self, bytes: u64) {
        self.link.change(|state| state.replies_left = Some(bytes));
    }

    /// Makes every byte arrive this much later, each way, but never by more than a day. More may
    /// be sent meanwhile, as on a long line.
    pub fn delay(&self, each_way: Duration) {
        self.link.change(|state| state.delay = each_way.min(DELAY_MAX));
    }

    /// Lets so many bytes pass in a second, each way, over all connections.
    ///
    /// # Panics
    ///
    /// When that is none at all, which is [`stall`](Self::stall).
    pub fn throttle(&self, bytes_per_second: u64) {
        assert!(bytes_per_second > 0, "a throttle of 0 bytes per second is a stall");
        self.link.change(|state| state.throttle(bytes_per_second));
    }

    /// Puts it in front of another server. It gets the connections that are passed on from now
    /// on; those that reached the old one stay with it, unless they are [`cut`](Self::cut).
    ///
    /// # Panics
    ///
    /// When `server` is no address.
    pub fn retarget(&self, server: impl ToSocketAddrs) {
        let server = resolve(server);
        self.link.change(|state| state.server = server);
    }

    /// What has passed since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.link.counts()
    }

    /// Waits until the counts are as `enough` asks.
    ///
    /// # Panics
    ///
    /// When that takes more than 30 seconds, with `what` was waited for.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&Counts) -> bool) {
        self.link.wait_until(what, enough);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.link.change(link::State::end);
        // Wakes the thread that waits for connections. If that fails it isn't waiting.
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_PATIENCE);
        if let Some(acceptor) = self.acceptor.take() {
            // Its panic has been printed, and this may run during another one.
            let _ = acceptor.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

fn resolve(server: impl ToSocketAddrs) -> SocketAddr {
    let addresses = server.to_socket_addrs();
    let mut addresses = addresses.unwrap_or_else(|error| panic!("no address: {error}"));
    addresses.next().expect("a name that was resolved has an address")
}
