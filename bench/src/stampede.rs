//! Area `stampede`: ten thousand readers of one key that nobody holds any more.
//!
//! A source that takes 20 ms stands behind each contender. The readers are tasks on a runtime of
//! two workers and come at once; how long each waits is measured, and counted is how often the
//! source was asked: the most of any round, because a promise is as good as its worst day. Each
//! round has caches of its own. Where the source fails the readers come in waves, and those who
//! have no answer after a second count with that second and are sent away.
//!
//! A result of loads is larder's own; one of waits is the best peer's over larder's: above one,
//! larder's readers wait less.

mod herd;
mod markdown;
mod situation;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep_until};

use crate::figures::{median, result};
use crate::memory::{Cell, Entrant, Figures, in_turn};
use crate::through::{Contender, Job, Options, ReadThrough, Rows, introduce};

use herd::Herd;
use markdown::{Measured, Summary, markdown};
use situation::Situation;

/// How many readers come at once.
const READERS: usize = 10_000;
/// How long a load takes.
const LATENCY: Duration = Duration::from_millis(20);
/// How long after one wave the next one comes.
const BETWEEN_WAVES: Duration = Duration::from_millis(500);
/// How long a herd is waited for, from when its first reader was sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where the source fails: a peer whose readers load one after the other would take
/// minutes.
const PATIENCE_WITH_FAILURE: Duration = Duration::from_secs(1);

/// Measures what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let names = Situation::ALL.map(|situation| situation.name().to_owned());
    options.check(&names)?;
    let (contenders, rounds) = (options.contenders(), options.rounds(3, 9));
    introduce(&contenders, rounds);
    let runtime = runtime();
    let wanted = Situation::ALL.into_iter().filter(|situation| {
        options.only.is_empty() || options.only.iter().any(|name| name == situation.name())
    });
    let mut table = Vec::new();
    for situation in wanted {
        table.push(measure_one(&runtime, situation, &contenders, rounds)?);
    }
    print!("{}", markdown(&contenders, &table));
    println!();
    table.iter().for_each(results);
    Ok(())
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().expect("two threads can be had")
}

/// Measures one situation, prints it, and returns it.
fn measure_one(
    runtime: &Runtime,
    situation: Situation,
    contenders: &[Contender],
    rounds: usize,
) -> Result<Measured, String> {
    let here: Vec<Contender> =
        contenders.iter().copied().filter(|&one| situation.exists_for(one)).collect();
    let mut samples = Samples(Vec::new());
    let mut refused = None;
    let measure = |contender: &Contender, round| {
        match contender.run(Round { runtime, situation, readers: READERS }) {
            Ok(sample) if round > 0 => samples.0.push((*contender, sample)),
            Ok(_) => {}
            Err(reason) => refused = Some(format!("{}: {reason}", contender.name())),
        }
        samples.0.last().map_or(0.0, |(_, sample)| sample.p50)
    };
    let p50 = in_turn(&here, |one| *one, rounds, measure);
    if let Some(reason) = refused {
        return Err(format!("{}: {reason}", situation.name()));
    }
    let p99 = |contender| Figures { contender, rounds: samples.of(contender, |one| one.p99) };
    let p99 = here.iter().copied().map(p99).collect();
    let measured = Measured {
        situation,
        summary: here.iter().map(|&contender| samples.summary(contender)).collect(),
        p50: Cell { name: format!("stampede_p50_{}", situation.name()), figures: p50 },
        p99: Cell { name: format!("stampede_p99_{}", situation.name()), figures: p99 },
    };
    print(&measured);
    Ok(measured)
}

fn print(measured: &Measured) {
    let what = measured.situation.what();
    measured.p50.print(&format!("p50 of a read in us, {READERS} readers, {what}"), |contender| {
        let mut of = measured.summary.iter();
        let Some(of) = of.find(|of| of.contender == contender) else { return String::new() };
        let failed = match of.without_value {
            0.0 => String::new(),
            share => format!(", {:.1} % without a value", share * 100.0),
        };
        format!("p99 {:.1}; {} loads{failed}", of.p99_us, of.loads)
    });
}

/// Prints the results of one situation.
fn results(measured: &Measured) {
    let name = measured.situation.name();
    let ours = measured.summary.iter().find(|summary| summary.contender == Contender::LARDER);
    if let Some(ours) = ours {
        result(&format!("stampede_loads_{name}"), ours.loads as f64);
        if measured.situation.is_failing() {
            result(&format!("stampede_without_value_{name}"), ours.without_value);
        }
    }
    measured.p50.result();
    measured.p99.result();
}

/// What all did in the rounds that count.
struct Samples(Vec<(Contender, Sample)>);

impl Samples {
    /// A figure of one contender, one for each round.
    fn of(&self, contender: Contender, figure: fn(&Sample) -> f64) -> Vec<f64> {
        let of = self.0.iter().filter(|(one, _)| *one == contender);
        of.map(|(_, sample)| figure(sample)).collect()
    }

    /// Medians, but the most loads of any round.
    fn summary(&self, contender: Contender) -> Summary {
        let of = self.0.iter().filter(|(one, _)| *one == contender);
        Summary {
            contender,
            loads: of.map(|(_, sample)| sample.loads).max().unwrap_or(0),
            p50_us: median(&self.of(contender, |sample| sample.p50)),
            p99_us: median(&self.of(contender, |sample| sample.p99)),
            without_value: median(&self.of(contender, |sample| sample.without_value)),
        }
    }
}

/// What one contender did in one round.
struct Sample {
    loads: u64,
    /// Microseconds.
    p50: f64,
    p99: f64,
    /// The share of readers that got no value.
    without_value: f64,
}

/// A round of one contender.
struct Round<'a> {
    runtime: &'a Runtime,
    situation: Situation,
    readers: usize,
}

impl Job<u64, u64> for Round<'_> {
    type Out = Result<Sample, String>;

    fn run<C: ReadThrough<u64, u64>>(self) -> Self::Out {
        let Self { runtime, situation, readers } = self;
        // On a worker: this thread would be a third one that wants to run.
        let round = runtime.spawn(async move {
            let rows = Arc::new(Rows::default());
            let cache = Arc::new(C::new(situation.terms(), Arc::clone(&rows)));
            situation.bring_about(&*cache, &rows).await?;
            rows.behave(LATENCY, situation.is_failing());
            let patience = if situation.is_failing() { PATIENCE_WITH_FAILURE } else { PATIENCE };
            let mut herd = Herd::new();
            let began = Instant::now();
            for wave in 0..situation.waves() {
                sleep_until(began + BETWEEN_WAVES * wave).await;
                herd.come(&cache, readers, patience).await;
            }
            let micros = |share| herd.latencies.percentile(share) / 1e3;
            Ok(Sample {
                loads: rows.loads(),
                p50: micros(0.5),
                p99: micros(0.99),
                without_value: herd.share_without_value(),
            })
        });
        runtime.block_on(round).expect("a round doesn't panic")
    }
}

#[cfg(test)]
mod tests;
