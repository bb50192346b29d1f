//! Who follows the source's log, tells of it and answers tokens.

use super::state::{State, Version};

/// No process that is checked.
pub(crate) const ELSEWHERE: usize = usize::MAX;
/// No limit.
pub(crate) const ALL: Version = Version::MAX;

/// Who follows, or followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    /// Its process.
    pub(crate) process: usize,
    /// Everything up to here was announced.
    pub(crate) position: Version,
    /// Whether the shared tier knows of the next one.
    pub(crate) half: bool,
    /// The tokens that it saw, and the end of the log that it read then.
    pub(crate) seen: [Option<Version>; 2],
    /// It receives no more than this.
    pub(crate) limit: Version,
    /// Who asks for the end of the log reaches another server than the one that is followed.
    pub(crate) is_cut_off: bool,
    /// Whether it knows what a change means to the cache.
    pub(crate) covers: bool,
    pub(crate) gap: Gap,
}

/// What is done about changes that were missed before a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Gap {
    None,
    /// What is told begins here. What was committed before may not be visible yet.
    Begins(Version),
    /// Everything before is visible.
    Visible(Version),
    /// The shared tier has forgotten everything.
    Struck(Version),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Follows,
    /// It followed before.
    Old,
}

impl Owner {
    pub(crate) const fn new(process: usize, position: Version, covers: bool) -> Self {
        Self {
            process,
            position,
            half: false,
            seen: [None; 2],
            limit: ALL,
            is_cut_off: false,
            covers,
            gap: Gap::None,
        }
    }
}

impl State {
    pub(crate) const fn owner(&mut self, who: Who) -> Option<&mut Owner> {
        match who {
            Who::Follows => Some(&mut self.owner),
            Who::Old => self.old.as_mut(),
        }
    }
}
