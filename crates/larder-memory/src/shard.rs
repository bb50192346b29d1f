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

use std::borrow::Borrow;
use std::ptr;

use larder_core::Moment;
use larder_core::sync::{Mutex, MutexGuard};
use larder_policy::{Entries, Hits, Policy, USES_MAX};

use crate::atomics::{self, AtomicPtr, AtomicU32, Ordering};
use crate::bounds::Share;
use crate::change::{Expired, Held};
use crate::clock::Now;
use crate::hazard::{Hold, Reader, Section};
use crate::idle::Idle;
use crate::leftovers::Leftovers;
use crate::live::Live;
use crate::retired::{OldTable, Promptly, Retired};
use crate::slots::{Entry, Extra, Slots};
use crate::stats::{RemovalCause, Stats};
use crate::table::{Guess, Table};
use crate::wheel::Wheel;

/// What an entry takes besides its slot: its part of the table (8 to 14 bytes), of the policy
/// (about 10), of the order of expiry (8), with their reserves and slots that are free.
const INDEX_BYTES: usize = 32;

/// What an allocator adds to a key or a value that is on the heap: its header and rounding.
const ALLOCATOR_BYTES: usize = 16;

/// How many expired entries a write frees, so that they go even if nobody asks for it.
const EXPIRED_PER_WRITE: usize = 2;

/// How many steps of the wheel a write pays for at most.
const STEPS_PER_WRITE: usize = 8;

/// This many slots may be free, and half of all, before they are worth a look.
const SPARE_SLOTS: usize = 1024;

/// A value of this size or less that has a destructor is nearly always a counted reference, whose
/// copy takes no time: it is made before the search ends, in which nothing is freed. If the copy
/// does take long, what others free waits that long.
const COPIED_AT_ONCE: usize = 2 * size_of::<usize>();

/// The room of a shard's first table.
const ROOM_MIN: usize = 27;

/// A value to be held.
#[derive(Debug)]
pub(crate) struct New<V> {
    pub(crate) value: V,
    pub(crate) weight: usize,
    pub(crate) expires_at: Moment,
    /// What it takes to load it again, in microseconds; 0 if nobody knows.
    pub(crate) cost: u32,
}

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

impl<P> Books<P> {
    /// The policy, and what it may see.
    fn split<'a, K, V>(&'a mut self, slots: &'a Slots<K, V>) -> (&'a mut P, View<'a, K, V>) {
        let plain = self.share.weighs.then_some(self.share.overhead as u64);
        (&mut self.policy, View { slots, live: &self.live, plain })
    }
}

/// A shard whose lock is held.
pub(crate) struct Writer<'a, K, V, P> {
    shard: &'a Shard<K, V, P>,
    books: MutexGuard<'a, Books<P>>,
}

