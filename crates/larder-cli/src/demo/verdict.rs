//! Whether a cache is worth it, from what was measured.
//!
//! Two questions decide. Is more read at all? And how much work is the database spared for each
//! read? A high ratio alone says little: a thousand times the reads of something that takes 20 µs
//! saves nobody anything that they would notice, and costs a second copy that may be old.

use std::time::Duration;

use super::report::{share, time, times};

/// Below this many times the reads, the cache only adds a detour.
const TIMES_MIN: f64 = 1.5;

/// Below this, what is spared is no more than one round trip over a network, which whoever has a
/// database on another machine pays for every read.
const SPARED_MIN: Duration = Duration::from_micros(100);

/// A p99 that grew by less than this is the same one.
const GROWTH_MAX: f64 = 1.1;

/// What was measured of one query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) straight: Pace,
    pub(super) through: Pace,
    /// What one read costs at the database when nothing else runs.
    pub(super) alone: Duration,
    /// The share of reads that the database answered although there was a cache, from 0 to 1.
    pub(super) reaching: f64,
    /// The promise: how old an answer may be.
    pub(super) max_staleness: Duration,
}

/// How reads went one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) reads_per_second: f64,
    pub(super) p99: Duration,
}

/// Whether it is worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More is read, and the database is spared more than a moment for each read.
    Worth,
    /// More is read, and there was little to spare.
    Hardly,
    /// No more is read than without.
    Not,
}

impl Figures {
    pub(super) fn verdict(&self) -> Verdict {
        if self.times() < TIMES_MIN {
            Verdict::Not
        } else if self.spared() < SPARED_MIN {
            Verdict::Hardly
        } else {
            Verdict::Worth
        }
    }

    /// The verdict and its reason in a few sentences.
    pub(super) fn sentence(&self) -> String {
        let (alone, spared) = (time(self.alone), time(self.spared()));
        let reaching = share(self.reaching);
        let old = time(self.max_staleness);
        let measured = format!("{} the reads, {}", times(self.times()), self.p99());
        match self.verdict() {
            Verdict::Worth => format!(
                "Worth it: {measured}. One read alone takes the database {alone}, and {reaching} \
                 of the reads reach it: larder spares it {spared} a read."
            ),
            Verdict::Hardly => format!(
                "Hardly worth it: {measured}; but one read alone takes the database only {alone}, \
                 and larder spares it {spared} of that. That is little for answers that may be \
                 {old} old."
            ),
            Verdict::Not => format!(
                "Not worth it: {measured}. {reaching} of the reads reach the database all the \
                 same, for answers that may be {old} old."
            ),
        }
    }

    /// How many times the reads.
    fn times(&self) -> f64 {
        self.through.reads_per_second / self.straight.reads_per_second
    }

    /// What the database does not have to do, for each read in the mean.
    fn spared(&self) -> Duration {
        self.alone.mul_f64((1.0 - self.reaching).clamp(0.0, 1.0))
    }

    fn p99(&self) -> String {
        let (before, after) = (self.straight.p99, self.through.p99);
        let grew = after.as_secs_f64() > before.as_secs_f64() * GROWTH_MAX;
        let word = if grew { "p99 up from" } else { "p99 from" };
        format!("{word} {} to {}", time(before), time(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(times: f64, alone_us: u64, reaching: f64, p99_after_us: u64) -> Figures {
        Figures {
            straight: Pace { reads_per_second: 1_000.0, p99: Duration::from_millis(10) },
            through: Pace {
                reads_per_second: 1_000.0 * times,
                p99: Duration::from_micros(p99_after_us),
            },
            alone: Duration::from_micros(alone_us),
            reaching,
            max_staleness: Duration::from_secs(2),
        }
    }

    #[test]
    fn the_verdict_follows_the_figures() {
        use Verdict::{Hardly, Not, Worth};
        for (times, alone_us, reaching, expected) in [
            // Expensive and mostly spared.
            (2_000.0, 4_000, 0.001, Worth),
            // At the limits, and just beyond them.
            (1.5, 100, 0.0, Worth),
            (1.49, 100, 0.0, Not),
            (1.5, 99, 0.0, Hardly),
            // Cheap, whatever the ratio.
            (1_000.0, 20, 0.0, Hardly),
            // Not cheap, but seldom spared.
            (3.0, 150, 0.5, Hardly),
            // Very expensive, and nearly everything reaches the database.
            (1.05, 100_000, 0.95, Not),
            // Slower than without.
            (0.5, 20, 0.1, Not),
        ] {
            let verdict = figures(times, alone_us, reaching, 1).verdict();
            assert_eq!(verdict, expected, "{times} times, {alone_us} µs, {reaching} reaching");
        }
    }

    #[test]
    fn the_sentence_says_what_was_measured() {
        for (figures, expected) in [
            (
                figures(2_000.0, 4_000, 0.001, 2),
                "Worth it: 2,000x the reads, p99 from 10.0 ms to 2.00 µs. One read alone takes \
                 the database 4.00 ms, and 0.1 % of the reads reach it: larder spares it 4.00 ms \
                 a read.",
            ),
            (
                figures(6.0, 40, 0.25, 12_000),
                "Hardly worth it: 6.0x the reads, p99 up from 10.0 ms to 12.0 ms; but one read \
                 alone takes the database only 40.0 µs, and larder spares it 30.0 µs of that. \
                 That is little for answers that may be 2 s old.",
            ),
            (
                figures(1.0, 40, 0.98, 10_500),
                "Not worth it: 1.0x the reads, p99 from 10.0 ms to 10.5 ms. 98.0 % of the reads \
                 reach the database all the same, for answers that may be 2 s old.",
            ),
        ] {
            assert_eq!(figures.sentence(), expected);
        }
    }
}
