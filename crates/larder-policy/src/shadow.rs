//! Small caches of sampled keys, without values, that show what each tuning would hit.
//!
//! They run the very code of the policy on the keys of a sample, whose size is to the capacity as
//! the sample is to all keys. They know nothing of the real cache.

use crate::lines::Lines;
use crate::past::Past;
use crate::sampled::{SHADOWS_MAX, Sampled};
use crate::segments::{Segments, Tuning};
use crate::{Entries, USES_MAX};

/// A shadow for each of `N` tunings. Most keys stand in several of them, so what is known of a
/// key is kept once for all.
///
/// *Paper*: Waldspurger, Saemundsson, Ahmad, Park, "Cache modeling and optimization using miniature
/// simulations", USENIX ATC 2017.
#[derive(Clone, Debug)]
pub(crate) struct Shadows<const N: usize> {
    of: [Shadow; N],
    keys: Sampled,
    capacity: usize,
}

#[derive(Clone, Debug)]
struct Shadow {
    segments: Segments<Lines>,
    past: Past,
}

impl<const N: usize> Shadows<N> {
    /// Shadows that never hold more than `keys_max` keys each, and all together fewer than 65,535.
    pub(crate) fn new(keys_max: usize, tunings: [Tuning; N]) -> Self {
        const { assert!(N <= SHADOWS_MAX) }
        let of = tunings.map(|tuning| Shadow {
            segments: Segments::new(Lines::new(), keys_max as u64, tuning),
            past: if tuning.asks_for_past() { Past::new() } else { Past::ignored() },
        });
        Self { of, keys: Sampled::new(), capacity: keys_max }
    }

    /// Each holds at most `capacity` keys from now on, which is no more than they were made for.
    pub(crate) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        for (nth, shadow) in self.of.iter_mut().enumerate() {
            shadow.segments.resize(capacity as u64);
            while shadow.segments.len() > capacity {
                shadow.evict(nth, &mut self.keys);
            }
        }
    }

    /// A use of the key in the real cache, hit or miss there. Answers which shadows hit, a bit for
    /// each.
    pub(crate) fn see(&mut self, hash: u32) -> u8 {
        let slot = self.keys.slot(hash);
        let holders = self.keys.holders(slot);
        for (nth, shadow) in self.of.iter_mut().enumerate() {
            if holders >> nth & 1 != 0 {
                let view = self.keys.view(nth);
                view.set_uses(slot, (view.uses(slot) + 1).min(USES_MAX));
                continue;
            }
            if shadow.segments.len() >= self.capacity {
                shadow.evict(nth, &mut self.keys);
            }
            self.keys.hold(slot, nth);
            shadow.segments.insert(slot, hash, &self.keys.view(nth), &mut shadow.past);
        }
        holders
    }

    /// Lets go of the keys that are no longer in the sample.
    pub(crate) fn thin(&mut self, mask: u32) {
        for (nth, shadow) in self.of.iter_mut().enumerate() {
            let view = self.keys.view(nth);
            shadow.segments.retain(&view, |slot| view.hash(slot) & mask == 0);
        }
        let view = self.keys.view(0);
        let out: Vec<u32> = self.keys.iter().filter(|&slot| view.hash(slot) & mask != 0).collect();
        for slot in out {
            let holders = self.keys.holders(slot);
            let held = (0..N).filter(|nth| holders >> nth & 1 != 0);
            held.for_each(|nth| self.keys.let_go(slot, nth));
        }
    }

    pub(crate) fn allocated(&self) -> usize {
        let of: usize = self.of.iter().map(Shadow::allocated).sum();
        of + self.keys.allocated()
    }

    pub(crate) fn assert_invariants(&self) {
        self.keys.assert_invariants();
        for (nth, shadow) in self.of.iter().enumerate() {
            shadow.segments.assert_invariants(&self.keys.view(nth));
            let held = shadow.segments.len();
            assert!(held <= self.capacity, "{held} keys stand in a shadow for {}", self.capacity);
            let is_held = |slot| self.keys.holders(slot) >> nth & 1 != 0;
            assert!(shadow.segments.iter().all(is_held), "a shadow holds what it has let go");
            let known = self.keys.iter().filter(|&slot| is_held(slot)).count();
            assert_eq!(known, held, "a shadow doesn't hold what it should");
        }
    }
}

impl Shadow {
    #[inline]
    fn evict(&mut self, nth: usize, keys: &mut Sampled) {
        if let Some(slot) = self.segments.evict(&keys.view(nth), &mut self.past) {
            keys.let_go(slot, nth);
        }
    }

    fn allocated(&self) -> usize {
        self.segments.allocated() + self.past.allocated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::{Admission, Returning};
    use crate::tests::hash;

    /// A shadow that keeps the newest keys, and one that keeps the oldest.
    fn shadows(keys_max: usize) -> Shadows<2> {
        let tuning = |window_per_mille, admission| Tuning {
            window_per_mille,
            admission,
            returning: Returning::AsNew,
        };
        let newest = tuning(1000, Admission::Always);
        Shadows::new(keys_max, [newest, tuning(10, Admission::MoreOften)])
    }

    #[test]
    fn each_shadow_hits_what_its_tuning_keeps() {
        let mut shadows = shadows(100);
        assert!((0..1000).all(|key| shadows.see(hash(key)) == 0), "each key is new");
        shadows.assert_invariants();
        assert_eq!(shadows.see(hash(950)), 0b01);
        assert_eq!(shadows.see(hash(50)), 0b10);
    }

    #[test]
    fn keys_out_of_the_sample_are_let_go_of_and_the_others_stay() {
        let mut shadows = shadows(100);
        assert!((0..60).all(|key| shadows.see(hash(key)) == 0), "each key is new");
        shadows.thin(1);
        shadows.assert_invariants();
        let is_sampled = |key: &u32| hash(*key) & 1 == 0;
        assert_eq!(shadows.keys.iter().count(), (0..60).filter(is_sampled).count());
        assert!((0..60).filter(is_sampled).all(|key| shadows.see(hash(key)) == 0b11));
        shadows.resize(10);
        shadows.assert_invariants();
        assert!(shadows.keys.iter().count() <= 20);
    }
}