/// What the policy has to do with the entry that a new one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Predecessor {
    /// It holds it.
    Known,
    /// There is none, or the policy never knew it, or has just given it up.
    Unknown,
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
    slot: u32,
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
        let slot = match table.guess(hash) {
            Guess::Slot(slot) => slot,
            Guess::Nowhere if self.is_in_force(table) => {
                return Glance::Nothing(section.reader());
            }
            Guess::Nowhere | Guess::Elsewhere => return Glance::Unsure,
        };
        // SAFETY: as in `read`.
        let entry = unsafe { self.slots.entry(slot) };
        if entry.hash != hash || entry.key.borrow() != key {
            return Glance::Unsure;
        }
        if entry.has_extra() {
            return Glance::Expiring(Read { entry, slot, section });
        }
        let uses = entry.uses.load(Ordering::Relaxed);
        if uses < marks {
            if hash & self.sample.load(Ordering::Relaxed) == 0 {
                // The policy is to be shown it.
                return Glance::Unsure;
            }
            entry.uses.store(uses + 1, Ordering::Relaxed);
        }
        Glance::Lasting(Read { entry, slot, section })
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
        let matches = |slot: u32| {
            // SAFETY: the table led to the slot when the section was open, so the entry in it was
            // written before, and isn't taken out before the section ends.
            let entry = unsafe { self.slots.entry(slot) };
            (entry.hash == hash && entry.key.borrow() == key).then_some((slot, entry))
        };
        let found = match table.guess(hash) {
            Guess::Slot(slot) => matches(slot).or_else(|| self.search(table, hash, matches)),
            Guess::Nowhere if self.is_in_force(table) => None,
            Guess::Nowhere | Guess::Elsewhere => self.search(table, hash, matches),
        };
        match found {
            Some((slot, entry)) => Ok(Read { entry, slot, section }),
            None => Err(section.reader()),
        }
    }

    /// Has the processor bring the entry that is most likely under a key of this hash. Its place
    /// in the table is brought right now: calls for several hashes don't wait for each other.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32, _within: &Section) {
        // SAFETY: as in `read`; the section is the caller's.
        let table = unsafe { &*self.table.load(Ordering::Acquire) };
        if let Guess::Slot(slot) = table.guess(hash) {
            self.slots.prefetch(slot);
        }
    }

    /// Looks everywhere, where a first guess found nothing.
    #[inline(never)]
    fn search<R>(
        &self,
        mut table: &Table,
        hash: u32,
        matches: impl Fn(u32) -> Option<R>,
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
        match self.idle {
            None => extra.expires_at != Moment::MAX && extra.expires_at < now.now(),
            Some(idle) => {
                let now = now.now();
                let expired = idle.last(extra) < now;
                if used == Used::Yes && !expired {
                    idle.note(extra, now);
                }
                expired
            }
        }
    }

    #[inline]
    fn extra(&self, read: &Read<'_, K, V>) -> Option<&Extra> {
        // SAFETY: the entry is being read, and it is the one in that slot.
        unsafe { self.slots.extra(read.slot, read.entry) }
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
            if books.live.contains(read.slot) && books.share.offers(expires_at) {
                let (policy, view) = books.split(&self.slots);
                policy.hit(read.slot, &view);
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

/// What the policy sees of the entries.
struct View<'a, K, V> {
    slots: &'a Slots<K, V>,
    live: &'a Live,
    /// What an entry weighs that has nothing beside it, and `None` if entries are only counted.
    plain: Option<u64>,
}

impl<K, V> View<'_, K, V> {
    fn entry(&self, slot: u32) -> &Entry<K, V> {
        assert!(self.live.contains(slot), "a policy asks for slot {slot}, which holds nothing");
        // SAFETY: the slot is live, and a view exists only under the lock.
        unsafe { self.slots.entry(slot) }
    }
}

impl<K, V> Entries for View<'_, K, V> {
    fn hash(&self, slot: u32) -> u32 {
        self.entry(slot).hash
    }

    fn weight(&self, slot: u32) -> u64 {
        let Some(plain) = self.plain else { return 1 };
        // SAFETY: as in `entry`.
        let extra = unsafe { self.slots.extra(slot, self.entry(slot)) };
        extra.map_or(plain, |extra| extra.charge() as u64)
    }

    fn cost(&self, slot: u32) -> u32 {
        // SAFETY: as in `entry`.
        let extra = unsafe { self.slots.extra(slot, self.entry(slot)) };
        extra.map_or(1, |extra| extra.cost().max(1))
    }

    fn uses(&self, slot: u32) -> u8 {
        self.entry(slot).uses.load(Ordering::Relaxed)
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        self.entry(slot).uses.store(uses, Ordering::Relaxed);
    }
}

