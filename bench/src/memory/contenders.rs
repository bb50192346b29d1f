//! Who takes part: larder, its peers, and a bare map as the floor; and what each is asked to do.
//!
//! A workload is a [`Job`] or a [`ReadJob`], generic over the type under test, so that its hot
//! loop is compiled for each contender by itself: nothing is dispatched per operation.

mod larder;
mod peers;

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use crate::memory::requests;
use crate::memory::rounds::Entrant;

/// One of those under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Contender {
    Larder,
    QuickCache,
    Moka,
    FoyerLfu,
    #[value(name = "foyer_s3fifo")]
    FoyerS3Fifo,
    FoyerLru,
    Stretto,
    MutexLru,
    /// Holds everything and synchronizes nothing: no cache, but what no cache can pass by much.
    Hashbrown,
}

impl Contender {
    pub(crate) const ALL: [Self; 9] = [
        Self::Larder,
        Self::QuickCache,
        Self::Moka,
        Self::FoyerLfu,
        Self::FoyerS3Fifo,
        Self::FoyerLru,
        Self::Stretto,
        Self::MutexLru,
        Self::Hashbrown,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::QuickCache => "quick_cache",
            Self::Moka => "moka",
            Self::FoyerLfu => "foyer_lfu",
            Self::FoyerS3Fifo => "foyer_s3fifo",
            Self::FoyerLru => "foyer_lru",
            Self::Stretto => "stretto",
            Self::MutexLru => "mutex_lru",
            Self::Hashbrown => "hashbrown",
        }
    }

    /// The package whose version stands for this contender.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Larder => "larder-memory",
            Self::FoyerLfu | Self::FoyerS3Fifo | Self::FoyerLru => "foyer-memory",
            Self::MutexLru => "lru",
            other => other.name(),
        }
    }

    /// Whether this is a cache of others: neither larder nor the floor.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Larder | Self::Hashbrown)
    }

    /// Runs `job` with the type that stands for this contender when nothing expires.
    pub(crate) fn read<K: Key, V: Value, J: ReadJob<K, V>>(self, job: J) -> J::Out {
        use peers::{Foyer, Hashbrown, Lfu, Lru, Moka, MutexLru, QuickCache, S3Fifo, Stretto};
        match self {
            Self::Larder => job.run::<larder::Larder<K, V, Forever>>(),
            Self::QuickCache => job.run::<QuickCache<K, V>>(),
            Self::Moka => job.run::<Moka<K, V, Forever>>(),
            Self::FoyerLfu => job.run::<Foyer<K, V, Lfu>>(),
            Self::FoyerS3Fifo => job.run::<Foyer<K, V, S3Fifo>>(),
            Self::FoyerLru => job.run::<Foyer<K, V, Lru>>(),
            Self::Stretto => job.run::<Stretto<K, V, Forever>>(),
            Self::MutexLru => job.run::<MutexLru<K, V>>(),
            Self::Hashbrown => job.run::<Hashbrown<K, V>>(),
        }
    }

    /// Runs `job` with the type whose entries expire; `None` for those that know no expiry.
    pub(crate) fn read_expiring<K: Key, V: Value, J: ReadJob<K, V>>(
        self,
        job: J,
    ) -> Option<J::Out> {
        match self {
            Self::Larder => Some(job.run::<larder::Larder<K, V, AnHour>>()),
            Self::Moka => Some(job.run::<peers::Moka<K, V, AnHour>>()),
            Self::Stretto => Some(job.run::<peers::Stretto<K, V, AnHour>>()),
            _ => None,
        }
    }

    /// Runs `job` with the type of this contender; `None` for the floor, which evicts nothing.
    pub(crate) fn cache<K: Key, V: Value, J: Job<K, V>>(self, job: J) -> Option<J::Out> {
        use peers::{Foyer, Lfu, Lru, Moka, MutexLru, QuickCache, S3Fifo, Stretto};
        Some(match self {
            Self::Larder => job.run::<larder::Larder<K, V, Forever>>(),
            Self::QuickCache => job.run::<QuickCache<K, V>>(),
            Self::Moka => job.run::<Moka<K, V, Forever>>(),
            Self::FoyerLfu => job.run::<Foyer<K, V, Lfu>>(),
            Self::FoyerS3Fifo => job.run::<Foyer<K, V, S3Fifo>>(),
            Self::FoyerLru => job.run::<Foyer<K, V, Lru>>(),
            Self::Stretto => job.run::<Stretto<K, V, Forever>>(),
            Self::MutexLru => job.run::<MutexLru<K, V>>(),
            Self::Hashbrown => return None,
        })
    }
}

impl Entrant for Contender {
    const LARDER: Self = Self::Larder;

    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn is_peer(self) -> bool {
        Self::is_peer(self)
    }
}

