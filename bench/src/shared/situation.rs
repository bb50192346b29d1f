//! Under which circumstances both sides read.

use super::ROWS;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Situation {
    /// Nothing changes, and larder's memory has room for all rows.
    AllHeld,
    /// Nothing changes, and larder's memory has room for a tenth of the rows.
    TenthHeld,
    /// There is room for all, and one request in a hundred changes the row that it names and then
    /// says so: larder by `invalidate`, which returns when every process can know of it, the
    /// other side by `DEL`, after which nobody else's memory need be told of anything.
    Changing,
}

impl Situation {
    pub(super) const ALL: [Self; 3] = [Self::AllHeld, Self::TenthHeld, Self::Changing];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AllHeld => "all held",
            Self::TenthHeld => "a tenth held",
            Self::Changing => "changing",
        }
    }

    /// What the name of the result ends with.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::AllHeld => "",
            Self::TenthHeld => "_small_memory",
            Self::Changing => "_changing",
        }
    }

    pub(super) fn what(self) -> String {
        let held = self.held();
        match self {
            Self::AllHeld => format!("larder's memory has room for all {held} rows"),
            Self::TenthHeld => format!("larder's memory has room for {held} of {ROWS} rows"),
            Self::Changing => format!("room for all {held} rows, 1 % of requests change one"),
        }
    }

    /// How many rows larder's memory has room for.
    pub(super) fn held(self) -> usize {
        match self {
            Self::AllHeld | Self::Changing => ROWS as usize,
            Self::TenthHeld => ROWS as usize / 10,
        }
    }

    /// One request in so many changes what it names; `None`: no request does.
    pub(super) fn reads_per_change(self) -> Option<usize> {
        (self == Self::Changing).then_some(100)
    }
}
