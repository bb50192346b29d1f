//! Readers and writers, and what they met.
//!
//! It knows the larders' protocol, and no fault: whatever goes wrong is counted, and tried again.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::stage::Stage;
use super::{Errors, FORGOTTEN, MAX_STALENESS, Plan, Report};
use crate::accounts::Writer;
use crate::checker::{Checker, Read, now};
use crate::{Larder, Reply, RespClient};

/// How long a reader waits for an answer. It is short, so that reads of a larder that stands still
/// begin all the time, and some just before it goes on.
const READ_PATIENCE: Duration = Duration::from_millis(300);
/// How long a writer waits for an answer before it asks another larder.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a writer tries to announce a commit.
const ANNOUNCE_PATIENCE: Duration = Duration::from_secs(90);
/// How many commits a writer announces through one larder, on average, while it answers.
const COMMITS_EACH: u64 = 16;
/// How long the writer that forgets to announce rests between two commits: no read of its accounts
/// is of a version that wasn't superseded soon.
const BETWEEN_FORGOTTEN: Duration = Duration::from_millis(50);
/// How long one rests who was refused.
const REFUSED_REST: Duration = Duration::from_millis(10);

pub(super) struct Load<'a> {
    plan: &'a Plan,
    stage: &'a Stage,
    checker: &'a Checker,
    /// What is forgotten to be announced, and how that is read, for each larder.
    control: Vec<Checker>,
    /// Whether the readers of those accounts are watched.
    watched: AtomicBool,
    over: AtomicBool,
    met: Mutex<Report>,
}

impl<'a> Load<'a> {
    pub(super) fn new(plan: &'a Plan, stage: &'a Stage, checker: &'a Checker) -> Self {
        Self {
            plan,
            stage,
            checker,
            control: (0..plan.larders).map(|_| Checker::new()).collect(),
            watched: AtomicBool::new(false),
            over: AtomicBool::new(false),
            met: Mutex::default(),
        }
    }

    /// Writes down for so long how accounts are read whose writer forgets to announce.
    pub(super) fn watch_for(&self, time: Duration) {
        self.watched.store(true, Ordering::Relaxed);
        sleep(time);
    }

