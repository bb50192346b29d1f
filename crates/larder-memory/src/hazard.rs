//! What threads are reading without a lock, so that nobody frees it under them.
//!
//! A thread that searches a tier says so: it opens a [`Section`], in which nothing that it can
//! find is freed. Sections are as short as a search. Whoever goes on reading an entry after that
//! takes a [`Hold`] on it before the section ends, which keeps this one entry and no other, as
//! long as he likes: these are hazard pointers (M. M. Michael, "Hazard Pointers: Safe Memory
//! Reclamation for Lock-Free Objects", IEEE TPDS 15(6), 2004), taken from within a section, so
//! that a reader need not look twice.
//!
//! Who has taken something away waits for the sections that may still see it, which takes no
//! longer than a search does, and frees what nobody holds. If a section doesn't end, because its
//! thread was stopped in the middle, what was taken away waits for a later call.
//!
//! Both stand in one [`Record`] per thread, in a registry of the process. A record outlives its
//! thread and is used again by the next one, so there are as many as there were threads at once.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;
#[cfg(not(any(tsan, all(test, any(loom, shuttle)))))]
use std::sync::PoisonError;
#[cfg(not(all(test, any(loom, shuttle))))]
use std::sync::{Mutex, MutexGuard};

use crate::atomics::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::fence;

/// How many entries a thread may hold at once, besides the first, before it takes another record:
/// holds nest where what reads a value reads another one, and where references are kept.
const HOLDS: usize = 5;

/// All of them are taken.
const FULL: u32 = (1 << HOLDS) - 1;

/// How often to look again whether a section has ended before something else is done.
const LOOKS: usize = if cfg!(all(test, any(loom, shuttle))) { 4 } else { 256 };

/// What one thread reads.
#[repr(align(64))]
struct Record {
    /// How many sections the thread has opened and closed together: odd while one is open.
    sections: AtomicU64,
    /// How many records there were when it was made.
    number: u32,
    /// Whether [a section's fence](fence::light) costs something here; the same in all records.
    pays: bool,
    /// The entry that it holds, as a rule.
    first: AtomicPtr<()>,
    /// More of them.
    others: [AtomicPtr<()>; HOLDS],
    /// Which of the others are taken, a bit for each. Only the thread that has the record touches
    /// it; it is atomic so that the record can be shared at all.
    taken: AtomicU32,
    /// For still more of them.
    more: OnceLock<&'static Record>,
}

impl Record {
    /// Whether nothing is held in it or in those behind it.
    fn is_idle(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == 0
            && self.first.load(Ordering::Relaxed).is_null()
            && self.more.get().is_none_or(|record| record.is_idle())
    }
}

struct Registry {
    all: Vec<&'static Record>,
    free: Vec<&'static Record>,
}

#[cfg(not(all(test, any(loom, shuttle))))]
static REGISTRY: Mutex<Registry> = Mutex::new(Registry { all: Vec::new(), free: Vec::new() });

#[cfg(not(all(test, any(loom, shuttle))))]
fn registry() -> MutexGuard<'static, Registry> {
    // As with any other lock here: see `atomics::lock`.
    #[cfg(tsan)]
    loop {
        match REGISTRY.try_lock() {
            Ok(guard) => return guard,
            Err(std::sync::TryLockError::Poisoned(error)) => return error.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    #[cfg(not(tsan))]
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, any(loom, shuttle)))]
use explored::{FREE_RECORD, OWNER, RECORD, registry};

/// The same for tasks of a checker and not for threads, and anew in each of its runs.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) mod explored {
    use std::sync::PoisonError;

    use checker::sync::{Mutex, MutexGuard};
    #[cfg(loom)]
    use loom as checker;
    #[cfg(shuttle)]
    use shuttle as checker;

    use super::{Cell, Owner, Record, Registry};

    checker::lazy_static! {
        static ref REGISTRY: Mutex<Registry> =
            Mutex::new(Registry { all: Vec::new(), free: Vec::new() });
    }

    pub(super) fn registry() -> MutexGuard<'static, Registry> {
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    checker::thread_local! {
        pub(super) static RECORD: Cell<Option<&'static Record>> = Cell::new(None);
        pub(super) static FREE_RECORD: Cell<Option<&'static Record>> = Cell::new(None);
        pub(super) static OWNER: Owner = Owner;
    }

    /// A protective step that is left out, to show that it is needed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Omit {
        Nothing,
        /// To wait for open sections.
        Sections,
        /// To look at what is held.
        Holds,
    }

    std::thread_local! {
        pub(crate) static OMIT: Cell<Omit> = const { Cell::new(Omit::Nothing) };
    }
}

