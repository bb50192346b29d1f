//! What is asked of a server in one go, and what comes back.

use larder_core::Result;
use tokio::sync::oneshot;

use crate::codec::{Reply, Request};

/// Requests that are sent together.
#[derive(Debug)]
pub(crate) struct Call {
    /// In the order in which they are executed.
    pub(crate) requests: Vec<Request>,
    /// The only connection that they may be sent over, if it matters.
    pub(crate) generation: Option<u32>,
    /// Whether the server's clock must be known before they are executed.
    pub(crate) clock: Need,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Result<Outcome>>,
}

/// How well the server's clock must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Not at all.
    Nothing,
    /// As it was a moment ago.
    Recent,
    /// As it is just before the requests.
    Now,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Each request was answered.
    Answered(Answer),
    /// The connection that it was for is no more, and nothing was sent.
    OtherGeneration,
}

/// The answers to the requests of a call.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The connection.
    pub(crate) generation: u32,
    /// The server's clock at some moment before it executed the requests, in seconds since 1970;
    /// 0 if it wasn't needed.
    pub(crate) clock: u32,
    /// As many as there were requests, in their order.
    pub(crate) replies: Vec<Reply>,
}
