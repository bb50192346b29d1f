//! The one door through which every invalidation goes.
//!
//! 1. In this process: raise the epoch and drop, or mark stale (see [`strike`](crate::strike)).
//! 2. In the shared tier: void the lease and drop, or mark stale; for tags, a whole cache or a
//!    prefix, set a mark.
//! 3. On the bus: tell the others.
//! 4. In this process once more: a flight that began in between may have read the old value in the
//!    shared tier.
//!
//! The steps 2 to 4 are the keeper's (see [`shared`](crate::shared)), who repeats them until they
//! are done. Until then, and from before step 1, what is concerned isn't trusted here.
//!
//! Once the call has returned, a get that starts here returns nothing that was loaded before, and
//! one that starts in another process nothing older than its promise, counted from the return;
//! marked stale, it may be returned under the rule for stale entries, and a refresh runs.

use larder_core::bus::{Announcement, Position};
use larder_core::shared::Mark;
use larder_core::{CacheKey, Error, ErrorKind, Result};

use crate::cache::{Cache, Parts};
use crate::engine::Engine;
use crate::events::tag_hash;
use crate::observe::What;
use crate::shared::{Noted, STEP_MAX, Shared, Work, bucket};

pub use larder_core::shared::Invalidation;

/// What an invalidation came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Invalidated {
    /// How many entries of this process it struck, where it looks at them one by one: for keys and
    /// prefixes.
    pub entries: usize,
    /// Where it stands on the bus, if there is one: who reads [at](crate::Read::at) this position,
    /// in whatever process, reads what was written.
    pub position: Option<Position>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Forgets what is held of `key`, here and everywhere, because the data changed. Call it after
    /// the commit.
    ///
    /// # Errors
    ///
    /// `BadKey` when the key has no valid text: nobody else can hold it or be told of it, and here
    /// it is done. `SharedDown` when the shared tier or the bus doesn't answer: it is done in this
    /// process, kept, and carried out as soon as they answer.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process, and in the others sooner or later.
    pub async fn invalidate(&self, key: &K) -> Result<Invalidated> {
        self.strike_keys(std::slice::from_ref(key), Invalidation::Drop).await
    }

    /// Forgets what is held of these keys, with one announcement.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_many(&self, keys: &[K]) -> Result<Invalidated> {
        self.strike_keys(keys, Invalidation::Drop).await
    }

    /// Marks what is held of `key` stale: it is served while one refresh runs, for as long as
    /// the windows allow.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn mark_stale(&self, key: &K) -> Result<Invalidated> {
        self.strike_keys(std::slice::from_ref(key), Invalidation::MarkStale).await
    }

    /// Marks what is held of these keys stale, with one announcement.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn mark_many_stale(&self, keys: &[K]) -> Result<Invalidated> {
        self.strike_keys(keys, Invalidation::MarkStale).await
    }

    /// Forgets everything that has one of these tags, in every cache of this engine: see
    /// [`Engine::invalidate_tags`].
    ///
    /// # Errors
    ///
    /// As [`Engine::invalidate_tags`].
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_tags<T: AsRef<str>>(&self, tags: &[T]) -> Result<Invalidated> {
        self.0.engine.invalidate_tags(tags).await
    }

    /// Marks everything stale that has one of these tags, in every cache of this engine.
    ///
    /// # Errors
    ///
    /// As [`Engine::invalidate_tags`].
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn mark_tags_stale<T: AsRef<str>>(&self, tags: &[T]) -> Result<Invalidated> {
        self.0.engine.mark_tags_stale(tags).await
    }

    /// Forgets everything that this cache holds: its generation is over. It takes the same time
    /// however much that is; what it held leaves memory when room is needed or its time comes.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate). `Refused` where the shared tier keeps no marks, and so
    /// can't forget a whole cache: it is done in this process alone.
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_all(&self) -> Result<Invalidated> {
        self.begin_all(Invalidation::Drop)?.carry_out().await
    }

    /// Marks everything stale that this cache holds.
    ///
    /// # Errors
    ///
    /// As [`invalidate_all`](Self::invalidate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn mark_all_stale(&self) -> Result<Invalidated> {
        self.begin_all(Invalidation::MarkStale)?.carry_out().await
    }

    /// Forgets everything whose key's text begins with `prefix`. It looks at every entry of this
    /// process's memory: where a tag can be used, use a tag.
    ///
    /// # Errors
    ///
    /// As [`invalidate_all`](Self::invalidate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_prefix(&self, prefix: &str) -> Result<Invalidated> {
        self.begin_prefix(prefix, Invalidation::Drop)?.carry_out().await
    }

    /// Marks everything stale whose key's text begins with `prefix`.
    ///
    /// # Errors
    ///
    /// As [`invalidate_all`](Self::invalidate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn mark_prefix_stale(&self, prefix: &str) -> Result<Invalidated> {
        self.begin_prefix(prefix, Invalidation::MarkStale)?.carry_out().await
    }

    /// The part of [`invalidate_many`](Self::invalidate_many) or
    /// [`mark_many_stale`](Self::mark_many_stale) that needs no waiting: when it returns it is done
    /// in this process, and handed over for the others. Returns how many entries it struck.
    ///
    /// # Errors
    ///
    /// `BadKey` when a key has no valid text.
    pub fn invalidate_here(&self, keys: &[K], what: Invalidation) -> Result<usize> {
        let (begun, hot) = self.begin(keys, what)?;
        if begun.beyond.is_none() {
            self.0.reload(hot);
        }
        Ok(begun.hand_over())
    }

    /// The same part of [`invalidate_all`](Self::invalidate_all) or
    /// [`mark_all_stale`](Self::mark_all_stale).
    ///
    /// # Errors
    ///
    /// `Refused` where the shared tier keeps no marks.
    pub fn invalidate_all_here(&self, what: Invalidation) -> Result<()> {
        self.begin_all(what)?.hand_over();
        Ok(())
    }

    /// The same part of [`invalidate_prefix`](Self::invalidate_prefix) or
    /// [`mark_prefix_stale`](Self::mark_prefix_stale). Returns how many entries it struck.
    ///
    /// # Errors
    ///
    /// `Refused` where the shared tier keeps no marks.
    pub fn invalidate_prefix_here(&self, prefix: &str, what: Invalidation) -> Result<usize> {
        Ok(self.begin_prefix(prefix, what)?.hand_over())
    }

    async fn strike_keys(&self, keys: &[K], what: Invalidation) -> Result<Invalidated> {
        let (begun, hot) = self.begin(keys, what)?;
        let invalidated = begun.carry_out().await?;
        self.0.reload(hot);
        Ok(invalidated)
    }

    /// Forgets what a feed tells of. Nobody else holds anything of keys without a valid text, so
    /// they are told of none. Where nobody else is to be told, no text is made at all.
    pub(crate) async fn invalidate_told(&self, keys: Vec<K>) -> Result<()> {
        let parts = &self.0;
        let beyond = parts.beyond(false)?;
        let mut texts = Vec::new();
        if beyond.is_some() {
            texts.reserve(keys.len());
            texts.extend(keys.iter().filter_map(|key| parts.text(key).ok()));
        }
        let (begun, hot) = self.begin_with(&keys, beyond, &texts, Invalidation::Drop);
        begun.carry_out().await?;
        parts.reload(hot);
        Ok(())
    }

    fn begin(&self, keys: &[K], what: Invalidation) -> Result<(Begun<'_>, Vec<K>)> {
        let parts = &self.0;
        let texts = keys.iter().map(|key| parts.text(key)).collect::<Result<Vec<_>>>();
        let texts = texts.inspect_err(|_| {
            // A ticket fills such a key all the same; nobody else knows of it.
            let now = parts.engine.now();
            for key in keys.iter().filter(|key| parts.text(key).is_err()) {
                parts.strike(key, now, what);
            }
        })?;
        Ok(self.begin_with(keys, parts.beyond(false)?, &texts, what))
    }

    /// Strikes these keys here, and returns those that are to be loaded again when it is carried
    /// out. Who is beyond this process, if anybody, is to be told of `texts`, which are theirs.
    fn begin_with<'a>(
        &self,
        keys: &[K],
        beyond: Option<&'a Shared>,
        texts: &[String],
        what: Invalidation,
    ) -> (Begun<'a>, Vec<K>) {
        let parts = &self.0;
        let now = parts.engine.now();
        parts.counters.invalidations.add(keys.len() as u64);
        // What is marked stale is refreshed by who reads it.
        let reloads_max = if what == Invalidation::Drop { parts.reloads_max() } else { 0 };
        let work = |keys: &[String]| Work::Keys {
            cache: parts.name.clone(),
            in_tier: parts.part.is_some(),
            strike: what,
            keys: keys.iter().map(|key| key.as_str().into()).collect(),
        };
        let mut begun = Begun::noted(beyond, || texts.chunks(STEP_MAX).map(work).collect());
        let mut hot = Vec::new();
        for key in keys {
            let struck = parts.strike(key, now, what);
            begun.entries += usize::from(struck.was_held);
            if struck.was_used && hot.len() < reloads_max {
                hot.push(key.clone());
            }
            parts.tell(key, What::Invalidated(what));
        }
        parts.strike_as_tags(keys, what);
        (begun, hot)
    }

    fn begin_all(&self, what: Invalidation) -> Result<Begun<'_>> {
        let parts = &self.0;
        parts.counters.sweeps.add(1);
        let beyond = parts.beyond(true);
        let begun = Begun::noted(beyond.as_ref().ok().copied().flatten(), || {
            let cache = parts.name.clone();
            let announcement = Announcement::Cache { strike: what, cache: cache.clone() };
            vec![mark(Mark::Cache(cache), what, announcement)]
        });
        parts.strike_whole(what);
        parts.tell_of_all(What::Swept(what));
        parts.strike_own_tag(what);
        beyond.map(|_| begun)
    }

    fn begin_prefix(&self, prefix: &str, what: Invalidation) -> Result<Begun<'_>> {
        let parts = &self.0;
        parts.counters.sweeps.add(1);
        let beyond = parts.beyond(true);
        let mut begun = Begun::noted(beyond.as_ref().ok().copied().flatten(), || {
            let (cache, prefix): (Box<str>, Box<str>) = (parts.name.clone(), prefix.into());
            let (of, begin) = (cache.clone(), prefix.clone());
            let announcement = Announcement::Prefix { strike: what, cache: of, prefix: begin };
            vec![mark(Mark::Prefix { cache, prefix }, what, announcement)]
        });
        begun.entries = parts.strike_prefix(prefix, what);
        let entries = begun.entries;
        parts.tell_of_all(What::SweptPrefix { prefix, what, entries });
        parts.strike_own_tag(what);
        beyond.map(|_| begun)
    }
}

