//! Pure hits: every key that is asked for is held, the capacity is twice the entries.
//!
//! A hit reads the value as users do: it is cloned out, one byte of it is read, and it is
//! dropped.

use std::borrow::Borrow;
use std::hash::Hash;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::result;
use crate::memory::contenders::{Contender, Key, Read, ReadJob, Shared, Value};
use crate::memory::requests::{Numbers, Popularity, Requests, Texts};
use crate::memory::rounds::{Cell, in_turn};
use crate::memory::{Extent, Quick};

/// What is held and how it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `u64` keys and values.
    Number,
    /// The same, and each entry expires in an hour.
    Expiring,
    /// `u64` keys, shared values.
    Shared,
    /// `String` keys asked for by `&str`, shared values.
    Text,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Number, Self::Expiring, Self::Shared, Self::Text];

    fn name(self) -> &'static str {
        match self {
            Self::Number => "u64",
            Self::Expiring => "u64_ttl",
            Self::Shared => "arc",
            Self::Text => "str",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Number => "u64 -> u64",
            Self::Expiring => "u64 -> u64 that expires",
            Self::Shared => "u64 -> Arc<[u8; 64]>",
            Self::Text => "&str of 20 bytes -> Arc<[u8; 64]>",
        }
    }
}

/// How many entries are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

impl Size {
    fn entries(self) -> u64 {
        match self {
            Self::Small => 100_000,
            Self::Large => 1_000_000,
        }
    }

    /// Enough that nothing learns their order, and that most of the entries are among them.
    fn requests(self) -> usize {
        match self {
            Self::Small => 1 << 19,
            Self::Large => 1 << 22,
        }
    }
}

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Workload {
    kind: Kind,
    size: Size,
    popularity: Popularity,
    threads: usize,
}

impl Workload {
    /// What is usual isn't in the name: 100,000 entries and Zipf, or a million and uniform.
    fn name(self) -> String {
        let (size, popularity) = match (self.size, self.popularity) {
            (Size::Small, Popularity::Zipf) => ("", ""),
            (Size::Small, Popularity::Uniform) => ("", "_uniform"),
            (Size::Large, Popularity::Uniform) => ("_1m", ""),
            (Size::Large, Popularity::Zipf) => ("_1m", "_zipf"),
        };
        format!("hit_{}{size}{popularity}_{}t", self.kind.name(), self.threads)
    }
}

/// Those with an aim of their own.
const AIMS: [&str; 7] = [
    "hit_u64_1t",
    "hit_u64_2t",
    "hit_arc_1t",
    "hit_arc_2t",
    "hit_arc_1m_1t",
    "hit_str_1t",
    "hit_u64_ttl_1t",
];

/// What a quick run measures: the aims, and the one where a bare map is nearest to moka.
fn is_quick(name: &str) -> bool {
    AIMS.contains(&name) || name == "hit_str_1m_zipf_1t"
}

fn workloads() -> Vec<Workload> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for size in [Size::Small, Size::Large] {
            for popularity in [Popularity::Zipf, Popularity::Uniform] {
                for threads in [1, 2] {
                    all.push(Workload { kind, size, popularity, threads });
                }
            }
        }
    }
    all
}

/// The names of all workloads.
pub(crate) fn names() -> Vec<String> {
    workloads().into_iter().map(Workload::name).collect()
}

/// Measures what is wanted, prints it, and returns it.
pub(crate) fn measure(extent: &Extent) -> Vec<Cell> {
    let wanted: Vec<Workload> = workloads()
        .into_iter()
        .filter(|workload| extent.wants("hits", &workload.name(), is_quick(&workload.name())))
        .collect();
    let mut cells = Vec::new();
    // Those who hold the same are filled once.
    for together in wanted.chunk_by(|one, other| (one.kind, one.size) == (other.kind, other.size)) {
        cells.extend(match together[0].kind {
            Kind::Number | Kind::Expiring => {
                measure_together::<u64, u64, Numbers>(extent, together, Numbers::new)
            }
            Kind::Shared => {
                measure_together::<u64, Shared, Numbers>(extent, together, Numbers::new)
            }
            Kind::Text => measure_together::<String, Shared, Texts>(extent, together, Texts::new),
        });
    }
    cells
}

fn measure_together<K, V, R>(
    extent: &Extent,
    workloads: &[Workload],
    requests: impl Fn(&[u64]) -> R,
) -> Vec<Cell>
where
    K: Key + Borrow<R::Key>,
    V: Value,
    R: Requests<Key: Hash + Eq> + 'static,
{
    let Workload { kind, size, .. } = workloads[0];
    let fill = || Fill { entries: size.entries(), requests: PhantomData };
    let also = if kind == Kind::Expiring { Quick::Also(&[Contender::Stretto]) } else { Quick::Few };
    let contenders: Vec<(Contender, Box<dyn Held<R>>)> = extent
        .contenders(also)
        .filter_map(|contender| {
            let held = match kind {
                Kind::Expiring => contender.read_expiring::<K, V, _>(fill()),
                _ => Some(contender.read::<K, V, _>(fill())),
            };
            Some((contender, held?))
        })
        .collect();
    let cell = |workload: &Workload| {
        let ids = workload.popularity.draw(size.entries(), size.requests(), 11);
        let requests = requests(&ids);
        let who = |(contender, _): &(Contender, _)| *contender;
        let mut missed = Vec::new();
        let figures = in_turn(&contenders, who, extent.rounds, |(contender, held), round| {
            let sample = held.round(&requests, workload.threads, round, extent.window);
            missed.push((*contender, sample.missed));
            sample.nanos
        });
        let cell = Cell { name: workload.name(), figures };
        let what = format!(
            "ns per hit, {}, {} entries, {}, {} thread(s)",
            kind.what(),
            size.entries(),
            workload.popularity.name(),
            workload.threads
        );
        cell.print(&what, |contender| {
            let of = missed.iter().filter(|(one, _)| *one == contender);
            match of.map(|(_, missed)| missed).sum::<f64>() / (extent.rounds + 1) as f64 {
                0.0 => String::new(),
                share => format!("missed {:.2} %", share * 100.0),
            }
        });
        cell
    };
    workloads.iter().map(cell).collect()
}

