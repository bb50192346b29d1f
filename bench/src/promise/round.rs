//! One round: what was read, from where, and how that is judged.

use std::fmt;
use std::time::Duration;

use larder_test::checker::{Checker, Report};

use super::MAX_STALENESS;
use super::reading::{self, Met};
use super::stage::{Mode, Stage};
use super::writing::{Changes, Seen};

/// What was read.
pub(super) struct Round {
    name: String,
    mode: Mode,
    met: Met,
    counts: Counts,
}

/// What the larders have counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    memory: f64,
    shared: f64,
    misses: f64,
    /// What the database was asked for, also by refreshes in the background.
    loads: f64,
}

impl Counts {
    fn of(stage: &Stage<'_>) -> Self {
        Self {
            memory: stage.metric("larder_cache_hits_total"),
            shared: stage.metric("larder_cache_shared_hit_age_seconds_count"),
            misses: stage.metric("larder_cache_misses_total"),
            loads: stage.metric("larder_cache_load_seconds_count"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            memory: self.memory - before.memory,
            shared: self.shared - before.shared,
            misses: self.misses - before.misses,
            loads: self.loads - before.loads,
        }
    }
}

impl Round {
    /// Reads while `meanwhile` runs.
    pub(super) fn run(
        name: String,
        mode: Mode,
        stage: &Stage<'_>,
        meanwhile: impl FnOnce(),
    ) -> Self {
        reading::warm(stage);
        let before = Counts::of(stage);
        let met = reading::while_running(stage, meanwhile);
        let counts = Counts::of(stage).since(before);
        println!("{name}: {} reads", met.reads.len());
        Self { name, mode, met, counts }
    }

    pub(super) fn judge(self, changes: &Changes) -> Judged {
        let Self { name, mode, met, counts } = self;
        let judge = |seen: Seen| {
            let checker = Checker::new();
            changes.writes(seen).for_each(|write| checker.wrote(write));
            met.reads.iter().for_each(|read| checker.read(*read));
            checker.check(MAX_STALENESS)
        };
        let (by_looks, by_commits) = (judge(Seen::BySomebody), judge(Seen::AsSoonAsCommitted));
        Judged { name, mode, by_looks, by_commits, counts, met: Met { reads: Vec::new(), ..met } }
    }
}

/// A round that was judged.
pub(super) struct Judged {
    pub(super) name: String,
    mode: Mode,
    /// What was surely too old.
    pub(super) by_looks: Report,
    /// How stale it was at most.
    pub(super) by_commits: Report,
    counts: Counts,
    met: Met,
}

impl Judged {
    pub(super) const HEAD: &str = "round                reads  hits, %  memory, %  loads, %  \
                                   stale, %  p99 of these  worst, ms  broken  (by commit)  errors";

    /// Whether the larders promised what the reads are held to.
    pub(super) fn promises(&self) -> bool {
        self.mode == Mode::Feed
    }

    /// How many reads were wrong.
    pub(super) fn violations(&self) -> usize {
        self.by_looks.violations + self.met.odd
    }

    /// The share of the reads that were served from memory or Redis. Who waited for another's load
    /// wasn't. What a refresh in the background found in Redis counts too: with a short lifetime it
    /// is no more than this.
    pub(super) fn hit_ratio(&self) -> f64 {
        let Counts { memory, shared, misses, .. } = self.counts;
        (memory + shared.min(misses)) / (memory + misses)
    }

    /// How often the database was asked, for each read.
    pub(super) fn load_ratio(&self) -> f64 {
        self.counts.loads / (self.counts.memory + self.counts.misses)
    }

    fn memory_ratio(&self) -> f64 {
        self.counts.memory / (self.counts.memory + self.counts.misses)
    }

    pub(super) fn worst(&self) -> Duration {
        let worst = &self.by_commits.staleness.worst;
        worst.as_ref().map(|(worst, _)| *worst).unwrap_or_default()
    }

    fn stale(&self) -> usize {
        let histogram = self.by_commits.staleness.histogram.iter();
        histogram.filter(|(bound, _)| !bound.is_zero()).map(|(_, reads)| reads).sum()
    }

    /// Of the reads that were stale at all, so many were less stale than this, to a power of two.
    pub(super) fn stale_percentile(&self, share: f64) -> Duration {
        let wanted = self.stale() as f64 * share;
        let mut seen = 0;
        for (bound, reads) in &self.by_commits.staleness.histogram {
            if !bound.is_zero() {
                seen += reads;
                if seen as f64 >= wanted {
                    return (*bound).min(self.worst());
                }
            }
        }
        Duration::ZERO
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reads = self.by_looks.reads;
        write!(
            f,
            "{:<18} {reads:>7}  {:>7.2}  {:>9.2}  {:>8.2}  {:>8.3}  {:>9.1} ms  {:>9.1}  {:>6}  \
             {:>11}  ",
            self.name,
            self.hit_ratio() * 100.0,
            self.memory_ratio() * 100.0,
            self.load_ratio() * 100.0,
            self.stale() as f64 * 100.0 / reads.max(1) as f64,
            self.stale_percentile(0.99).as_secs_f64() * 1e3,
            self.worst().as_secs_f64() * 1e3,
            self.violations(),
            self.by_commits.violations,
        )?;
        let errors = self.met.errors.iter().map(|(code, times)| format!("{code} {times}"));
        f.write_str(&errors.collect::<Vec<_>>().join(", "))
    }
}