/// An invalidation that is done in this process. Dropped, it is handed over for the others.
struct Begun<'a> {
    entries: usize,
    /// In steps, each of which has room in one announcement.
    beyond: Option<(&'a Shared, Vec<Noted>)>,
}

impl<'a> Begun<'a> {
    /// What it asks for beyond this process is noted, and nothing is struck yet.
    fn noted(beyond: Option<&'a Shared>, steps: impl FnOnce() -> Vec<Work>) -> Self {
        let note = |shared: &'a Shared| {
            (shared, steps().into_iter().map(|work| shared.note(work)).collect())
        };
        Self { entries: 0, beyond: beyond.map(note) }
    }

    /// Waits until it is done beyond this process.
    async fn carry_out(mut self) -> Result<Invalidated> {
        let mut position = None;
        if let Some((shared, mut steps)) = self.beyond.take()
            && let Some(last) = steps.pop()
        {
            steps.into_iter().for_each(|step| shared.hand_over(step));
            // They are done in their order, so it is enough to wait for the last.
            position = shared.invalidate(last).await?;
        }
        Ok(Invalidated { entries: self.entries, position })
    }

    /// Waits for nothing.
    fn hand_over(self) -> usize {
        self.entries
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some((shared, steps)) = self.beyond.take() {
            steps.into_iter().for_each(|step| shared.hand_over(step));
        }
    }
}

