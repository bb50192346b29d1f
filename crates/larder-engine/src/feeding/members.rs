//! The caches that a feed covers.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use larder_core::feed::Notice;
use larder_core::sync::{AtomicBool, Ordering};
use larder_core::{BoxFuture, CacheKey, Result};

use super::{Route, Touched};
use crate::cache::{Cache, Parts};

/// A cache, its types forgotten.
pub(super) trait Covered: Send + Sync {
    /// Whether anybody still has it.
    fn lives(&self) -> bool;

    /// Whether everything that was told is known to have been applied to it, by whoever followed.
    /// What was told before it was covered isn't.
    fn is_vouched(&self) -> bool;

    /// From now on it is.
    fn vouch(&self);

    /// What it is called; `None` when nobody has it any more.
    fn name(&self) -> Option<Box<str>>;

    /// Invalidates what these touch, and returns how much that was. An error means that it isn't
    /// done everywhere yet; it is kept, and will be.
    fn apply<'a>(&'a self, notices: &'a [Notice]) -> BoxFuture<'a, Result<u64>>;

    /// Drops everything that it holds, everywhere. An error means that it isn't done yet.
    fn sweep(&self) -> BoxFuture<'_, Result<()>>;
}

/// See [`Covered`].
pub(super) struct CoveredCache<K: CacheKey, V> {
    pub(super) parts: Weak<Parts<K, V>>,
    pub(super) route: Box<dyn Route<K>>,
    pub(super) is_vouched: AtomicBool,
}

/// What a list of notices comes to.
struct Sum<K> {
    keys: HashSet<K, RandomState>,
    tags: HashSet<String, RandomState>,
    is_everything: bool,
}

impl<K: CacheKey> Sum<K> {
    fn add(&mut self, touched: Touched<K>) {
        match touched {
            Touched::Nothing => {}
            Touched::Keys(keys) => self.keys.extend(keys),
            Touched::Tags(tags) => self.tags.extend(tags),
            Touched::Everything => self.is_everything = true,
            Touched::Several(all) => all.into_iter().for_each(|one| self.add(one)),
        }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> CoveredCache<K, V> {
    fn sum(&self, notices: &[Notice]) -> Sum<K> {
        // Most changes touch one key.
        let keys = HashSet::with_capacity_and_hasher(notices.len(), RandomState::default());
        let mut sum = Sum { keys, tags: HashSet::default(), is_everything: false };
        notices.iter().for_each(|notice| sum.add(self.route.touched(notice)));
        sum
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Covered for CoveredCache<K, V> {
    fn lives(&self) -> bool {
        self.parts.strong_count() > 0
    }

    fn is_vouched(&self) -> bool {
        self.is_vouched.load(Ordering::Acquire)
    }

    fn vouch(&self) {
        self.is_vouched.store(true, Ordering::Release);
    }

    fn name(&self) -> Option<Box<str>> {
        Some(self.parts.upgrade()?.name.clone())
    }

    fn apply<'a>(&'a self, notices: &'a [Notice]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let Some(parts) = self.parts.upgrade() else { return Ok(0) };
            let sum = self.sum(notices);
            let cache = Cache(Arc::clone(&parts));
            let tags: Vec<String> = sum.tags.into_iter().collect();
            let keys: Vec<K> = sum.keys.into_iter().collect();
            let mut touched = tags.len() as u64;
            // All of it, whatever becomes of a part.
            let tagged = match tags.is_empty() {
                true => Ok(()),
                false => parts.engine.invalidate_tags(&tags).await.map(drop),
            };
            let struck = if sum.is_everything {
                touched += 1;
                cache.invalidate_all().await.map(drop)
            } else if keys.is_empty() {
                Ok(())
            } else {
                touched += keys.len() as u64;
                cache.invalidate_told(keys).await
            };
            tagged.and(struck).map(|()| touched)
        })
    }

    fn sweep(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let Some(parts) = self.parts.upgrade() else { return Ok(()) };
            Cache(parts).invalidate_all().await.map(drop)
        })
    }
}
