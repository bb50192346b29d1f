//! One server, as the requests of all clients reach it: a few connections that they share, for
//! each of the two versions of the protocol, begun when they are first needed.

use std::sync::{Arc, OnceLock};

use larder_core::sync::{AtomicUsize, Ordering};
use larder_resp::codec::Protocol;
use larder_resp::upstream::Requests;
use tokio::runtime::Handle;

use super::lane::{Came, Lane};
use super::seat::Seat;

/// The connections to one server.
#[derive(Clone)]
pub(super) struct Lanes(Arc<Inner>);

struct Inner {
    seat: Seat,
    runtime: Handle,
    resp2: OnceLock<Box<[Lane]>>,
    resp3: OnceLock<Box<[Lane]>>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

impl Lanes {
    pub(super) fn new(seat: Seat, runtime: Handle) -> Self {
        let (resp2, resp3, turn) = (OnceLock::new(), OnceLock::new(), AtomicUsize::new(0));
        Self(Arc::new(Inner { seat, runtime, resp2, resp3, turn }))
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.0.seat
    }

    /// Has requests sent, all on one connection, and waits for their replies.
    pub(super) fn order(&self, requests: Requests) -> impl Future<Output = Vec<Came>> + use<> {
        let Inner { seat, runtime, resp2, resp3, turn } = &*self.0;
        seat.check(runtime);
        let protocol = requests.protocol;
        let lanes = if protocol == Protocol::Resp3 { resp3 } else { resp2 };
        let lanes = lanes.get_or_init(|| {
            let start = |_| Lane::start(seat.clone(), protocol, runtime);
            (0..seat.options().connections.max(1)).map(start).collect()
        });
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let ordered = lanes[turn % lanes.len()].order(requests);
        // Its connections last while somebody waits, though the server may be none of ours now.
        let kept = self.clone();
        async move {
            let came = ordered.await;
            drop(kept);
            came
        }
    }
}
