//! What was found when a journal was opened: what was cut off, and what is lost.

use std::fmt;
use std::ops::Range;

/// What opening a journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many records are there and still needed.
    pub records: u64,
    /// How many bytes were cut off behind the last good record. They were being written when the
    /// process or the machine stopped, and had not become durable.
    pub cut_bytes: u64,
    /// What was lost and accepted now.
    pub lost: Option<Damage>,
}

/// Durable records that are gone: the error inside of a refusal to open.
///
/// It is proven by later records, by a later segment or by the mark, each of which says up to
/// where everything was durable when it was written. Either the disk doesn't keep what it says it
/// has, or somebody changed the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The numbers of the records that are gone, in order.
    pub lost: Vec<Range<u64>>,
    /// Whether it isn't known any more which records are needed: all that are left will be read
    /// again, and what was before them, if anything, is gone.
    pub is_mark_lost: bool,
}

impl Damage {
    pub(crate) fn is_none(&self) -> bool {
        self.lost.is_empty() && !self.is_mark_lost
    }

    /// Adds the numbers, behind all others.
    pub(crate) fn add(&mut self, lost: Range<u64>) {
        if lost.start >= lost.end {
            return;
        }
        match self.lost.last_mut() {
            Some(last) if last.end == lost.start => last.end = lost.end,
            _ => self.lost.push(lost),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_mark_lost {
            f.write_str("the mark of what is needed is lost")?;
        }
        // However many there are, it stays a line.
        for (at, range) in self.lost.iter().take(8).enumerate() {
            let opening = match (at, self.is_mark_lost) {
                (0, false) => "lost are the records",
                (0, true) => ", and the records",
                _ => ",",
            };
            match range.end - range.start {
                1 => write!(f, "{opening} {}", range.start)?,
                _ => write!(f, "{opening} {} to {}", range.start, range.end - 1)?,
            }
        }
        match self.lost.len().saturating_sub(8) {
            0 => Ok(()),
            more => write!(f, ", and {more} more ranges"),
        }
    }
}

impl std::error::Error for Damage {}
