//! A trace in memory, sampled as far as it must be to fit.
//!
//! Sampling is spatial (Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC construction with
//! SHARDS", FAST 2015): a key is kept with all its requests or with none, by its hash. A cache
//! of a tenth of the size over a tenth of the keys then has about the hit ratio of the whole.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::columns::Columns;
use crate::request::{Op, Request, rank};

/// How many requests are kept unless told otherwise.
pub const REQUESTS_MAX: u32 = 20_000_000;

/// How much of a trace is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Which part of the keys is kept from the beginning: above 0, up to 1.
    pub sample: f64,
    /// The most requests that are kept, at least 1. Beyond them the sample is halved until they
    /// fit; at the end, one key with more requests than that makes it empty.
    pub requests_max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sample: 1.0, requests_max: REQUESTS_MAX }
    }
}

/// Takes the requests of a trace down.
///
/// Memory: 4 to 25 bytes for a request that is kept, and about 30 for its key. What is kept is
/// bounded by [`Bounds::requests_max`], however long the trace is.
#[derive(Debug)]
pub struct Recorder {
    bounds: Bounds,
    requests: Requests,
    /// The number of each key.
    numbers: HashMap<u64, u32, BuildHasherDefault<Mixed>>,
    /// The highest rank that is kept.
    threshold: u64,
}

impl Recorder {
    /// Records within these bounds. A sample outside 0 to 1 is taken for the nearer of them.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            requests: Requests { sample: bounds.sample.clamp(0.0, 1.0), ..Requests::default() },
            numbers: HashMap::default(),
            threshold: threshold(bounds.sample),
        }
    }

    /// Records the next request.
    pub fn push(&mut self, request: &Request) {
        let requests = &mut self.requests;
        requests.total += 1;
        if request.op == Op::Read {
            requests.reads_before += 1.0;
            requests.bytes_before += f64::from(request.size.unwrap_or(0));
        }
        if rank(request.key) > self.threshold {
            return;
        }
        let next = requests.hashes.len() as u32;
        let number = *self.numbers.entry(request.key).or_insert(next);
        if number == next {
            requests.hashes.push(request.key);
        }
        requests.columns.push(number, request);
        while requests.columns.len() > self.bounds.requests_max.max(1) as usize {
            self.threshold /= 2;
            requests.sample /= 2.0;
            requests.thin(self.threshold);
            self.numbers.clear();
            self.numbers.extend(requests.hashes.iter().copied().zip(0..));
        }
    }

    /// How many requests were recorded, kept or not.
    pub fn total(&self) -> u64 {
        self.requests.total
    }

    /// The trace, of which `sample` is the part of all keys that was in it, and `reads` the
    /// reads of all keys where that is known.
    pub fn finish(self, sample: f64, reads: Option<u64>) -> Requests {
        let mut requests = self.requests;
        if let Some(reads) = reads.filter(|&reads| reads > 0 && requests.reads_before > 0.0) {
            // What the sample should have been worth, had it been a fair one.
            let fair = reads as f64 * sample;
            requests.bytes_before *= fair / requests.reads_before;
            requests.reads_before = fair;
        }
        requests.sample_before = sample;
        requests
    }
}

/// A trace in memory: which key is asked for, time after time.
///
/// Keys are numbered in the order in which they appear.
#[derive(Clone, Debug)]
pub struct Requests {
    pub(crate) columns: Columns,
    /// The hash of each key by its number.
    pub(crate) hashes: Vec<u64>,
    total: u64,
    /// Which part of the trace's keys is here, and which part of all keys was in the trace.
    sample: f64,
    sample_before: f64,
    /// Reads, and the bytes that they read, before sampling.
    reads_before: f64,
    bytes_before: f64,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            columns: Columns::default(),
            hashes: Vec::new(),
            total: 0,
            sample: 1.0,
            sample_before: 1.0,
            reads_before: 0.0,
            bytes_before: 0.0,
        }
    }
}

impl Requests {
    /// How many requests are here.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many different keys are here.
    pub fn keys(&self) -> usize {
        self.hashes.len()
    }

    /// How many requests the trace had, before it was sampled here.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Which part of all keys is here: above 0, up to 1. Capacities are scaled by it.
    pub fn sample(&self) -> f64 {
        self.sample * self.sample_before
    }

    /// How many different keys there are in all, as far as the sample tells.
    pub fn keys_in_all(&self) -> f64 {
        self.keys() as f64 / self.sample()
    }

    /// Whether the sizes of values are known.
    pub fn have_sizes(&self) -> bool {
        self.columns.have_sizes()
    }

    /// Whether anything expires.
    pub fn expire(&self) -> bool {
        self.columns.have_times()
    }

    /// The bytes that all the keys here take together, each at its largest.
    pub fn footprint(&self) -> u64 {
        let mut sizes = vec![0; self.keys()];
        for (at, &key) in self.columns.keys().iter().enumerate() {
            let size = &mut sizes[key as usize];
            *size = self.columns.size(at).max(*size);
        }
        sizes.into_iter().map(|size| u64::from(size.max(1))).sum()
    }

    /// The part of these requests that `part` of the keys make.
    pub fn sampled(&self, part: f64) -> Self {
        let mut sampled = self.clone();
        sampled.sample *= part.clamp(0.0, 1.0);
        sampled.thin(threshold(sampled.sample));
        sampled
    }

    /// How many reads a fair sample would have here. A sample has too many or too few, mostly
    /// because a hot key is in it or isn't; that is a matter of hits, and hit ratios are
    /// adjusted for it (SHARDS, section 4.2).
    pub(crate) fn reads_expected(&self) -> f64 {
        self.reads_before * self.sample
    }

    /// How many bytes a fair sample would read here.
    pub(crate) fn bytes_expected(&self) -> f64 {
        self.bytes_before * self.sample
    }

    /// Keeps the keys up to a rank.
    fn thin(&mut self, threshold: u64) {
        let mut numbers = Vec::with_capacity(self.hashes.len());
        let mut kept = 0;
        self.hashes.retain(|&hash| {
            let keep = rank(hash) <= threshold;
            numbers.push(keep.then_some(kept));
            kept += u32::from(keep);
            keep
        });
        self.columns.renumber(|key| numbers[key as usize]);
    }
}

/// The rank up to which this part of all keys is.
fn threshold(part: f64) -> u64 {
    // A float beyond the range becomes the nearest end of it.
    (part * u64::MAX as f64) as u64
}

/// Keys are well mixed already.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are hashed as numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
