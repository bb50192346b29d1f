//! Where the entries of a shard stand: numbered slots that never move, so that a reader who has
//! found one can read it while writers go on.
//!
//! Slots come in chunks, each as large as all before it together, so a number leads to an address
//! by arithmetic over a handful of pointers. Memory that was never written is not resident.
//! What only some entries need, such as an expiry and a charge, stands beside the slots and is
//! allocated with the first entry of a chunk that needs it.

#![expect(unsafe_code, reason = "entries are read without a lock; each block has its proof")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::num::NonZeroU32;
use std::ptr;

use larder_core::Moment;

use crate::atomics::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::place::Place;

/// One chunk for each power of two that a slot's place can begin with.
const CHUNKS: usize = 32;

/// The smallest and the largest first chunk.
const FIRST_MIN: usize = 1 << 4;
const FIRST_MAX: usize = 1 << 10;

/// An entry as it stands in its slot.
pub(crate) struct Entry<K, V> {
    pub(crate) hash: u32,
    /// How often it was used; readers write it.
    pub(crate) uses: AtomicU8,
    /// Whether it has an [`Extra`].
    extra: bool,
    pub(crate) key: K,
    pub(crate) value: V,
}

/// What remains readable of an entry that has left its slot.
pub(crate) struct LastPut<'a> {
    pub(crate) hash: u32,
    pub(crate) uses: &'a AtomicU8,
    pub(crate) extra: Option<&'a Extra>,
}

impl<K, V> Entry<K, V> {
    /// Whether something stands [beside its slot](Extra).
    #[inline]
    pub(crate) const fn has_extra(&self) -> bool {
        self.extra
    }
}

/// What stands beside the slot of an entry that needs it.
#[derive(Debug)]
pub(crate) struct Extra {
    /// The last moment at which the entry may be seen.
    pub(crate) expires_at: Moment,
    /// When it was last used, in nanoseconds of a moment and a little behind: readers write it,
    /// where entries expire that aren't used.
    used_at: AtomicU64,
    /// The charge in the lower [`CHARGE_BITS`], and the cost in the others.
    charge_and_cost: u64,
}

/// The bits of a charge: up to 256 GiB.
const CHARGE_BITS: u32 = 38;

/// The most that an entry can be charged.
pub(crate) const CHARGE_MAX: usize =
    if usize::BITS > CHARGE_BITS { (1_u64 << CHARGE_BITS) as usize - 1 } else { usize::MAX };

impl Extra {
    /// `charge` is weight and overhead in bytes, at most [`CHARGE_MAX`]; `cost` is in microseconds
    /// and counts up to 67 seconds.
    pub(crate) fn new(expires_at: Moment, charge: usize, cost: u32, used_at: Moment) -> Self {
        let cost = u64::from(cost).min((1 << (u64::BITS - CHARGE_BITS)) - 1);
        let charge_and_cost = charge as u64 | cost << CHARGE_BITS;
        Self { expires_at, used_at: AtomicU64::new(used_at.as_nanos()), charge_and_cost }
    }

    /// Weight and overhead, in bytes.
    pub(crate) const fn charge(&self) -> usize {
        (self.charge_and_cost & ((1 << CHARGE_BITS) - 1)) as usize
    }

    /// What it takes to load the entry again, in microseconds.
    pub(crate) const fn cost(&self) -> u32 {
        (self.charge_and_cost >> CHARGE_BITS) as u32
    }

    pub(crate) fn used_at(&self) -> Moment {
        Moment::from_nanos(self.used_at.load(Ordering::Relaxed))
    }

    pub(crate) fn set_used_at(&self, now: Moment) {
        self.used_at.store(now.as_nanos(), Ordering::Relaxed);
    }
}

/// The chunks of one shard. Which slots hold entries is for the shard to know.
///
/// Each chunk begins at a place that is a power of two and is as long as that, and where a chunk
/// stands is kept as the address that place zero would have: an address is one multiplication and
/// two additions away from a place.
pub(crate) struct Slots<K, V> {
    /// The length of the first chunk, a power of two.
    first: NonZeroU32,
    /// Which chunks are allocated, a bit for each; and which extras.
    allocated: AtomicU32,
    allocated_extras: AtomicU32,
    chunks: [AtomicPtr<Entry<K, V>>; CHUNKS],
    extras: [AtomicPtr<Extra>; CHUNKS],
}

