//! Counters that threads don't share: adding is a load and a store, without a locked step.
//!
//! Each thread has a number of its own while it lives, by its [record](crate::hazard), and counts
//! in its own line. Threads beyond the lines, which only a process with very many has, share one.

use std::{array, fmt, iter, thread};

use crate::atomics::{AtomicU64, Ordering};
use crate::hazard::{Reader, reader};

/// At least so many threads have a line of their own.
const LINES_MIN: usize = 16;

/// `N` counters, to which many threads add and which are seldom read.
///
/// ```
/// use larder_memory::Stripes;
///
/// let [reads, bytes] = [0, 1];
/// let counters: Stripes<2> = Stripes::new();
/// counters.add(reads, 1);
/// counters.add(bytes, 100);
/// assert_eq!(counters.sums(), [1, 100]);
/// ```
pub struct Stripes<const N: usize> {
    lines: Box<[Line<N>]>,
    shared: Line<N>,
}

/// The counters of one thread, on cache lines of its own.
#[repr(align(64))]
struct Line<const N: usize>([AtomicU64; N]);

impl<const N: usize> Line<N> {
    fn new() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Stripes<N> {
    /// All zero, for the machine at hand.
    #[must_use]
    pub fn new() -> Self {
        Self::for_threads(thread::available_parallelism().map_or(1, Into::into))
    }

    /// All zero, for a machine that runs so many threads at once.
    pub(crate) fn for_threads(parallelism: usize) -> Self {
        let lines = parallelism.saturating_mul(4).max(LINES_MIN);
        let lines = iter::repeat_with(Line::new).take(lines).collect();
        Self { lines, shared: Line::new() }
    }

    /// Adds to several counters with one look for the line: `n` to the counter at `at`, for each.
    ///
    /// # Panics
    ///
    /// When an `at` is not less than `N`.
    #[inline]
    pub fn add_each<const M: usize>(&self, additions: [(usize, u64); M]) {
        match reader() {
            Some(reader) => additions.into_iter().for_each(|(at, n)| self.add_for(reader, at, n)),
            None => additions.into_iter().for_each(|(at, n)| self.add_shared(at, n)),
        }
    }

    /// Adds `n` to the counter at `at`; wraps after 2^64.
    ///
    /// A thread that has never read a tier, or is about to end, adds to a line that such threads
    /// share, which costs more.
    ///
    /// # Panics
    ///
    /// When `at` is not less than `N`.
    #[inline]
    pub fn add(&self, at: usize, n: u64) {
        match reader() {
            Some(reader) => self.add_for(reader, at, n),
            None => self.add_shared(at, n),
        }
    }

    /// The same for a reader that is known.
    #[inline]
    pub(crate) fn add_for(&self, reader: Reader, at: usize, n: u64) {
        match self.lines.get(reader.number()) {
            // Nobody else adds here.
            Some(Line(line)) => {
                let before = line[at].load(Ordering::Relaxed);
                line[at].store(before.wrapping_add(n), Ordering::Relaxed);
            }
            None => self.add_shared(at, n),
        }
    }

    #[cold]
    fn add_shared(&self, at: usize, n: u64) {
        self.shared.0[at].fetch_add(n, Ordering::Relaxed);
    }

    /// What all threads have added so far.
    #[must_use]
    pub fn sums(&self) -> [u64; N] {
        let lines = || self.lines.iter().chain([&self.shared]);
        array::from_fn(|at| {
            let counts = lines().map(|Line(line)| line[at].load(Ordering::Relaxed));
            counts.fold(0, u64::wrapping_add)
        })
    }
}

impl<const N: usize> Default for Stripes<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Stripes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stripes").field(&self.sums()).finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn what_any_number_of_threads_add_is_all_there() {
        let counters: Stripes<3> = Stripes::for_threads(1);
        thread::scope(|scope| {
            for _ in 0..LINES_MIN + 8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counters.add_each([(0, 1), (2, 5)]);
                    }
                });
            }
        });
        let all = (LINES_MIN as u64 + 8) * 1000;
        assert_eq!(counters.sums(), [all, 0, 5 * all]);
    }

    #[test]
    fn threads_that_read_tiers_have_lines_of_their_own_and_lose_nothing() {
        let tier: crate::Memory<u64, u64> = crate::Memory::new(crate::Bounds::entries(10));
        let counters: Stripes<1> = Stripes::for_threads(1);
        thread::scope(|scope| {
            for _ in 0..4 * LINES_MIN {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        tier.get(&1, larder_core::Moment::ZERO);
                        counters.add(0, 1);
                    }
                });
            }
        });
        assert_eq!(counters.sums(), [4 * LINES_MIN as u64 * 1000]);
    }
}
