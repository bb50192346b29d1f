//! One shard: what readers see without a lock, and the books of those who write under one.
//!
//! Readers go from the table to a slot and read the entry in it, which nobody changes as long as
//! it is there. Writers put an entry into a free slot before the table leads to it, and take it
//! out only after the table no longer does and nobody reads it any more: in between it is
//! [retired](crate::retired). A value that is replaced is another entry in another slot.
//!
//! The books agree with each other whenever code of a user runs, so a panic there leaves a sound
//! shard. The shard knows no hasher and no clock, and it drops no key and no value: what leaves
//! goes to the [`Leftovers`].

#![expect(unsafe_code, reason = "entries are read without a lock; each block has its proof")]

mod reclaim;
mod room;
mod view;
mod writer;

use std::borrow::Borrow;
use std::ptr;

use larder_core::Moment;
use larder_core::sync::{Mutex, MutexGuard};
use larder_policy::Policy;

use crate::atomics::{self, AtomicPtr, AtomicU32, Ordering};
use crate::bounds::Share;
use crate::clock::Now;
use crate::hazard::{Hold, Reader, Section};
use crate::idle::{self, Idle};
use crate::live::Live;
use crate::place::Place;
use crate::retired::{Promptly, Retired};
use crate::slots::{Entry, Extra, Slots};
use crate::stats::Stats;
use crate::table::{Guess, Table};
use crate::wheel::Wheel;

pub(crate) use writer::New;

/// What an entry takes besides its slot: its part of the table (8 to 16 bytes), of the policy
/// (about 12), of the order of expiry (8), with their reserves and slots that are free.
const INDEX_BYTES: usize = 32;

/// What an allocator adds to a key or a value that is on the heap: its header and rounding.
const ALLOCATOR_BYTES: usize = 16;

/// A value of this size or less that has a destructor is nearly always a counted reference, whose
/// copy takes no time: it is made before the search ends, in which nothing is freed. If the copy
/// does take long, what others free waits that long.
const COPIED_AT_ONCE: usize = 2 * size_of::<usize>();

/// The room of a shard's first table.
const ROOM_MIN: usize = 24;

/// On cache lines of its own: neighbours don't slow each other down.
#[repr(align(128))]
pub(crate) struct Shard<K, V, P> {
    table: AtomicPtr<Table>,
    /// The policy's [sample](Policy::sample).
    sample: AtomicU32,
    /// Whether entries expire that aren't used.
    idle: Option<Idle>,
    slots: Slots<K, V>,
    books: Mutex<Books<P>>,
}

/// What only writers know, under the lock.
struct Books<P> {
    share: Share,
    policy: P,
    wheel: Wheel,
    /// Which slots hold an entry that the table leads to.
    live: Live,
    /// Slots below `end` that hold nothing.
    free: Vec<u32>,
    /// One more than the highest slot that was ever in use since the slots were last shortened.
    end: u32,
    retired: Retired,
    /// The sum of the charges of all live entries.
    bytes: usize,
    counts: Stats,
}

/// A shard whose lock is held.
pub(crate) struct Writer<'a, K, V, P> {
    shard: &'a Shard<K, V, P>,
    books: MutexGuard<'a, Books<P>>,
}

/// Whether a look at an entry is a use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    Yes,
    No,
}

/// What a [glance](Shard::glance) found.
pub(crate) enum Glance<'a, K, V> {
    /// An entry that doesn't expire, of which this was a use.
    Lasting(Read<'a, K, V>),
    /// An entry that has something [beside its slot](Extra), and may have expired.
    Expiring(Read<'a, K, V>),
    /// No entry under this key.
    Nothing(Reader),
    /// It takes a [closer look](Shard::read).
    Unsure,
}

/// An entry that is being read without the lock.
pub(crate) struct Read<'a, K, V> {
    entry: &'a Entry<K, V>,
    place: Place,
    /// Keeps the entry from being freed.
    section: Section,
}

impl<K, V, P: Policy> Shard<K, V, P> {
    /// What every entry takes besides its weight.
    pub(crate) const ENTRY_OVERHEAD: usize = Slots::<K, V>::SLOT_BYTES
        + Slots::<K, V>::EXTRA_BYTES
        + INDEX_BYTES
        + if std::mem::needs_drop::<K>() { ALLOCATOR_BYTES } else { 0 }
        + if std::mem::needs_drop::<V>() { ALLOCATOR_BYTES } else { 0 };

