//! Observers: who is told what a cache does beside its reads.
//!
//! Hits are counted and never told: an observer costs a hit nothing. Everything else that a cache
//! does costs a load or a lock anyway.

use std::fmt;
use std::time::Duration;

use larder_core::{CacheKey, Error, KeyText, Reason};

use crate::cache::Parts;
use crate::fill::Fill;
use crate::invalidate::Invalidation;

/// Something that a cache did.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The name of the cache.
    pub cache: &'a str,
    /// The text of the key that it is about, if it is about one.
    pub key: Option<&'a str>,
    /// What happened.
    pub what: What<'a>,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum What<'a> {
    /// The source answered, or a caller's closure or ticket did.
    Loaded {
        /// Whether there was a value.
        present: bool,
        /// How long it took.
        took: Duration,
        /// Whether it was kept.
        fill: Fill,
    },
    /// A load failed.
    Failed {
        /// The error that everybody who waited for it received.
        error: &'a Error,
        /// How long it took.
        took: Duration,
    },
    /// A held value stood in: beyond the promise under `stale_on_error`, or because the read
    /// didn't want to wait longer.
    StoodIn {
        /// How old it was.
        age: Duration,
        /// Why.
        reason: Reason,
    },
    /// The sink was asked to write.
    Wrote {
        /// The word for it: "store", "delete", "add".
        verb: &'static str,
        /// How long it took.
        took: Duration,
        /// What it failed with, if it did.
        error: Option<&'a Error>,
    },
    /// A write took effect without an invalidation: from now on a read of the key returns nothing
    /// of before. Told again when a write that waited is applied.
    Changed,
    /// Something that is done behind failed, and is tried again.
    WriteFailed {
        /// What.
        what: Failing,
        /// Why.
        error: &'a Error,
    },
    /// The sink refused an acknowledged write, which is with the dead letters.
    Buried {
        /// Why.
        error: &'a Error,
    },
    /// A key was invalidated or marked stale.
    Invalidated(Invalidation),
    /// The whole cache was invalidated or marked stale.
    Swept(Invalidation),
    /// The keys with a prefix were invalidated or marked stale.
    SweptPrefix {
        /// The prefix.
        prefix: &'a str,
        /// What became of them.
        what: Invalidation,
        /// How many were held.
        entries: usize,
    },
}

/// What is struck by its tags, for who keeps things elsewhere that have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck<'a> {
    /// What has one of these tags; there is at least one.
    Tags(&'a [&'a str]),
    /// Whatever has any: something may have been missed of what others changed.
    Everything,
}

/// What failed of what is done [behind](crate::behind) and is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failing {
    /// A batch, of which nothing was written.
    Apply,
    /// A batch, which may be written or not.
    Unknown,
    /// Putting a write with the dead letters.
    Bury,
    /// Taking a dead letter back that is to be tried again.
    Requeue,
    /// Telling the journal what it needs no more.
    Truncate,
    /// Everything from now on, because another process owns the cache, or the journal failed. What
    /// waits stays in the journal.
    ForGood,
}

/// Who is told what a cache does. It is called where that happens, so it must be quick, must not
/// block, and must not panic.
///
/// ```
/// use larder_engine::Cache;
/// use larder_engine::observe::{Event, What};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
/// let loads = Arc::new(AtomicUsize::new(0));
/// let seen = Arc::clone(&loads);
/// let prices: Cache<u64, u32> = Cache::builder("price")
///     .max_staleness(Duration::from_secs(60))
///     .observe(move |event: &Event<'_>| {
///         if let What::Loaded { .. } = event.what {
///             seen.fetch_add(1, Ordering::Relaxed);
///         }
///     })
///     .build()?;
/// for _ in 0..10 {
///     prices.get_or_load(&7, |_| async { Ok(Some(1999)) }).await?;
/// }
/// assert_eq!(loads.load(Ordering::Relaxed), 1);
/// # Ok(()) }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}

/// The observers of one cache.
#[derive(Default)]
pub(crate) struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        self.0.push(Box::new(observer));
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Tells the observers what happened to a key.
    pub(crate) fn tell(&self, key: &K, what: What<'_>) {
        if self.observers.0.is_empty() {
            return;
        }
        let text = KeyText::lossy(key);
        self.tell_all(&Event { cache: &self.name, key: Some(&text), what });
    }

    /// Tells the observers what happened to the whole cache.
    pub(crate) fn tell_of_all(&self, what: What<'_>) {
        self.tell_all(&Event { cache: &self.name, key: None, what });
    }

    fn tell_all(&self, event: &Event<'_>) {
        self.observers.0.iter().for_each(|observer| observer.observe(event));
    }
}
