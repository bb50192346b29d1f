//! The process that is killed: the program itself, started again with a database in its
//! environment.
//!
//! It says on its output what it sends and what was acknowledged, a line each, before it goes on.

use std::env;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use larder::Result;
use larder::core::Journal;
use larder::engine::behind::BehindBounds;
use larder::journal::JournalOptions;
use larder::redis::{RedisJournalOptions, RedisOptions};
use larder_core::steps::{self, Step};
use rustix::process::{Signal, getpid, kill_process};

use crate::shop::Shop;

const DATABASE: &str = "LARDER_DATABASE_OF_CHILD";
const FOLDER: &str = "LARDER_JOURNAL_OF_CHILD";
const DOES: &str = "LARDER_CHILD_DOES";
const ENDS: &str = "LARDER_CHILD_ENDS";

/// So many write at once.
pub const WRITERS: u64 = 6;
/// So many items of each writer are written again and again.
pub const STORED: u64 = 3;
/// So many counters are added to.
pub const COUNTERS: u64 = 5;
/// Where the items begin that the database refuses.
pub const BAD_FROM: u64 = 1 << 40;

/// Batches small enough that many are on their way when it is killed.
const BOUNDS: BehindBounds = BehindBounds {
    delay: Duration::from_millis(50),
    batch_from: 32,
    batch_max: 64,
    slow_from: 10_000,
    keys_max: 16_000,
    bytes_max: 64 << 20,
    lanes: 2,
    apply_within: Duration::from_secs(10),
    retry_after: Duration::from_millis(20),
    retry_after_max: Duration::from_secs(1),
    requeue_every: Duration::from_secs(5),
};

/// The journal in a folder, of segments short enough that some are removed while it runs; or in the
/// Redis whose URL stands in its place. That one is taken from whoever has it: a test knows whether
/// that one has ended.
///
/// # Errors
///
/// When it can't be opened.
pub async fn open_journal(place: &Path) -> Result<Arc<dyn Journal>> {
    match place.to_str().filter(|place| place.starts_with("redis://")) {
        None => {
            let options = JournalOptions::new(place);
            Ok(Arc::new(options.segment_bytes(64 << 10).record_bytes_max(8 << 10).open()?))
        }
        Some(url) => {
            let options = RedisJournalOptions::new(RedisOptions::new(url), "shop");
            Ok(Arc::new(options.silence(Duration::ZERO).open().await?))
        }
    }
}

/// A process and what it says.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    lines: Receiver<String>,
}

/// It kills itself when it reaches a step for the so manieth time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaches {
    /// Which step.
    pub step: Step,
    /// From 1.
    pub time: u64,
}

impl Reaches {
    /// Whether only a journal of files comes to that step.
    #[must_use]
    pub const fn is_of_files(self) -> bool {
        match self.step {
            Step::Append | Step::Fsync | Step::Publish | Step::Mark | Step::Truncate => true,
            Step::Acknowledge | Step::Begin | Step::Commit | Step::Committed => false,
        }
    }
}

impl fmt::Display for Reaches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.step.as_str(), self.time)
    }
}

impl FromStr for Reaches {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let odd = || format!("{text:?} names no step");
        let (name, time) = text.split_once(' ').ok_or_else(odd)?;
        let step = Step::ALL.into_iter().find(|step| step.as_str() == name).ok_or_else(odd)?;
        Ok(Self { step, time: time.parse().map_err(|_| odd())? })
    }
}

