//! The upstream: the Redis in which plain keys live, as sessions see it.
//!
//! Requests go there and replies come back as bytes; here nobody opens a socket, knows an
//! address or looks at a clock. Ordinary requests of all clients share connections. A client
//! that leaves something on its connection (a subscription, a watched key, an open transaction)
//! or keeps it waiting (BLPOP) gets a *dedicated* one.

use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use larder_core::{BoxFuture, Result};

use crate::codec::Protocol;

/// How long one reply from upstream may be, and how long the replies to [`Requests`] may be
/// together, in bytes. Of a reply that is longer nothing is held, and an error stands in its
/// place.
pub const REPLIES_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Requests of one client that are sent together.
#[derive(Clone, Debug)]
pub struct Requests {
    /// The requests, one behind the other.
    pub bytes: Bytes,
    /// What each of them is, in their order.
    pub parts: Vec<Part>,
    /// The version in which they are to be answered.
    pub protocol: Protocol,
}

/// One of several requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many bytes it has.
    pub length: usize,
    /// Whom it is for.
    pub to: To,
    /// Which request it belongs to.
    pub stands: Stands,
}

/// Which request one belongs to. What stands before a request and behind it goes to one server with
/// it, at once, and may be executed any number of times. When a server wasn't the one to ask and
/// has refused that request, all of it is sent again. Where keys live on several servers each
/// request stands for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It is a client's own.
    ForItself,
    /// To the next one that stands for itself.
    Before,
    /// To the last one that stands for itself.
    Behind,
}

/// Whom a request is for, where keys live on several servers. One server has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Whoever: best the one whom the request before it is for, so that they stay in order.
    Any,
    /// Whoever, and another one each time.
    Turn,
    /// The server that has this slot.
    Slot(u16),
    /// All servers that have slots. What they say comes as one array, in the order of their first
    /// slots; what one of them doesn't say nobody says.
    All,
}

/// A Redis, and the connections to it.
pub trait Upstream: fmt::Debug + Send + Sync + 'static {
    /// In which slot a key lives, where keys live on several servers; `None` where one has all.
    /// It is the one or the other for all keys, and for good.
    fn slot(&self, key: &[u8]) -> Option<u16>;

    /// Of the servers that have slots each one's first: the lowest that is beyond this one, as far
    /// as that is known now.
    fn next_first(&self, slot: u16) -> Option<u16>;

    /// Whether keys live on several servers.
    fn is_divided(&self) -> bool {
        self.slot(b"").is_some()
    }

    /// Sends requests on connections that others use too, and waits for their replies: for each
    /// request its reply as it came, or why there is none. Those to one server are executed in
    /// their order, those to several at the same time. A request that was refused because its
    /// slot, or the part of a primary, has moved was not executed, and is sent to where it belongs
    /// with what stands beside it; then the order among those of that slot may be another.
    ///
    /// # Errors
    ///
    /// For each request by itself: `SharedDown` when Redis can't be reached, or when its reply was
    /// lost: then the request may have been executed, and is not sent again. `Shed` when too much
    /// waits already. `Refused` when the reply is longer than [`REPLIES_BYTES_MAX`].
    ///
    /// # Cancel safety
    ///
    /// Requests whose future is dropped may still be executed.
    fn forward(&self, requests: Requests) -> BoxFuture<'static, Vec<Result<Bytes>>>;

    /// A connection of the caller's own that speaks this version, to the server that has this slot,
    /// or to any. What it says about a slot that has moved is heeded by the next one.
    ///
    /// # Errors
    ///
    /// `SharedDown` when Redis can't be reached, `Shed` when as many are open as may be.
    ///
    /// # Cancel safety
    ///
    /// Nothing remains.
    fn open(
        &self,
        protocol: Protocol,
        slot: Option<u16>,
    ) -> BoxFuture<'static, Result<Box<dyn Dedicated>>>;
}

/// How long a reply is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as replies of requests that don't block may take.
    Usual,
    /// As long as it takes: a request that blocks, or a message that may come.
    Endless,
}

/// A connection to Redis that one client has for itself. Dropped, it is closed.
pub trait Dedicated: Send {
    /// Takes requests to be sent; [`poll_reply`](Dedicated::poll_reply) sends them.
    fn send(&mut self, requests: &[u8]);

    /// Sends what is to be sent, and waits for the next reply or message.
    ///
    /// # Errors
    ///
    /// `SharedDown` when the connection is lost or the patience is over, `Refused` when the reply
    /// is longer than [`REPLIES_BYTES_MAX`]. No further reply comes then.
    fn poll_reply(&mut self, context: &mut Context<'_>, patience: Patience) -> Poll<Result<Bytes>>;

    /// Gives the connection back: every reply has come, and nothing is left on it.
    fn release(self: Box<Self>);
}
