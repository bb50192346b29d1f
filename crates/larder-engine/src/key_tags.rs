//! Keys as tags: what depends on a row goes with the row, wherever it was changed.
//!
//! What is made of several rows, as a page is, can have their keys as its tags. Where
//! [`Engine::keys_are_tags`] was called, a key that is invalidated or written is a tag that is
//! struck. A whole cache and a prefix of its keys are the tag of that cache, because tags have no
//! beginnings.
//!
//! Nothing is announced for it: who hears of the key knows the tag. So
//!
//! 1. who invalidates or writes strikes the tags here, when what it does to the keys is done here,
//!    and once more when it has told the others: what was made in between may have been made of
//!    what they held,
//! 2. who hears of it strikes them, whether or not it has a cache of that name,
//! 3. so it does for a writer that never came to its end, when its time is over,
//! 4. and after a gap, when every cache here is dropped anyway, it tells who observes tags that
//!    all may be struck.
//!
//! What is in the shared tier is judged by the tier's marks, and keys set none there.

use larder_core::CacheKey;
use larder_core::bus::Announcement;

use crate::cache::Parts;
use crate::engine::Engine;
use crate::events::tag_hash;
use crate::invalidate::Invalidation;
use crate::observe::What;
use crate::shared::COMPANIONS;

/// The tag of a whole cache by its name; `None` of one whose keys are no tags.
pub(crate) type TagOfCache = fn(&str) -> Option<String>;

impl Engine {
    /// From now on the text of a key is a tag: when the key is invalidated or written, in this
    /// process or another one that shares its bus, everything goes that this process has in memory
    /// under that tag, in whatever cache. When a whole cache or a prefix of its keys is, what has
    /// the tag goes that `of_cache` gives for the cache's name; where that is `None`, nothing goes
    /// with its keys either. Caches that this process doesn't have count as well.
    ///
    /// It is for what is kept in memory alone: an entry that is in the shared tier, too, stays
    /// there. There is one `of_cache`: returns whether this is it.
    ///
    /// ```
    /// use larder_engine::{Cache, Engine};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// let engine = Engine::on_tokio()?;
    /// engine.keys_are_tags(|cache| Some(format!("cache.{cache}")));
    /// let named = |name: &str| Cache::<String, u32>::builder(name).engine(&engine);
    /// let users = named("user").max_staleness(Duration::from_secs(60)).build()?;
    /// let pages = named("page").max_staleness(Duration::from_secs(60)).build()?;
    /// pages
    ///     .get_or_load(&"/".to_owned(), |context| async move {
    ///         context.tag("user:7");
    ///         Ok(Some(1))
    ///     })
    ///     .await?;
    /// users.invalidate(&"user:7".to_owned()).await?;
    /// assert!(pages.peek(&"/".to_owned()).is_none());
    /// # Ok(()) }
    /// ```
    pub fn keys_are_tags(&self, of_cache: fn(&str) -> Option<String>) -> bool {
        self.set_key_tags(of_cache)
    }

    /// What another process announces means these tags.
    pub(crate) fn strike_announced(&self, announcement: &Announcement) {
        let Some(of_cache) = self.key_tags() else { return };
        if let Announcement::All { strike } = announcement {
            return self.tell_of_every_tag(*strike);
        }
        let Some((tags, how)) = tags_of(announcement, of_cache) else { return };
        self.strike_tags_here(&tags, how);
        self.tell_of_tags(&tags, how);
    }

    /// What this process announced has been told to the others. Who observes tags was told before.
    pub(crate) fn strike_once_more(&self, announcement: &Announcement) {
        let Some(of_cache) = self.key_tags() else { return };
        if let Some((tags, how)) = tags_of(announcement, of_cache) {
            self.strike_tags_here(&tags, how);
        }
    }

    /// A writer of a key that somebody announced hasn't told of its end in its time.
    pub(crate) fn strike_unended(&self, cache: &str, key: &str) {
        if self.key_tags().is_some_and(|of_cache| of_cache(cache).is_some()) {
            self.strike_tags_here(&[key], Invalidation::Drop);
            self.tell_of_tags(&[key], Invalidation::Drop);
        }
    }

    /// Anything that others announced may have been missed, and every cache here was dropped.
    pub(crate) fn strike_unknown(&self) {
        if self.key_tags().is_some() {
            self.tell_of_every_tag(Invalidation::Drop);
        }
    }

    /// Strikes what has one of these tags in this process alone.
    fn strike_tags_here<T: AsRef<str>>(&self, tags: &[T], how: Invalidation) {
        if tags.is_empty() {
            return;
        }
        let hashes: Vec<u64> = tags.iter().map(|tag| tag_hash(tag.as_ref())).collect();
        self.strike_tag_hashes(&hashes, how);
    }
}

/// The tags that an announcement of keys means, and what becomes of what has them.
fn tags_of(
    announcement: &Announcement,
    of_cache: TagOfCache,
) -> Option<(Vec<Box<str>>, Invalidation)> {
    match announcement {
        Announcement::Keys { strike, cache, keys } => {
            of_cache(cache).map(|_| (keys.clone(), *strike))
        }
        Announcement::Written { cache, key, .. } => {
            of_cache(cache).map(|_| (vec![key.clone()], Invalidation::Drop))
        }
        // What is set once in the life of a tier, and no cache.
        Announcement::Cache { cache, .. } if **cache == *COMPANIONS => None,
        Announcement::Cache { strike, cache } | Announcement::Prefix { strike, cache, .. } => {
            of_cache(cache).map(|tag| (vec![tag.into()], *strike))
        }
        // Until a write ends, the row is what it was.
        Announcement::Writing { .. }
        | Announcement::Token { .. }
        | Announcement::Answer { .. }
        | Announcement::Tags { .. }
        | Announcement::All { .. } => None,
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// These keys were invalidated here.
    pub(crate) fn strike_as_tags(&self, keys: &[K], how: Invalidation) {
        let Some(of_cache) = self.engine.key_tags() else { return };
        if of_cache(&self.name).is_none() {
            return;
        }
        // Nothing has a tag like a key that has no valid text.
        let texts: Vec<String> = keys.iter().filter_map(|key| self.text(key).ok()).collect();
        self.engine.strike_tags_here(&texts, how);
        self.engine.tell_of_tags(&texts, how);
    }

    /// The whole cache was invalidated here, or a prefix of it.
    pub(crate) fn strike_own_tag(&self, how: Invalidation) {
        let tag = self.engine.key_tags().and_then(|of_cache| of_cache(&self.name));
        if let Some(tag) = tag {
            self.engine.strike_tags_here(&[&tag], how);
            self.engine.tell_of_tags(&[&tag], how);
        }
    }

    /// A write of this key took effect without an invalidation.
    pub(crate) fn changed(&self, key: &K) {
        self.strike_as_tags(std::slice::from_ref(key), Invalidation::Drop);
        self.tell(key, What::Changed);
    }
}
