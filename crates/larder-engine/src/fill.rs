//! Fills: what was loaded goes into memory, if its fence still holds.

use std::sync::Arc;
use std::time::Duration;

use larder_core::envelope::Envelope;
use larder_core::{
    CacheKey, Error, ErrorKind, Moment, Result, State, Terms, Tier, Times, freshness, terms,
};

use crate::cache::Parts;
use crate::events::{Fate, tag_hash};
use crate::fence::Fence;
use crate::flight::Landed;
use crate::observe::What;
use crate::shared::Opened;
use crate::slot::{Rider, Slot};

/// Whether a loaded value was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// It is held now.
    Stored,
    /// An invalidation, or a newer fill, came in between: what was loaded may be old.
    Refused,
    /// It is not for keeping: the promise is zero, or used up by the load itself, its loader said
    /// so, or the value is heavier than the memory tier takes.
    NotKept,
}

/// Whether memory may keep what is being loaded, as was decided before its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// For its lifetime.
    Fully,
    /// No longer than the promise, where writers announce themselves in the shared tier: it had no
    /// word on this key, so no horizon may vouch for it.
    Briefly,
    /// Not at all.
    Not,
}

/// What a load brought.
pub(crate) struct Loaded<'t, V> {
    pub(crate) value: Option<V>,
    pub(crate) terms: &'t Terms,
    /// What stood beside the value that was held when the load began.
    pub(crate) held: Option<Arc<Rider>>,
    /// When the load began.
    pub(crate) at: Moment,
    /// How long it took.
    pub(crate) cost: Duration,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Keeps what was loaded, if its fence still holds, as far as it `keeps`.
    pub(crate) fn fill(
        &self,
        key: &K,
        loaded: Loaded<'_, V>,
        fence: Fence,
        keeps: Keeps,
    ) -> Landed<V> {
        self.counters.keys_loaded.add(1);
        if loaded.value.is_none() {
            self.counters.absent.add(1);
        }
        if let Some(penetration) = &self.penetration {
            penetration.loaded(key, loaded.value.is_some());
        }
        // A checker explores the order of steps, and statistics have none.
        if !cfg!(shuttle) {
            self.notes.loaded(key, fence.hash, loaded.value.as_ref());
        }
        if loaded.terms.is_unchanged() {
            self.counters.unchanged.add(1);
        }
        let rider = self.rider(loaded.terms, loaded.held.as_deref());
        let is_brief = keeps == Keeps::Briefly && self.consistency.is_guarded();
        let times = if is_brief { self.brief_times_of(&loaded) } else { self.times_of(&loaded) };
        let fill = match keeps {
            Keeps::Not => Fill::NotKept,
            _ if self.is_being_written(key) => Fill::NotKept,
            _ => self.keep(key, &loaded, times, fence, rider.clone()),
        };
        match fill {
            Fill::Stored => {}
            Fill::Refused => self.counters.refused.add(1),
            Fill::NotKept => self.counters.not_kept.add(1),
        }
        let present = loaded.value.is_some();
        self.tell(key, What::Loaded { present, took: loaded.cost, fill });
        Landed {
            value: loaded.value,
            times,
            as_of: loaded.at,
            fill,
            born: fence.born,
            rider,
            tier: Tier::Source,
            state: State::Fresh,
        }
    }

    /// Copies an entry of the shared tier into memory, if its fence still holds.
    pub(crate) fn promote(
        &self,
        key: &K,
        opened: Opened<V>,
        state: State,
        fence: Fence,
    ) -> Landed<V> {
        let Opened { value, envelope, times, as_of } = opened;
        let rider = rider_of(&envelope);
        if !envelope.tags.is_empty() {
            self.note_tags();
        }
        let slot = Slot {
            value,
            times,
            born: fence.born,
            cost_micros: u32::try_from(envelope.cost.as_micros()).unwrap_or(u32::MAX),
            ledger: self.notes.ledger_number,
            rider,
        };
        let fill = self.insert(key, slot.clone(), fence);
        let Slot { value, rider, .. } = slot;
        Landed { value, times, as_of, fill, born: fence.born, rider, tier: Tier::Shared, state }
    }

    /// The times of what was loaded.
    pub(crate) fn times_of(&self, loaded: &Loaded<'_, V>) -> Times {
        self.window.times(&freshness::Loaded {
            at: loaded.at,
            present: loaded.value.is_some(),
            cost: loaded.cost,
            draw: self.engine.draw(),
            // Where no stream vouches nothing outlives the promise, and the early refresh goes by
            // the end that there is.
            fresh_for: loaded.terms.own_fresh_for().map(|own| match self.window.vouched {
                true => own,
                false => own.min(self.window.max_staleness),
            }),
            stale_for: loaded.terms.own_stale_for(),
        })
    }

    /// The same where no horizon may vouch for it: it is over when the promise is.
    fn brief_times_of(&self, loaded: &Loaded<'_, V>) -> Times {
        let max = self.window.max_staleness;
        let of_window =
            if loaded.value.is_some() { self.window.fresh_for } else { self.window.missing_for };
        let fresh_for = loaded.terms.own_fresh_for().unwrap_or(of_window).min(max);
        let stale_for = Duration::ZERO;
        let (at, present) = (loaded.at, loaded.value.is_some());
        let lasting = freshness::Lasting { fresh_for, stale_for, cost: loaded.cost };
        self.window.times_of_lasting(at, present, lasting)
    }

    /// What is kept beside the value, if anything was said. A value that is unchanged keeps its
    /// tags, unless new ones were said: otherwise their next invalidation would miss it.
    pub(crate) fn rider(&self, terms: &Terms, held: Option<&Rider>) -> Option<Arc<Rider>> {
        let tags: Box<[u64]> = match held {
            Some(held) if terms.is_unchanged() && terms.tags().is_empty() => held.tags.clone(),
            _ => terms.tags().iter().map(|tag| tag_hash(tag)).collect(),
        };
        if !tags.is_empty() {
            self.note_tags();
        }
        let (validator, weight) = (terms.own_validator(), terms.own_weight());
        if tags.is_empty() && validator.is_none() && weight.is_none() {
            return None;
        }
        Some(Arc::new(Rider::new(tags, validator.map(Box::from), weight)))
    }

    fn keep(
        &self,
        key: &K,
        loaded: &Loaded<'_, V>,
        times: Times,
        fence: Fence,
        rider: Option<Arc<Rider>>,
    ) -> Fill {
        let now = self.engine.now();
        let expires_at = self.window.forgotten_after(&times, loaded.value.is_some());
        if !self.window.keeps() || !loaded.terms.is_stored() || expires_at < now {
            return Fill::NotKept;
        }
        // Nothing would be wrong with storing it, as it would be judged at every hit; but whoever
        // waits for it is to read again.
        if rider.as_ref().is_some_and(|rider| self.rider_fate(rider, fence.born) != Fate::Stands) {
            return Fill::Refused;
        }
        let slot = Slot {
            value: loaded.value.clone(),
            times,
            born: fence.born,
            cost_micros: u32::try_from(loaded.cost.as_micros()).unwrap_or(u32::MAX),
            ledger: self.notes.ledger_number,
            rider,
        };
        let fill = self.insert(key, slot, fence);
        if let (Fill::Stored, Some(seat)) = (fill, &self.seat) {
            seat.filled(key, loaded.cost);
        }
        fill
    }

    /// Puts an entry into memory under its fence.
    fn insert(&self, key: &K, slot: Slot<V>, fence: Fence) -> Fill {
        let now = self.engine.now();
        let (at, present) = (slot.times.loaded_at(), slot.value.is_some());
        let expires_at = self.window.forgotten_after(&slot.times, present);
        let weight = self.notes.ledger.weight(key, &slot);
        // Called under the lock under which an invalidation raises the epoch and removes.
        let holds = |held: Option<&Slot<V>>| {
            // Of two fills the one that was loaded later stays, whichever comes last.
            let newest = held.is_none_or(|held| held.times.loaded_at() <= at);
            newest && self.fence_holds(fence) && !self.is_being_written(key)
        };
        match self.memory.insert_if(key.clone(), slot, weight, expires_at, now, holds) {
            larder_memory::Insert::Stored => {
                self.notes.ledger.stored(weight);
                Fill::Stored
            }
            larder_memory::Insert::Refused => Fill::Refused,
            larder_memory::Insert::TooHeavy | larder_memory::Insert::NoRoom => Fill::NotKept,
        }
    }

    /// Whether nothing was invalidated since the fence was captured. Only an answer given under
    /// the memory tier's lock of that key means something.
    pub(crate) fn fence_holds(&self, fence: Fence) -> bool {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::SweepAtFill) {
            return self.engine.epochs().holds(fence);
        }
        self.engine.epochs().holds(fence) && !self.sweeps.voids(fence.born)
    }

    pub(crate) fn rider_fate(&self, rider: &Rider, born: u64) -> Fate {
        rider.fate(self.engine.events(), born)
    }
}