    pub(crate) fn new(share: Share, policy: P, promptly: Promptly, idle: Option<Idle>) -> Self {
        let table = Box::into_raw(Box::new(Table::new(ROOM_MIN.min(share.entries))));
        Self {
            table: AtomicPtr::new(table),
            sample: AtomicU32::new(policy.sample()),
            idle,
            slots: Slots::new(share.entries),
            books: Mutex::new(Books {
                share,
                policy,
                wheel: Wheel::default(),
                live: Live::default(),
                free: Vec::new(),
                end: 0,
                retired: Retired::new(&share, promptly),
                bytes: 0,
                counts: Stats::default(),
            }),
        }
    }

    /// The entry under `key`, without the lock, if that takes only what nearly every read takes;
    /// `marks` is what a use is marked up to. There is no call in here that could come back: what
    /// it finds is to be had with the fewest instructions, since the misses of the CPU's caches
    /// in one read go side by side with those in the next, as far as its window reaches.
    #[inline]
    pub(crate) fn glance<Q>(&self, hash: u32, key: &Q, marks: u8) -> Glance<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(section) = Section::open_at_once() else { return Glance::Unsure };
        // SAFETY: as in `read`.
        let table = unsafe { &*self.table.load(Ordering::Acquire) };
        let place = match table.guess(hash) {
            Guess::At(place) => place,
            Guess::Nowhere if self.is_in_force(table) => {
                return Glance::Nothing(section.reader());
            }
            Guess::Nowhere | Guess::Elsewhere => return Glance::Unsure,
        };
        // SAFETY: as in `read`.
        let entry = unsafe { self.slots.entry(place) };
        // To compare what is small and stands here is as quick as to compare the hashes first.
        let is_small = size_of_val(key) <= size_of::<usize>() && !std::mem::needs_drop::<K>();
        if (!is_small && entry.hash != hash) || entry.key.borrow() != key {
            return Glance::Unsure;
        }
        if entry.has_extra() {
            return Glance::Expiring(Read { entry, place, section });
        }
        let uses = entry.uses.load(Ordering::Relaxed);
        if uses < marks {
            if hash & self.sample.load(Ordering::Relaxed) == 0 {
                // The policy is to be shown it.
                return Glance::Unsure;
            }
            entry.uses.store(uses + 1, Ordering::Relaxed);
        }
        Glance::Lasting(Read { entry, place, section })
    }

    /// The entry under `key`, whether it has expired or not, without the lock; or who looked in
    /// vain.
    #[inline]
    pub(crate) fn read<Q>(&self, hash: u32, key: &Q) -> Result<Read<'_, K, V>, Reader>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let section = Section::open();
        // SAFETY: the table was in force when the section was open, so it isn't freed before the
        // section ends, whoever replaces it.
        let table = unsafe { &*self.table.load(Ordering::Acquire) };
        let matches = |place: Place| {
            // SAFETY: the table led to the slot when the section was open, so the entry in it was
            // written before, and isn't taken out before the section ends.
            let entry = unsafe { self.slots.entry(place) };
            (entry.hash == hash && entry.key.borrow() == key).then_some((place, entry))
        };
        let found = match table.guess(hash) {
            Guess::At(place) => matches(place).or_else(|| self.search(table, hash, matches)),
            Guess::Nowhere if self.is_in_force(table) => None,
            Guess::Nowhere | Guess::Elsewhere => self.search(table, hash, matches),
        };
        match found {
            Some((place, entry)) => Ok(Read { entry, place, section }),
            None => Err(section.reader()),
        }
    }

    /// Has the processor bring the entry that is most likely under a key of this hash. Its place
    /// in the table is brought right now: calls for several hashes don't wait for each other.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32, _within: &Section) {
        // SAFETY: as in `read`; the section is the caller's.
        let table = unsafe { &*self.table.load(Ordering::Acquire) };
        if let Guess::At(place) = table.guess(hash) {
            self.slots.prefetch(place);
        }
    }

    /// Looks everywhere, where a first guess found nothing.
    #[inline(never)]
    fn search<R>(
        &self,
        mut table: &Table,
        hash: u32,
        matches: impl Fn(Place) -> Option<R>,
    ) -> Option<R> {
        loop {
            if let Some(found) = table.find(hash, &matches) {
                return Some(found);
            }
            if self.is_in_force(table) {
                return None;
            }
            // SAFETY: as in `read`: the section is still open.
            table = unsafe { &*self.table.load(Ordering::Acquire) };
        }
    }

    /// Whether readers still begin with this table: what is not in a table that was in force the
    /// whole time is not held.
    #[inline]
    fn is_in_force(&self, table: &Table) -> bool {
        ptr::eq(self.table.load(Ordering::Acquire), table)
    }

    /// Whether an entry that is being read may no longer be seen. If it may, and is to be `used`,
    /// that is noted where it counts.
    #[inline]
    pub(crate) fn has_expired(&self, read: &Read<'_, K, V>, now: impl Now, used: Used) -> bool {
        let Some(extra) = self.extra(read) else { return false };
        let last = idle::last(extra, self.idle);
        if last == Moment::MAX {
            return false;
        }
        let now = now.now();
        if let Some(idle) = self.idle
            && used == Used::Yes
            && last >= now
        {
            idle.note(extra, now);
        }
        last < now
    }

    #[inline]
    fn extra(&self, read: &Read<'_, K, V>) -> Option<&Extra> {
        // SAFETY: the entry is being read, and it is the one in that slot.
        unsafe { self.slots.extra(read.place, read.entry) }
    }

    /// Marks a use of an entry that is being read, up to `marks` of them.
    #[inline]
    pub(crate) fn mark(&self, read: &Read<'_, K, V>, marks: u8) {
        let uses = read.entry.uses.load(Ordering::Relaxed);
        if uses < marks {
            read.entry.uses.store(uses + 1, Ordering::Relaxed);
            if read.entry.hash & self.sample.load(Ordering::Relaxed) == 0 {
                self.show(read);
            }
        }
    }

    /// Shows the policy a use, if nobody is writing just now.
    #[cold]
    fn show(&self, read: &Read<'_, K, V>) {
        if let Some(mut books) = self.books.try_lock() {
            let books = &mut *books;
            // It may have left since; the slot can't hold another entry while this one is read.
            let expires_at = self.extra(read).map_or(Moment::MAX, |extra| extra.expires_at);
            let slot = self.slots.slot(read.place);
            if books.live.contains(slot) && books.share.offers(expires_at) {
                let (policy, view) = books.split(&self.slots);
                policy.hit(slot, &view);
            }
        }
    }

    pub(crate) fn write(&self) -> Writer<'_, K, V, P> {
        Writer { shard: self, books: atomics::lock(&self.books) }
    }
}

