//! Readers of accounts, and what they met.
//!
//! They know the larders' protocol, and no fault: whatever goes wrong is counted, and tried again.
//!
//! Each draws its keys by itself. Readers that walked through the keys in the same order would meet
//! on a key that is being loaded, be answered at once, and go on side by side for good: each change
//! would be a miss for all of them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use larder_test::checker::{Read, now};
use larder_test::{Larder, Reply, RespClient};

use super::stage::Stage;
use super::writing::KEYS;
use crate::memory::requests::Random;

/// How many readers each larder has, each with a connection of its own.
pub(super) const READERS_EACH: usize = 8;
/// How long a reader rests between two reads.
const BETWEEN_READS: Duration = Duration::from_micros(500);
/// How long it waits for an answer. It is short, so that reads of a larder that stands still begin
/// all the time, and some just before it goes on.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long it rests when it was refused.
const REFUSED_REST: Duration = Duration::from_millis(10);

/// What readers met.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) reads: Vec<Read>,
    /// By their code, or by what happened to the connection.
    pub(super) errors: BTreeMap<String, u64>,
    /// Answers that were no version and no error.
    pub(super) odd: usize,
}

impl Met {
    fn add(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.odd += other.odd;
        for (code, times) in other.errors {
            *self.errors.entry(code).or_default() += times;
        }
    }

    fn error(&mut self, text: &str) {
        let code = text.split(' ').next().unwrap_or_default().to_owned();
        *self.errors.entry(code).or_default() += 1;
        sleep(REFUSED_REST);
    }
}

/// Reads every account once through each larder, so that what follows isn't about the first time.
pub(super) fn warm(stage: &Stage<'_>) {
    for larder in &stage.larders {
        let mut client = RespClient::connect(("127.0.0.1", larder.resp_port()));
        for key in 1..=KEYS {
            client.command(&["GET", &Stage::key(key)]);
        }
    }
}

/// Reads while `meanwhile` runs.
pub(super) fn while_running(stage: &Stage<'_>, meanwhile: impl FnOnce()) -> Met {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also when `meanwhile` panics: the scope waits for all threads.
        let end = End(&over);
        let over = &over;
        let mut readers = Vec::new();
        for (process, larder) in stage.larders.iter().enumerate() {
            for reader in 0..READERS_EACH {
                let seed = (process * READERS_EACH + reader) as u64;
                readers.push(scope.spawn(move || read(process as u64, larder, seed, over)));
            }
        }
        meanwhile();
        drop(end);
        let mut met = Met::default();
        readers.into_iter().for_each(|one| met.add(one.join().expect("readers don't panic")));
        met
    })
}

/// Ends the readers when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn read(process: u64, larder: &Larder, seed: u64, over: &AtomicBool) -> Met {
    let mut met = Met::default();
    let mut connection = None;
    let mut random = Random::new(seed);
    while !over.load(Ordering::Relaxed) {
        let key = 1 + random.below(KEYS);
        match ask(&mut connection, larder, &["GET", &Stage::key(key)]) {
            Ok((began, Reply::Bulk(value))) => match Stage::version(&value) {
                Some(version) => {
                    met.reads.push(Read { process, key, version, began, ended: now() });
                }
                None => met.odd += 1,
            },
            Ok((_, Reply::Error(text))) => met.error(&text),
            // No account is ever removed.
            Ok(_) => met.odd += 1,
            Err(error) => {
                connection = None;
                met.error(&match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => "Unanswered".to_owned(),
                    kind => format!("{kind:?}"),
                });
            }
        }
        sleep(BETWEEN_READS);
    }
    met
}

/// When a command was sent, and its reply.
fn ask(
    connection: &mut Option<RespClient>,
    larder: &Larder,
    command: &[&str],
) -> std::io::Result<(Duration, Reply)> {
    let connection = match connection {
        Some(connection) => connection,
        none => {
            let mut new = RespClient::try_connect(("127.0.0.1", larder.resp_port()))?;
            new.set_patience(PATIENCE)?;
            none.insert(new)
        }
    };
    let began = now();
    Ok((began, connection.try_command(command)?))
}