/// What is done with a type that can be filled and read.
pub(crate) trait ReadJob<K: Key, V: Value> {
    type Out;
    fn run<C: Read<K, V> + 'static>(self) -> Self::Out;
}

/// What is done with a cache.
pub(crate) trait Job<K: Key, V: Value> {
    type Out;
    fn run<C: Cache<K, V> + 'static>(self) -> Self::Out;
}

/// What is filled once and then read.
pub(crate) trait Read<K: Key, V: Value>: Send + Sync + Sized {
    /// Room for `capacity` entries, and these in it.
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self;

    /// The value under `key`, cloned.
    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized;

    /// Waits for what the contender still has to do by itself, so that it disturbs nobody else.
    fn settle(&self) {}
}

/// What is bounded.
pub(crate) trait Cache<K: Key, V: Value>: Read<K, V> {
    /// Empty, as its users would make it.
    fn with_capacity(capacity: usize) -> Self;

    /// Empty, and arranged for the most hits, where that costs nothing but throughput.
    fn for_hits(capacity: usize) -> Self {
        Self::with_capacity(capacity)
    }

    /// Holds `value` under `key`.
    fn insert(&self, key: K, value: V);
}

/// What a cache is when it has been made and filled.
fn fill<K: Key, V: Value, C: Cache<K, V>>(
    capacity: usize,
    entries: impl Iterator<Item = (K, V)>,
) -> C {
    let cache = C::with_capacity(capacity);
    for (key, value) in entries {
        cache.insert(key, value);
    }
    cache.settle();
    cache
}

/// Whether entries expire: far ahead, so that none ever does while it is measured.
pub(crate) trait Lifetime: Send + Sync + 'static {
    const TTL: Option<Duration>;
}

/// Nothing expires, and nobody has to read a clock.
pub(crate) struct Forever;
/// Everything expires in an hour.
pub(crate) struct AnHour;

impl Lifetime for Forever {
    const TTL: Option<Duration> = None;
}

impl Lifetime for AnHour {
    const TTL: Option<Duration> = Some(Duration::from_secs(3600));
}

/// A key, made of the number of an entry.
pub(crate) trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    fn numbered(id: u64) -> Self;
}

impl Key for u64 {
    fn numbered(id: u64) -> Self {
        requests::key(id)
    }
}

impl Key for String {
    fn numbered(id: u64) -> Self {
        requests::text_key(id)
    }
}

/// A value, made of the number of an entry.
pub(crate) trait Value: Clone + Send + Sync + 'static {
    fn of(id: u64) -> Self;

    /// One byte of it, read where it stands.
    fn byte(&self) -> u8;
}

impl Value for u64 {
    fn of(id: u64) -> Self {
        id
    }

    fn byte(&self) -> u8 {
        *self as u8
    }
}

/// What is shared and not copied: a hit costs a reference count, and a line more.
pub(crate) type Shared = Arc<[u8; 64]>;

impl Value for Shared {
    fn of(id: u64) -> Self {
        Arc::new([id as u8; 64])
    }

    fn byte(&self) -> u8 {
        self[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct HoldsTen;

    impl Job<u64, u64> for HoldsTen {
        type Out = bool;

        fn run<C: Cache<u64, u64> + 'static>(self) -> bool {
            let entries = (0..10).map(|id| (u64::numbered(id), id));
            let cache: C = fill(1000, entries);
            (0..10).all(|id| cache.get(&u64::numbered(id)) == Some(id))
        }
    }

    struct Finds;

    impl ReadJob<String, Shared> for Finds {
        type Out = Vec<bool>;

        fn run<C: Read<String, Shared> + 'static>(self) -> Vec<bool> {
            let held = C::filled(1000, (0..10).map(|id| (String::numbered(id), Shared::of(id))));
            (0..11).map(|id| held.get(String::numbered(id).as_str()).is_some()).collect()
        }
    }

    #[test]
    fn every_cache_holds_what_is_put_in() {
        for contender in Contender::ALL {
            let held = contender.cache(HoldsTen);
            assert_eq!(held, (contender != Contender::Hashbrown).then_some(true), "{contender:?}");
        }
    }

    #[test]
    fn every_contender_finds_what_it_was_filled_with_and_nothing_else() {
        let mut expected = vec![true; 10];
        expected.push(false);
        for contender in Contender::ALL {
            assert_eq!(contender.read(Finds), expected, "{contender:?}");
            if let Some(found) = contender.read_expiring(Finds) {
                assert_eq!(found, expected, "{contender:?}");
            }
        }
    }

    #[test]
    fn the_name_is_the_one_on_the_command_line() {
        for contender in Contender::ALL {
            let value = contender.to_possible_value().expect("no contender is hidden");
            assert_eq!(value.get_name(), contender.name());
        }
    }
}