impl<'a, K, V> Read<'a, K, V> {
    /// Who reads it.
    #[inline]
    pub(crate) const fn reader(&self) -> Reader {
        self.section.reader()
    }

    /// A copy of the value.
    #[inline]
    pub(crate) fn copied(self) -> V
    where
        V: Clone,
    {
        if size_of::<V>() <= COPIED_AT_ONCE || !std::mem::needs_drop::<V>() {
            return self.entry.value.clone();
        }
        let (value, _hold) = self.hold();
        value.clone()
    }

    /// Keeps this entry, and no other, as long as what is returned lives.
    #[inline]
    pub(crate) fn hold(self) -> (&'a V, Hold) {
        (&self.entry.value, self.section.hold(ptr::from_ref(self.entry)))
    }
}

impl<K, V, P> Drop for Shard<K, V, P> {
    fn drop(&mut self) {
        let books = self.books.get_mut();
        let mut at = 0;
        let live = std::iter::from_fn(|| {
            let slot = books.live.next(at)?;
            at = slot + 1;
            Some(slot)
        });
        // SAFETY: it came from a box, and nobody searches it.
        drop(unsafe { Box::from_raw(*self.table.get_mut()) });
        if std::mem::needs_drop::<(K, V)>() {
            // SAFETY: the slot holds an entry, and nobody reads a tier that is being dropped.
            let take = |slot| unsafe { self.slots.take(slot) };
            drop(Rest(live.chain(books.retired.slots()).map(take)));
        }
    }
}

/// Drops what an iterator has, even if a destructor panics.
struct Rest<I: Iterator>(I);

impl<I: Iterator> Drop for Rest<I> {
    fn drop(&mut self) {
        /// Goes on where a panic has ended the loop.
        struct Others<'a, I: Iterator>(&'a mut I);

        impl<I: Iterator> Drop for Others<'_, I> {
            fn drop(&mut self) {
                self.0.by_ref().for_each(drop);
            }
        }

        let others = Others(&mut self.0);
        others.0.by_ref().for_each(drop);
    }
}
