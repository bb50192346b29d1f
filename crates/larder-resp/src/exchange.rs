//! Requests of one client that go upstream together, and how their replies come back.

mod alone;

use std::sync::Arc;

use bytes::Bytes;
use larder_core::Result;
use larder_core::sync::Mutex;

use crate::codec::{Protocol, encode_request};
use crate::link::Link;
use crate::upstream::{Part, Patience, Requests, Stands, To, Upstream};

/// Over which connection requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Shared,
    Dedicated,
}

/// What ends the replies to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ends {
    /// One reply.
    Reply,
    /// So many confirmations of subscriptions, or an error.
    Confirmations(u64),
    /// One reply, which is this one if nothing goes wrong: it may be given before it has come.
    Foreseen(&'static str),
}

/// The requests that have gathered.
pub(crate) struct Exchange {
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) link: Arc<Mutex<Link>>,
    pub(crate) protocol: Protocol,
    pub(crate) over: Over,
    pub(crate) patience: Patience,
    pub(crate) requests: Vec<u8>,
    parts: Vec<Part>,
    ends: Vec<Ends>,
    /// Whether the client is in a transaction when they are all done.
    pub(crate) stays_open: bool,
}

impl Exchange {
    pub(crate) fn new(
        upstream: &Arc<dyn Upstream>,
        link: &Arc<Mutex<Link>>,
        protocol: Protocol,
        (over, patience): (Over, Patience),
    ) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            link: Arc::clone(link),
            protocol,
            over,
            patience,
            requests: Vec::new(),
            parts: Vec::new(),
            ends: Vec::new(),
            stays_open: false,
        }
    }

    /// Adds a request of the client's.
    pub(crate) fn push<A: AsRef<[u8]>>(&mut self, arguments: &[A], to: To, ends: Ends) {
        let before = self.requests.len();
        encode_request(&mut self.requests, arguments);
        let length = self.requests.len() - before;
        self.parts.push(Part { length, to, stands: Stands::ForItself });
        self.ends.push(ends);
    }

    /// Adds one that goes beside a request of the client's, encoded already.
    pub(crate) fn push_beside(&mut self, request: &[u8], to: To, stands: Stands) {
        self.requests.extend_from_slice(request);
        self.parts.push(Part { length: request.len(), to, stands });
        self.ends.push(Ends::Reply);
    }

    /// How many requests it has.
    pub(crate) fn count(&self) -> usize {
        self.parts.len()
    }

    /// Sends the requests and waits for their replies: for each request what came for it, or why
    /// nothing did.
    pub(crate) async fn run(self) -> Vec<Result<Bytes>> {
        match self.over {
            // All of it was answered here.
            _ if self.parts.is_empty() => Vec::new(),
            Over::Shared => {
                let Self { upstream, protocol, requests, parts, .. } = self;
                upstream.forward(Requests { bytes: requests.into(), parts, protocol }).await
            }
            Over::Dedicated => self.run_alone().await,
        }
    }
}
