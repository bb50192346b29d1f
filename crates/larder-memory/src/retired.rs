//! What a shard has taken away and not yet freed, since somebody may still be reading it.

#![expect(unsafe_code, reason = "entries are read without a lock; each block has its proof")]

use std::ptr::NonNull;

use crate::bounds::Share;
use crate::fence::{self, Stamp};
use crate::hazard;
use crate::stats::RemovalCause;
use crate::table::Table;

/// How many slots wait at most before they are worth a barrier, which interrupts other threads.
const BATCH_MAX: usize = 512;
const BATCH_MIN: usize = 64;

/// How many slots share a stamp, since one costs a fence.
const STAMPED_TOGETHER: usize = 16;

/// Whether somebody waits for each entry to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promptly {
    Yes,
    No,
}

/// A table that is no longer in force.
pub(crate) struct OldTable(NonNull<Table>);

// SAFETY: it owns the table, which is `Send`.
unsafe impl Send for OldTable {}

impl OldTable {
    /// # Safety
    ///
    /// The table came from a box, no shard leads to it any longer, and it is given away once.
    pub(crate) unsafe fn new(table: *mut Table) -> Self {
        // SAFETY: a table in a box has an address.
        Self(unsafe { NonNull::new_unchecked(table) })
    }

    fn allocated(&self) -> usize {
        // SAFETY: it is freed when this is dropped.
        unsafe { self.0.as_ref() }.allocated()
    }
}

impl Drop for OldTable {
    fn drop(&mut self) {
        // SAFETY: it came from a box and is owned. It is dropped by `Retired::reclaim` when nobody
        // searches it, and otherwise with its shard, when nobody reads.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// A slot whose entry can't be found any more.
#[derive(Clone, Copy)]
struct Waiting {
    slot: u32,
    cause: RemovalCause,
    charge: usize,
    since: Stamp,
}

/// What waits to be freed, the oldest first.
pub(crate) struct Retired {
    slots: Vec<Waiting>,
    tables: Vec<OldTable>,
    /// What the slots are charged, together, and the sizes of the tables. What was being read when
    /// it could have been freed no longer counts: it is the reader's.
    bytes: usize,
    promptly: Promptly,
    /// When to free: this many slots, or this many bytes.
    batch: usize,
    batch_bytes: usize,
    /// How many slots, bytes and tables were left over last time, being read or for want of a
    /// barrier: it is only worth trying again when there are more.
    left_slots: usize,
    left_bytes: usize,
    left_tables: usize,
    /// How many of the slots have their stamp.
    stamped: usize,
    held: Vec<*const ()>,
}

// SAFETY: the addresses are compared and never followed.
unsafe impl Send for Retired {}

impl Retired {
    pub(crate) fn new(share: &Share, promptly: Promptly) -> Self {
        let mut retired = Self {
            slots: Vec::new(),
            tables: Vec::new(),
            bytes: 0,
            promptly,
            batch: 0,
            batch_bytes: 0,
            left_slots: 0,
            left_bytes: 0,
            left_tables: 0,
            stamped: 0,
            held: Vec::new(),
        };
        retired.resize(share);
        retired
    }

    /// The share of the shard is another one now.
    pub(crate) fn resize(&mut self, share: &Share) {
        self.batch = match self.promptly {
            Promptly::Yes => 1,
            Promptly::No => (share.entries / 8).clamp(BATCH_MIN, BATCH_MAX),
        };
        self.batch_bytes = (share.bytes / 64).max(share.bytes - share.target());
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The slots that wait.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().map(|waiting| waiting.slot)
    }

    /// How many tables wait.
    #[cfg(all(test, not(shuttle)))]
    pub(crate) const fn tables(&self) -> usize {
        self.tables.len()
    }

    pub(crate) fn push_slot(&mut self, slot: u32, charge: usize, cause: RemovalCause) {
        self.slots.push(Waiting { slot, cause, charge, since: Stamp::NEVER });
        self.bytes = self.bytes.saturating_add(charge);
        if self.slots.len() == self.stamped + STAMPED_TOGETHER {
            let since = Stamp::now();
            self.slots[self.stamped..].iter_mut().for_each(|waiting| waiting.since = since);
            self.stamped = self.slots.len();
        }
    }

    pub(crate) fn push_table(&mut self, table: OldTable) {
        self.bytes = self.bytes.saturating_add(table.allocated());
        self.tables.push(table);
    }

    /// Whether there is enough to be worth a barrier.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.slots.len() >= self.left_slots + self.batch
            // A table is as large as thousands of entries.
            || self.tables.len() > self.left_tables
            || self.bytes > self.left_bytes.saturating_add(self.batch_bytes)
    }

    /// Whether something might be freed that would make room.
    pub(crate) fn has_bytes(&self) -> bool {
        self.bytes > self.left_bytes
    }

    /// Frees what nobody reads: `take` is called with each slot that can be used again.
    pub(crate) fn reclaim(
        &mut self,
        address: impl Fn(u32) -> *const (),
        mut take: impl FnMut(u32, RemovalCause),
    ) {
        (self.left_slots, self.left_bytes) = (self.slots.len(), self.bytes);
        self.left_tables = self.tables.len();
        // A barrier for another shard may have served this one as well.
        let past = self.slots.partition_point(|waiting| waiting.since.is_past());
        let (judged, all) = if past > self.slots.len() / 2 && self.tables.is_empty() {
            (past, false)
        } else if fence::heavy() {
            (self.slots.len(), true)
        } else {
            return;
        };
        if !hazard::survey(&mut self.held) {
            return;
        }
        let held = &self.held;
        let mut kept = 0;
        for at in 0..judged {
            let Waiting { slot, cause, .. } = self.slots[at];
            if held.contains(&address(slot)) {
                self.slots[at].charge = 0;
                self.slots.swap(kept, at);
                kept += 1;
            } else {
                take(slot, cause);
            }
        }
        self.slots.drain(kept..judged);
        if all {
            self.tables.clear();
        }
        self.stamped = self.slots.iter().take_while(|it| it.since != Stamp::NEVER).count();
        self.bytes = self.slots.iter().fold(0, |sum, it| sum.saturating_add(it.charge));
        (self.left_slots, self.left_bytes) = (kept, 0);
        self.left_tables = self.tables.len();
    }
}
