//! Ledgers: what each cache of a memory tier has taken of it, and for how long.
//!
//! A tier knows its entries and not whose they are. Each entry carries the number of its cache's
//! ledger, and the tier says of each that leaves.

use std::array;
use std::fmt;
use std::sync::{Arc, OnceLock};

use larder_core::Clock;
use larder_core::sync::{AtomicUsize, Counter, Ordering};
use larder_memory::RemovalCause;

use crate::slot::Slot;
use crate::verdict::Room;

/// How many bytes a key and its value take beyond their own `size_of`.
pub(crate) type Weigh<K, V> = Box<dyn Fn(&K, Option<&V>) -> usize + Send + Sync>;

/// So many caches of one tier have a ledger. What further ones take isn't told apart.
pub(crate) const LEDGERS_MAX: usize = 255;

/// Of an entry that nobody keeps a ledger for.
pub(crate) const NOBODY: u16 = 0;

/// What one cache has taken of its tier.
pub(crate) struct Ledger<K, V> {
    weigh: Weigh<K, V>,
    clock: Arc<dyn Clock>,
    pub(crate) room: Room,
    pub(crate) evicted: Counter,
}

impl<K, V> Ledger<K, V> {
    pub(crate) fn new(weigh: Weigh<K, V>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { weigh, clock, room: Room::default(), evicted: Counter::default() })
    }

    /// What an entry weighs, besides its own `size_of`.
    pub(crate) fn weight(&self, key: &K, slot: &Slot<V>) -> usize {
        let rider = slot.rider.as_ref();
        let own = rider.and_then(|rider| rider.weight);
        own.unwrap_or_else(|| (self.weigh)(key, slot.value.as_ref()))
            .saturating_add(rider.map_or(0, |rider| rider.heap_bytes()))
    }

    /// An entry of this weight was stored.
    pub(crate) fn stored(&self, weight: usize) {
        self.room.changed(bytes::<K, V>(weight), self.clock.about_now());
    }

    /// An entry left.
    fn left(&self, key: &K, slot: &Slot<V>, cause: RemovalCause) {
        self.room.changed(-bytes::<K, V>(self.weight(key, slot)), self.clock.about_now());
        if cause == RemovalCause::Evicted {
            self.evicted.add(1);
        }
    }
}

/// What an entry takes with its slot.
fn bytes<K, V>(weight: usize) -> i64 {
    let slot = size_of::<K>() + size_of::<Slot<V>>();
    i64::try_from(weight.saturating_add(slot)).unwrap_or(i64::MAX)
}

/// The ledgers of one tier.
pub(crate) struct Ledgers<K, V> {
    given: AtomicUsize,
    ledgers: [OnceLock<Arc<Ledger<K, V>>>; LEDGERS_MAX],
}

impl<K, V> Ledgers<K, V> {
    pub(crate) fn new() -> Arc<Self> {
        let given = AtomicUsize::new(0);
        Arc::new(Self { given, ledgers: array::from_fn(|_| OnceLock::new()) })
    }

    /// Adds a ledger, and returns the number that its entries carry.
    pub(crate) fn add(&self, ledger: &Arc<Ledger<K, V>>) -> u16 {
        let at = self.given.fetch_add(1, Ordering::Relaxed);
        match self.ledgers.get(at) {
            Some(place) if place.set(Arc::clone(ledger)).is_ok() => {
                u16::try_from(at + 1).unwrap_or(NOBODY)
            }
            _ => NOBODY,
        }
    }

    /// Says that an entry left the tier.
    pub(crate) fn left(&self, key: &K, slot: &Slot<V>, cause: RemovalCause) {
        let at = usize::from(slot.ledger).checked_sub(1);
        if let Some(ledger) = at.and_then(|at| self.ledgers.get(at)?.get()) {
            ledger.left(key, slot, cause);
        }
    }
}

impl<K, V> fmt::Debug for Ledgers<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledgers").finish_non_exhaustive()
    }
}