    /// Keeps readers and writers busy while `meanwhile` runs, and until they have ended.
    pub(super) fn run<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            // Also when `meanwhile` panics: the scope waits for all threads.
            let _end = End(&self.over);
            let larders = self.stage.larders.iter().enumerate();
            let readers =
                larders.flat_map(|larder| (0..self.plan.readers_each).map(move |_| larder));
            for (seed, (process, larder)) in readers.enumerate() {
                scope.spawn(move || self.read(process, larder, Draw(seed as u64)));
            }
            for seed in 0..self.plan.writers {
                scope.spawn(move || self.write(Draw(1 << 32 | seed as u64)));
            }
            scope.spawn(|| self.forget());
            meanwhile()
        })
    }

    /// What they met.
    pub(super) fn report(self) -> Report {
        let met = self.met.into_inner().unwrap_or_else(PoisonError::into_inner);
        let found = self.control.iter().map(|control| control.check(MAX_STALENESS).violations);
        Report { control: found.collect(), ..met }
    }

    fn read(&self, process: usize, larder: &Larder, mut draw: Draw) {
        let mut client = Client { larder, patience: READ_PATIENCE, connection: None };
        while !self.is_over() {
            let key = 1 + draw.below(self.plan.keys + FORGOTTEN);
            match client.ask(&["GET", &Stage::key(key)]) {
                Ok((began, Reply::Bulk(value))) => {
                    let ended = now();
                    match Stage::version(&value) {
                        Some(version) => {
                            let read = Read { process: process as u64, key, version, began, ended };
                            if key <= self.plan.keys {
                                self.checker.read(read);
                            } else if self.watched.load(Ordering::Relaxed) {
                                self.control[process].read(read);
                            }
                        }
                        None => self.note(|met| met.odd += 1),
                    }
                }
                Ok((_, Reply::Error(text))) => self.refused(&text),
                // No account is ever removed.
                Ok(_) => self.note(|met| met.odd += 1),
                Err(kind) => self.refused(&kind),
            }
            sleep(self.plan.between_reads);
        }
    }

    fn write(&self, mut draw: Draw) {
        let mut writer = self.writer(draw.below(u64::MAX));
        let larders = self.stage.larders.iter();
        let client = |larder| Client { larder, patience: WRITE_PATIENCE, connection: None };
        let mut clients: Vec<_> = larders.map(client).collect();
        let larders = clients.len() as u64;
        let mut at = draw.below(larders) as usize;
        while !self.is_over() {
            let write = writer.update();
            let mut write = write.unwrap_or_else(|error| panic!("Postgres isn't struck: {error}"));
            let deadline = Instant::now() + ANNOUNCE_PATIENCE;
            if draw.below(COMMITS_EACH) == 0 {
                at = draw.below(larders) as usize;
            }
            while write.announced.is_none() && Instant::now() < deadline {
                let announce = ["LARDER.INVALIDATE", "KEYS", &Stage::key(write.key)];
                match clients[at].ask(&announce) {
                    Ok((_, Reply::Integer(_))) => write.announced = Some(now()),
                    Ok((_, Reply::Error(text))) => self.refused(&text),
                    Ok(_) => self.note(|met| met.odd += 1),
                    Err(kind) => self.refused(&kind),
                }
                if write.announced.is_none() {
                    self.note(|met| met.announced_again += 1);
                    at = (at + 1) % clients.len();
                    sleep(REFUSED_REST);
                }
            }
            self.checker.wrote(write);
            self.note(|met| {
                met.writes += 1;
                met.unannounced += u64::from(write.announced.is_none());
            });
            sleep(self.plan.between_writes);
        }
    }

    /// The writer that claims to have announced, and hasn't.
    fn forget(&self) {
        let mut writer = self.writer(0);
        let forgotten = self.plan.keys + 1..=self.plan.keys + FORGOTTEN;
        for key in forgotten.cycle() {
            if self.is_over() {
                return;
            }
            let write = writer.update_one(key);
            let mut write = write.unwrap_or_else(|error| panic!("Postgres isn't struck: {error}"));
            write.announced = Some(now());
            self.control.iter().for_each(|control| control.wrote(write));
            sleep(BETWEEN_FORGOTTEN);
        }
    }

    fn writer(&self, seed: u64) -> Writer {
        let port = self.stage.postgres.port();
        let writer = Writer::connect(("127.0.0.1", port), self.plan.keys, seed);
        writer.unwrap_or_else(|error| panic!("Postgres isn't struck: {error}"))
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Counts an error by its first word.
    fn refused(&self, text: &str) {
        let code = text.split(' ').next().unwrap_or_default();
        self.note(|met| match met.errors.get_mut(code) {
            Some(errors) => errors.times += 1,
            None => {
                met.errors.insert(code.to_owned(), Errors { times: 1, first: text.to_owned() });
            }
        });
        sleep(REFUSED_REST);
    }

    fn note(&self, note: impl FnOnce(&mut Report)) {
        note(&mut self.met.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends the load when it is dropped.
pub(super) struct End<'a>(pub(super) &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client of a larder that may go away: it connects when it needs to.
pub(super) struct Client<'a> {
    pub(super) larder: &'a Larder,
    pub(super) patience: Duration,
    pub(super) connection: Option<RespClient>,
}

impl Client<'_> {
    /// When the command was sent, and its reply; or in a word why there is none.
    pub(super) fn ask(&mut self, command: &[&str]) -> Result<(Duration, Reply), String> {
        let answer = self.try_ask(command);
        answer.map_err(|error| {
            self.connection = None;
            match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => "Unanswered".to_owned(),
                kind => format!("{kind:?}"),
            }
        })
    }

    fn try_ask(&mut self, command: &[&str]) -> std::io::Result<(Duration, Reply)> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let mut new = RespClient::try_connect(("127.0.0.1", self.larder.resp_port()))?;
                new.set_patience(self.patience)?;
                none.insert(new)
            }
        };
        let began = now();
        Ok((began, connection.try_command(command)?))
    }
}

/// Knuth's linear congruential generator; its upper half is random enough.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % bound
    }
}
