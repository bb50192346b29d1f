//! Larder's own policy, the default: small shadow caches choose how it is tuned.

use crate::past::Past;
use crate::queues::Queues;
use crate::segments::{Admission, Returning, Segments, Tuning};
use crate::shadow::Shadows;
use crate::{Entries, Hits, Policy};

/// What the policy chooses from; it begins with the first.
const TUNINGS: [Tuning; 5] = [
    // For loops, scans and what is used often.
    tuning(10, Admission::MoreOften, Returning::Marked),
    // For what has most of its uses soon after the first.
    tuning(200, Admission::MoreOften, Returning::Marked),
    // For keys that come back once, later than a window reaches.
    tuning(50, Admission::MoreOften, Returning::ToMain),
    // For favourites that change: old uses lose their say, quickly or nearly at once.
    tuning(100, Admission::Always, Returning::AsNew),
    tuning(990, Admission::Always, Returning::AsNew),
];

/// The most keys that a shadow holds.
const SHADOW_MAX: usize = 256;

/// After how many shown uses, per key that a shadow holds, a hit counts about a third. Short
/// memories follow what alternates, and are always late; an order of magnitude more than the keys
/// held is what traces ask for.
const MEMORY: f32 = 80.0;

const fn tuning(window_per_mille: u16, admission: Admission, returning: Returning) -> Tuning {
    Tuning { window_per_mille, admission, returning }
}

/// Evicts by frequency or by age, whichever would have hit more often lately.
///
/// *Idea*: no single policy is good everywhere: loops want most of the cache to stand still,
/// bursts want the newest entries, most workloads want something between. New entries stand in a
/// window; what leaves it replaces the oldest unused entry of the main queue, or only when it was
/// seen more often, as in [`TinyLfu`](crate::TinyLfu). How large the window is, whether there is
/// admission at all, and what a key gets that comes back, is chosen: for each of five tunings
/// a shadow of at most 256 sampled keys, without values, runs the same code, and the policy takes
/// the tuning of the shadow that hits most. Entries are only counted there, not weighed.
///
/// *Cost*: a use is a mark on the entry. An insert or an eviction is constant on average, and
/// looks at no more than 256 entries. Of more than 256 entries only so many keys are sampled that
/// 128 to 256 of them stand in a shadow; a sampled key passes through all five.
///
/// *Memory*: 12 bytes per slot, as [`TinyLfu`](crate::TinyLfu), and 14 to 22 KB for the shadows,
/// less below 256 entries.
///
/// *Papers*: Einziger, Eytan, Friedman, Manes, "Adaptive software cache management", Middleware
/// 2018; Waldspurger et al., "Cache modeling and optimization using miniature simulations", USENIX
/// ATC 2017.
#[derive(Clone, Debug)]
pub struct Adaptive {
    segments: Segments<Queues>,
    past: Past,
    shadows: Box<Shadows<{ TUNINGS.len() }>>,
    /// The hits of each shadow, where old ones count less.
    scores: [f32; TUNINGS.len()],
    /// How many entries there were when the shadows got their size; none until room was needed.
    basis: usize,
    /// How often the sample was halved: it is one key in two to the power of this.
    halvings: u32,
    chosen: usize,
}

impl Adaptive {
    /// How many keys a shadow stands for at `held` entries.
    #[inline]
    fn sampled(&self, held: usize) -> usize {
        held >> self.halvings
    }

    #[inline]
    fn mask(&self) -> u32 {
        (1 << self.halvings) - 1
    }

    /// Takes fewer keys into the sample while there are too many for the shadows.
    #[cold]
    fn thin(&mut self) {
        while self.sampled(self.len()) > SHADOW_MAX {
            self.halvings += 1;
            self.shadows.thin(self.mask());
        }
    }

    /// Whether the shadows don't have their share of as many entries as are held.
    #[inline]
    fn is_misfit(&self) -> bool {
        self.len().abs_diff(self.basis) > self.basis / 8
    }

    /// Gives the shadows their share of as many entries as are held now that the cache is full.
    #[cold]
    fn fit(&mut self) {
        let held = self.len();
        self.basis = held;
        while self.halvings > 0 && self.sampled(held) < SHADOW_MAX / 4 {
            self.halvings -= 1;
        }
        self.shadows.resize(self.sampled(held).max(1));
    }

    /// Shows a use of a key of the sample to the shadows, and takes the tuning of the best one.
    #[inline(never)]
    fn show(&mut self, hash: u32) {
        let keep = 1.0 - 1.0 / (MEMORY * self.sampled(self.basis).max(1) as f32);
        let hits = self.shadows.see(hash);
        for (nth, score) in self.scores.iter_mut().enumerate() {
            *score = *score * keep + f32::from(hits >> nth & 1);
        }
        self.choose();
    }

    /// Changes the tuning when another one is ahead by half of what chance does: a number of hits
    /// varies by about its square root.
    fn choose(&mut self) {
        let score = self.scores[self.chosen];
        let enough = score + score.sqrt() / 2.0 + 1.0;
        let (mut best, mut most) = (self.chosen, enough);
        for (tuning, &score) in self.scores.iter().enumerate() {
            if score > most {
                (best, most) = (tuning, score);
            }
        }
        if best != self.chosen {
            self.chosen = best;
            self.segments.tune(TUNINGS[best]);
        }
    }
}

impl Policy for Adaptive {
    fn hits(&self) -> Hits {
        Hits::Marked
    }

    fn new(capacity: u64) -> Self {
        Self {
            segments: Segments::new(Queues::new(), capacity, TUNINGS[0]),
            past: Past::new(),
            shadows: Box::new(Shadows::new(SHADOW_MAX, TUNINGS)),
            scores: [0.0; TUNINGS.len()],
            basis: 0,
            halvings: 0,
            chosen: 0,
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.segments.resize(capacity);
    }

    fn sample(&self) -> u32 {
        self.mask()
    }

    fn insert(&mut self, slot: u32, entries: &impl Entries) {
        let hash = entries.hash(slot);
        self.segments.insert(slot, hash, entries, &mut self.past);
        if self.sampled(self.len()) > SHADOW_MAX {
            self.thin();
        }
        if hash & self.mask() == 0 {
            self.show(hash);
        }
    }

    fn hit(&mut self, slot: u32, entries: &impl Entries) {
        let hash = entries.hash(slot);
        // What an older mask let through isn't of the sample.
        if hash & self.mask() == 0 {
            self.show(hash);
        }
    }

    fn remove(&mut self, slot: u32, entries: &impl Entries) {
        self.segments.remove(slot, entries);
    }

    fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        if self.is_misfit() {
            self.fit();
        }
        self.segments.evict(entries, &mut self.past)
    }

    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        self.segments.relocate(from, to, entries);
    }

    fn len(&self) -> usize {
        self.segments.len()
    }

    fn shrink(&mut self, slots: u32) {
        self.segments.shrink(slots);
        self.past.shrink(self.len());
    }

    fn allocated(&self) -> usize {
        let shadows = size_of_val(&*self.shadows) + self.shadows.allocated();
        self.segments.allocated() + self.past.allocated() + shadows
    }

    fn assert_invariants(&self, entries: &impl Entries) {
        self.segments.assert_invariants(entries);
        self.shadows.assert_invariants();
    }
}
