//! Area `async`: an async get on a hit, beside the caches that load by themselves what they don't
//! hold.
//!
//! One task polls one get after the other on a runtime of one thread, so nothing is timed but the
//! awaits: no task is spawned, nobody waits. All that is asked for is held, and a hit reads the
//! value as users do: it comes out cloned, one byte of it is read, and it is dropped. Who can
//! expire entries does, in an hour; larder always has a window. A result is a peer's time over
//! larder's: above one, larder is faster.

use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::figures::result;
use crate::memory::{Cell, Entrant, Popularity, Shared, Value, in_turn};
use crate::through::{Contender, Job, Key, Options, ReadThrough, Rows, Terms, introduce};

/// What is held and how it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `u64` keys and values.
    Number,
    /// `u64` keys, shared values.
    Shared,
    /// `String` keys, shared values.
    Text,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Number, Self::Shared, Self::Text];

    fn suffix(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::Shared => "_arc",
            Self::Text => "_str",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Number => "u64 -> u64",
            Self::Shared => "u64 -> Arc<[u8; 64]>",
            Self::Text => "String of 20 bytes -> Arc<[u8; 64]>",
        }
    }
}

/// How many entries are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// The hot set of a small service: all of it fits the processor's caches.
    Hot,
    Large,
}

impl Size {
    const ALL: [Self; 2] = [Self::Hot, Self::Large];

    fn suffix(self) -> &'static str {
        match self {
            Self::Hot => "",
            Self::Large => "_100k",
        }
    }

    fn entries(self) -> u64 {
        match self {
            Self::Hot => 1_000,
            Self::Large => 100_000,
        }
    }

    fn requests(self) -> usize {
        match self {
            Self::Hot => 1 << 16,
            Self::Large => 1 << 19,
        }
    }
}

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Workload {
    kind: Kind,
    size: Size,
    threads: usize,
}

impl Workload {
    /// What is usual isn't in it: `u64`, the hot set, one thread.
    fn suffix(self) -> String {
        let threads = if self.threads == 1 { "" } else { "_2t" };
        format!("{}{}{threads}", self.kind.suffix(), self.size.suffix())
    }

    fn name(self) -> String {
        format!("async_hit{}", self.suffix())
    }

    /// A quick run changes one thing at a time.
    fn is_quick(self) -> bool {
        let usual = [self.kind == Kind::Number, self.size == Size::Hot, self.threads == 1];
        usual.into_iter().filter(|is_usual| !is_usual).count() < 2
    }
}

fn workloads() -> Vec<Workload> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for size in Size::ALL {
            for threads in [1, 2] {
                all.push(Workload { kind, size, threads });
            }
        }
    }
    all
}

/// Measures what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    options.check(&workloads().into_iter().map(Workload::name).collect::<Vec<_>>())?;
    let rounds = options.rounds(7, 15);
    let window = Duration::from_millis(if options.quick { 100 } else { 150 });
    introduce(&options.contenders(), rounds);
    let wants = |workload: &Workload| match options.only.is_empty() {
        true => !options.quick || workload.is_quick(),
        false => options.only.contains(&workload.name()),
    };
    let wanted: Vec<Workload> = workloads().into_iter().filter(wants).collect();
    let mut cells = Vec::new();
    // Those who hold the same are filled once.
    for together in wanted.chunk_by(|one, other| (one.kind, one.size) == (other.kind, other.size)) {
        let extent = Extent { contenders: options.contenders(), rounds, window };
        cells.extend(match together[0].kind {
            Kind::Number => extent.measure::<u64, u64>(together),
            Kind::Shared => extent.measure::<u64, Shared>(together),
            Kind::Text => extent.measure::<String, Shared>(together),
        });
    }
    cells.iter().for_each(|(workload, cell)| results(*workload, cell));
    Ok(())
}