/// Prints the results that come of the workloads.
pub(crate) fn results(cells: &[Cell]) {
    cells.iter().filter(|cell| AIMS.contains(&cell.name.as_str())).for_each(Cell::result);
    let worst = |name: &str, of: &dyn Fn(&str) -> bool| {
        let ratios = cells.iter().filter(|cell| of(&cell.name));
        let ratios = ratios.filter_map(|cell| cell.ratio(Contender::Moka));
        if let Some(worst) = ratios.min_by(f64::total_cmp) {
            result(name, worst);
        }
    };
    worst("hit_vs_moka", &|name| {
        let small = !name.contains("_1m") && !name.contains("_ttl");
        small && (name.starts_with("hit_u64") || name.starts_with("hit_arc"))
    });
    worst("hit_vs_moka_any", &|_| true);
}

/// What one contender did in one round.
struct Sample {
    /// Nanoseconds per hit, as one thread sees it.
    nanos: f64,
    /// The share of requests that found nothing.
    missed: f64,
}

/// A filled contender. One call is a whole round, so what is dispatched here costs nothing.
trait Held<R> {
    fn round(&self, requests: &R, threads: usize, round: usize, window: Duration) -> Sample;
}

struct Filled<K, V, C> {
    held: C,
    types: PhantomData<(K, V)>,
}

impl<K, V, C, R> Held<R> for Filled<K, V, C>
where
    K: Key + Borrow<R::Key>,
    V: Value,
    C: Read<K, V>,
    R: Requests<Key: Hash + Eq>,
{
    fn round(&self, requests: &R, threads: usize, round: usize, window: Duration) -> Sample {
        // Each thread and each round begins elsewhere.
        let start = |thread: usize| {
            let part = requests.len() / threads * thread + round * 37 * BATCH;
            part / BATCH * BATCH % requests.len()
        };
        if threads == 1 {
            let sample = hits(&self.held, requests, start(0), window);
            self.held.settle();
            return sample;
        }
        let together = Barrier::new(threads);
        let samples: Vec<Sample> = thread::scope(|scope| {
            let run = |thread: usize| {
                let (held, together) = (&self.held, &together);
                scope.spawn(move || {
                    together.wait();
                    hits(held, requests, start(thread), window)
                })
            };
            let running: Vec<_> = (0..threads).map(run).collect();
            running.into_iter().map(|thread| thread.join().expect("a hit doesn't panic")).collect()
        });
        self.held.settle();
        let mean = |figure: fn(&Sample) -> f64| {
            samples.iter().map(figure).sum::<f64>() / samples.len() as f64
        };
        Sample { nanos: mean(|sample| sample.nanos), missed: mean(|sample| sample.missed) }
    }
}

/// How many requests are made between two looks at the clock. All streams are multiples of it.
const BATCH: usize = 1024;

/// The hot loop: requests from `at` on, and round again, until the window is over.
fn hits<K, V, C, R>(held: &C, requests: &R, mut at: usize, window: Duration) -> Sample
where
    K: Key + Borrow<R::Key>,
    V: Value,
    C: Read<K, V>,
    R: Requests<Key: Hash + Eq>,
{
    let (mut sum, mut missed, mut done) = (0_u8, 0_u64, 0_u64);
    let started = Instant::now();
    loop {
        for index in at..at + BATCH {
            match held.get(requests.at(index)) {
                Some(value) => sum = sum.wrapping_add(value.byte()),
                None => missed += 1,
            }
        }
        at = (at + BATCH) % requests.len();
        done += BATCH as u64;
        let elapsed = started.elapsed();
        if elapsed >= window {
            black_box(sum);
            let nanos = elapsed.as_nanos() as f64 / done as f64;
            return Sample { nanos, missed: missed as f64 / done as f64 };
        }
    }
}

/// Makes a contender and fills it.
struct Fill<R> {
    entries: u64,
    requests: PhantomData<R>,
}

impl<K, V, R> ReadJob<K, V> for Fill<R>
where
    K: Key + Borrow<R::Key>,
    V: Value,
    R: Requests<Key: Hash + Eq> + 'static,
{
    type Out = Box<dyn Held<R>>;

    fn run<C: Read<K, V> + 'static>(self) -> Self::Out {
        let entries = (0..self.entries).map(|id| (K::numbered(id), V::of(id)));
        let capacity = self.entries as usize * 2;
        Box::new(Filled { held: C::filled(capacity, entries), types: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_aim_is_the_name_of_one_workload() {
        let names = names();
        for aim in AIMS.iter().chain(&["hit_str_1m_zipf_1t"]) {
            assert_eq!(names.iter().filter(|name| name == aim).count(), 1, "{aim}");
        }
    }

    #[test]
    fn what_is_held_is_hit_and_what_is_not_is_counted() {
        let fill = Fill::<Numbers> { entries: 100, requests: PhantomData };
        let held = Contender::QuickCache.read::<u64, u64, _>(fill);
        let ids: Vec<u64> = (0..2 * BATCH as u64).map(|index| index % 200).collect();
        for threads in [1, 2] {
            let sample = held.round(&Numbers::new(&ids), threads, 0, Duration::from_millis(1));
            assert!(sample.nanos > 0.0);
            assert!((0.4..0.6).contains(&sample.missed), "{}", sample.missed);
        }
    }
}
