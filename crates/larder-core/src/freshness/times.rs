//! What an entry carries to be judged by its cache's [`Window`](super::Window).

use crate::Moment;

/// The times of an entry: four words.
///
/// A fresh entry that nobody need look at twice is told by one comparison, with
/// [`calm_until`](Self::calm_until).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    loaded_at: Moment,
    /// Until when it is served as it is. Of a frozen entry: the as-of that no horizon lifts.
    fresh_until: Moment,
    stale_until: Moment,
    /// Zero is the mark of a frozen entry: no entry was ever calm until the beginning of time.
    calm_until: Moment,
}

impl Times {
    /// What `calm_until` is at least, unless the entry is frozen.
    const CALM_MIN: Moment = Moment::from_nanos(1);

    pub(super) fn new(
        loaded_at: Moment,
        fresh_until: Moment,
        stale_until: Moment,
        calm_until: Moment,
    ) -> Self {
        Self { loaded_at, fresh_until, stale_until, calm_until: calm_until.max(Self::CALM_MIN) }
    }

    /// The times of what is the truth from `since` until it expires: nothing was loaded, and
    /// nothing can make it stale.
    #[must_use]
    pub fn of_truth(since: Moment, expires_at: Moment) -> Self {
        Self::new(since, expires_at, expires_at, expires_at)
    }

    /// Taken before the load began.
    #[inline]
    #[must_use]
    pub const fn loaded_at(&self) -> Moment {
        self.loaded_at
    }

    /// Until when it is served as it is; the beginning of time once it was marked stale.
    #[must_use]
    pub fn fresh_until(&self) -> Moment {
        if self.is_frozen() { Moment::ZERO } else { self.fresh_until }
    }

    /// Until when it may be served while a refresh runs.
    #[must_use]
    pub const fn stale_until(&self) -> Moment {
        self.stale_until
    }

    /// Until then it is fresh without a look at anything else, and wants no early refresh. What
    /// comes after is for the window to judge.
    #[inline]
    #[must_use]
    pub const fn calm_until(&self) -> Moment {
        self.calm_until
    }

    /// Whether it was marked stale.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.calm_until == Moment::ZERO
    }

    /// The last moment at which the entry is known to have been the source's value. `horizon` is
    /// what its stream vouches for, or [`Moment::ZERO`] where there is no stream.
    #[must_use]
    pub fn as_of(&self, horizon: Moment) -> Moment {
        if self.is_frozen() { self.fresh_until } else { self.loaded_at.max(horizon) }
    }

    /// Marks the entry stale: it is as current as it will ever be. A second mark changes
    /// nothing.
    ///
    /// It stays servable, under the rule for stale entries, for what `stale_until` and the
    /// promise leave.
    pub fn mark_stale(&mut self, horizon: Moment) {
        self.fresh_until = self.as_of(horizon);
        self.calm_until = Moment::ZERO;
    }
}