/// Prints the ratio of each peer that took part.
fn results(workload: Workload, cell: &Cell<Contender>) {
    let suffix = workload.suffix();
    for peer in Contender::ALL.into_iter().filter(|contender| contender.is_peer()) {
        if let Some(ratio) = cell.ratio(peer) {
            result(&format!("async_hit_vs_{}{suffix}", peer.name()), ratio);
        }
    }
}

/// How much is measured.
struct Extent {
    contenders: Vec<Contender>,
    rounds: usize,
    window: Duration,
}

impl Extent {
    fn measure<K: Key, V: Value>(
        &self,
        workloads: &[Workload],
    ) -> Vec<(Workload, Cell<Contender>)> {
        let size = workloads[0].size;
        let fill = || Fill { entries: size.entries(), types: PhantomData::<(K, V)> };
        let held: Vec<(Contender, Box<dyn Held<K>>)> = self
            .contenders
            .iter()
            .map(|&contender| (contender, contender.run::<K, V, _>(fill())))
            .collect();
        let ids = Popularity::Zipf.draw(size.entries(), size.requests(), 11);
        let requests: Vec<K> = ids.into_iter().map(K::numbered).collect();
        let cell = |&workload: &Workload| {
            let mut missed = Vec::new();
            let who = |(contender, _): &(Contender, _)| *contender;
            let figures = in_turn(&held, who, self.rounds, |(contender, held), round| {
                let sample = held.round(&requests, workload.threads, round, self.window);
                missed.push((*contender, sample.missed));
                sample.nanos
            });
            let cell = Cell { name: workload.name(), figures };
            let (what, entries) = (workload.kind.what(), size.entries());
            let threads = workload.threads;
            let what = format!("ns per hit, {what}, {entries} entries, zipf, {threads} thread(s)");
            cell.print(&what, |contender| {
                let of = missed.iter().filter(|(one, _)| *one == contender);
                match of.map(|(_, missed)| missed).sum::<f64>() / (self.rounds + 1) as f64 {
                    0.0 => String::new(),
                    share => format!("missed {:.2} %", share * 100.0),
                }
            });
            (workload, cell)
        };
        workloads.iter().map(cell).collect()
    }
}

/// What one contender did in one round.
struct Sample {
    /// Nanoseconds per hit, as one thread sees it.
    nanos: f64,
    /// The share of requests that had to be loaded.
    missed: f64,
}

/// A filled contender. One call is a whole round, so what is dispatched here costs nothing.
trait Held<K> {
    fn round(&self, requests: &[K], threads: usize, round: usize, window: Duration) -> Sample;
}

struct Filled<V, C> {
    cache: C,
    rows: Arc<Rows>,
    /// Where it was built; its tasks, if it has any, belong to this one.
    runtime: Runtime,
    value: PhantomData<V>,
}

impl<K: Key, V: Value, C: ReadThrough<K, V>> Held<K> for Filled<V, C> {
    fn round(&self, requests: &[K], threads: usize, round: usize, window: Duration) -> Sample {
        self.rows.behave(Duration::ZERO, false);
        // Each thread and each round begins elsewhere.
        let start = |thread: usize| {
            let part = requests.len() / threads * thread + round * 37 * BATCH;
            part / BATCH * BATCH % requests.len()
        };
        let done: Vec<Hits> = if threads == 1 {
            vec![self.runtime.block_on(hits(&self.cache, requests, start(0), window))]
        } else {
            let together = Barrier::new(threads);
            thread::scope(|scope| {
                let run = |thread: usize| {
                    let together = &together;
                    scope.spawn(move || {
                        // The first drives the tasks of the cache, the others only their own.
                        let own = (thread > 0).then(runtime);
                        let runtime = own.as_ref().unwrap_or(&self.runtime);
                        together.wait();
                        runtime.block_on(hits(&self.cache, requests, start(thread), window))
                    })
                };
                let running: Vec<_> = (0..threads).map(run).collect();
                let join = |thread: thread::ScopedJoinHandle<'_, Hits>| {
                    thread.join().expect("a hit doesn't panic")
                };
                running.into_iter().map(join).collect()
            })
        };
        self.runtime.block_on(self.cache.settle());
        let nanos = done.iter().map(|hits| hits.elapsed.as_nanos() as f64 / hits.done as f64);
        let gets: u64 = done.iter().map(|hits| hits.done).sum();
        Sample {
            nanos: nanos.sum::<f64>() / threads as f64,
            missed: self.rows.loads() as f64 / gets as f64,
        }
    }
}

