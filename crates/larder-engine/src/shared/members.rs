//! The caches of an engine, by name, for those who know keys as text only.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use larder_core::CacheKey;
use larder_core::bus::Announcement;
use larder_core::shared::Invalidation;
use larder_core::sync::Mutex;

use crate::cache::Parts;
use crate::engine::Engine;
use crate::strike::Struck;

/// A cache, its types forgotten.
pub(crate) trait Member: Send + Sync {
    /// Strikes keys by their texts. A text that is no key of it strikes everything: whoever sent
    /// it knows more than this process.
    fn strike_texts(&self, texts: &[Box<str>], strike: Invalidation);

    /// The same, when it is carried out everywhere else: what was in use is loaded again.
    fn hear_texts(self: Arc<Self>, texts: &[Box<str>], strike: Invalidation);

    /// Strikes everything.
    fn strike_all(&self, strike: Invalidation);

    /// Strikes everything whose key begins so.
    fn strike_prefix(&self, prefix: &str, strike: Invalidation);
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Member for Parts<K, V> {
    fn strike_texts(&self, texts: &[Box<str>], strike: Invalidation) {
        self.strike_each(texts, strike, |_, _| {});
    }

    fn hear_texts(self: Arc<Self>, texts: &[Box<str>], strike: Invalidation) {
        // What is marked stale is refreshed by who reads it.
        let reloads_max = if strike == Invalidation::Drop { self.reloads_max() } else { 0 };
        let mut hot = Vec::new();
        self.strike_each(texts, strike, |key, struck| {
            if struck.was_used && hot.len() < reloads_max {
                hot.push(key);
            }
        });
        self.reload(hot);
    }

    fn strike_all(&self, strike: Invalidation) {
        self.strike_whole(strike);
    }

    fn strike_prefix(&self, prefix: &str, strike: Invalidation) {
        Self::strike_prefix(self, prefix, strike);
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    fn strike_each(
        &self,
        texts: &[Box<str>],
        strike: Invalidation,
        mut struck: impl FnMut(K, Struck),
    ) {
        let now = self.engine.now();
        for text in texts {
            let Some(key) = K::parse(text) else { return self.strike_whole(strike) };
            let was = self.strike(&key, now, strike);
            struck(key, was);
        }
    }
}

/// The caches of an engine. Caches of the same name are told the same.
#[derive(Default)]
pub(crate) struct Members(Mutex<ByName>);

type ByName = HashMap<Box<str>, Vec<Weak<dyn Member>>, RandomState>;

impl Members {
    /// Adds a cache, for as long as it lives.
    pub(crate) fn add(&self, name: &str, member: Weak<dyn Member>) {
        let mut members = self.0.lock();
        members.retain(|_, same| {
            same.retain(|member| member.strong_count() > 0);
            !same.is_empty()
        });
        members.entry(name.into()).or_default().push(member);
    }

    /// Applies what was announced to what this process holds.
    pub(super) fn apply(&self, announcement: &Announcement, engine: &Engine) {
        match announcement {
            Announcement::Token { .. } | Announcement::Answer { .. } => {}
            Announcement::Keys { strike, cache, keys } => {
                self.each(cache, |member| Arc::clone(member).hear_texts(keys, *strike));
            }
            Announcement::Writing { cache, key, .. } | Announcement::Written { cache, key, .. } => {
                self.strike_key(cache, key);
            }
            Announcement::Tags { strike, hashes } => engine.strike_tag_hashes(hashes, *strike),
            Announcement::Cache { strike, cache } => {
                self.each(cache, |member| member.strike_all(*strike));
            }
            Announcement::Prefix { strike, cache, prefix } => {
                self.each(cache, |member| member.strike_prefix(prefix, *strike));
            }
            Announcement::All { strike } => self.all(|member| member.strike_all(*strike)),
        }
    }

    /// Drops what the caches of this name hold of a key, and voids its loads under way.
    pub(super) fn strike_key(&self, cache: &str, key: &str) {
        let keys = [Box::from(key)];
        self.each(cache, |member| member.strike_texts(&keys, Invalidation::Drop));
    }

    /// Drops everything that the caches hold, and voids every load under way.
    pub(super) fn sweep_all(&self) {
        self.all(|member| member.strike_all(Invalidation::Drop));
    }

    fn each(&self, cache: &str, apply: impl Fn(&Arc<dyn Member>)) {
        let named = self.0.lock().get(cache).cloned().unwrap_or_default();
        named.iter().filter_map(Weak::upgrade).for_each(|member| apply(&member));
    }

    fn all(&self, apply: impl Fn(&dyn Member)) {
        let all: Vec<Arc<dyn Member>> =
            self.0.lock().values().flatten().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|member| apply(&**member));
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}
