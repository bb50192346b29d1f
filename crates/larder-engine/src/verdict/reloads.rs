//! Whether a load brought what the load before it brought.
//!
//! It stands beside the memory tier, so it remembers what has expired. It knows hashes only.

use std::sync::OnceLock;

use larder_core::sync::{AtomicU64, Counter, Ordering};

use super::distinct::mix;

/// How many keys are remembered at a time, if nothing else is said. A checker, which makes every
/// atomic a place to stop at, gets a few.
pub const RELOADS_PLACES_DEFAULT: usize = if cfg!(shuttle) { 16 } else { 4_096 };

/// The most keys that may be remembered at a time.
pub const RELOADS_PLACES_MAX: usize = 1 << 20;

/// How many loads of other keys a remembered key outlasts; the place of a key says which. Keys
/// that come back soon are noticed in the places that wait briefly, and those of a large cache
/// in the places that wait long.
const PATIENCE: [u64; 4] = [0, 8, 64, 512];

/// What was there before a load, as far as is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The load brought the value that the one before brought.
    Same,
    /// The load brought another value.
    Changed,
}

/// The last loaded values of a sample of keys: how often a reload brings the same value.
///
/// A table with one place for each key, where keys share places. Who came first stays, until so
/// many others wanted the place: if the newest always stayed, a cache whose keys expire one after
/// the other would find each key forgotten just before it comes again. So the sample is of keys
/// that come back, and the share of [`Same`](Reload::Same) among them is right for those; how
/// many reloads there are in all, it doesn't tell.
///
/// A place is a word: 28 bits of a key's hash besides those that chose the place, 24 bits of the
/// value's fingerprint, and how many others wanted the place. One other key in 2^28 is taken for
/// a key that it isn't, and one change in 2^24 for none.
///
/// It takes eight bytes for each place, 32 KiB by default, from the first note on, and nothing
/// before. Notes may be made by many threads at once and wait for nobody; of two that want one
/// place at the same time, one may be forgotten.
///
/// ```
/// use larder_engine::verdict::{Reload, Reloads};
///
/// let reloads = Reloads::default();
/// assert_eq!(reloads.note(42, 0xada), None);
/// assert_eq!(reloads.note(42, 0xada), Some(Reload::Same));
/// assert_eq!(reloads.note(42, 0xeda), Some(Reload::Changed));
/// assert_eq!((reloads.reloads(), reloads.same()), (2, 1));
/// ```
#[derive(Debug)]
pub struct Reloads {
    places: OnceLock<Box<[AtomicU64]>>,
    count: usize,
    same: Counter,
    changed: Counter,
}

impl Default for Reloads {
    fn default() -> Self {
        Self::new(RELOADS_PLACES_DEFAULT)
    }
}

impl Reloads {
    /// Room for so many keys at a time, rounded up to a power of two of at most
    /// [`RELOADS_PLACES_MAX`].
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            places: OnceLock::new(),
            count: places.clamp(1, RELOADS_PLACES_MAX).next_power_of_two(),
            same: Counter::default(),
            changed: Counter::default(),
        }
    }

    /// Notes that a load of this key brought this value. `None` where the value before is not
    /// remembered. Both hashes may be weak: they are mixed here.
    ///
    /// A load that found nothing is not to be noted: how long an absence is remembered is
    /// another window than the one that is judged by this.
    pub fn note(&self, key_hash: u64, value_fingerprint: u64) -> Option<Reload> {
        let places = self
            .places
            .get_or_init(|| (0..self.count).map(|_| AtomicU64::new(Place::EMPTY)).collect());
        let key = mix(key_hash);
        let at = key as usize & (self.count - 1);
        let arrived = Place::new(key, mix(value_fingerprint));
        // Every place stands for itself: nothing is ordered by it.
        let before = places[at].load(Ordering::Relaxed);
        let held = Place(before);
        let (after, reload) = if held.has_key_of(arrived) {
            let same = held.has_value_of(arrived);
            (arrived, Some(if same { Reload::Same } else { Reload::Changed }))
        } else if before == Place::EMPTY || held.wanted() >= PATIENCE[at % PATIENCE.len()] {
            (arrived, None)
        } else {
            (held.wanted_once_more(), None)
        };
        let relaxed = Ordering::Relaxed;
        // Whoever comes second leaves the place to the first, and its own note isn't counted.
        places[at].compare_exchange(before, after.0, relaxed, relaxed).ok()?;
        match reload? {
            Reload::Same => self.same.add(1),
            Reload::Changed => self.changed.add(1),
        }
        reload
    }

    /// Loads of keys whose last value was remembered.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.same.get() + self.changed.get()
    }

    /// Reloads that brought the same value.
    #[must_use]
    pub fn same(&self) -> u64 {
        self.same.get()
    }
}

/// What a place holds: from the top, 28 bits of the key, 24 of the value, and 12 that count who
/// else wanted the place.
#[derive(Clone, Copy)]
struct Place(u64);

impl Place {
    /// A place that nothing was ever put into: no key has these bits.
    const EMPTY: u64 = 0;

    const KEY_SHIFT: u32 = 36;
    const VALUE_SHIFT: u32 = 12;
    const VALUE: u64 = 0xff_ffff << Self::VALUE_SHIFT;
    const WANTED: u64 = 0xfff;

    /// The upper bits of two mixed hashes.
    fn new(key: u64, value: u64) -> Self {
        let key = (key >> Self::KEY_SHIFT).max(1);
        Self(key << Self::KEY_SHIFT | (value >> 40) << Self::VALUE_SHIFT)
    }

