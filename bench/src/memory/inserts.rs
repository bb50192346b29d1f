//! Get-or-insert: a key that isn't held is stored, and something else has to leave.
//!
//! Zipf over a million keys; each round has requests of its own, the same for all contenders, so
//! that their hit ratios are comparable. stretto has no part in it: its inserts are queued for a
//! thread that can't keep up, and what that does after a round would disturb the others.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::figures::result;
use crate::memory::contenders::{Cache, Contender, Job};
use crate::memory::requests::{self, Popularity};
use crate::memory::rounds::{Cell, in_turn};
use crate::memory::{Extent, Quick};

/// How many keys are asked for.
const KEYS: u64 = 1_000_000;
/// How much of them is held, in percent.
const CAPACITIES: [usize; 2] = [1, 10];

/// A name that has an aim for each number of threads: what is printed is the worse capacity.
fn name(threads: usize) -> String {
    format!("get_or_insert_{threads}t")
}

/// The names of all workloads.
pub(crate) fn names() -> Vec<String> {
    vec![name(1), name(2)]
}

/// The results of the workloads.
pub(crate) struct Inserts {
    cells: Vec<(usize, Cell)>,
    /// For each workload larder's hit ratio minus the best peer's, in points.
    leads: Vec<f64>,
}

/// Measures what is wanted and prints it.
pub(crate) fn measure(extent: &Extent) -> Inserts {
    let mut inserts = Inserts { cells: Vec::new(), leads: Vec::new() };
    let wanted = |threads: &usize| extent.wants("get_or_insert", &name(*threads), true);
    let threads: Vec<usize> = [1, 2].into_iter().filter(wanted).collect();
    for percent in CAPACITIES {
        for &threads in &threads {
            let (cell, lead) = workload(extent, percent, threads);
            inserts.cells.push((threads, cell));
            inserts.leads.extend(lead);
        }
    }
    inserts
}

/// Prints the results.
pub(crate) fn results(inserts: &Inserts) {
    for threads in [1, 2] {
        let cells = inserts.cells.iter().filter(|(of, _)| *of == threads);
        let ratios = cells.filter_map(|(_, cell)| Some(cell.best_peer()?.1));
        if let Some(worst) = ratios.min_by(f64::total_cmp) {
            result(&name(threads), worst);
        }
    }
    if let Some(worst) = inserts.leads.iter().copied().min_by(f64::total_cmp) {
        result("get_or_insert_hit_ratio_lead", worst);
    }
}

fn workload(extent: &Extent, percent: usize, threads: usize) -> (Cell, Option<f64>) {
    let capacity = KEYS as usize * percent / 100;
    let per_round = extent.inserts * threads;
    // The first part fills the caches and lets the policies settle: it isn't timed.
    let count = extent.inserts_before + per_round * (extent.rounds + 1);
    let keys: Vec<u64> =
        Popularity::Zipf.draw(KEYS, count, 13).into_iter().map(requests::key).collect();
    let (before, timed) = keys.split_at(extent.inserts_before);
    let contenders: Vec<(Contender, Box<dyn Asked>)> = extent
        .contenders(Quick::Few)
        .filter(|contender| *contender != Contender::Stretto)
        .filter_map(|contender| Some((contender, contender.cache(Make { capacity, before })?)))
        .collect();
    let mut hits: Vec<(Contender, f64)> =
        contenders.iter().map(|(contender, _)| (*contender, 0.0)).collect();
    let who = |(contender, _): &(Contender, _)| *contender;
    let figures = in_turn(&contenders, who, extent.rounds, |(contender, asked), round| {
        let sample = asked.round(&timed[per_round * round..][..per_round], threads);
        if round > 0 {
            let of = hits.iter_mut().find(|(one, _)| one == contender);
            of.expect("it takes part").1 += sample.hits as f64;
        }
        sample.nanos
    });
    for (_, hits) in &mut hits {
        *hits *= 100.0 / (per_round * extent.rounds) as f64;
    }
    let of = |wanted| hits.iter().find(|(one, _)| *one == wanted).map_or(0.0, |(_, hits)| *hits);
    let cell = Cell { name: name(threads), figures };
    let what = format!("ns per request, zipf over {KEYS} keys, {percent} % of them held");
    cell.print(&what, |contender| format!("hit ratio {:.2} %", of(contender)));
    let peers = hits.iter().filter(|(one, _)| one.is_peer()).map(|(_, hits)| *hits);
    let lead = peers.max_by(f64::total_cmp).map(|best| of(Contender::Larder) - best);
    (cell, lead.filter(|_| hits.iter().any(|(one, _)| *one == Contender::Larder)))
}

/// What one contender did in one round.
struct Sample {
    /// Nanoseconds per request, as one thread sees it.
    nanos: f64,
    hits: usize,
}

/// A cache in use. One call is a whole round, so what is dispatched here costs nothing.
trait Asked {
    fn round(&self, keys: &[u64], threads: usize) -> Sample;
}

struct InUse<C>(C);

impl<C: Cache<u64, u64>> Asked for InUse<C> {
    fn round(&self, keys: &[u64], threads: usize) -> Sample {
        let together = Barrier::new(threads);
        let ask = |keys: &[u64]| {
            together.wait();
            let started = Instant::now();
            let hits = get_or_insert(&self.0, keys);
            Sample { nanos: started.elapsed().as_nanos() as f64 / keys.len() as f64, hits }
        };
        let samples: Vec<Sample> = thread::scope(|scope| {
            let running: Vec<_> = keys
                .chunks(keys.len() / threads)
                .map(|part| {
                    let ask = &ask;
                    scope.spawn(move || ask(part))
                })
                .collect();
            running.into_iter().map(|thread| thread.join().expect("none panics")).collect()
        });
        self.0.settle();
        Sample {
            nanos: samples.iter().map(|sample| sample.nanos).sum::<f64>() / threads as f64,
            hits: samples.iter().map(|sample| sample.hits).sum(),
        }
    }
}

/// The hot loop: how many of the keys were held.
pub(crate) fn get_or_insert<C: Cache<u64, u64>>(cache: &C, keys: &[u64]) -> usize {
    let mut hits = 0;
    for &key in keys {
        match cache.get(&key) {
            Some(_) => hits += 1,
            None => cache.insert(key, key),
        }
    }
    hits
}

/// Makes a cache and uses it until its policy has settled.
struct Make<'a> {
    capacity: usize,
    before: &'a [u64],
}

impl Job<u64, u64> for Make<'_> {
    type Out = Box<dyn Asked>;

    fn run<C: Cache<u64, u64> + 'static>(self) -> Self::Out {
        let cache = C::with_capacity(self.capacity);
        get_or_insert(&cache, self.before);
        cache.settle();
        Box::new(InUse(cache))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_a_hit_the_next_time() {
        let keys: Vec<u64> = (0..100).collect();
        let asked =
            Contender::MutexLru.cache(Make { capacity: 100, before: &keys }).expect("a cache");
        for threads in [1, 2] {
            assert_eq!(asked.round(&keys, threads).hits, 100);
        }
        let others: Vec<u64> = (100..200).collect();
        assert_eq!(asked.round(&others, 1).hits, 0);
    }
}
