//! Histories of writes around, through and behind the cache: many users at once, who write, update,
//! read and invalidate, over a record that fails, loses answers and takes its time, while the clock
//! is turned. Whoever starts to read when a write has returned gets it or what came after it, and
//! no older value is ever put into memory.
//!
//! `LARDER_SEED` draws one run only; which run broke the rule stands in the panic. Nobody sleeps.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod dice;
mod record;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use common::{S, settle};
use dice::Dice;
use larder_core::sink::{WriteError, WriteFault};
use larder_core::{Clock, Error, Result, Write, Written};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{
    Cache, Engine, Fill, Install, Invalidation, Lookup, MessagePack, WriteMode, Wrote,
};
use larder_test::TestJournal;
use larder_test::history::{Announced, Begun};
use larder_test::{History, ManualClock};
use record::{Record, TAG, Wrong, terms};
use tokio::task::yield_now;

const KEYS: [u64; 3] = [1, 10, 2];
const USERS: u64 = 8;
const STEPS: usize = 30;
/// So many runs of each kind.
const RUNS: u64 = 40;

const BOUNDS: BehindBounds = BehindBounds {
    delay: Duration::from_millis(300),
    batch_from: 3,
    batch_max: 2,
    slow_from: 100,
    keys_max: 200,
    bytes_max: 1 << 20,
    lanes: 2,
    apply_within: Duration::from_secs(60),
    retry_after: Duration::from_millis(100),
    retry_after_max: Duration::from_millis(400),
    requeue_every: Duration::from_secs(60),
};

/// A cache and those who use it.
struct Users {
    record: Record,
    cache: Cache<u64, u64>,
    history: History,
    /// The last version that was written behind, of each key.
    last: Mutex<[u64; KEYS.len()]>,
    /// Writes whose callers went away.
    dropped: Mutex<Vec<(Begun, u64, u64)>>,
    is_behind: bool,
}

impl Users {
    fn next(&self, key: u64) -> u64 {
        let at = KEYS.iter().position(|&other| other == key).unwrap();
        let mut last = self.last.lock().unwrap();
        last[at] += 1;
        last[at]
    }

    /// Loads fail now and then.
    fn judge(&self, begun: Begun, key: u64, read: &Result<Option<u64>>) {
        if let Ok(version) = read {
            self.history.read(begun, key, version.unwrap());
        }
    }

    async fn get(&self, key: u64) {
        let begun = self.history.begin();
        self.judge(begun, key, &self.cache.get(&key).await);
    }

    async fn get_many(&self) {
        let begun = self.history.begin();
        for (key, answer) in KEYS.iter().zip(self.cache.ask_many(&KEYS).await) {
            self.judge(begun, *key, &answer.map(|answer| answer.value));
        }
    }

    /// Reads for himself, and fills.
    async fn aside(&self, key: u64) {
        let begun = self.history.begin();
        match self.cache.lookup(&key).await {
            Lookup::Hit(answer) => self.judge(begun, key, &Ok(answer.value)),
            Lookup::Miss(ticket) => {
                let version = self.record.read(key).await;
                let filled = ticket.fill_on(Some(version), &terms());
                // What was refused may be what somebody else has overwritten.
                if filled == Fill::Stored {
                    self.history.read(begun, key, version);
                }
            }
        }
    }

    async fn put(&self, key: u64) {
        let begun = self.history.begin();
        if !self.is_behind {
            let wrote = self.cache.put(&key, 0).await;
            return self.wrote(begun, key, wrote);
        }
        // Its first poll is its place in the order.
        let version = self.next(key);
        self.acknowledged(begun, key, version, self.cache.put(&key, version).await);
    }

    /// The same by a caller who goes away.
    fn put_and_leave(&self, key: u64) {
        if !self.is_behind {
            return;
        }
        let (begun, version) = (self.history.begin(), self.next(key));
        let put = pin!(self.cache.put(&key, version));
        let _ = put.poll(&mut Context::from_waker(Waker::noop()));
        self.dropped.lock().unwrap().push((begun, key, version));
    }

