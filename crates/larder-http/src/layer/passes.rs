//! What was found not to be stored, for a while: whoever asks for it waits for nobody.
//!
//! A table of fixed size, by a hash. Two URIs that share a place forget each other, which costs
//! one wait for a head.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::time::Duration;

use larder_core::Moment;
use larder_core::sync::Mutex;

/// So many are remembered.
const PLACES: usize = 4096;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Passes {
    for_long: Duration,
    hasher: RandomState,
    places: Mutex<Box<[(u64, Moment)]>>,
}

impl Passes {
    /// Remembers each for so long.
    pub(super) fn new(for_long: Duration) -> Self {
        let places = vec![(0, Moment::ZERO); PLACES].into_boxed_slice();
        Self { for_long, hasher: RandomState::new(), places: Mutex::new(places) }
    }

    /// What is asked for under this key isn't stored; with credentials it is another thing.
    pub(super) fn note(&self, key: &[u8], authorization: bool, now: Moment) {
        let (hash, place) = self.place(key, authorization);
        self.places.lock()[place] = (hash, now + self.for_long);
    }

    /// It was stored after all.
    pub(super) fn forget(&self, key: &[u8], authorization: bool) {
        let (hash, place) = self.place(key, authorization);
        let mut places = self.places.lock();
        if places[place].0 == hash {
            places[place] = (0, Moment::ZERO);
        }
    }

    /// Whether nobody is to wait for it.
    pub(super) fn knows(&self, key: &[u8], authorization: bool, now: Moment) -> bool {
        let (hash, place) = self.place(key, authorization);
        let (known, until) = self.places.lock()[place];
        known == hash && now < until
    }

    fn place(&self, key: &[u8], authorization: bool) -> (u64, usize) {
        let hash = self.hasher.hash_one((key, authorization));
        (hash, usize::try_from(hash % PLACES as u64).unwrap_or(0))
    }
}