/// What is kept beside a value of the shared tier.
pub(crate) fn rider_of(envelope: &Envelope) -> Option<Arc<Rider>> {
    let weight = envelope.weight.map(|weight| weight as usize);
    let is_bare = envelope.tags.is_empty() && envelope.validator.is_none() && weight.is_none();
    let rider = || Rider::new(envelope.tags.clone().into(), envelope.validator.clone(), weight);
    (!is_bare).then(|| Arc::new(rider()))
}

/// Whether an entry may be kept on these terms.
///
/// # Errors
///
/// `Loader`, saying which limit was exceeded.
pub(crate) fn check_terms(terms: &Terms) -> Result<()> {
    let fault = |message| Err(Error::new(ErrorKind::Loader, message));
    if terms.tags().len() > terms::TAGS_MAX {
        let (tags, max) = (terms.tags().len(), terms::TAGS_MAX);
        return fault(format!(
            "the loader gave an entry {tags} tags, and {max} are the most: tag what they have in \
             common"
        ));
    }
    if let Some(tag) = terms.tags().iter().find(|tag| tag.len() > terms::TAG_BYTES_MAX) {
        let (bytes, max) = (tag.len(), terms::TAG_BYTES_MAX);
        return fault(format!("the loader gave a tag of {bytes} bytes, and {max} are the most"));
    }
    Ok(())
}
