//! Where one server sits: at an address, or wherever Sentinels say that the master is.
//!
//! A master that lost its part says so, falls silent or closes its connections; then it is looked
//! for again, whenever a connection is opened. One that is cut off from its Sentinels and not from
//! us does none of that, so they are asked every two seconds as well, while requests go to it or
//! clients listen there.

use std::sync::Arc;
use std::time::Duration;

use larder_core::BoxFuture;
use larder_core::sync::Mutex;
use larder_redis::{Address, Servers};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::options::Options;

/// How often it is asked whether the master still is one.
const CHECKED_EVERY: Duration = Duration::from_secs(2);

/// Where one server sits.
#[derive(Clone)]
pub(super) struct Seat(Arc<Inner>);

struct Inner {
    servers: Servers,
    options: Options,
    /// Where it always is; otherwise it is looked for.
    address: Option<Address>,
    /// How often it had to be looked for anew.
    epoch: watch::Sender<u64>,
    seen: Mutex<Seen>,
}

/// What was last seen of a master that may move.
#[derive(Default)]
struct Seen {
    at: Option<Address>,
    checked: Option<Instant>,
}

impl Seat {
    /// That of the one server, or of the master.
    pub(super) fn primary(servers: &Servers, options: &Options) -> Self {
        Self::new(servers, options, None)
    }

    /// That of the server at this address.
    pub(super) fn at(address: &Address, servers: &Servers, options: &Options) -> Self {
        Self::new(servers, options, Some(address.clone()))
    }

    fn new(servers: &Servers, options: &Options, address: Option<Address>) -> Self {
        Self(Arc::new(Inner {
            servers: servers.clone(),
            options: options.clone(),
            address,
            epoch: watch::Sender::new(0),
            seen: Mutex::default(),
        }))
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.0.servers
    }

    pub(super) fn options(&self) -> &Options {
        &self.0.options
    }

    /// Where it always is.
    pub(super) fn address(&self) -> Option<&Address> {
        self.0.address.as_ref()
    }

    /// Whether it may be elsewhere tomorrow.
    pub(super) fn may_move(&self) -> bool {
        self.0.address.is_none() && self.0.servers.has_sentinels()
    }

    /// How often it had to be looked for anew: connections of before are to be used no more.
    pub(super) fn epoch(&self) -> u64 {
        *self.0.epoch.borrow()
    }

    /// A connection of this epoch leads to no master any more.
    pub(super) fn lost(&self, epoch: u64) {
        if self.may_move() {
            self.0.epoch.send_if_modified(|now| {
                let was = *now == epoch;
                *now += u64::from(was);
                was
            });
        }
    }

    /// Waits until a connection of this epoch leads to no master any more, and sees to it that
    /// somebody asks meanwhile. `None` where that is never so.
    pub(super) fn moved(&self, epoch: u64, runtime: &Handle) -> Option<BoxFuture<'static, ()>> {
        self.may_move().then(|| {
            let (seat, runtime) = (self.clone(), runtime.clone());
            let mut epochs = self.0.epoch.subscribe();
            let moved = async move {
                while timeout(CHECKED_EVERY, epochs.wait_for(|now| *now != epoch)).await.is_err() {
                    seat.check(&runtime);
                }
            };
            Box::pin(moved) as BoxFuture<'static, ()>
        })
    }

    /// A connection was opened to it there.
    pub(super) fn found(&self, address: &Address) {
        if self.may_move() {
            self.0.seen.lock().at = Some(address.clone());
        }
    }

    /// Sees to it that somebody asks, now and then, whether it is still there. Nobody waits for
    /// that.
    pub(super) fn check(&self, runtime: &Handle) {
        if !self.may_move() {
            return;
        }
        let mut seen = self.0.seen.lock();
        let now = Instant::now();
        let Some(at) = seen.at.clone() else { return };
        if seen.checked.is_some_and(|checked| now - checked < CHECKED_EVERY) {
            return;
        }
        seen.checked = Some(now);
        drop(seen);
        let (seat, epoch) = (self.clone(), self.epoch());
        runtime.spawn(async move {
            if seat.servers().has_moved(&at).await {
                seat.lost(epoch);
            }
        });
    }
}
