//! A shared tier and bus in memory, for tests of several processes in one.
//!
//! [`SimShared`] is the server: what it holds, and the faults that strike everybody. A
//! [`SimClient`] is the connection of one process, with faults of its own. Both follow the
//! contracts of [`larder_core::shared`] and [`larder_core::bus`], and every rule stands in one
//! place: entries, leases and marks in `store`, the bus in `log`, what gets lost on the way in
//! `server`.
//!
//! It knows no runtime, no network and no envelope beyond its state and fill stamp.

mod calls;
mod client;
mod log;
mod server;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use larder_core::Clock;
use larder_core::shared::{Abilities, Incarnation};

use crate::watched::Watched;

pub use calls::{Call, Calls, Count};
pub use client::SimClient;
use log::Log;
use server::Server;
use store::Store;

/// A server in memory that is a shared tier and a bus for its [clients](Self::client). Clones are
/// the same server.
///
/// It holds at most [`HELD_MAX`](Self::HELD_MAX) entries, leases and marks, each: beyond that it
/// evicts an entry or a lease, or loses its marks.
///
/// ```
/// use larder_core::SharedTier;
/// use larder_core::shared::{LeaseAsk, SharedRead};
/// use larder_test::{ManualClock, SimShared};
/// use std::{sync::Arc, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let server = SimShared::new(Arc::new(ManualClock::new()));
/// let (a, b) = (server.client(), server.client());
/// let ask = [LeaseAsk { key: b"user:42", seen: None }];
/// let first = a.lease_many(&ask, Duration::from_secs(1)).await;
/// assert!(matches!(first[0], Ok(SharedRead::Miss(_))));
/// b.down();
/// assert!(b.probe().await.is_err() && a.probe().await.is_ok());
/// # }
/// ```
#[derive(Clone)]
pub struct SimShared(Watched<Server>);

/// What a server held at some moment, to be [restored](SimShared::restart_with).
#[derive(Clone)]
pub struct Snapshot {
    store: Store,
    /// How far the bus had come.
    number: u64,
}

impl SimShared {
    /// The most entries that it holds, the most leases, and the most marks.
    pub const HELD_MAX: usize = 100_000;
    /// How many messages the bus keeps, if not told otherwise.
    pub const LOG_MAX: usize = 1_000;