    fn has_key_of(self, other: Self) -> bool {
        self.0 >> Self::KEY_SHIFT == other.0 >> Self::KEY_SHIFT
    }

    fn has_value_of(self, other: Self) -> bool {
        self.0 & Self::VALUE == other.0 & Self::VALUE
    }

    fn wanted(self) -> u64 {
        self.0 & Self::WANTED
    }

    /// Stays within its bits: patience ends long before them.
    fn wanted_once_more(self) -> Self {
        Self(self.0 + 1)
    }
}

const _: () = assert!(PATIENCE[PATIENCE.len() - 1] < Place::WANTED);

#[cfg(test)]
mod tests {
    use super::*;

    /// Two different keys that share a place among so many, where others have to come so often.
    fn neighbours(count: u64, patience: u64) -> (u64, u64) {
        let place = |key| mix(key) & (count - 1);
        let patient = |key: &u64| PATIENCE[place(*key) as usize % PATIENCE.len()] == patience;
        let first = (0..).find(patient).unwrap();
        (first, (first + 1..).find(|&key| place(key) == place(first)).unwrap())
    }

    #[test]
    fn a_reload_is_same_or_changed_and_counted_as_such() {
        let reloads = Reloads::default();
        for (value, expected) in [
            (7, None),
            (7, Some(Reload::Same)),
            (8, Some(Reload::Changed)),
            (8, Some(Reload::Same)),
            (7, Some(Reload::Changed)),
        ] {
            assert_eq!(reloads.note(1, value), expected);
        }
        assert_eq!((reloads.reloads(), reloads.same()), (4, 2));
    }

    #[test]
    fn hashes_of_zero_are_remembered_like_any_other() {
        let reloads = Reloads::default();
        assert_eq!(reloads.note(0, 0), None);
        assert_eq!(reloads.note(0, 0), Some(Reload::Same));
        // Even where all bits that are kept of them are zero.
        assert_ne!(Place::new(0, 0).0, Place::EMPTY);
    }

    #[test]
    fn another_key_in_the_same_place_is_no_reload() {
        for patience in PATIENCE {
            let (one, other) = neighbours(4_096, patience);
            let reloads = Reloads::new(4_096);
            for _ in 0..3 * patience + 3 {
                reloads.note(one, 7);
                assert_eq!(reloads.note(other, 7), None, "patience {patience}");
            }
            // Where nobody waits they forget each other in turn; elsewhere the first stays.
            let kept = if patience == 0 { 0 } else { 3 * patience + 2 };
            assert_eq!((reloads.reloads(), reloads.same()), (kept, kept));
        }
    }

    #[test]
    fn a_key_stays_until_its_patience_ends_and_then_the_next_is_remembered() {
        for patience in PATIENCE {
            let (one, other) = neighbours(4_096, patience);
            let reloads = Reloads::new(4_096);
            reloads.note(one, 7);
            (0..patience).for_each(|_| assert_eq!(reloads.note(other, 7), None));
            let kept = if patience == 0 { None } else { Some(Reload::Same) };
            if patience > 0 {
                assert_eq!(reloads.note(one, 7), kept, "patience {patience}");
            }
            // Its coming back has made it patient again.
            (0..=patience).for_each(|_| assert_eq!(reloads.note(other, 7), None));
            assert_eq!(reloads.note(other, 7), Some(Reload::Same), "patience {patience}");
        }
    }

    #[test]
    fn many_more_keys_than_places_that_come_in_turn_are_still_sampled() {
        let reloads = Reloads::default();
        // Each key is loaded again once all others were, and every tenth has changed by then.
        let keys = 100 * RELOADS_PLACES_DEFAULT as u64;
        for round in 0..3 {
            for key in 0..keys {
                reloads.note(key, if key % 10 == 0 { round } else { 0 });
            }
        }
        let (all, same) = (reloads.reloads(), reloads.same());
        assert!(all > RELOADS_PLACES_DEFAULT as u64 / 3, "{all}");
        let share = same as f64 / all as f64;
        assert!((share - 0.9).abs() < 0.04, "{same} of {all}");
    }

    #[test]
    fn keys_that_never_come_back_give_way_to_those_that_do() {
        let reloads = Reloads::default();
        let scanned = 10 * RELOADS_PLACES_DEFAULT as u64;
        (0..scanned).for_each(|key| assert_eq!(reloads.note(key, 1), None));
        for _ in 0..20 {
            (0..1_000).for_each(|key| _ = reloads.note(scanned + key, 1));
        }
        assert!(reloads.reloads() > 4_000, "{}", reloads.reloads());
    }

    #[test]
    fn the_table_is_made_by_the_first_note_and_never_grows() {
        for (asked, made) in [(0, 1), (1, 1), (5, 8), (4_096, 4_096)] {
            let reloads = Reloads::new(asked);
            assert!(reloads.places.get().is_none());
            (0..20_000).for_each(|key| _ = reloads.note(key, key));
            assert_eq!(reloads.places.get().map(|places| places.len()), Some(made));
        }
        assert_eq!(Reloads::new(usize::MAX).count, RELOADS_PLACES_MAX);
    }

    #[test]
    fn threads_count_each_reload_at_most_once() {
        let reloads = Reloads::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|n| _ = reloads.note(n % 50, 1)));
            }
        });
        let all = reloads.reloads();
        assert_eq!(all, reloads.same());
        assert!((1_000..80_000).contains(&all), "{all}");
    }
}