// SAFETY: the pointers own what they point to, keys and values, and it is reached through them
// only as the methods say: shared by readers, which needs `Sync` of both, and taken out by any
// thread, which needs `Send`.
unsafe impl<K: Send, V: Send> Send for Slots<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Slots<K, V> {}

impl<K, V> Slots<K, V> {
    /// What one slot takes, in bytes, without what stands beside it.
    pub(crate) const SLOT_BYTES: usize = size_of::<Entry<K, V>>();

    /// What stands beside a slot takes so much, in bytes.
    pub(crate) const EXTRA_BYTES: usize = size_of::<Extra>();

    /// No slots yet. The first chunk has room for about `entries`.
    pub(crate) fn new(entries: usize) -> Self {
        let first = entries.clamp(FIRST_MIN, FIRST_MAX).next_power_of_two();
        Self {
            first: NonZeroU32::MIN.saturating_add(first as u32 - 1),
            allocated: AtomicU32::new(0),
            allocated_extras: AtomicU32::new(0),
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            extras: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
        }
    }

    /// What the table calls a slot.
    #[inline]
    pub(crate) fn place(&self, slot: u32) -> Place {
        // A shard has far fewer slots than there are numbers.
        Place::of(slot, self.first)
    }

    /// The slot of a place.
    #[inline]
    pub(crate) fn slot(&self, place: Place) -> u32 {
        place.get() - self.first.get()
    }

    /// The address of a place. It is only an address: see [`entry`](Self::entry).
    #[inline]
    pub(crate) fn address(&self, place: Place) -> *mut Entry<K, V> {
        self.chunks[place.chunk()].load(Ordering::Acquire).wrapping_add(place.index())
    }

    /// Has the processor bring what stands in a place, if anything.
    #[inline]
    pub(crate) fn prefetch(&self, place: Place) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: SSE is a part of x86-64, and a prefetch reads nothing: any address will do.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.address(place).cast_const().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = place;
    }

    /// The entry in a slot.
    ///
    /// # Safety
    ///
    /// The slot holds an entry, and goes on holding it as long as the reference lives: either
    /// because the caller is under the shard's lock and doesn't [`take`](Self::take) it, or
    /// because the table led to it after he had opened a section that is still open, or because
    /// he took a hold on it in such a section.
    #[inline]
    pub(crate) unsafe fn entry(&self, place: Place) -> &Entry<K, V> {
        // SAFETY: the slot holds an entry, so its chunk is allocated, and the entry was written
        // before the table led to it.
        unsafe { &*self.address(place) }
    }

    /// The hash of the entry that was last put into a slot, its uses, and what stands beside it.
    /// They outlast the entry.
    ///
    /// # Safety
    ///
    /// The caller is under the shard's lock, and an entry was put into the slot at some time after
    /// which its chunk was not given back by [`shorten`](Self::shorten).
    #[inline]
    pub(crate) unsafe fn last_put(&self, slot: u32) -> LastPut<'_> {
        let place = self.place(slot);
        let address = self.address(place);
        // SAFETY: the chunk is allocated, and these fields were written and never taken; key and
        // value, which may have been, are not touched.
        unsafe {
            let (hash, uses) = ((*address).hash, &(*address).uses);
            let extra = (*address).extra.then(|| {
                &*self.extras[place.chunk()].load(Ordering::Relaxed).wrapping_add(place.index())
            });
            LastPut { hash, uses, extra }
        }
    }

    /// What stands beside an entry.
    ///
    /// # Safety
    ///
    /// As for [`entry`](Self::entry), and `entry` is the one in `place`.
    #[inline]
    pub(crate) unsafe fn extra(&self, place: Place, entry: &Entry<K, V>) -> Option<&Extra> {
        if !entry.extra {
            return None;
        }
        let extras = self.extras[place.chunk()].load(Ordering::Acquire);
        let extra = extras.wrapping_add(place.index());
        // SAFETY: an entry with an extra was written after its extra was, in a chunk that stays
        // as long as the entry's own.
        Some(unsafe { &*extra })
    }

    /// Puts an entry into a slot that holds none.
    ///
    /// # Safety
    ///
    /// The caller is under the shard's lock, the slot holds nothing, nobody has read it
    /// since it last did, and the table doesn't lead to it.
    #[inline]
    pub(crate) unsafe fn put(&self, slot: u32, hash: u32, key: K, value: V, extra: Option<Extra>) {
        let place = self.place(slot);
        let chunk = place.chunk();
        let has_extra = extra.is_some();
        allocate(chunk, &self.allocated, &self.chunks);
        if let Some(extra) = extra {
            allocate(chunk, &self.allocated_extras, &self.extras);
            let at = self.extras[chunk].load(Ordering::Relaxed).wrapping_add(place.index());
            // SAFETY: the chunk is allocated and has this place, and nobody reads what stands
            // beside a slot that holds nothing.
            unsafe { at.write(extra) };
        }
        let uses = AtomicU8::new(0);
        let entry = Entry { hash, uses, extra: has_extra, key, value };
        // SAFETY: as above.
        unsafe { self.address(place).write(entry) };
    }

    /// Takes the entry out of a slot.
    ///
    /// # Safety
    ///
    /// The caller is under the shard's lock, the slot holds an entry, the table no longer leads to
    /// it, and nobody who could still have found it there reads it.
    #[inline]
    pub(crate) unsafe fn take(&self, slot: u32) -> (K, V) {
        // SAFETY: nobody else reads the slot, nor will anybody before it is put again.
        let entry = unsafe { self.address(self.place(slot)).read() };
        (entry.key, entry.value)
    }

    /// Frees the chunks in which no slot is below `slots`, and says how many slots the others have.
    ///
    /// # Safety
    ///
    /// The caller is under the shard's lock, and no slot from `slots` on holds an entry.
    pub(crate) unsafe fn shorten(&self, slots: u32) -> u32 {
        let kept = if slots == 0 { 0 } else { self.place(slots - 1).chunk() + 1 };
        // SAFETY: no entry means that nobody reads one, or what stands beside it: entries are
        // taken out only when nobody can read them.
        unsafe {
            free(kept, &self.allocated, &self.chunks);
            free(kept, &self.allocated_extras, &self.extras);
        }
        if slots == 0 { 0 } else { (1 << kept) - self.first.get() }
    }
}