impl<'a, K, V, P: Policy> Writer<'a, K, V, P> {
    /// The slot of the live entry under `key`. One that has expired is removed and not found.
    pub(crate) fn find<Q>(&mut self, hash: u32, key: &Q, now: impl Now) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.table().find(hash, |slot| {
            let entry = self.entry(slot);
            (entry.hash == hash && entry.key.borrow() == key).then_some(slot)
        })?;
        let last = self.last(slot);
        if last == Moment::MAX || last >= now.now() {
            return Some(slot);
        }
        self.remove(slot, RemovalCause::Expired);
        None
    }

    /// The entry in `slot` was used, for a policy that is told of each use.
    pub(crate) fn hit(&mut self, slot: u32, now: impl Now) {
        if let (Some(idle), Some(extra)) = (self.shard.idle, self.extra(slot)) {
            idle.note(extra, now.now());
        }
        // What may not be evicted the policy doesn't know.
        if self.is_candidate(slot) {
            let (policy, view) = self.books.split(&self.shard.slots);
            policy.hit(slot, &view);
        }
    }

    /// Goes on reading the entry in `slot` after the lock is released.
    pub(crate) fn read(self, slot: u32) -> Read<'a, K, V> {
        let section = Section::open();
        // SAFETY: the slot is live, and whoever takes its entry out does so under the lock, which
        // is still held, and waits for this section.
        let entry = unsafe { self.shard.slots.entry(slot) };
        Read { entry, slot, section }
    }

    pub(crate) fn held(&self, slot: u32) -> Held<'_, V> {
        let weight = self.charge(slot) - Shard::<K, V, P>::ENTRY_OVERHEAD;
        Held { value: &self.entry(slot).value, weight, expires_at: self.expires_at(slot) }
    }

    pub(crate) fn key(&self, slot: u32) -> &K {
        &self.entry(slot).key
    }

    /// The first live slot from `slot` on.
    pub(crate) fn live_from(&self, slot: u32) -> Option<u32> {
        self.books.live.next(slot)
    }

    /// Whether an entry of this weight can be held at all. If not, that is counted, and what
    /// `found` names is removed.
    pub(crate) fn admits(&mut self, weight: usize, found: Option<u32>) -> bool {
        let charge = weight.checked_add(Shard::<K, V, P>::ENTRY_OVERHEAD);
        let share = &self.books.share;
        if share.entries > 0 && charge.is_some_and(|charge| charge <= share.heaviest) {
            return true;
        }
        self.books.counts.too_heavy += 1;
        if let Some(slot) = found {
            self.remove(slot, RemovalCause::Replaced);
        }
        false
    }

    pub(crate) fn refuse(&mut self) {
        self.books.counts.refused += 1;
    }

    /// Holds an admitted value: under a key that isn't held, or in place of the one in `found`.
    /// False if there was no room and nothing to evict: then everything is as it was, except
    /// for what was evicted in vain, and what was not stored goes to `left`.
    pub(crate) fn store(
        &mut self,
        hash: u32,
        key: K,
        new: New<V>,
        found: Option<u32>,
        now: impl Now,
        left: &mut Leftovers<'_, K, V>,
    ) -> bool {
        let charge = new.weight + Shard::<K, V, P>::ENTRY_OVERHEAD;
        self.expire_some(found, now);
        let Some(predecessor) = self.make_room(charge, found, now, left) else {
            self.books.counts.no_room += 1;
            left.push_refused(key, new.value);
            return false;
        };
        let New { value, weight, expires_at, cost } = new;
        let used_at = self.shard.idle.map(|_| now.now());
        let plain = weight == 0 && expires_at == Moment::MAX && cost == 0 && used_at.is_none();
        let used_at = used_at.unwrap_or(Moment::ZERO);
        let extra = (!plain).then(|| Extra::new(expires_at, charge, cost, used_at));
        let slot = self.take_slot();
        // SAFETY: the lock is held, and slots that are taken hold nothing: they were never used,
        // or they were freed when nobody read them.
        unsafe { self.shard.slots.put(slot, hash, key, value, extra) };
        self.books.live.insert(slot);
        // What it replaces is still counted, so the sum may be beyond a usize for a moment.
        self.books.bytes = self.books.bytes.wrapping_add(charge);
        self.books.counts.inserts += 1;
        match found {
            Some(old) => self.take_over(hash, old, slot, predecessor),
            None => self.enter(hash, slot, expires_at),
        }
        let last = self.last(slot);
        if last != Moment::MAX {
            self.books.wheel.insert(slot, last);
        }
        let sample = self.books.policy.sample();
        if sample != self.shard.sample.load(Ordering::Relaxed) {
            self.shard.sample.store(sample, Ordering::Relaxed);
        }
        true
    }

    /// Removes the entry in `slot`.
    pub(crate) fn remove(&mut self, slot: u32, cause: RemovalCause) {
        if self.is_candidate(slot) {
            let (policy, view) = self.books.split(&self.shard.slots);
            policy.remove(slot, &view);
        }
        self.leave(slot, cause);
    }

    /// Removes at most `max` entries that have expired.
    pub(crate) fn expire(&mut self, now: Moment, max: usize) -> Expired {
        let mut entries = 0;
        while entries < max
            && let Some(slot) = self.expired(now)
        {
            self.remove(slot, RemovalCause::Expired);
            entries += 1;
        }
        Expired { entries, more: self.expired(now).is_some() }
    }

    /// Other bounds from now on. What is over them is for [`trim`](Self::trim). Constant, unless
    /// what the policy sees of the entries changes: then each of them is given to it anew.
    pub(crate) fn resize(&mut self, share: Share) {
        let old = self.books.share;
        let anew = (old.weighs, old.candidates) != (share.weighs, share.candidates);
        let queue = if anew { self.dequeue() } else { Vec::new() };
        self.books.share = share;
        self.books.policy.resize(share.capacity());
        for slot in queue {
            if self.is_candidate(slot) {
                let (policy, view) = self.books.split(&self.shard.slots);
                policy.insert(slot, &view);
            }
        }
        self.shard.sample.store(self.books.policy.sample(), Ordering::Relaxed);
        self.books.retired.resize(&share);
    }

    /// Takes all entries from the policy. Those that it didn't know are the first, and then come
    /// the others in the order in which it would have evicted them.
    fn dequeue(&mut self) -> Vec<u32> {
        let live = std::iter::successors(self.live_from(0), |slot| self.live_from(slot + 1));
        let mut queue: Vec<u32> = live.filter(|&slot| !self.is_candidate(slot)).collect();
        while let Some(slot) = self.victim() {
            queue.push(slot);
        }
        queue
    }

    /// The entry that the policy gives up.
    fn victim(&mut self) -> Option<u32> {
        let (policy, view) = self.books.split(&self.shard.slots);
        let victim = policy.evict(&view);
        // Anybody can write a policy, and no mistake in one may lead to an entry that isn't there.
        let held = |slot| self.books.live.contains(slot);
        assert!(victim.is_none_or(held), "a policy evicts slot {victim:?}, which holds nothing");
        victim
    }

    /// Evicts what is over the bounds, at most `max` entries. Says whether there is more.
    pub(crate) fn trim(&mut self, max: usize) -> bool {
        for _ in 0..max {
            let books = &*self.books;
            if books.live.len() <= books.share.entries && books.bytes <= books.share.bytes {
                return false;
            }
            let Some(slot) = self.victim() else { return false };
            self.leave(slot, RemovalCause::Evicted);
        }
        true
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            entries: self.books.live.len(),
            expiring: self.books.wheel.len(),
            bytes: self.books.bytes,
            ..self.books.counts
        }
    }

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
            |slot| slots.address(slot).cast_const().cast(),
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

    fn table(&self) -> &Table {
        // SAFETY: the table in force is replaced under the lock only, which is held, and freed
        // later than that.
        unsafe { &*self.shard.table.load(Ordering::Relaxed) }
    }

    /// The entry in a slot that the table leads to.
    fn entry(&self, slot: u32) -> &Entry<K, V> {
        debug_assert!(self.books.live.contains(slot));
        // SAFETY: the table leads to live slots only, and to take the entry out needs this writer.
        unsafe { self.shard.slots.entry(slot) }
    }

    fn extra(&self, slot: u32) -> Option<&Extra> {
        // SAFETY: as for the entry.
        unsafe { self.shard.slots.extra(slot, self.entry(slot)) }
    }

    fn charge(&self, slot: u32) -> usize {
        self.extra(slot).map_or(Shard::<K, V, P>::ENTRY_OVERHEAD, Extra::charge)
    }

    fn expires_at(&self, slot: u32) -> Moment {
        self.extra(slot).map_or(Moment::MAX, |extra| extra.expires_at)
    }

    /// The last moment at which the entry in `slot` may be seen, if it isn't used again.
    pub(crate) fn last(&self, slot: u32) -> Moment {
        self.extra(slot).map_or(Moment::MAX, |extra| last(extra, self.shard.idle))
    }

    /// Whether the policy knows the entry in `slot`.
    fn is_candidate(&self, slot: u32) -> bool {
        self.books.share.offers(self.expires_at(slot))
    }

    /// Removes entries until one more of this charge is within the share, in place of `found`:
    /// those that have expired first, then the policy's victims. `None` if there are none left.
    ///
    /// The entry in `found` stays where readers find it, even if the policy gives it up.
    fn make_room(
        &mut self,
        charge: usize,
        found: Option<u32>,
        now: impl Now,
        left: &mut Leftovers<'_, K, V>,
    ) -> Option<Predecessor> {
        let known = found.is_some_and(|slot| self.is_candidate(slot));
        let mut predecessor = if known { Predecessor::Known } else { Predecessor::Unknown };
        loop {
            let books = &*self.books;
            let freed = found.map_or(0, |slot| self.charge(slot));
            let entries = books.live.len() + usize::from(found.is_none());
            let bytes = (books.bytes - freed).checked_add(charge);
            let most = books.share.target().max(charge);
            if entries <= books.share.entries && bytes.is_some_and(|bytes| bytes <= most) {
                break;
            }
            if let Some(slot) = self.long_expired(now)
                && Some(slot) != found
            {
                self.remove(slot, RemovalCause::Expired);
                continue;
            }
            match self.victim() {
                // It makes way for its own successor, which starts anew in the policy.
                Some(slot) if Some(slot) == found => predecessor = Predecessor::Unknown,
                Some(slot) => self.leave(slot, RemovalCause::Evicted),
                None => {
                    if let Some(slot) = found
                        && known
                    {
                        // It was given up in vain.
                        let (policy, view) = self.books.split(&self.shard.slots);
                        policy.insert(slot, &view);
                    }
                    return None;
                }
            }
        }
        let books = &*self.books;
        let waiting = books.bytes.saturating_add(books.retired.bytes());
        if waiting.saturating_add(charge) > books.share.bytes && books.retired.has_bytes() {
            // What was retired counts until it is freed.
            self.reclaim_all(left);
        }
        Some(predecessor)
    }

    /// Frees a few entries that have expired, but not the one in `found`: it had not when the
    /// operation began.
    fn expire_some(&mut self, found: Option<u32>, now: impl Now) {
        for _ in 0..EXPIRED_PER_WRITE {
            let Some(slot) = self.long_expired(now).filter(|&slot| Some(slot) != found) else {
                break;
            };
            self.remove(slot, RemovalCause::Expired);
        }
    }

    /// An entry that expired a millisecond ago, if a few steps find one.
    fn long_expired(&mut self, now: impl Now) -> Option<u32> {
        if self.books.wheel.len() == 0 {
            return None;
        }
        self.wheeled(now.now(), &mut { STEPS_PER_WRITE })
    }

    /// An entry that has expired, if there is one.
    fn expired(&mut self, now: Moment) -> Option<u32> {
        self.wheeled(now, &mut { usize::MAX }).or_else(|| {
            let books = &*self.books;
            let at = expiries(&self.shard.slots, &books.live, self.shard.idle);
            books.wheel.just_expired(now, at)
        })
    }

    /// An entry that expired before the millisecond of `now`, if so many steps find one.
    fn wheeled(&mut self, now: Moment, steps: &mut usize) -> Option<u32> {
        let books = &mut *self.books;
        let at = expiries(&self.shard.slots, &books.live, self.shard.idle);
        loop {
            let slot = books.wheel.expired(now, steps, &at)?;
            let last = at(slot);
            if last < now {
                return Some(slot);
            }
            // It was used since it was put in.
            books.wheel.remove(slot);
            books.wheel.insert(slot, last);
        }
    }

    /// A slot that holds nothing.
    fn take_slot(&mut self) -> u32 {
        let books = &mut *self.books;
        books.free.pop().unwrap_or_else(|| {
            let slot = books.end;
            books.end += 1;
            slot
        })
    }

    /// Makes a new entry findable.
    fn enter(&mut self, hash: u32, slot: u32, expires_at: Moment) {
        if self.books.live.len() > self.table().room() {
            self.grow();
        } else {
            self.table().insert(hash, slot);
        }
        if self.books.share.offers(expires_at) {
            let (policy, view) = self.books.split(&self.shard.slots);
            policy.insert(slot, &view);
        }
    }

    /// Lets the entry in `new` take the place of the one in `old`. That is a use.
    fn take_over(&mut self, hash: u32, old: u32, new: u32, predecessor: Predecessor) {
        self.table().redirect(hash, old, new);
        match (predecessor, self.is_candidate(new)) {
            (Predecessor::Known, true) => {
                let uses = self.entry(old).uses.load(Ordering::Relaxed);
                self.entry(new).uses.store(USES_MAX.min(uses + 1), Ordering::Relaxed);
                let (policy, view) = self.books.split(&self.shard.slots);
                policy.relocate(old, new, &view);
                if policy.hits() == Hits::Exact {
                    policy.hit(new, &view);
                }
            }
            (was, is) => {
                let (policy, view) = self.books.split(&self.shard.slots);
                if was == Predecessor::Known {
                    policy.remove(old, &view);
                }
                if is {
                    policy.insert(new, &view);
                }
            }
        }
        self.retire(old, RemovalCause::Replaced);
    }

    /// Makes the entry in `slot`, which the policy no longer knows, unfindable.
    fn leave(&mut self, slot: u32, cause: RemovalCause) {
        self.table().remove(self.entry(slot).hash, slot);
        self.retire(slot, cause);
    }

    /// The entry in `slot` is in no book any longer and can't be found.
    fn retire(&mut self, slot: u32, cause: RemovalCause) {
        let charge = self.charge(slot);
        let books = &mut *self.books;
        books.wheel.remove(slot);
        books.live.remove(slot);
        books.bytes = books.bytes.wrapping_sub(charge);
        books.counts.count_removals(cause, 1);
        books.retired.push_slot(slot, charge, cause);
    }

    /// A larger table, in which all live slots stand.
    #[cold]
    fn grow(&mut self) {
        let entries = self.books.live.len();
        self.rebuild((2 * self.table().room()).min(self.books.share.entries).max(entries));
    }

    /// A table with this much room, in place of the one in force.
    fn rebuild(&mut self, room: usize) {
        let table = Table::new(room);
        let mut at = 0;
        while let Some(slot) = self.books.live.next(at) {
            table.insert(self.entry(slot).hash, slot);
            at = slot + 1;
        }
        let table = Box::into_raw(Box::new(table));
        let old = self.shard.table.swap(table, Ordering::AcqRel);
        // SAFETY: the table came from a box, is no longer in force, and is retired once.
        let old = unsafe { OldTable::new(old) };
        self.books.retired.push_table(old);
    }
}

