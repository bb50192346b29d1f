//! Sessions: kept in memory while they are used, gone from it when they idle, and refused the
//! moment somebody logs out.
//!
//! The database has the sessions and decides whether they are valid. The cache spares it the
//! question for ten seconds at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder::engine::runtime::TokioSpawn;
use larder::{Cache, Engine, LoadContext, LoadError, Source};
use larder_test::ManualClock;

const S: Duration = Duration::from_secs(1);

/// The table of sessions: token and user.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    users: HashMap<String, u64>,
    queries: usize,
}

impl Table {
    fn with<R>(&self, work: impl FnOnce(&mut Rows) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn queries(&self) -> usize {
        self.with(|rows| rows.queries)
    }
}

impl Source<String, u64> for Table {
    async fn load(&self, token: &String, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        Ok(self.with(|rows| {
            rows.queries += 1;
            rows.users.get(token).copied()
        }))
    }
}

fn sessions(table: &Table, engine: &Engine) -> larder::Result<Cache<String, u64>> {
    Cache::builder("session")
        .max_staleness(10 * S) // a row deleted behind our back is believed this long
        .missing_for(5 * S) // a made-up token costs one query in five seconds
        .idle_for(4 * S) // who does nothing for so long takes no memory
        .weigher(|token: &String, _| token.capacity())
        .source(table.clone())
        .engine(engine)
        .build()
}

async fn log_in(table: &Table, cache: &Cache<String, u64>, token: &str) -> larder::Result<()> {
    table.with(|rows| rows.users.insert(token.to_owned(), 42));
    // Somebody may have asked for this token before: its absence would be remembered.
    cache.invalidate(&token.to_owned()).await?;
    Ok(())
}

async fn log_out(table: &Table, cache: &Cache<String, u64>, token: &str) -> larder::Result<()> {
    table.with(|rows| rows.users.remove(token));
    cache.invalidate(&token.to_owned()).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current()?));
    let table = Table::default();
    let cache = sessions(&table, &engine)?;
    let token = "t0k3n".to_owned();

    // A token that nobody has: one query, however often it is tried.
    for _ in 0..100 {
        assert_eq!(cache.get(&token).await?, None);
    }
    assert_eq!(table.queries(), 1);

    log_in(&table, &cache, &token).await?;
    assert_eq!(cache.get(&token).await?, Some(42));

    // Each request keeps it in memory for four seconds more.
    for _ in 0..3 {
        clock.advance(2 * S);
        assert_eq!(cache.get(&token).await?, Some(42));
    }
    assert_eq!(table.queries(), 2);

    clock.advance(5 * S);
    assert!(cache.peek(&token).is_none()); // idle: forgotten, and its memory freed
    assert_eq!(cache.get(&token).await?, Some(42)); // but still valid: the table says so

    log_out(&table, &cache, &token).await?;
    assert_eq!(cache.get(&token).await?, None);
    println!("{} queries for {} requests", table.queries(), 106);
    Ok(())
}