impl Driver {
    /// Starts `program`, which calls [`asked`]: `does` is `write ROUND` or `settle -`, or what else
    /// the program understands.
    #[must_use]
    pub fn start(
        mut program: Command,
        database: &str,
        folder: &Path,
        does: &str,
        ends: Option<Reaches>,
    ) -> Self {
        program.env(DATABASE, database).env(FOLDER, folder).env(DOES, does);
        if let Some(ends) = ends {
            program.env(ENDS, ends.to_string());
        }
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (hears, lines) = channel();
        // Read at once, whoever asks for it when: a process whose pipe is full stands still in the
        // middle of a transaction.
        thread::spawn(move || {
            output.lines().map_while(std::result::Result::ok).try_for_each(|line| hears.send(line))
        });
        Self { child, lines }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next thing that it says, as words; `None` at its end.
    pub fn says(&mut self) -> Option<Vec<String>> {
        loop {
            let line = self.lines.recv().ok()?;
            // What the program says for itself, and what was broken off, has no such end.
            if let Some(line) = line.strip_prefix(": ").and_then(|line| line.strip_suffix(" .")) {
                return Some(line.split(' ').map(str::to_owned).collect());
            }
        }
    }

    /// Kills it, if it lives.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Asks it to stop writing and to end.
    pub fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says something to whoever started this process.
pub fn say(words: &str) {
    let line = format!("\n: {words} .\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// What this process was started for.
#[derive(Debug)]
pub struct Asked {
    /// The URL of the database.
    pub database: String,
    /// Where the journal is.
    pub folder: PathBuf,
    /// The first word of what it does.
    pub verb: String,
    /// The second.
    pub object: String,
}

/// What this process was started for; `None` if nobody did. From now on it kills itself where it
/// was told to.
#[must_use]
pub fn asked() -> Option<Asked> {
    let database = env::var(DATABASE).ok()?;
    let (folder, does) = (env::var(FOLDER).unwrap().into(), env::var(DOES).unwrap());
    let (verb, object) = does.split_once(' ').unwrap();
    if let Ok(ends) = env::var(ENDS) {
        let ends: Reaches = ends.parse().unwrap();
        let times = AtomicU64::new(0);
        steps::at(move |step| {
            if step == ends.step && times.fetch_add(1, Ordering::Relaxed) + 1 == ends.time {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
        });
    }
    Some(Asked { database, folder, verb: verb.to_owned(), object: object.to_owned() })
}

impl Asked {
    /// Does what it is asked for.
    pub async fn answer(&self) {
        match &*self.verb {
            "write" => self.write(self.object.parse().unwrap()).await,
            "settle" => {
                let shop = self.open().await;
                stop(&shop, 0).await;
            }
            other => panic!("nobody here knows how to {other}"),
        }
    }

    async fn open(&self) -> Shop {
        let journal = open_journal(&self.folder).await.unwrap();
        let shop = Shop::open(&self.database, journal, BOUNDS).await.unwrap();
        say(&format!("owner {}", shop.owner));
        say(&format!("replayed {} {}", shop.replayed.records, shop.replayed.before));
        shop
    }

    /// Writes until it is killed, or asked to stop. A later round has a greater number.
    pub async fn write(&self, round: u64) {
        let shop = Arc::new(self.open().await);
        let (stops, oldest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (shop, stops, oldest) = (shop.clone(), stops.clone(), oldest.clone());
                tokio::spawn(async move {
                    let mut count = 0;
                    while !stops.load(Ordering::Relaxed) {
                        one(&shop, round, writer, count).await;
                        count += 1;
                        let waits = u64::try_from(shop.oldest().as_millis()).unwrap();
                        oldest.fetch_max(waits, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let wait = || std::io::stdin().lines().count();
        tokio::task::spawn_blocking(wait).await.unwrap();
        stops.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        stop(&shop, oldest.load(Ordering::Relaxed)).await;
    }
}

/// Applies what waits, and says how much is left.
async fn stop(shop: &Shop, oldest: u64) {
    let stopped = shop.behind.stop(&shop.engine, Duration::from_secs(30)).await.unwrap();
    say(&format!("stopped {} {oldest}", stopped.left));
}

/// The write of this number: an item of its own, one that is written again and again, a counter,
/// or an item that will be refused.
async fn one(shop: &Shop, round: u64, writer: u64, count: u64) {
    // Greater than all before of the same writer.
    let number = round * 1_000_000 + count;
    let own = number * WRITERS + writer + 1_000;
    match count % 8 {
        0 | 4 => {
            shop.put(own, &number.to_string()).await.unwrap();
            say(&format!("put {own} {number}"));
        }
        1 | 5 => {
            let id = writer * STORED + count / 8 % STORED;
            say(&format!("storing {id} {number}"));
            shop.put(id, &number.to_string()).await.unwrap();
            say(&format!("stored {id} {number}"));
        }
        7 if count % 16 == 7 => {
            let id = BAD_FROM + own;
            shop.put(id, &format!("bad {number}")).await.unwrap();
            say(&format!("bad {id} {number}"));
        }
        _ => {
            let (id, difference) = (number % COUNTERS, i64::try_from(count % 3).unwrap() + 1);
            say(&format!("adding {id} {difference}"));
            shop.add(id, difference).await.unwrap();
            say(&format!("added {id} {difference}"));
        }
    }
}
