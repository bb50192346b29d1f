//! What a proxy counts, each way.
//!
//! It knows no connections.

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the server.
    Requests,
    /// To the client.
    Replies,
}

/// How many bytes came from one end and how many went on to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes that the proxy took.
    pub arrived: u64,
    /// Bytes that it passed on, or is just writing.
    pub passed: u64,
    /// Bytes that it will never pass on, because their connection was closed.
    pub lost: u64,
}

impl Flow {
    /// Bytes that have arrived and may pass yet.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.arrived - self.passed - self.lost
    }
}

/// What a [`Proxy`](super::Proxy) has seen since its start, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that clients have made, those included that were closed at once.
    pub connections: u64,
    /// Connections that are open now, or held.
    pub open: usize,
    /// Bytes from the clients to the server.
    pub requests: Flow,
    /// Bytes from the server to the clients.
    pub replies: Flow,
    /// How often a connection's server began to reply after its client had asked. What is asked
    /// while the replies are on their way counts with the next one, so a client that sends more
    /// than fits into one piece is counted right only behind a [delay](super::Proxy::delay).
    pub round_trips: u64,
}