#[cfg(not(all(test, any(loom, shuttle))))]
thread_local! {
    /// The thread's record, once it has one. Without a destructor, so that it costs one load.
    static RECORD: Cell<Option<&'static Record>> = const { Cell::new(None) };
    /// The same, if [a section's fence](fence::light) is free.
    static FREE_RECORD: Cell<Option<&'static Record>> = const { Cell::new(None) };
    /// Gives the record back when the thread ends.
    static OWNER: Owner = const { Owner };
}

struct Owner;

impl Drop for Owner {
    fn drop(&mut self) {
        // What has no destructor is still there.
        let _ = FREE_RECORD.try_with(Cell::take);
        if let Ok(Some(record)) = RECORD.try_with(Cell::take)
            && record.is_idle()
        {
            registry().free.push(record);
        }
        // Otherwise there is a hold in another thread-local, which outlives this one. The record
        // stays its own, for ever.
    }
}

/// A record that nobody has.
fn acquire() -> &'static Record {
    let mut registry = registry();
    registry.free.pop().unwrap_or_else(|| {
        let record: &'static Record = Box::leak(Box::new(Record {
            sections: AtomicU64::new(0),
            number: registry.all.len() as u32,
            pays: fence::readers_pay(),
            first: AtomicPtr::new(ptr::null_mut()),
            others: Default::default(),
            taken: AtomicU32::new(0),
            more: OnceLock::new(),
        }));
        registry.all.push(record);
        record
    })
}

/// Where a section's record comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It is the thread's.
    Thread,
    /// It is only this section's: the thread is ending and can't keep one.
    Section,
}

/// The record of a thread that has none yet, or none any longer.
#[cold]
fn first_record() -> (&'static Record, Origin) {
    let record = acquire();
    if OWNER.try_with(|_| ()).is_ok() {
        RECORD.with(|own| own.set(Some(record)));
        FREE_RECORD.with(|own| own.set((!record.pays).then_some(record)));
        (record, Origin::Thread)
    } else {
        (record, Origin::Section)
    }
}

/// Who reads: no two threads have the same number at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader(u32);

impl Reader {
    /// The number: the more threads there were at once, the higher.
    #[inline]
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }
}

/// Who this thread is, if it has read before and isn't ending.
#[inline]
pub(crate) fn reader() -> Option<Reader> {
    RECORD.with(Cell::get).map(|record| Reader(record.number))
}

/// As long as it lives, nothing is freed that the thread found in it.
pub(crate) struct Section {
    record: &'static Record,
    /// What the count of sections becomes at the end; `None` for one within another.
    closed: Option<u64>,
    origin: Origin,
    /// It belongs to its thread.
    unsend: PhantomData<*const ()>,
}

impl Section {
    /// Opens a section if that is next to nothing: if the thread has its record, is in no other
    /// section, and pays for no fence.
    #[inline]
    pub(crate) fn open_at_once() -> Option<Self> {
        let record = FREE_RECORD.with(Cell::get)?;
        let count = record.sections.load(Ordering::Relaxed);
        if !count.is_multiple_of(2) {
            return None;
        }
        Some(Self::open_in(record, count, false, Origin::Thread))
    }

    /// Opens a section.
    #[inline]
    pub(crate) fn open() -> Self {
        let (record, origin) = match RECORD.with(Cell::get) {
            Some(record) => (record, Origin::Thread),
            None => first_record(),
        };
        let count = record.sections.load(Ordering::Relaxed);
        if count.is_multiple_of(2) {
            Self::open_in(record, count, record.pays, origin)
        } else {
            Self { record, closed: None, origin, unsend: PhantomData }
        }
    }

