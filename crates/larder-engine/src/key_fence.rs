//! The fence of one key, for who hands what he reads to others as well.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use larder_core::{CacheKey, Moment};

use crate::cache::Cache;
use crate::events::{Fate, tag_hash};
use crate::fence::Fence;

/// What was captured of a key before it was read. As long as it holds, what is read may be given to
/// others who want the key, too; who comes after an invalidation must read for himself.
///
/// A [ticket](crate::Ticket) has one of its own, and is what fills. This one fills nothing and
/// counts as no lookup.
///
/// ```
/// # use larder_engine::{Cache, Invalidation};
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
/// # let pages: Cache<String, u32> =
/// #     Cache::builder("page").max_staleness(Duration::from_secs(2)).build()?;
/// let (fence, other) = (pages.fence("/"), pages.fence("/other"));
/// // … "/" is read, and is on its way …
/// assert!(fence.vouches(pages.engine().clock().now()) && fence.holds_with(&["news"]));
/// pages.invalidate_tags(&["news"]).await?;
/// assert!(fence.holds() && !fence.holds_with(&["news"]) && fence.holds_with(&["sport"]));
/// pages.invalidate(&"/".to_owned()).await?;
/// assert!(!fence.holds() && other.holds());
/// # Ok(()) }
/// ```
pub struct KeyFence<K, V> {
    cache: Cache<K, V>,
    fence: Fence,
    taken_at: Moment,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The fence of `key`, to be captured before it is read.
    pub fn fence<Q>(&self, key: &Q) -> KeyFence<K, V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let taken_at = self.0.engine.now();
        KeyFence { cache: self.clone(), fence: self.0.fence(key), taken_at }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> KeyFence<K, V> {
    /// Whether nothing has invalidated the key, or marked it stale, since it was captured, as far
    /// as is known at this moment: by itself, with its whole cache, or with any prefix. Keys that
    /// share an epoch may make it `false`, never `true`.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.cache.0.fence_holds(self.fence)
    }

    /// Whether who asks at `now` may be given what is read of the key, tags aside: it
    /// [holds](Self::holds), and was captured no longer ago than the cache's `max_staleness`, or
    /// everything up to then was heard of that others invalidated.
    #[must_use]
    pub fn vouches(&self, now: Moment) -> bool {
        let parts = &self.cache.0;
        // The horizon comes before what it vouches for.
        let as_of = self.taken_at.max(parts.horizon());
        self.holds() && now - as_of <= parts.window.max_staleness
    }

    /// Whether it [holds](Self::holds) for what turned out to have these tags, too. Tags that share
    /// a mark may make it `false`, never `true`.
    #[must_use]
    pub fn holds_with<T: AsRef<str>>(&self, tags: &[T]) -> bool {
        let (events, born) = (self.cache.0.engine.events(), self.fence.born);
        let stands = |tag: &T| events.fate(&[tag_hash(tag.as_ref())], born) == Fate::Stands;
        self.holds() && (events.last_of_tags() <= born || tags.iter().all(stands))
    }
}

impl<K, V> fmt::Debug for KeyFence<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFence").field("fence", &self.fence).finish_non_exhaustive()
    }
}
