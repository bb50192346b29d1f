//! Which part of the key makes every key new.
//!
//! It knows the parts of keys as texts, and nothing of what they mean.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use larder_core::sync::Counter;
use larder_core::template::PARAMETERS_MAX;

use super::Distinct;
use super::distinct::mix;

/// Fewer loads than that say nothing about the parts of a key.
const LOADS_MIN: u64 = 100;

/// A part is always new if it had at least so many different values for each load. Not one for
/// each, because estimates err by 3 %, three times that at worst.
const NEW_MIN: f64 = 0.9;

/// The rest of the key comes again if there are at most so many different ones for each load:
/// without the part, every second load at least would have asked for what was loaded already.
const WITHOUT_MAX: f64 = 0.5;

/// A part of the key that was new with nearly every load, while the rest of the key came again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The name of the part.
    pub name: String,
    /// How many different values it had, estimated.
    pub distinct: u64,
    /// Loads that were looked at.
    pub loads: u64,
    /// How many different keys there would be without it, estimated.
    pub distinct_without: u64,
}

/// The values of each part of the loaded keys, and of the rest of the key without it.
///
/// A parameter that doesn't belong into a key, such as the number of a request, splits one entry
/// into as many as it has values. It shows in two numbers: its own values are all new, and
/// without it keys would come again.
///
/// A key of one part is never found to be fragmented: without the part nothing is left of it, so
/// the second number would say so of every key. And two parts that are both always new hide each
/// other: without either the key is still new.
///
/// The same two numbers describe `order:{shop}:{no}`, where each number is new once and rightly
/// so. What tells them apart is whether keys are read again, which only the hit ratio knows; so a
/// [`Fragment`] is a cause to look for where hits are few, and no fault by itself.
///
/// It takes two kibibytes for each part and one more, at most 33, from the first note on, and
/// nothing before. Of a key with more than [`PARAMETERS_MAX`] parts, those after the last are
/// counted as parts of the rest and never named.
///
/// ```
/// use larder_engine::verdict::Fragments;
///
/// let fragments = Fragments::new(2);
/// for request in 0..1_000 {
///     let (page, request) = ((request % 20).to_string(), request.to_string());
///     fragments.note(&[&page, &request]);
/// }
/// let worst = fragments.worst(&["page", "request"]).unwrap();
/// assert_eq!(worst.name, "request");
/// assert!(worst.distinct > 900 && worst.distinct_without < 25);
/// ```
#[derive(Debug)]
pub struct Fragments {
    parts: OnceLock<Box<[Part]>>,
    count: usize,
    keys: Distinct,
    loads: Counter,
}

#[derive(Debug, Default)]
struct Part {
    values: Distinct,
    without: Distinct,
}

impl Fragments {
    /// For keys of so many parts.
    #[must_use]
    pub fn new(parts: usize) -> Self {
        // Of a single part there is nothing to say.
        let count = if parts < 2 { 0 } else { parts.min(PARAMETERS_MAX) };
        Self { parts: OnceLock::new(), count, keys: Distinct::default(), loads: Counter::default() }
    }

    /// Notes the parts of a key that the source gave an answer for.
    pub fn note(&self, parts: &[&str]) {
        self.note_hashes(parts.iter().map(|part| {
            let mut hasher = DefaultHasher::new();
            part.hash(&mut hasher);
            hasher.finish()
        }));
    }

    /// The same from the hashes of the parts. A key without parts is noted by its own hash.
    pub fn note_hashes(&self, hashes: impl Iterator<Item = u64> + Clone) {
        // Each hash is mixed with its place, so that equal values in two places are two things,
        // and the sum without one of them is the hash of the rest.
        let placed = hashes.zip(1_u64..).map(|(hash, place)| mix(hash ^ mix(place)));
        let key = placed.clone().fold(0_u64, u64::wrapping_add);
        self.loads.add(1);
        self.keys.note(key);
        if self.count > 0 {
            let parts =
                self.parts.get_or_init(|| (0..self.count).map(|_| Part::default()).collect());
            for (part, hash) in parts.iter().zip(placed) {
                part.values.note(hash);
                part.without.note(key.wrapping_sub(hash));
            }
        }
    }

    /// How many different keys were noted, estimated.
    #[must_use]
    pub fn keys(&self) -> u64 {
        whole(self.keys.estimate(), self.loads.get())
    }

