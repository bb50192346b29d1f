//! A write announced to the tier and the bus before it is committed, and ended there.

use std::time::Duration;

use bytes::Bytes;
use larder_core::bus::{Announcement, Position};
use larder_core::shared::{Begun, Closed, Ended, Intent, Invalidation, MarkClock};
use larder_core::{CacheKey, Result};

use super::{Shared, view};
use crate::cache::Parts;
use crate::engine::Engine;

/// A write that this process has announced.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    cache: Box<str>,
    key: Box<str>,
    intent: Intent,
    /// What the tier said of it.
    pub(crate) begun: Begun,
}

impl Shared {
    /// Forgets the writers whose time is over: nobody will tell of their end any more.
    pub(super) fn forget_writers(&self, engine: &Engine) {
        let now = self.clock.now();
        let over = self.writers.over(now);
        // Struck first: see `writers`.
        for (cache, key, intent) in over.writers {
            self.members.strike_key(&cache, &key);
            engine.strike_unended(&cache, &key);
            self.writers.forget_over(&cache, &key, intent, now);
        }
        if over.all {
            self.drop_all(engine);
            self.writers.forget_all(now);
        }
    }

    fn named(&self, announcement: &Announcement) -> (Bytes, Option<Bytes>) {
        let bytes = announcement.encode(self.id);
        (bytes.clone(), self.is_tiers_own.then_some(bytes))
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Announces a write: here, in the tier, and on the bus. When it returns, everybody has been
    /// told who will be told before the commit. An intent lives for the longest time that the
    /// write may take from here, and some.
    ///
    /// # Errors
    ///
    /// When the tier or the bus doesn't answer. It may have been announced all the same.
    ///
    /// # Cancel safety
    ///
    /// What was announced ends with its time.
    pub(crate) async fn announce(
        &self,
        shared: &Shared,
        key: &K,
        time: Duration,
    ) -> Result<Announced> {
        let text: Box<str> = self.text(key)?.into();
        let intent = Intent(u128::from(shared.id.0) << 64 | u128::from(self.engine.stamp()));
        let until = self.engine.now() + time;
        // Noted before the epoch is raised: see `writers`.
        shared.writers.note(&self.name, &text, intent, until);
        shared.members.strike_key(&self.name, &text);
        let (cache, key) = (self.name.clone(), text);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let writing =
            Announcement::Writing { intent, millis, cache: cache.clone(), key: key.clone() };
        let (bytes, announced) = shared.named(&writing);
        let name = view::name(&cache, &key);
        let begun = match shared.link.begin_write(&name, intent, time, announced).await {
            Ok(begun) if begun.position.is_none() => {
                shared.publish(bytes, None).await.map(|position| Begun { position, ..begun })
            }
            outcome => outcome,
        };
        match begun {
            Ok(begun) => Ok(Announced { cache, key, intent, begun }),
            Err(error) => {
                // Nothing will be committed under it here.
                shared.writers.forget(&cache, &key, intent);
                Err(error)
            }
        }
    }

    /// Announces it once more, for as long from here.
    ///
    /// # Errors
    ///
    /// As [`announce`](Self::announce); it lasts as long as it did, or longer.
    pub(crate) async fn prolong(
        &self,
        shared: &Shared,
        announced: &Announced,
        time: Duration,
    ) -> Result<()> {
        let Announced { cache, key, intent, .. } = announced;
        shared.writers.note(cache, key, *intent, self.engine.now() + time);
        // It may have been forgotten meanwhile.
        shared.members.strike_key(cache, key);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (cache, key) = (cache.clone(), key.clone());
        let name = view::name(&cache, &key);
        let writing = Announcement::Writing { intent: *intent, millis, cache, key };
        let (bytes, told) = shared.named(&writing);
        let begun = shared.link.begin_write(&name, *intent, time, told).await?;
        if begun.position.is_none() {
            shared.publish(bytes, None).await?;
        }
        Ok(())
    }

    /// Ends a write in the tier and on the bus. Returns whether what it left is held there, and
    /// where the end stands on the bus.
    ///
    /// # Errors
    ///
    /// When the tier or the bus doesn't answer: the key is to be invalidated.
    pub(crate) async fn conclude(
        &self,
        shared: &Shared,
        announced: &Announced,
        ended: Ended,
    ) -> Result<(bool, Option<Position>)> {
        let (cache, key, intent) =
            (announced.cache.clone(), announced.key.clone(), announced.intent);
        let announcement = match ended {
            // The commit may be on its way, so nobody may forget the writer yet.
            Ended::Unknown => {
                Announcement::Keys { strike: Invalidation::Drop, cache, keys: vec![key] }
            }
            Ended::Committed(_) | Ended::Aborted => Announcement::Written { intent, cache, key },
        };
        let (bytes, told) = shared.named(&announcement);
        let name = view::name(&announced.cache, &announced.key);
        let Closed { is_held, position } =
            shared.link.end_write(&name, intent, ended, told).await?;
        match position {
            Some(_) => Ok((is_held, position)),
            None => Ok((is_held, shared.publish(bytes, None).await?)),
        }
    }

    /// What is known of the marks, before a write begins; `None` while nothing is.
    pub(crate) fn marks_known(&self, shared: &Shared) -> Option<(u32, MarkClock)> {
        match shared.link.abilities().marks {
            true => shared.marks.known(),
            false => Some((0, MarkClock(0))),
        }
    }

    /// Forgets the writer here, after the key was struck or its value put into memory.
    pub(crate) fn forget_writer(&self, shared: &Shared, announced: &Announced) {
        shared.writers.forget(&announced.cache, &announced.key, announced.intent);
    }

    /// Whether somebody else is about to commit this key, too.
    pub(crate) fn has_other_writer(&self, shared: &Shared, announced: &Announced) -> bool {
        shared.writers.has_other(&announced.cache, &announced.key, announced.intent)
    }

    /// Whether somebody is about to commit this key, so that nobody may keep what was loaded.
    pub(crate) fn is_being_written(&self, key: &K) -> bool {
        let Some(shared) = self.engine.shared() else { return false };
        shared.writers.has(&self.name, || self.text(key).ok())
    }
}
