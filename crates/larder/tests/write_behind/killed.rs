//! Processes that are killed in the middle of writing: what they acknowledged is in the database, or
//! among the dead letters, once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use larder::ErrorKind;
use larder::core::Journal;
use larder::engine::behind::BehindBounds;
use larder::journal::JournalOptions;
use tempfile::TempDir;

use crate::child::{BAD_FROM, COUNTERS, Running};
use crate::database::TestDatabase;
use crate::shop::Shop;

/// So often each database's writer is killed.
const KILLS: u64 = 10;
/// Nothing waits longer because something else is refused, in milliseconds. A write waits 50 by
/// itself; the rest is for a machine that does other things.
const WAITS_MAX: u64 = 10_000;

/// What was said by all processes together.
#[derive(Default)]
struct Said {
    put: HashMap<u64, u64>,
    /// The last that was acknowledged, and the last that was sent.
    stored: HashMap<u64, u64>,
    storing: HashMap<u64, u64>,
    added: HashMap<u64, i64>,
    adding: HashMap<u64, i64>,
    bad: HashMap<u64, u64>,
    acknowledged: u64,
    replayed: u64,
    before: u64,
    owner: String,
    /// How many were left at the stop, and how long the oldest waited.
    stopped: Option<(u64, u64)>,
}

impl Said {
    fn hear(&mut self, words: &[String]) {
        let [what, first, rest @ ..] = words else { panic!("{words:?}") };
        if what == "owner" {
            return self.owner.clone_from(first);
        }
        let (first, second) = (first.parse().unwrap(), rest[0].parse().unwrap());
        let difference = i64::try_from(second).unwrap();
        match &**what {
            "put" => drop(self.put.insert(first, second)),
            "storing" => drop(self.storing.insert(first, second)),
            "stored" => drop(self.stored.insert(first, second)),
            "adding" => *self.adding.entry(first).or_default() += difference,
            "added" => *self.added.entry(first).or_default() += difference,
            "bad" => drop(self.bad.insert(first, second)),
            "replayed" => {
                self.replayed += first;
                self.before += second;
            }
            "stopped" => self.stopped = Some((first, second)),
            _ => panic!("{words:?}"),
        }
        self.acknowledged += u64::from(["put", "stored", "added", "bad"].contains(&&**what));
    }
}

async fn check(database: TestDatabase) {
    let folder = TempDir::new().unwrap();
    let journal = folder.path().join("journal");
    let random = RandomState::new();
    let mut said = Said::default();
    for round in 1..=KILLS {
        let mut child = Running::start(&database.url(), &journal, &format!("write {round}"));
        let enough = said.acknowledged + 20 + random.hash_one(round) % 500;
        while said.acknowledged < enough {
            said.hear(&child.next().expect("it writes until it is killed"));
        }
        if round == KILLS / 2 {
            a_second_process_is_refused(&database, &child, &journal, &said.owner).await;
        }
        child.kill();
        while let Some(words) = child.next() {
            said.hear(&words);
        }
    }
    let mut child = Running::start(&database.url(), &journal, &format!("write {}", KILLS + 1));
    let enough = said.acknowledged + 300;
    while let Some(words) = child.next() {
        said.hear(&words);
        if said.acknowledged >= enough {
            child.ask_to_stop();
        }
    }
    let (left, waited) = said.stopped.expect("it was stopped");
    assert_eq!(left, 0);
    assert!(waited < WAITS_MAX, "something waited {waited} ms");
    println!(
        "{} acknowledged, {} of them bad; {} records replayed, {} of them applied before; \
         {waited} ms at most",
        said.acknowledged,
        said.bad.len(),
        said.replayed,
        said.before
    );
    // The kills came where they matter.
    assert!(said.replayed > said.before && said.bad.len() > 20);
    compare(&database, &said).await;
    let standing = JournalOptions::new(&journal).open().unwrap().standing();
    assert_eq!(standing.first, standing.next);
    let owned = "SELECT count(*) FROM larder_owner WHERE owner IS NOT NULL";
    assert_eq!(database.number(owned).await, 0);
}

/// With a journal of its own, and with the same one.
async fn a_second_process_is_refused(
    database: &TestDatabase,
    child: &Running,
    journal: &std::path::Path,
    owner: &str,
) {
    let error = JournalOptions::new(journal).open().unwrap_err();
    assert!(error.to_string().contains(&child.id().to_string()), "{error}");
    let other = TempDir::new().unwrap();
    let bounds = BehindBounds { lanes: 1, ..BehindBounds::default() };
    let mut tries = 0;
    let error = loop {
        let error = Shop::open(&database.url(), other.path(), bounds).await.err().unwrap();
        tries += 1;
        // SQLite doesn't queue who writes: where the first never pauses, the second may get no turn.
        if error.kind() != ErrorKind::SourceDown || tries == 30 {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
    assert!(error.to_string().contains(owner), "{error}");
}

/// What is in the database against what was said.
async fn compare(database: &TestDatabase, said: &Said) {
    let items = database.sql("SELECT id, body FROM items").await;
    let items: HashMap<u64, u64> =
        items.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
    for (id, number) in &said.put {
        assert_eq!(items.get(id), Some(number), "the item {id}");
    }
    for (id, last) in &said.stored {
        let (held, sent) = (items[id], said.storing[id]);
        assert!((*last..=sent).contains(&held), "{id}: {held}, but {last} was acknowledged");
    }
    let counters = database.sql("SELECT id, n FROM counters").await;
    let counters: HashMap<u64, i64> =
        counters.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
    for id in 0..COUNTERS {
        let (held, bounds) = (counters[&id], said.added[&id]..=said.adding[&id]);
        assert!(bounds.contains(&held), "the counter {id}: {held}, and not in {bounds:?}");
    }
    let letters = database.sql("SELECT key, cache, reason FROM larder_dead_letters").await;
    let mut dead: HashMap<u64, u64> = HashMap::new();
    for row in &letters {
        assert_eq!((&*row[1], row[2].is_empty()), ("item", false));
        *dead.entry(row[0].strip_prefix("item:").unwrap().parse().unwrap()).or_default() += 1;
    }
    for (id, letters) in &dead {
        assert_eq!(*letters, 1, "the letters of {id}");
        assert!(*id >= BAD_FROM, "{id} was fine");
    }
    for id in said.bad.keys() {
        assert!(dead.contains_key(id) && !items.contains_key(id), "the bad item {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_over_sqlite() {
    check(TestDatabase::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_over_postgres() {
    check(TestDatabase::postgres()).await;
}
