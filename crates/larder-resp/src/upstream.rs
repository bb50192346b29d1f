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
    /// How many they are.
    pub count: usize,
    /// The version in which they are to be answered.
    pub protocol: Protocol,
}

/// A Redis, and the connections to it.
pub trait Upstream: fmt::Debug + Send + Sync + 'static {
    /// Sends requests on a connection that others use too, and waits for their replies: for each
    /// request its reply as it came, or why there is none.
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

    /// A connection of the caller's own that speaks this version.
    ///
    /// # Errors
    ///
    /// `SharedDown` when Redis can't be reached, `Shed` when as many are open as may be.
    ///
    /// # Cancel safety
    ///
    /// Nothing remains.
    fn open(&self, protocol: Protocol) -> BoxFuture<'static, Result<Box<dyn Dedicated>>>;
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
