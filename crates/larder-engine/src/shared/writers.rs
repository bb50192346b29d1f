//! Keys whose writers announced that they are about to commit, and haven't ended.
//!
//! Until then nobody here fills memory with such a key: what is loaded may be from before the
//! commit. The order is what makes that hold:
//!
//! 1. who hears of a writer notes it here, and **then** raises the key's epoch and drops it,
//! 2. who fills looks here under the memory tier's lock of the key, at which it compares the epoch,
//! 3. a writer is forgotten here only **after** the epoch was raised once more: when it has
//!    ended, or when the time is over that it asked for.
//!
//! So a load that began before step 1 finds its epoch raised; one that began since then, and fills
//! before step 3, finds the writer; and one that began before the raise of step 3, its epoch.
//!
//! It knows no cache, no tier and no clock.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use larder_core::Moment;
use larder_core::shared::Intent;
use larder_core::sync::{AtomicUsize, Mutex, Ordering};

/// See the module's documentation. At most so many writers are noted; while there are more,
/// everything counts as being written, until the last of those that found no room is over.
#[derive(Debug)]
pub(crate) struct Writers {
    noted: Mutex<Noted>,
    /// How many there are; read without the lock by those who find nothing.
    count: AtomicUsize,
    max: usize,
}

#[derive(Debug, Default)]
struct Noted {
    caches: HashMap<Box<str>, Keys, RandomState>,
    /// Until when everything counts as being written.
    all_until: Option<Moment>,
}

/// The writers of each key, with the ends of their times.
type Keys = HashMap<Box<str>, Vec<(Intent, Moment)>, RandomState>;

/// What is over, and to be struck before it is [forgotten](Writers::forget).
#[derive(Debug, Default)]
pub(super) struct Over {
    /// Writers: cache, key, intent.
    pub(super) writers: Vec<(Box<str>, Box<str>, Intent)>,
    /// Whether those are that found no room.
    pub(super) all: bool,
}

impl Writers {
    pub(super) fn new(max: usize) -> Self {
        Self { noted: Mutex::default(), count: AtomicUsize::new(0), max }
    }

    /// Notes a writer.
    pub(super) fn note(&self, cache: &str, key: &str, intent: Intent, until: Moment) {
        let mut noted = self.noted.lock();
        if self.count.load(Ordering::Relaxed) >= self.max {
            if noted.all_until.is_none() {
                self.count.fetch_add(1, Ordering::Release);
            }
            noted.all_until = noted.all_until.max(Some(until));
            return;
        }
        let keys = match noted.caches.get_mut(cache) {
            Some(keys) => keys,
            None => noted.caches.entry(cache.into()).or_default(),
        };
        let writers = keys.entry(key.into()).or_default();
        match writers.iter_mut().find(|(noted, _)| *noted == intent) {
            Some((_, noted_until)) => *noted_until = until.max(*noted_until),
            None => {
                writers.push((intent, until));
                self.count.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Whether a key is being written, as far as is known.
    pub(crate) fn has(&self, cache: &str, key: impl FnOnce() -> Option<String>) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let Some(key) = key() else { return true };
        let noted = self.noted.lock();
        noted.all_until.is_some()
            || noted.caches.get(cache).is_some_and(|keys| keys.contains_key(&*key))
    }

    /// Whether a key is being written by somebody else than this one.
    pub(super) fn has_other(&self, cache: &str, key: &str, intent: Intent) -> bool {
        let noted = self.noted.lock();
        let writers = noted.caches.get(cache).and_then(|keys| keys.get(key));
        noted.all_until.is_some()
            || writers.is_some_and(|writers| writers.iter().any(|(other, _)| *other != intent))
    }

    /// Forgets a writer, after the key was struck.
    pub(super) fn forget(&self, cache: &str, key: &str, intent: Intent) {
        self.forget_if(cache, key, |noted, _| noted == intent);
    }

    /// The same for one whose time is over: not if it has been prolonged meanwhile.
    pub(super) fn forget_over(&self, cache: &str, key: &str, intent: Intent, now: Moment) {
        self.forget_if(cache, key, |noted, until| noted == intent && until < now);
    }

    fn forget_if(&self, cache: &str, key: &str, is_meant: impl Fn(Intent, Moment) -> bool) {
        let mut noted = self.noted.lock();
        let Some(keys) = noted.caches.get_mut(cache) else { return };
        let Some(writers) = keys.get_mut(key) else { return };
        let before = writers.len();
        writers.retain(|&(noted, until)| !is_meant(noted, until));
        self.count.fetch_sub(before - writers.len(), Ordering::Release);
        if writers.is_empty() {
            keys.remove(key);
        }
        if keys.is_empty() {
            noted.caches.remove(cache);
        }
    }

    /// Forgets those that found no room, after everything was struck.
    pub(super) fn forget_all(&self, now: Moment) {
        let mut noted = self.noted.lock();
        if noted.all_until.take_if(|until| *until < now).is_some() {
            self.count.fetch_sub(1, Ordering::Release);
        }
    }

    /// Whose time is over, without an end.
    pub(super) fn over(&self, now: Moment) -> Over {
        if self.count.load(Ordering::Acquire) == 0 {
            return Over::default();
        }
        let noted = self.noted.lock();
        let mut over =
            Over { all: noted.all_until.is_some_and(|until| until < now), ..Over::default() };
        for (cache, keys) in &noted.caches {
            for (key, writers) in keys {
                let ended = writers.iter().filter(|(_, until)| *until < now);
                over.writers.extend(ended.map(|(intent, _)| (cache.clone(), key.clone(), *intent)));
            }
        }
        over
    }
}