/// How many requests are made between two looks at the clock. All streams are multiples of it.
const BATCH: usize = 1024;

/// What one thread did.
struct Hits {
    elapsed: Duration,
    done: u64,
}

/// The hot loop: requests from `at` on, and round again, until the window is over.
async fn hits<K: Key, V: Value, C: ReadThrough<K, V>>(
    cache: &C,
    requests: &[K],
    mut at: usize,
    window: Duration,
) -> Hits {
    let (mut sum, mut done) = (0_u8, 0_u64);
    let started = Instant::now();
    loop {
        for key in &requests[at..at + BATCH] {
            if let Some(value) = black_box(cache.get(key).await) {
                sum = sum.wrapping_add(value.byte());
            }
        }
        at = (at + BATCH) % requests.len();
        done += BATCH as u64;
        let elapsed = started.elapsed();
        if elapsed >= window {
            black_box(sum);
            return Hits { elapsed, done };
        }
    }
}

/// A runtime of one thread: the one that calls.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a thread needs nothing more")
}

/// Makes a contender and reads every entry once.
struct Fill<K, V> {
    entries: u64,
    types: PhantomData<(K, V)>,
}

impl<K: Key, V: Value> Job<K, V> for Fill<K, V> {
    type Out = Box<dyn Held<K>>;

    fn run<C: ReadThrough<K, V>>(self) -> Self::Out {
        let terms = Terms {
            capacity: self.entries as usize * 2,
            fresh_for: Duration::from_secs(3600),
            stale_for: Duration::ZERO,
            stale_on_error: Duration::ZERO,
        };
        let (rows, runtime) = (Arc::new(Rows::default()), runtime());
        let cache = runtime.block_on(async {
            let cache = C::new(terms, Arc::clone(&rows));
            for id in 0..self.entries {
                black_box(cache.get(&K::numbered(id)).await);
            }
            cache.settle().await;
            cache
        });
        Box::new(Filled { cache, rows, runtime, value: PhantomData::<V> })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_has_no_suffix_and_a_quick_run_changes_one_thing() {
        let quick = workloads().into_iter().filter(|workload| workload.is_quick());
        let names: Vec<String> = quick.map(Workload::name).collect();
        let expected = ["", "_2t", "_100k", "_arc", "_str"];
        assert_eq!(names, expected.map(|suffix| format!("async_hit{suffix}")));
    }

    #[test]
    fn what_is_held_is_hit_and_what_is_not_is_counted() {
        for contender in Contender::ALL {
            let fill = Fill { entries: 2_000, types: PhantomData::<(u64, u64)> };
            let held = contender.run::<u64, u64, _>(fill);
            let of = |ids: std::ops::Range<u64>| -> Vec<u64> {
                let ids = ids.cycle().take(2 * BATCH);
                ids.map(<u64 as crate::memory::Key>::numbered).collect()
            };
            for threads in [1, 2] {
                let sample = held.round(&of(0..2_000), threads, 0, Duration::ZERO);
                assert!(sample.nanos > 0.0, "{contender:?}");
                assert_eq!(sample.missed, 0.0, "{contender:?}");
            }
            let sample = held.round(&of(2_000..2_050), 1, 0, Duration::ZERO);
            assert!(sample.missed >= 50.0 / BATCH as f64, "{contender:?}: {}", sample.missed);
        }
    }
}
