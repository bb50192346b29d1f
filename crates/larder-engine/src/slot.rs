//! What the memory tier holds for the engine: a value or an absence, and what it is judged by.
//!
//! The memory tier itself knows only when an entry is gone; fresh and stale live here.

use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::{AtomicU64, Ordering};
use larder_core::{Moment, State, Times, Window};

#[cfg(shuttle)]
use crate::engine::Omit;
use crate::events::{Events, Fate, Sweeps};

/// An entry of a cache, as the memory tier holds it.
#[derive(Clone, Debug)]
pub struct Slot<V> {
    pub(crate) value: Option<V>,
    pub(crate) times: Times,
    /// How many events there had been when its load began.
    pub(crate) born: u64,
    /// How long its load took, in microseconds; zero where none was measured.
    pub(crate) cost_micros: u32,
    /// Whose it is; see [`ledger`](crate::ledger).
    pub(crate) ledger: u16,
    /// What most entries don't have.
    pub(crate) rider: Option<Arc<Rider>>,
}

/// What a loader said of an entry that is kept with it.
#[derive(Debug)]
pub(crate) struct Rider {
    /// The hashes of its tags.
    pub(crate) tags: Box<[u64]>,
    pub(crate) validator: Option<Box<str>>,
    /// What its loader said that it weighs.
    pub(crate) weight: Option<usize>,
    /// The count of events at which the tags were found to stand.
    verified: AtomicU64,
}

impl Rider {
    pub(crate) fn new(
        tags: Box<[u64]>,
        validator: Option<Box<str>>,
        weight: Option<usize>,
    ) -> Self {
        Self { tags, validator, weight, verified: AtomicU64::new(0) }
    }

    /// That of a plain key which was written when there had been so many events.
    pub(crate) fn of_plain(tags: Box<[u64]>, written: u64) -> Self {
        Self { tags, validator: None, weight: None, verified: AtomicU64::new(written) }
    }

    /// Whether nothing became of a plain key through its tags. It has no count of its own: that
    /// at which its tags were last found to stand does as well, since nothing struck them before.
    pub(crate) fn stands_for_plain(&self, events: &Events) -> bool {
        self.stands(events, self.verified.load(Ordering::Relaxed))
    }

    /// What it takes on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        const COUNTS_AND_HEADERS: usize = 4 * size_of::<usize>();
        let validator = self.validator.as_ref().map_or(0, |text| text.len());
        size_of::<Self>() + size_of_val(&*self.tags) + validator + COUNTS_AND_HEADERS
    }

    /// Whether nothing became of its entry through its tags.
    fn stands(&self, events: &Events, born: u64) -> bool {
        self.fate(events, born) == Fate::Stands
    }

    /// What became of its entry through its tags.
    pub(crate) fn fate(&self, events: &Events, born: u64) -> Fate {
        if self.tags.is_empty() {
            return Fate::Stands;
        }
        let count = events.count();
        if count == self.verified.load(Ordering::Relaxed) {
            return Fate::Stands;
        }
        let fate = events.fate(&self.tags, born);
        #[cfg(shuttle)]
        let count = if events.omits(Omit::CountBeforeLook) { events.count() } else { count };
        if fate == Fate::Stands {
            self.verified.store(count, Ordering::Relaxed);
        }
        fate
    }
}

/// What an entry is judged by, besides itself.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) window: &'a Window,
    /// Up to when the stream vouches for entries. It was read before the entry is.
    pub(crate) horizon: Moment,
    /// Whether nothing is served that no horizon within the promise vouches for.
    pub(crate) is_strict: bool,
    pub(crate) sweeps: &'a Sweeps,
    pub(crate) events: &'a Events,
}

impl Ground<'_> {
    /// Whether an entry that is no older than its times say keeps the promise to who starts at
    /// `now`. Where nothing vouches for entries, their times say it already.
    #[inline]
    fn keeps_promise(self, loaded_at: Moment, now: Moment) -> bool {
        !self.window.vouched
            || self.window.keeps_promise(loaded_at.max(self.horizon), now) && self.hears(now)
    }

    /// What an entry of these times is worth to a read that starts at `now`.
    pub(crate) fn state(self, times: &Times, now: Moment) -> State {
        match self.hears(now) {
            true => self.window.state(times, self.horizon, now),
            false => State::Gone,
        }
    }

    /// Whether it may be served at all, by what is known of announcements.
    #[inline]
    fn hears(self, now: Moment) -> bool {
        !self.is_strict || self.window.keeps_promise(self.horizon, now)
    }
}

impl<V> Slot<V> {
    /// What a plain key has instead of a count of events: no event strikes it but those of its
    /// tags, if it was given any, and these its rider knows.
    pub(crate) const BORN_PLAIN: u64 = u64::MAX;

    /// Whether it is fresh at `now` without a closer look, which most hits are.
    #[inline]
    pub(crate) fn is_calm(&self, ground: Ground<'_>, now: Moment) -> bool {
        #[cfg(shuttle)]
        if ground.events.omits(Omit::FateAtHit) {
            return now <= self.times.calm_until();
        }
        now <= self.times.calm_until()
            && ground.keeps_promise(self.times.loaded_at(), now)
            && ground.sweeps.fate(self.born) == Fate::Stands
            && self.rider.as_ref().is_none_or(|rider| rider.stands(ground.events, self.born))
    }

    /// How long ago its load began, in nanoseconds.
    #[inline]
    pub(crate) fn age_nanos(&self, now: Moment) -> u64 {
        now.as_nanos().saturating_sub(self.times.loaded_at().as_nanos())
    }

    /// What became of it through events.
    pub(crate) fn fate(&self, ground: Ground<'_>) -> Fate {
        #[cfg(shuttle)]
        if ground.events.omits(Omit::FateAtHit) {
            return Fate::Stands;
        }
        let swept = ground.sweeps.fate(self.born);
        let tags = self.rider.as_ref().map(|rider| rider.fate(ground.events, self.born));
        swept.max(tags.unwrap_or(Fate::Stands))
    }

    /// Its times as they are now, events counted in; `None` when it was dropped.
    pub(crate) fn times_now(&self, ground: Ground<'_>) -> Option<Times> {
        let mut times = self.times;
        match self.fate(ground) {
            Fate::Stands => {}
            // What the stream vouched for when it was marked, nobody wrote down.
            Fate::Staled => times.mark_stale(Moment::ZERO),
            Fate::Dropped => return None,
        }
        Some(times)
    }

    /// What it is worth to a read that starts at `now`.
    pub(crate) fn state(&self, ground: Ground<'_>, now: Moment) -> State {
        let times = self.times_now(ground);
        times.map_or(State::Gone, |times| ground.state(&times, now))
    }

    /// How long its load took.
    pub(crate) fn cost(&self) -> Duration {
        Duration::from_micros(self.cost_micros.into())
    }
}