    /// An empty server that takes the time from `clock` and can do everything that there is: it
    /// announces what it invalidates in the same step.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::holding(clock, Self::HELD_MAX)
    }

    fn holding(clock: Arc<dyn Clock>, held_max: usize) -> Self {
        let store = Store::new(held_max);
        let abilities = Abilities {
            marks: true,
            announces: true,
            intents: true,
            marks_stale: true,
            resolution: store.resolution(),
            key_bytes_max: 64 << 10,
            envelope_bytes_max: 8 << 20,
        };
        let log = Log::new(Self::LOG_MAX);
        Self(Watched::new(Server::new(clock, store, log, abilities)))
    }

    /// With a bus of its own or not: whether what is invalidated is announced in the same step.
    #[must_use]
    pub fn announcing(self, announces: bool) -> Self {
        self.with_abilities(|abilities| abilities.announces = announces)
    }

    /// With other abilities, those of Memcached for instance. What it can't do it refuses.
    #[must_use]
    pub fn with_abilities(self, change: impl FnOnce(&mut Abilities)) -> Self {
        self.0.change(|server| {
            change(&mut server.data.abilities);
            server.data.store.set_resolution(server.data.abilities.resolution);
        });
        self
    }

    /// With a bus that keeps `messages_max` messages: who is further behind is told of a gap.
    #[must_use]
    pub fn log_max(self, messages_max: usize) -> Self {
        self.0.change(|server| server.data.log.set_messages_max(messages_max));
        self
    }

    /// A connection of one more process.
    #[must_use]
    pub fn client(&self) -> SimClient {
        SimClient::new(self.0.clone())
    }

    /// Evicts the entry of a key; whether one was there.
    pub fn evict(&self, key: &[u8]) -> bool {
        self.0.change(|server| server.data.store.evict(key))
    }

    /// Evicts the lease of a key; whether one was there.
    pub fn evict_lease(&self, key: &[u8]) -> bool {
        self.0.change(|server| server.data.store.evict_lease(key))
    }

    /// Forgets the intents of a key's writers, as a full server may; whether there were any.
    pub fn forget_intents(&self, key: &[u8]) -> bool {
        self.0.change(|server| server.data.store.forget_intents(key))
    }

    /// How many writers of a key have announced themselves and not ended.
    #[must_use]
    pub fn intents(&self, key: &[u8]) -> usize {
        self.0.read(|server| server.data.store.intents(key, server.data.now()))
    }

    /// Loses all marks, which begins another incarnation of them.
    pub fn lose_marks(&self) {
        self.0.change(|server| server.data.store.lose_marks());
    }

    /// What it holds now: entries, leases, marks, and how far the bus has come.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.read(|server| Snapshot {
            store: server.data.store.clone(),
            number: server.data.log.end().number,
        })
    }

    /// Starts again, empty: entries, leases, marks and bus are gone, and all incarnations are
    /// others. What was sent and waits fails; subscribers are told of a gap.
    pub fn restart_empty(&self) {
        self.0.change(|server| {
            server.data.store = server.data.store.restarted();
            server.data.log.restart(0);
            server.break_off(|_| true);
        });
    }

    /// Starts again with what it held then, as after a failover to a copy that lagged behind:
    /// another incarnation, and a bus whose numbers go back, in another run. The marks keep the
    /// incarnation that they had. What was sent and waits fails; subscribers are told of a gap.
    pub fn restart_with(&self, snapshot: &Snapshot) {
        self.0.change(|server| {
            server.data.store = server.data.store.rolled_back(&snapshot.store);
            server.data.log.restart(snapshot.number);
            server.break_off(|_| true);
        });
    }

    /// Cuts everybody off: everything fails at once, and what was sent and waits is lost. What is
    /// held stays, and grows older.
    pub fn down(&self) {
        self.0.change(|server| {
            server.is_down = true;
            server.break_off(|_| true);
        });
    }

    /// Ends [`down`](Self::down).
    pub fn up(&self) {
        self.0.change(|server| server.is_down = false);
    }

    /// Stands still: everything waits, at most 10,000 questions, and further ones fail. What was
    /// sent takes effect when this ends, even if nobody waits for it any more.
    pub fn pause(&self) {
        self.0.change(|server| server.is_paused = true);
    }

    /// Ends [`pause`](Self::pause).
    pub fn resume(&self) {
        self.0.change(|server| {
            server.is_paused = false;
            server.resume();
        });
    }

    /// The envelope that is held under a key.
    #[must_use]
    pub fn held(&self, key: &[u8]) -> Option<Bytes> {
        let entry = self.0.read(|server| server.data.store.get(key, server.data.now()));
        entry.map(|entry| entry.envelope)
    }

    /// Whether somebody has the lease of a key.
    #[must_use]
    pub fn lease_held(&self, key: &[u8]) -> bool {
        self.0.read(|server| server.data.store.is_leased(key, server.data.now()))
    }

    /// The keys under which something is held, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<Bytes> {
        self.0.read(|server| server.data.store.keys(server.data.now()))
    }

    /// How many messages the bus keeps now.
    #[must_use]
    pub fn bus_len(&self) -> usize {
        self.0.read(|server| server.data.log.len())
    }

    /// What all processes together have asked.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.0.read(|server| server.connections.iter().map(|connection| connection.calls).sum())
    }

    /// The run that it is in.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.0.read(|server| server.data.store.incarnation())
    }
}

impl fmt::Debug for SimShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimShared")
            .field("incarnation", &self.incarnation())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A random number that is neither `old` nor zero, as the runs of a server get.
fn random_unlike(old: u32) -> u32 {
    let random = RandomState::new().hash_one(old);
    // Both halves of one hash; if neither will do, what follows the old one does.
    [random as u32, (random >> 32) as u32]
        .into_iter()
        .find(|&number| number != old && number != 0)
        .unwrap_or(old % (u32::MAX - 1) + 1)
}