fn mark(mark: Mark, what: Invalidation, announcement: Announcement) -> Work {
    Work::Marks { strike: what, marks: vec![mark], announcement }
}

impl Engine {
    /// Forgets everything that has one of these tags, in every cache of this engine, and of those
    /// that share with it. It takes the same time however much that is.
    ///
    /// # Errors
    ///
    /// As [`Cache::invalidate`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::invalidate`].
    pub async fn invalidate_tags<T: AsRef<str>>(&self, tags: &[T]) -> Result<Invalidated> {
        self.strike_tags(tags, Invalidation::Drop).await
    }

    /// Marks everything stale that has one of these tags.
    ///
    /// # Errors
    ///
    /// As [`Cache::invalidate`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::invalidate`].
    pub async fn mark_tags_stale<T: AsRef<str>>(&self, tags: &[T]) -> Result<Invalidated> {
        self.strike_tags(tags, Invalidation::MarkStale).await
    }

    /// The part of [`invalidate_tags`](Self::invalidate_tags) or
    /// [`mark_tags_stale`](Self::mark_tags_stale) that needs no waiting: when it returns it is done
    /// in this process, and handed over for the others.
    pub fn invalidate_tags_here<T: AsRef<str>>(&self, tags: &[T], what: Invalidation) {
        self.begin_tags(tags, what).hand_over();
    }

