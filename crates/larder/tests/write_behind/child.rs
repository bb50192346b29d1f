//! The process that is killed: this test program itself, with a database in its environment.
//!
//! It says on its output what it sends and what was acknowledged, a line each, before it goes on.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use larder::engine::behind::BehindBounds;

use crate::replay;
use crate::shop::Shop;

const DATABASE: &str = "LARDER_DATABASE_OF_CHILD";
const FOLDER: &str = "LARDER_JOURNAL_OF_CHILD";
const DOES: &str = "LARDER_CHILD_DOES";

pub(crate) const WRITERS: u64 = 6;
pub(crate) const COUNTERS: u64 = 5;
/// Where the items begin that the database refuses.
pub(crate) const BAD_FROM: u64 = 1 << 40;

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

/// A child and what it says.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts one that writes: `does` is `write ROUND`, or what [`replay`] lets it do.
    pub(crate) fn start(database: &str, folder: &Path, does: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::child", "--nocapture", "--test-threads=1"])
            .env(DATABASE, database)
            .env(FOLDER, folder)
            .env(DOES, does)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (hears, lines) = channel();
        // Read at once, whoever asks for it when: a child whose pipe is full stands still in the
        // middle of a transaction.
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| hears.send(line))
        });
        Self { child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next thing that it says, as words; `None` at its end.
    pub(crate) fn next(&mut self) -> Option<Vec<String>> {
        loop {
            let line = self.lines.recv().ok()?;
            // What the test program says for itself, and what was broken off, has no such end.
            if let Some(line) = line.strip_prefix(": ").and_then(|line| line.strip_suffix(" .")) {
                return Some(line.split(' ').map(str::to_owned).collect());
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Asks it to stop writing and to end.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn say(words: &str) {
    let line = format!("\n: {words} .\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Does nothing when it is a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(database) = env::var(DATABASE) else { return };
    let (folder, does) = (env::var(FOLDER).unwrap(), env::var(DOES).unwrap());
    match does.split_once(' ').unwrap() {
        ("write", round) => write(&database, folder.as_ref(), round.parse().unwrap()).await,
        ("fill", count) => replay::fill(&database, folder.as_ref(), count.parse().unwrap()).await,
        (_, _) => replay::replay(&database, folder.as_ref()).await,
    }
}

async fn write(database: &str, folder: &Path, round: u64) {
    let shop = Arc::new(Shop::open(database, folder, BOUNDS).await.unwrap());
    say(&format!("owner {}", shop.owner));
    say(&format!("replayed {} {}", shop.replayed.records, shop.replayed.before));
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
    let stopped = shop.behind.stop(&shop.engine, Duration::from_secs(30)).await.unwrap();
    say(&format!("stopped {} {}", stopped.left, oldest.load(Ordering::Relaxed)));
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
            let id = writer * 3 + count / 8 % 3;
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