    async fn update(&self, key: u64) {
        let begun = self.history.begin();
        let mut version = 0;
        let wrote = self
            .cache
            .update(&key, |_| {
                // Decided in the same poll in which it is written.
                version = if self.is_behind { self.next(key) } else { 0 };
                Some(Write::Store(version))
            })
            .await;
        match self.is_behind {
            true => self.acknowledged(begun, key, version, wrote),
            false => self.wrote(begun, key, wrote),
        }
    }

    fn acknowledged(&self, begun: Begun, key: u64, version: u64, wrote: Result<Wrote<u64>>) {
        if let Ok(wrote) = wrote {
            assert_eq!(wrote.written, Written::Value(version));
            self.history.wrote(begun, key, version, Announced::Dropping);
        }
    }

    fn wrote(&self, begun: Begun, key: u64, wrote: Result<Wrote<u64>>) {
        let version = match wrote {
            Ok(wrote) => match wrote.written {
                Written::Value(version) => version,
                other => panic!("it wrote {other:?}"),
            },
            Err(error) => committed_by(&error),
        };
        if version > 0 {
            self.history.wrote(begun, key, version, Announced::Dropping);
        }
    }

    /// A commit behind larder's back, and then its announcement. Behind larder's back only where
    /// the record is the only truth.
    async fn strike(&self, key: u64, way: usize, what: Invalidation) {
        let begun = self.history.begin();
        let version = (!self.is_behind).then(|| self.record.commit(key));
        let dropping = what == Invalidation::Drop;
        match way {
            0 | 1 => drop(self.cache.invalidate_here(&[key], what).unwrap()),
            2 if dropping => drop(self.cache.invalidate_tags(&[TAG]).await.unwrap()),
            2 => drop(self.cache.mark_tags_stale(&[TAG]).await.unwrap()),
            3 => drop(self.cache.invalidate_prefix_here(&key.to_string()[..1], what).unwrap()),
            _ => self.cache.invalidate_all_here(what).unwrap(),
        }
        let announced = if dropping { Announced::Dropping } else { Announced::Loosely };
        if let Some(version) = version {
            self.history.wrote(begun, key, version, announced);
        }
    }

    async fn run(&self, mut dice: Dice) {
        for _ in 0..STEPS {
            for _ in 0..dice.next(6) {
                yield_now().await;
            }
            let key = KEYS[dice.next(KEYS.len())];
            match dice.next(16) {
                0..=5 => self.get(key).await,
                6 => self.get_many().await,
                7 => self.aside(key).await,
                8..=11 => self.put(key).await,
                12 => self.update(key).await,
                13 => self.put_and_leave(key),
                14 => self.strike(key, dice.next(5), Invalidation::Drop).await,
                _ => self.strike(key, dice.next(5), Invalidation::MarkStale).await,
            }
        }
    }
}

/// The version that was committed although the write failed; 0 if none was.
fn committed_by(error: &Error) -> u64 {
    let Some(write) = error.downcast_ref::<WriteError>() else { return 0 };
    if write.fault == WriteFault::Unknown { write.error.to_string().parse().unwrap() } else { 0 }
}

/// What a run was.
#[derive(Default)]
struct Ran {
    reads: usize,
    loads: u64,
    installed: u64,
    failed: u64,
}