    /// The part that was new with nearly every load while the rest of the key came again, if
    /// there is one; two there can't be, as the rest without one holds the other. The names are
    /// those of the parts, in their order. `None` before the hundredth load.
    #[must_use]
    pub fn worst(&self, names: &[impl AsRef<str>]) -> Option<Fragment> {
        // Read first: what is noted meanwhile makes a part look newer by that little, and never
        // the rest of the key more often repeated.
        let loads = self.loads.get();
        if loads < LOADS_MIN {
            return None;
        }
        self.parts
            .get()?
            .iter()
            .zip(names)
            .map(|(part, name)| Fragment {
                name: name.as_ref().to_owned(),
                distinct: whole(part.values.estimate(), loads),
                loads,
                distinct_without: whole(part.without.estimate(), loads),
            })
            .find(|fragment| {
                fragment.distinct as f64 >= NEW_MIN * loads as f64
                    && fragment.distinct_without as f64 <= WITHOUT_MAX * loads as f64
            })
    }
}

/// An estimate of different things, of which there can't be more than were noted.
fn whole(estimate: f64, loads: u64) -> u64 {
    (estimate.round() as u64).min(loads)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part that is found guilty after so many loads of such keys.
    fn worst<const N: usize>(loads: u64, key: impl Fn(u64) -> [u64; N]) -> Option<&'static str> {
        let fragments = Fragments::new(N);
        for load in 0..loads {
            let texts = key(load).map(|part| part.to_string());
            fragments.note(&texts.each_ref().map(String::as_str));
        }
        let names = ["a", "b", "c", "d"];
        let found = fragments.worst(&names)?.name;
        names.into_iter().find(|name| *name == found)
    }

    #[test]
    fn the_part_that_is_always_new_is_found_wherever_it_stands() {
        assert_eq!(worst(1_000, |load| [load % 20, load]), Some("b"));
        assert_eq!(worst(1_000, |load| [load, load % 20]), Some("a"));
        assert_eq!(worst(1_000, |load| [load % 4, load, load % 5]), Some("b"));
        assert_eq!(worst(50_000, |load| [load % 20, load]), Some("b"));
    }

    #[test]
    fn many_ids_in_a_key_of_one_part_are_no_fragments() {
        assert_eq!(worst(10_000, |load| [load]), None);
        let fragments = Fragments::new(1);
        fragments.note(&["1"]);
        assert!(fragments.parts.get().is_none());
        assert_eq!(fragments.keys(), 1);
    }

    #[test]
    fn parts_that_come_again_are_no_fragments() {
        // 1,000 orders of 10 shops, each loaded ten times: no number is new the second time.
        assert_eq!(worst(10_000, |load| [load % 10, load % 1_000]), None);
        assert_eq!(worst(10_000, |load| [load % 40, load % 7]), None);
    }

    #[test]
    fn two_parts_that_are_both_always_new_hide_each_other() {
        assert_eq!(worst(1_000, |load| [load % 20, load, load * 7]), None);
    }

    #[test]
    fn equal_values_in_two_places_are_two_things() {
        // Without the first part the second is left, which is always new, and the other way.
        assert_eq!(worst(1_000, |load| [load, load]), None);
        // The same two values in both orders are two keys.
        let fragments = Fragments::new(2);
        fragments.note(&["1", "2"]);
        fragments.note(&["2", "1"]);
        assert_eq!(fragments.keys(), 2);
    }

    #[test]
    fn the_thresholds_are_where_they_are_said_to_be() {
        // How new a part has to be; far enough from it that no estimate errs.
        assert_eq!(worst(1_000, |load| [load % 20, load.min(970)]), Some("b"));
        assert_eq!(worst(1_000, |load| [load % 20, load.min(820)]), None);
        // How often the rest has to come again.
        assert_eq!(worst(1_000, |load| [load % 450, load]), Some("b"));
        assert_eq!(worst(1_000, |load| [load % 550, load]), None);
        // How many loads have to be seen.
        assert_eq!(worst(LOADS_MIN - 1, |load| [load % 2, load]), None);
        assert_eq!(worst(LOADS_MIN, |load| [load % 2, load]), Some("b"));
    }

    #[test]
    fn the_numbers_are_those_of_the_part() {
        let fragments = Fragments::new(2);
        for load in 0..200 {
            fragments.note(&["x", &load.to_string()]);
        }
        let found = fragments.worst(&["tenant", "no"]).unwrap();
        assert_eq!((found.name.as_str(), found.loads, found.distinct_without), ("no", 200, 1));
        assert!((190..=200).contains(&found.distinct), "{found:?}");
        assert!(fragments.worst(&[""; 0]).is_none());
    }

    #[test]
    fn parts_beyond_the_last_belong_to_the_rest_and_take_no_memory() {
        let fragments = Fragments::new(40);
        let zeros = [0; PARAMETERS_MAX];
        for load in 0..300 {
            fragments.note_hashes(zeros.into_iter().chain([load]));
        }
        assert_eq!(fragments.parts.get().map(|parts| parts.len()), Some(PARAMETERS_MAX));
        assert!(fragments.worst(&["p"; 40]).is_none());
        assert!(fragments.keys() > 280, "{}", fragments.keys());
    }
}
