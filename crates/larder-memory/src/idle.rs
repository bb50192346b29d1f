//! When an entry expires that nobody uses.

use std::time::Duration;

use larder_core::Moment;

use crate::slots::Extra;

/// A use is noted when the last note is older than this part of the time: entries that are used
/// all the time are mostly read.
const PARTS: u32 = 32;

/// How long an entry may go unused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// From the last note of a use to the expiry.
    unnoted: Duration,
    /// How old a note may become.
    granule: Duration,
}

/// The last moment at which an entry may be seen if it isn't used again.
pub(crate) fn last(extra: &Extra, idle: Option<Idle>) -> Moment {
    idle.map_or(extra.expires_at, |idle| extra.expires_at.min(extra.used_at() + idle.unnoted))
}

impl Idle {
    pub(crate) fn new(idle_for: Duration) -> Self {
        let granule = idle_for / PARTS;
        // A use that wasn't noted came at most a granule after the note.
        Self { unnoted: idle_for.saturating_add(granule), granule }
    }

    /// Notes a use.
    pub(crate) fn note(self, extra: &Extra, now: Moment) {
        if now > extra.used_at() + self.granule {
            extra.set_used_at(now);
        }
    }
}