/// One run of one kind. An error is what broke the rule.
async fn run(mode: WriteMode, seed: u64, wrong: Wrong) -> Result<Ran, String> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current().unwrap()));
    let (record, journal) = (Record::new(seed, wrong), TestJournal::default());
    let behind = WriteBehind::with(Arc::new(journal.clone()), BOUNDS);
    let is_behind = mode == WriteMode::Behind;
    let builder = Cache::builder("history")
        .engine(&engine)
        .max_staleness(3 * S)
        .deadline(600 * S)
        .load_timeout(600 * S)
        .write_timeout(600 * S)
        .source(record.clone())
        .sink(record.clone())
        .written(|_, _| terms());
    let builder =
        if is_behind { builder.behind(&behind, MessagePack) } else { builder.write(mode) };
    let is_always = mode != WriteMode::Around && seed.is_multiple_of(2);
    let builder = if is_always { builder.install(Install::Always) } else { builder };
    let users = Arc::new(Users {
        record: record.clone(),
        cache: builder.build().unwrap(),
        history: History::new(),
        last: Mutex::default(),
        dropped: Mutex::default(),
        is_behind,
    });
    if is_behind {
        behind.start(&engine).await.unwrap();
    }
    let mut dice = Dice::new(seed << 32);
    let running: Vec<_> = (1..=USERS)
        .map(|number| {
            let (users, dice) = (Arc::clone(&users), Dice::new((seed << 32) + (number << 16)));
            tokio::spawn(async move { users.run(dice).await })
        })
        .collect();
    while running.iter().any(|user| !user.is_finished()) {
        for _ in 0..dice.next(20) {
            yield_now().await;
        }
        match dice.next(8) {
            0 => journal.hold(true),
            1..=4 => journal.hold(false),
            _ => clock.advance(Duration::from_millis(dice.next(400) as u64)),
        }
    }
    for user in running {
        user.await.map_err(|panic| format!("a user panicked: {panic}"))?;
    }
    for (begun, key, version) in std::mem::take(&mut *users.dropped.lock().unwrap()) {
        users.history.wrote(begun, key, version, Announced::Loosely);
    }
    record.heal();
    journal.hold(false);
    for _ in 0..20 {
        settle().await;
        clock.advance(S);
    }
    settle().await;
    for key in KEYS {
        let head = users.history.head(key);
        for held in [users.cache.get(&key).await, users.cache.get(&key).await] {
            let held = held.map_err(|error| error.chain())?;
            if held != Some(head) || record.held(key) != head {
                let of_record = record.held(key);
                return Err(format!(
                    "of key {key}, {head} was written, {of_record} is held, and \
                                    {held:?} is read"
                ));
            }
        }
    }
    let reads = users.history.check().map_err(|violation| violation.to_string())?;
    let (stats, written) = (users.cache.stats(), users.cache.behind_stats().unwrap_or_default());
    assert!(clock.now() > ManualClock::START);
    let failed = stats.write_errors + written.failed;
    Ok(Ran { reads, loads: record.loads(), installed: stats.installed, failed })
}

fn ran(mode: WriteMode, seed: u64, wrong: Wrong) -> Result<Ran, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(run(mode, seed, wrong))
}

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("LARDER_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 1..RUNS + 1,
    }
}

/// No run breaks the rule.
fn holds(mode: WriteMode) {
    let mut all = Ran::default();
    for seed in seeds() {
        match ran(mode, seed, Wrong::Nothing) {
            Ok(Ran { reads, loads, installed, failed }) => {
                all.reads += reads;
                all.loads += loads;
                all.installed += installed;
                all.failed += failed;
            }
            Err(why) => panic!("LARDER_SEED={seed}: {why}"),
        }
    }
    // Runs in which nothing is kept, put into memory or fails would prove little.
    let runs = seeds().count();
    assert!(all.reads > 50 * runs && all.failed > runs as u64, "{} reads", all.reads);
    assert!((all.loads as usize) < all.reads, "{} loads, {} reads", all.loads, all.reads);
    assert_eq!(all.installed > 0, mode != WriteMode::Around);
}

/// Some run shows it.
fn fails(mode: WriteMode, wrong: Wrong) {
    let shown = (1..=RUNS).any(|seed| ran(mode, seed, wrong).is_err());
    assert!(shown, "no history shows {wrong:?}");
}

#[test]
fn around_the_cache_whoever_wrote_reads_it() {
    holds(WriteMode::Around);
}

#[test]
fn through_the_cache_whoever_wrote_reads_it_and_nothing_older_is_kept() {
    holds(WriteMode::Through);
}

#[test]
fn behind_the_cache_whoever_was_acknowledged_reads_it_and_nothing_older_is_kept() {
    holds(WriteMode::Behind);
}

#[test]
fn a_sink_that_says_what_was_held_before_is_shown() {
    fails(WriteMode::Through, Wrong::SaysWhatWas);
    fails(WriteMode::Behind, Wrong::SaysWhatWas);
}

#[test]
fn a_sink_that_forgets_what_it_applied_is_shown() {
    fails(WriteMode::Behind, Wrong::Forgets);
}

#[test]
fn a_source_that_brings_what_was_held_before_is_shown() {
    for mode in [WriteMode::Around, WriteMode::Through, WriteMode::Behind] {
        fails(mode, Wrong::LoadsWhatWas);
    }
}
