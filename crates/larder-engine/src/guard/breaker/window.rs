//! The sliding window: how many successes and errors there were in the last ten tenths of it.
//! It doesn't know what follows from them.
//!
//! Time is divided into tenths of the window, numbered from the clock's origin. Each of ten slots
//! counts one tenth and is used again ten tenths later, so nothing has to be moved or forgotten
//! as time goes on: what is too old has a number that is no longer looked for.

use std::array;
use std::time::Duration;

use larder_core::Moment;
use larder_core::sync::{AtomicU64, Ordering};

/// Into how many parts the window is divided.
const TENTHS: u64 = 10;

/// How many bits of a slot hold its count. One that is full stays so: a million a tenth.
const COUNT_BITS: u32 = 20;
/// How many bits hold the number of its tenth. For the shortest window that is 34 years.
const TENTH_BITS: u32 = 40;

/// What one slot holds: `period | tenth | count`, so that one step compares and changes all.
///
/// Of the period there are four bits, and they only ever tell a period from the one before it:
/// who is so late has compared the whole of it just before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally(u64);

impl Tally {
    fn new(period: u64, tenth: u64, count: u64) -> Self {
        // Closed periods are the even ones.
        let period = (period / 2) << (COUNT_BITS + TENTH_BITS);
        Self(period | (tenth & mask(TENTH_BITS)) << COUNT_BITS | count)
    }

    /// Whether it counts for the same period as `other`.
    fn is_of_period(self, other: Self) -> bool {
        (self.0 ^ other.0) >> (COUNT_BITS + TENTH_BITS) == 0
    }

    fn tenth(self) -> u64 {
        self.0 >> COUNT_BITS & mask(TENTH_BITS)
    }

    fn count(self) -> u64 {
        self.0 & mask(COUNT_BITS)
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// What the window holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) errors: u64,
    pub(super) successes: u64,
}

#[derive(Debug)]
pub(super) struct Window {
    /// The length of a tenth.
    nanos: u64,
    successes: [AtomicU64; TENTHS as usize],
    errors: [AtomicU64; TENTHS as usize],
}

impl Window {
    /// An empty window of this length, of period zero.
    pub(super) fn new(length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos() / u128::from(TENTHS)).unwrap_or(u64::MAX);
        let empty = || array::from_fn(|_| AtomicU64::new(0));
        Self { nanos: nanos.max(1), successes: empty(), errors: empty() }
    }

    /// Begins a period with nothing counted. Whoever is late with an older one counts no more.
    pub(super) fn begin(&self, period: u64) {
        for slot in self.successes.iter().chain(&self.errors) {
            slot.store(Tally::new(period, 0, 0).0, Ordering::Relaxed);
        }
    }

    pub(super) fn success(&self, period: u64, now: Moment) {
        count(&self.successes, period, self.tenth(now));
    }

    /// Counts an error and says what the window holds.
    pub(super) fn error(&self, period: u64, now: Moment) -> Sums {
        let tenth = self.tenth(now);
        count(&self.errors, period, tenth);
        let sum = |slots| sum(slots, period, tenth);
        Sums { errors: sum(&self.errors), successes: sum(&self.successes) }
    }

    fn tenth(&self, now: Moment) -> u64 {
        // No tenth has the number zero: that is what slots hold in which nothing was counted.
        now.as_nanos() / self.nanos + 1
    }
}

/// Counts one more in the slot of this tenth.
fn count(slots: &[AtomicU64; TENTHS as usize], period: u64, tenth: u64) {
    let slot = &slots[(tenth % TENTHS) as usize];
    let one = Tally::new(period, tenth, 1);
    // Nothing else is ordered by a count: the period is read and written beside it.
    let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
        let held = Tally(held);
        if !held.is_of_period(one) || held.tenth() > one.tenth() {
            // The period is over, or somebody whose clock was read later counts here already.
            None
        } else if held.tenth() < one.tenth() {
            Some(one.0)
        } else {
            Some(if held.count() < mask(COUNT_BITS) { held.0 + 1 } else { held.0 })
        }
    });
}

/// What was counted in this tenth and the nine before it. Those who read the clock a little later
/// may have counted in the next already, and count too.
fn sum(slots: &[AtomicU64; TENTHS as usize], period: u64, tenth: u64) -> u64 {
    let now = Tally::new(period, tenth, 0);
    let held = slots.iter().map(|slot| Tally(slot.load(Ordering::Relaxed)));
    let counts = held.filter(|held| held.is_of_period(now) && held.tenth() + TENTHS > now.tenth());
    counts.map(Tally::count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn second() -> Window {
        Window::new(Duration::from_secs(1))
    }

    #[test]
    fn an_outcome_counts_in_its_tenth_and_the_nine_after_it() {
        let window = second();
        window.success(0, at(199));
        let sums = |millis| {
            let window = &window;
            window.error(0, at(millis)).successes
        };
        assert_eq!((sums(199), sums(1099), sums(1100)), (1, 1, 0));
    }

    #[test]
    fn a_slot_is_used_again_and_who_is_late_for_it_is_left_out() {
        let window = second();
        window.success(0, at(0));
        window.success(0, at(1000));
        // Its tenth was overwritten: it is out of the window.
        window.success(0, at(0));
        assert_eq!(window.error(0, at(1000)), Sums { errors: 1, successes: 1 });
    }

    #[test]
    fn a_new_period_begins_with_nothing_and_an_old_one_counts_no_more() {
        let window = second();
        window.success(0, at(0));
        assert_eq!(window.error(0, at(0)), Sums { errors: 1, successes: 1 });
        window.begin(2);
        window.success(0, at(0));
        window.success(0, at(5000));
        assert_eq!(window.error(2, at(0)), Sums { errors: 1, successes: 0 });
        assert_eq!(window.error(2, at(5000)), Sums { errors: 1, successes: 0 });
    }

    #[test]
    fn who_is_late_with_an_old_period_takes_nothing_from_the_new_one() {
        let window = second();
        window.begin(2);
        window.success(2, at(0));
        // The same slot, ten tenths later.
        window.success(0, at(1000));
        assert_eq!(window.error(2, at(0)), Sums { errors: 1, successes: 1 });
    }

    #[test]
    fn the_last_moment_has_a_tenth_too() {
        let window = Window::new(Duration::from_millis(10));
        window.success(0, Moment::MAX);
        assert_eq!(window.error(0, Moment::MAX), Sums { errors: 1, successes: 1 });
    }

    #[test]
    fn a_full_slot_stays_full() {
        let window = second();
        let full = Tally::new(0, 1, mask(COUNT_BITS));
        window.successes[1].store(full.0, Ordering::Relaxed);
        window.success(0, at(0));
        assert_eq!(window.error(0, at(0)).successes, mask(COUNT_BITS));
    }
}