    async fn strike_tags<T: AsRef<str>>(
        &self,
        tags: &[T],
        what: Invalidation,
    ) -> Result<Invalidated> {
        self.begin_tags(tags, what).carry_out().await
    }

    fn begin_tags<T: AsRef<str>>(&self, tags: &[T], what: Invalidation) -> Begun<'_> {
        let hashes: Vec<u64> = tags.iter().map(|tag| tag_hash(tag.as_ref())).collect();
        if hashes.is_empty() {
            return Begun { entries: 0, beyond: None };
        }
        // What has tags is not in a tier that keeps no marks.
        let concerns = |shared: &&Shared| shared.has_bus() || shared.link.abilities().marks;
        let shared = self.shared().map(|shared| &**shared).filter(concerns);
        let work = |hashes: &[u64]| {
            let mut marks: Vec<u16> = hashes.iter().map(|&hash| bucket(hash)).collect();
            marks.sort_unstable();
            marks.dedup();
            let marks = marks.into_iter().map(Mark::Tag).collect();
            let announcement = Announcement::Tags { strike: what, hashes: hashes.to_vec() };
            Work::Marks { strike: what, marks, announcement }
        };
        let begun = Begun::noted(shared, || hashes.chunks(STEP_MAX).map(work).collect());
        self.strike_tag_hashes(&hashes, what);
        self.tell_of_tags(tags, what);
        begun
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Who must be told beyond this process, if anybody. `needs_marks` where keys don't do.
    pub(crate) fn beyond(&self, needs_marks: bool) -> Result<Option<&Shared>> {
        let Some(shared) = self.engine.shared() else { return Ok(None) };
        if needs_marks && self.part.is_some() && !shared.link.abilities().marks {
            let message = format!(
                "the shared tier of the cache {} keeps no marks, so other processes' entries of \
                 a whole cache or a prefix can't be invalidated; invalidate keys, or share \
                 through Redis",
                self.name
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let concerns = self.part.is_some() || shared.has_bus();
        Ok(concerns.then_some(&**shared))
    }
}
