//! Get beside a writer: how long single reads take while another thread inserts flat out.
//!
//! The reader asks by Zipf over a million keys, a tenth of which fits; the writer inserts them
//! uniformly, so it evicts all the time. Each get is timed with [`Instant`], whose own cost of
//! some 30 ns is in every figure. Each round has caches of its own: what one of them has queued
//! for its thread goes with it, and disturbs nobody else.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::{median, result};
use crate::memory::contenders::{Cache, Contender, Job};
use crate::memory::latencies::Latencies;
use crate::memory::requests::{self, Popularity, Random};
use crate::memory::rounds::{Cell, in_turn};
use crate::memory::{Extent, Quick};

/// The name of the workload.
pub(crate) const NAME: &str = "p999_beside_writer";

const KEYS: u64 = 1_000_000;
const CAPACITY: usize = 100_000;

/// In a quick run the peers that did best in the whole one take part as well.
const BEST: [Contender; 2] = [Contender::FoyerS3Fifo, Contender::Stretto];

/// Measures it, if it is wanted, and prints it.
pub(crate) fn measure(extent: &Extent) -> Option<Cell> {
    if !extent.wants("writer", NAME, true) {
        return None;
    }
    let keys: Vec<u64> =
        Popularity::Zipf.draw(KEYS, 1 << 20, 17).into_iter().map(requests::key).collect();
    let held: Vec<u64> = first(&keys, CAPACITY);
    let contenders: Vec<Contender> = extent
        .contenders(Quick::Also(&BEST))
        .filter(|contender| *contender != Contender::Hashbrown)
        .collect();
    let mut samples = Vec::new();
    let figures = in_turn(
        &contenders,
        |one| *one,
        extent.rounds,
        |contender, round| {
            let job = Round { held: &held, keys: &keys, round, window: extent.window * 2 };
            let sample = contender.cache(job).expect("all but the floor are caches");
            let p999 = sample.p999;
            samples.push((*contender, sample));
            p999
        },
    );
    let cell = Cell { name: NAME.to_owned(), figures };
    cell.print("p99.9 of a get in ns, beside one writer", |contender| {
        let of = |figure: fn(&Sample) -> f64| {
            let of = samples.iter().filter(|(one, _)| *one == contender);
            median(&of.map(|(_, sample)| figure(sample)).collect::<Vec<_>>())
        };
        format!(
            "p50 {:.0}, p99 {:.0}, p99.99 {:.0}; {:.2} M gets/s, {:.2} M inserts/s",
            of(|sample| sample.p50),
            of(|sample| sample.p99),
            of(|sample| sample.p9999),
            of(|sample| sample.gets_per_second) / 1e6,
            of(|sample| sample.inserts_per_second) / 1e6,
        )
    });
    Some(cell)
}

/// Prints the result: the best peer's median over larder's. The tail of one round has little to
/// do with that of the next one's neighbour, so these ratios aren't made round by round.
pub(crate) fn results(cell: &Cell) {
    let of = |wanted: &dyn Fn(Contender) -> bool| {
        let figures = cell.figures.iter().filter(|figures| wanted(figures.contender));
        figures.map(|figures| median(&figures.rounds)).min_by(f64::total_cmp)
    };
    let (theirs, ours) = (of(&Contender::is_peer), of(&|one| one == Contender::Larder));
    if let (Some(theirs), Some(ours)) = (theirs, ours) {
        result(NAME, theirs / ours);
    }
}

/// What one contender did in one round.
struct Sample {
    p50: f64,
    p99: f64,
    p999: f64,
    p9999: f64,
    gets_per_second: f64,
    inserts_per_second: f64,
}

/// A round of one contender.
struct Round<'a> {
    /// The keys that are held when it begins.
    held: &'a [u64],
    /// What the reader asks for.
    keys: &'a [u64],
    round: usize,
    window: Duration,
}

impl Job<u64, u64> for Round<'_> {
    type Out = Sample;

    fn run<C: Cache<u64, u64> + 'static>(self) -> Sample {
        let cache = C::filled(CAPACITY, self.held.iter().map(|&key| (key, key)));
        let over = AtomicBool::new(false);
        let ((latencies, gets), inserts, seconds) = thread::scope(|scope| {
            let writer = scope.spawn(|| write(&cache, self.round, &over));
            let started = Instant::now();
            let keys = &self.keys[self.round * 7919 % self.keys.len()..];
            let read = read(&cache, keys, self.window);
            let seconds = started.elapsed().as_secs_f64();
            over.store(true, Ordering::Relaxed);
            (read, writer.join().expect("an insert doesn't panic"), seconds)
        });
        Sample {
            p50: latencies.percentile(0.5),
            p99: latencies.percentile(0.99),
            p999: latencies.percentile(0.999),
            p9999: latencies.percentile(0.9999),
            gets_per_second: gets as f64 / seconds,
            inserts_per_second: inserts as f64 / seconds,
        }
    }
}

/// The first keys of the requests, as many as wanted, each once.
fn first(keys: &[u64], wanted: usize) -> Vec<u64> {
    let mut seen = HashSet::new();
    keys.iter().copied().filter(|&key| seen.insert(key)).take(wanted).collect()
}

/// Gets until the window is over, each of them timed.
fn read<C: Cache<u64, u64>>(cache: &C, keys: &[u64], window: Duration) -> (Latencies, u64) {
    let mut latencies = Latencies::new();
    let mut gets = 0;
    let started = Instant::now();
    let mut before = started;
    for key in keys.iter().cycle() {
        black_box(cache.get(key));
        let after = Instant::now();
        latencies.add((after - before).as_nanos() as u64);
        gets += 1;
        if after - started >= window {
            break;
        }
        before = Instant::now();
    }
    (latencies, gets)
}

/// Inserts until it is told to stop; how many.
fn write<C: Cache<u64, u64>>(cache: &C, round: usize, over: &AtomicBool) -> u64 {
    let mut random = Random::new(round as u64);
    let mut inserts = 0;
    while !over.load(Ordering::Relaxed) {
        let key = requests::key(random.below(KEYS));
        cache.insert(key, key);
        inserts += 1;
    }
    inserts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_first_is_what_is_asked_for_first() {
        assert_eq!(first(&[3, 1, 3, 2, 4], 3), [3, 1, 2]);
    }

    #[test]
    fn reads_and_writes_are_counted_and_timed() {
        let keys: Vec<u64> = (0..100_000).map(requests::key).collect();
        let job =
            Round { held: &keys[..10], keys: &keys, round: 1, window: Duration::from_millis(20) };
        let sample = Contender::MutexLru.cache(job).expect("a cache");
        assert!(sample.gets_per_second > 0.0 && sample.inserts_per_second > 0.0);
        assert!(0.0 < sample.p50 && sample.p50 <= sample.p99 && sample.p99 <= sample.p9999);
    }
}
