//! How the memory of entries and tables that have left is used again, or given back.

use larder_policy::Policy;

use super::{Books, ROOM_MIN, Writer};
use crate::atomics::Ordering;
use crate::leftovers::Leftovers;
use crate::retired::OldTable;
use crate::table::Table;

/// This many slots may be free, and half of all, before they are worth a look.
const SPARE_SLOTS: usize = 1024;

impl<K, V, P: Policy> Writer<'_, K, V, P> {
    /// Frees what was retired, when it is worth it.
    pub(crate) fn reclaim(&mut self, left: &mut Leftovers<'_, K, V>) {
        if self.books.retired.is_due() {
            self.reclaim_all(left);
        }
    }

    /// Frees what was retired and isn't read any more.
    #[cold]
    pub(crate) fn reclaim_all(&mut self, left: &mut Leftovers<'_, K, V>) {
        let Books { retired, free, .. } = &mut *self.books;
        let slots = &self.shard.slots;
        retired.reclaim(
            |slot| slots.address(slots.place(slot)).cast_const().cast(),
            |slot, cause| {
                // SAFETY: the lock is held; the slot was put and not taken since, for it was
                // retired; the table no longer leads to it; and nobody reads it.
                left.push_removed(unsafe { slots.take(slot) }, cause);
                free.push(slot);
            },
        );
        self.shorten();
    }

    /// Gives memory back where most slots are free. Entries never move, so chunks leave from the
    /// end as they become empty; free slots are used from the beginning.
    fn shorten(&mut self) {
        let books = &mut *self.books;
        if books.free.len() <= SPARE_SLOTS + books.end as usize / 2 {
            return;
        }
        books.free.sort_unstable_by(|a, b| b.cmp(a));
        let used = books.retired.slots().map(|slot| slot + 1).max().unwrap_or(0);
        // SAFETY: the lock is held, and what is neither live nor retired is free.
        let end = unsafe { self.shard.slots.shorten(books.live.end().max(used)) };
        if end < books.end {
            books.end = end;
            books.free.retain(|&slot| slot < end);
            books.free.shrink_to(2 * books.free.len());
            books.live.shrink(end);
            books.policy.shrink(end);
            books.wheel.shrink(end);
            if self.table().room() > 4 * (end as usize).max(ROOM_MIN) {
                self.rebuild(2 * end as usize);
            }
        }
    }

    /// A larger table, in which all live slots stand.
    #[cold]
    pub(super) fn grow(&mut self) {
        let entries = self.books.live.len();
        self.rebuild((2 * self.table().room()).min(self.books.share.entries).max(entries));
    }

    /// A table with this much room, in place of the one in force.
    fn rebuild(&mut self, room: usize) {
        let table = Table::new(room);
        let mut at = 0;
        while let Some(slot) = self.books.live.next(at) {
            table.insert(self.entry(slot).hash, self.shard.slots.place(slot));
            at = slot + 1;
        }
        let table = Box::into_raw(Box::new(table));
        let old = self.shard.table.swap(table, Ordering::AcqRel);
        // SAFETY: the table came from a box, is no longer in force, and is retired once.
        let old = unsafe { OldTable::new(old) };
        self.books.retired.push_table(old);
    }
}
