//! What the shared tier has for who looks a key up to load it himself: a fresh entry, or the lease
//! to fill it under.

use std::sync::Arc;
use std::time::Duration;

use larder_core::envelope::Envelope;
use larder_core::shared::{Lease, LeaseAsk, SharedEntry, SharedRead};
use larder_core::{CacheKey, KeyText, Moment, State};

use super::sealed::Opened;
use super::seek::Passed;
use super::view::{self, Before, View};
use crate::cache::Parts;
use crate::fill::Keeps;

/// What the tier has for who looks a key up to load it himself.
pub(crate) enum Looked<V> {
    /// A fresh entry.
    Found(Opened<V>),
    /// None, and perhaps a lease to fill it under. Or another one has it, for so long at most.
    Missing(Passed<V>, Option<Duration>),
    /// It can't be asked.
    Unasked,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Looks a key up in the tier, and asks for its lease if nothing fresh is held, or nothing that
    /// was loaded later than `than`.
    pub(crate) async fn look_in_tier(self: &Arc<Self>, key: &K, than: Option<Moment>) -> Looked<V> {
        let (Some(shared), Some(part)) = (self.engine.shared(), &self.part) else {
            return Looked::Unasked;
        };
        let view = View { parts: self, shared, part };
        let (Ok(text), Some(before)) = (KeyText::of(key), view.before()) else {
            return Looked::Unasked;
        };
        let name = view::name(&self.name, &text);
        if view.quarantines(&text) {
            return missing(name, None, before, Keeps::Not);
        }
        let Some(Ok(held)) = shared.link.get_many(&[&name]).await.pop() else {
            self.counters.shared_errors.add(1);
            return Looked::Unasked;
        };
        let mut seen = None;
        if let Some(entry) = held {
            seen = Envelope::stamp_of(&entry.envelope);
            if let Some(opened) = view.fresh(&text, &entry, before, than) {
                return Looked::Found(opened);
            }
        }
        let Some(before) = view.before() else { return Looked::Unasked };
        let ask = LeaseAsk { key: &name, seen };
        match shared.link.lease_many(&[ask], self.lease_time()).await.pop() {
            Some(Ok(SharedRead::Hit(entry))) => match view.fresh(&text, &entry, before, than) {
                Some(opened) => Looked::Found(opened),
                None => missing(name, None, before, Keeps::Fully),
            },
            Some(Ok(SharedRead::Miss(lease))) => missing(name, Some(lease), before, Keeps::Fully),
            Some(Ok(SharedRead::Stale { entry, lease })) => {
                let mut looked = missing(name, Some(lease), before, Keeps::Fully);
                // Who has seen nothing found nothing that is fresh.
                if let (Looked::Missing(passed, _), Some(_)) = (&mut looked, than) {
                    passed.stand_in = view.peek(&text, &entry, before, None);
                }
                looked
            }
            Some(Ok(SharedRead::Busy { retry_after, .. })) => {
                self.counters.shared_busy.add(1);
                match missing(name, None, before, Keeps::Fully) {
                    Looked::Missing(passed, _) => Looked::Missing(passed, Some(retry_after)),
                    other => other,
                }
            }
            Some(Ok(SharedRead::WriterPending { .. })) => missing(name, None, before, Keeps::Not),
            Some(Err(_)) | None => {
                self.counters.shared_errors.add(1);
                Looked::Unasked
            }
        }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> View<'_, K, V> {
    /// An entry, if it is fresh and was loaded later than `than`.
    fn fresh(
        &self,
        key: &str,
        entry: &SharedEntry,
        before: Before,
        than: Option<Moment>,
    ) -> Option<Opened<V>> {
        let fresh = self.peek(key, entry, before, than)?;
        let now = self.parts.engine.now();
        self.parts.counters.shared_hit(now - fresh.times.loaded_at());
        Some(fresh)
    }

    /// The same, which counts as no hit.
    fn peek(
        &self,
        key: &str,
        entry: &SharedEntry,
        before: Before,
        than: Option<Moment>,
    ) -> Option<Opened<V>> {
        let opened = self.open(key, entry, before)?;
        let now = self.parts.engine.now();
        let state = self.parts.window.state(&opened.times, before.horizon, now);
        let newer = than.is_none_or(|than| opened.times.loaded_at() > than);
        (newer && state == State::Fresh && !self.quarantines(key)).then_some(opened)
    }
}

/// Nothing fresh is held.
fn missing<V>(name: Vec<u8>, lease: Option<Lease>, before: Before, keeps: Keeps) -> Looked<V> {
    let (leased_at, marks) = (before.sent, before.marks);
    let passed = Passed { name, lease, leased_at, marks, keeps, stand_in: None };
    Looked::Missing(passed, None)
}