impl<K, V> Drop for Slots<K, V> {
    fn drop(&mut self) {
        // SAFETY: whoever drops the slots has taken the entries out before, and nobody reads.
        unsafe { self.shorten(0) };
    }
}

fn layout<T>(chunk: usize) -> Layout {
    Layout::array::<T>(1 << chunk).expect("a chunk is no larger than the address space")
}

/// Allocates a chunk that isn't.
fn allocate<T>(chunk: usize, allocated: &AtomicU32, chunks: &[AtomicPtr<T>; CHUNKS]) {
    const { assert!(size_of::<T>() > 0, "every slot has a size") };
    let others = allocated.load(Ordering::Relaxed);
    if others >> chunk & 1 == 1 {
        return;
    }
    let layout = layout::<T>(chunk);
    // SAFETY: the layout has a size, since a slot has one and a chunk has slots.
    let first: *mut T = unsafe { alloc(layout) }.cast();
    if first.is_null() {
        handle_alloc_error(layout);
    }
    chunks[chunk].store(first.wrapping_sub(1 << chunk), Ordering::Release);
    allocated.store(others | 1 << chunk, Ordering::Relaxed);
}

/// Frees the chunks from `kept` on that are allocated.
///
/// # Safety
///
/// Nobody uses what is in them any longer.
unsafe fn free<T>(kept: usize, allocated: &AtomicU32, chunks: &[AtomicPtr<T>; CHUNKS]) {
    let held = allocated.load(Ordering::Relaxed);
    for chunk in (kept..CHUNKS).filter(|chunk| held >> chunk & 1 == 1) {
        let first = chunks[chunk].swap(ptr::null_mut(), Ordering::AcqRel).wrapping_add(1 << chunk);
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(first.cast(), layout::<T>(chunk)) };
    }
    allocated.store(held & ((1 << kept) - 1), Ordering::Relaxed);
}