    /// Opens a section in a record that has none open, after so many openings and closings.
    #[inline]
    fn open_in(record: &'static Record, count: u64, pays: bool, origin: Origin) -> Self {
        // Released: who sees this, and not the end of the one before it, waits for that too.
        record.sections.store(count + 1, Ordering::Release);
        fence::light(pays);
        Self { record, closed: Some(count + 2), origin, unsend: PhantomData }
    }

    /// Whose section it is.
    #[inline]
    pub(crate) const fn reader(&self) -> Reader {
        Reader(self.record.number)
    }

    /// Holds an entry that was found in this section, beyond its end.
    #[inline]
    pub(crate) fn hold<T>(&self, entry: *const T) -> Hold {
        let address = entry.cast_mut().cast();
        let record = self.record;
        if self.origin == Origin::Thread && record.first.load(Ordering::Relaxed).is_null() {
            record.first.store(address, Ordering::Release);
            return Hold { record, place: &record.first, kind: Kind::First, unsend: PhantomData };
        }
        self.hold_another(address)
    }

    #[cold]
    fn hold_another(&self, address: *mut ()) -> Hold {
        let (mut record, alone) = match self.origin {
            Origin::Thread => (self.record, false),
            Origin::Section => (acquire(), true),
        };
        let mut taken = record.taken.load(Ordering::Relaxed);
        while taken == FULL {
            record = record.more.get_or_init(acquire);
            taken = record.taken.load(Ordering::Relaxed);
        }
        let free = taken.trailing_ones();
        record.taken.store(taken | 1 << free, Ordering::Relaxed);
        let place = &record.others[free as usize];
        place.store(address, Ordering::Release);
        let kind = Kind::Other { bit: 1 << free, alone };
        Hold { record, place, kind, unsend: PhantomData }
    }
}

impl Drop for Section {
    #[inline]
    fn drop(&mut self) {
        if let Some(closed) = self.closed {
            // Released: who sees that it is closed sees the holds that were taken in it.
            self.record.sections.store(closed, Ordering::Release);
        }
        if self.origin == Origin::Section {
            give_back(self.record);
        }
    }
}

/// As long as it lives, one entry is not freed.
pub(crate) struct Hold {
    record: &'static Record,
    place: &'static AtomicPtr<()>,
    kind: Kind,
    /// It belongs to its thread.
    unsend: PhantomData<*const ()>,
}

enum Kind {
    First,
    Other {
        bit: u32,
        /// The record is only this hold's.
        alone: bool,
    },
}

impl Drop for Hold {
    #[inline]
    fn drop(&mut self) {
        // Released: who sees that nothing is held knows that it was read before.
        self.place.store(ptr::null_mut(), Ordering::Release);
        if let Kind::Other { bit, alone } = self.kind {
            let taken = self.record.taken.load(Ordering::Relaxed);
            self.record.taken.store(taken & !bit, Ordering::Relaxed);
            if alone {
                give_back(self.record);
            }
        }
    }
}

#[cold]
fn give_back(record: &'static Record) {
    registry().free.push(record);
}

/// Waits for the sections that are open, and collects what is held then. What was taken away
/// before a [heavy fence](fence::heavy) before this, and is not held, nobody reads any more.
/// False if a section didn't end soon: then nothing may be concluded.
pub(crate) fn survey(held: &mut Vec<*const ()>) -> bool {
    held.clear();
    let registry = registry();
    // First all sections and then all holds: what was found in a section of one record may be
    // held in another one.
    if !registry.all.iter().all(|record| ends(&record.sections)) {
        return false;
    }
    #[cfg(all(test, any(loom, shuttle)))]
    if explored::OMIT.get() == explored::Omit::Holds {
        return true;
    }
    for record in &registry.all {
        for place in std::iter::once(&record.first).chain(&record.others) {
            let address = place.load(Ordering::Acquire);
            if !address.is_null() {
                held.push(address);
            }
        }
    }
    true
}

/// Whether no section is open, or the one that is ends soon.
fn ends(sections: &AtomicU64) -> bool {
    #[cfg(all(test, any(loom, shuttle)))]
    if explored::OMIT.get() == explored::Omit::Sections {
        return true;
    }
    let count = sections.load(Ordering::Acquire);
    count.is_multiple_of(2)
        || (0..LOOKS).any(|_| {
            std::hint::spin_loop();
            sections.load(Ordering::Acquire) != count
        })
}
