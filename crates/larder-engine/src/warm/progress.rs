//! How far a warming is, for whoever asks while it runs.
//!
//! It knows no cache: counters, how it ended, and whether it is to stop.

use std::sync::Arc;

use larder_core::Error;
use larder_core::sync::{AtomicBool, Counter, Mutex, Ordering};

/// Why a warming is over.
#[derive(Clone, Debug)]
pub enum WarmEnd {
    /// Every key of the list was seen, or as many as were wanted.
    Listed,
    /// The memory tier has no room left that would cost no other entry its place.
    Full,
    /// Its time was over.
    Deadline,
    /// It was told to stop, or its future was dropped.
    Stopped,
    /// The source or the list failed, and went on failing.
    Failed(Error),
}

impl WarmEnd {
    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Full => "full",
            Self::Deadline => "deadline",
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
        }
    }
}

/// How far a warming is, or how it ended. Each key that was seen is in one of the other counts,
/// but for those that are under way, or were when it was stopped.
#[derive(Clone, Debug, Default)]
pub struct WarmReport {
    /// Keys taken from the list.
    pub seen: u64,
    /// About how many the list has, where it knows.
    pub of: Option<u64>,
    /// Keys that were loaded and are held now, absences among them.
    pub loaded: u64,
    /// Keys that were loaded and not kept: too heavy, invalidated meanwhile, or not for keeping.
    pub not_kept: u64,
    /// Keys that were held and fresh, or that somebody else was loading.
    pub held: u64,
    /// Keys that were left out because where they belong there is no free room.
    pub no_room: u64,
    /// Keys that the source couldn't answer for, or that can be none.
    pub failed: u64,
    /// Why it is over; `None` while it runs.
    pub end: Option<WarmEnd>,
}

impl WarmReport {
    /// Whether it is over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Why it failed, if it did.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        match &self.end {
            Some(WarmEnd::Failed(error)) => Some(error),
            _ => None,
        }
    }
}

/// A warming that was begun, or will be, in the hands of whoever watches it. Clones are the same
/// one.
#[derive(Clone, Debug, Default)]
pub struct Warming(Arc<State>);

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    ends: Mutex<Ends>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) seen: Counter,
    pub(super) loaded: Counter,
    pub(super) not_kept: Counter,
    pub(super) held: Counter,
    pub(super) no_room: Counter,
    pub(super) failed: Counter,
}

#[derive(Debug, Default)]
struct Ends {
    of: Option<u64>,
    end: Option<WarmEnd>,
}

impl Warming {
    /// How far it is. The counts are read one after the other.
    #[must_use]
    pub fn progress(&self) -> WarmReport {
        let State { counts, ends, .. } = &*self.0;
        let (of, end) = {
            let ends = ends.lock();
            (ends.of, ends.end.clone())
        };
        WarmReport {
            of,
            end,
            loaded: counts.loaded.get(),
            not_kept: counts.not_kept.get(),
            held: counts.held.get(),
            no_room: counts.no_room.get(),
            failed: counts.failed.get(),
            // Last: what is in another count was seen before.
            seen: counts.seen.get(),
        }
    }

    /// Asks it to stop. It asks nothing more, and is over when the oldest question that is under
    /// way has been answered; what the others bring is kept as well.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(super) fn expect(&self, of: Option<u64>) {
        self.0.ends.lock().of = of;
    }

    /// It is over; what was said first counts.
    pub(super) fn end(&self, end: WarmEnd) {
        self.0.ends.lock().end.get_or_insert(end);
    }
}