/// The last moment at which an entry may be seen.
fn last(extra: &Extra, idle: Option<Idle>) -> Moment {
    idle.map_or(extra.expires_at, |idle| idle.last(extra))
}

fn expiries<K, V>(slots: &Slots<K, V>, live: &Live, idle: Option<Idle>) -> impl Fn(u32) -> Moment {
    move |slot| {
        assert!(live.contains(slot), "the wheel names slot {slot}, which holds nothing");
        // SAFETY: the slot is live, and this runs under the lock.
        let extra = unsafe { slots.extra(slot, slots.entry(slot)) };
        extra.map_or(Moment::MAX, |extra| last(extra, idle))
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

#[cfg(test)]
impl<K, V, P: Policy> Writer<'_, K, V, P> {
    pub(crate) fn assert_invariants(&self) {
        let books = &*self.books;
        let live: Vec<u32> =
            std::iter::successors(books.live.next(0), |at| books.live.next(at + 1)).collect();
        assert_eq!(live.len(), books.live.len());
        assert!(live.len() <= books.share.entries);
        assert!(books.bytes <= books.share.bytes);
        assert_eq!(live.iter().map(|&slot| self.charge(slot)).sum::<usize>(), books.bytes);
        let hashes: Vec<_> = live.iter().map(|&slot| (self.entry(slot).hash, slot)).collect();
        self.table().assert_holds(&hashes);
        // Every slot is live, retired, or free, and only one of these.
        let mut slots =
            [live.clone(), books.retired.slots().collect(), books.free.clone()].concat();
        slots.sort_unstable();
        assert!(slots.iter().copied().eq(0..books.end), "{slots:?}");
        let offered = live.iter().filter(|&&slot| self.is_candidate(slot)).count();
        assert_eq!(books.policy.len(), offered);
        books.policy.assert_invariants(&View {
            slots: &self.shard.slots,
            live: &books.live,
            plain: books.share.weighs.then_some(books.share.overhead as u64),
        });
        let expiring = |slot: &&u32| self.last(**slot) != Moment::MAX;
        assert_eq!(books.wheel.len(), live.iter().filter(expiring).count());
        // What was used lately stands where it would have expired otherwise.
        if self.shard.idle.is_none() {
            let at = expiries(&self.shard.slots, &books.live, None);
            books.wheel.assert_invariants(at);
        }
        let removals: u64 =
            RemovalCause::ALL.into_iter().map(|cause| books.counts.removals(cause)).sum();
        assert_eq!(books.counts.inserts, live.len() as u64 + removals);
    }

    #[cfg(not(shuttle))]
    pub(crate) fn slots(&self) -> u32 {
        self.books.end
    }
}
