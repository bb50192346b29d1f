//! What a cache is worth: its numbers, gathered for a verdict.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{CacheKey, KeyText, Moment};

use crate::cache::{Cache, Parts};
use crate::ledger::Ledger;
use crate::verdict::{Fragments, Reloads, Verdict, Worth, verdict};

/// What tells two values apart, cheaply: equal values have equal fingerprints.
pub(crate) type Fingerprint<V> = Box<dyn Fn(&V) -> u64 + Send + Sync>;

/// The parts of a key, as texts.
pub(crate) type Split<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// The parts of a key: what they are called, and how a key is split.
pub(crate) struct KeyParts<K> {
    pub(crate) names: Vec<String>,
    pub(crate) split: Split<K>,
}

/// What is noted of loads for the sake of the verdict.
pub(crate) struct Notes<K, V> {
    pub(crate) ledger: Arc<Ledger<K, V>>,
    /// The number that this cache's entries carry.
    pub(crate) ledger_number: u16,
    pub(crate) built_at: Moment,
    fragments: Fragments,
    key_parts: Option<KeyParts<K>>,
    reloads: Reloads,
    fingerprint: Option<Fingerprint<V>>,
}

impl<K: CacheKey, V> Notes<K, V> {
    pub(crate) fn new(
        ledger: Arc<Ledger<K, V>>,
        ledger_number: u16,
        built_at: Moment,
        key_parts: Option<KeyParts<K>>,
        fingerprint: Option<Fingerprint<V>>,
    ) -> Self {
        let parts = key_parts.as_ref().map_or(1, |parts| parts.names.len());
        Self {
            ledger,
            ledger_number,
            built_at,
            fragments: Fragments::new(parts),
            key_parts,
            reloads: Reloads::default(),
            fingerprint,
        }
    }

    /// Notes that the source answered for this key, whose hash is given too.
    pub(crate) fn loaded(&self, key: &K, hash: u64, value: Option<&V>) {
        match &self.key_parts {
            Some(parts) => {
                let split = (parts.split)(key);
                self.fragments.note(&split.iter().map(String::as_str).collect::<Vec<_>>());
            }
            None => self.fragments.note_hashes([hash].into_iter()),
        }
        if let (Some(value), Some(fingerprint)) = (value, &self.fingerprint) {
            self.reloads.note(hash, fingerprint(value));
        }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// What this cache saved and spent since it was built.
    #[must_use]
    pub fn worth(&self) -> Worth {
        self.0.worth()
    }

    /// One sentence about whether this cache is worth it, and what would make it so.
    ///
    /// ```
    /// # use larder_engine::Cache;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let prices: Cache<u64, u32> =
    /// #     Cache::builder("price").max_staleness(Duration::from_secs(60)).build()?;
    /// assert_eq!(prices.verdict().to_string(), "too early to say: 0 reads");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        verdict(&self.worth())
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    fn worth(&self) -> Worth {
        let stats = self.counters.snapshot();
        let notes = &self.notes;
        let now = self.engine.now();
        let loads = self.counters.keys_loaded.get() + self.counters.keys_failed.get();
        let spent = stats.loads.sum + Duration::from_nanos(self.counters.aside_nanos.get());
        let bounds = self.memory.bounds();
        let names: &[String] = notes.key_parts.as_ref().map_or(&[], |parts| &parts.names);
        Worth {
            hits: stats.hits(),
            misses: stats.misses,
            loads,
            load_errors: self.counters.keys_failed.get(),
            absent: stats.absent,
            distinct: notes.fragments.keys(),
            load_time_spent: spent,
            load_time_saved: Worth::estimate_saved(stats.hits(), loads, spent),
            reloads: notes.reloads.reloads(),
            reloads_same: notes.reloads.same(),
            fills_refused: stats.fills_refused,
            fills_not_kept: stats.not_kept,
            evicted: notes.ledger.evicted.get(),
            invalidations: stats.invalidations,
            bytes: notes.ledger.room.bytes(),
            byte_seconds: notes.ledger.room.byte_seconds(now),
            memory_bytes: self.memory.bytes() as u64,
            memory_bytes_max: bounds.bytes_max().map_or(0, |bytes| bytes as u64),
            elapsed: now - notes.built_at,
            fragment: notes.fragments.worst(names),
            ..Worth::nothing(self.window)
        }
    }

    /// How long a ticket's owner took to load for himself.
    pub(crate) fn loaded_aside(&self, cost: Duration) {
        let nanos = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        self.counters.aside_nanos.add(nanos);
    }
}

/// The parts of keys whose text has so many, separated as the text of tuples is.
pub(crate) fn parts_of_tuples<K: CacheKey>(names: Vec<String>) -> KeyParts<K> {
    let split = |key: &K| {
        let text = KeyText::of(key).unwrap_or_default();
        larder_core::key::parts(&text).unwrap_or_default()
    };
    KeyParts { names, split: Box::new(split) }
}
