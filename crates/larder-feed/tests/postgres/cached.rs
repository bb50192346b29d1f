//! A cache over the feed: a value that no row event changed is as young as it is promised to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_core::feed::Notice;
use larder_core::source::LoadError;
use larder_core::{LoadContext, Source};
use larder_engine::feeding::{Feeding, Touched};
use larder_engine::{Cache, Engine};
use larder_test::Postgres;

use crate::{LONG, installed};

const PROMISE: Duration = Duration::from_secs(2);

/// The names of users.
struct Names {
    postgres: Arc<Postgres>,
    loads: Arc<AtomicU64>,
}

impl Source<u64, String> for Names {
    async fn load(&self, id: &u64, _: &mut LoadContext) -> Result<Option<String>, LoadError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let (postgres, sql) =
            (Arc::clone(&self.postgres), format!("SELECT name FROM users WHERE id = {id}"));
        Ok(Some(tokio::task::spawn_blocking(move || postgres.psql(&sql)).await?))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_value_that_is_computed_anew_is_held_no_longer_than_promised() {
    let (postgres, feed) = installed().await;
    postgres.psql("INSERT INTO users VALUES (1, 'Ada')");
    let (postgres, loads) = (Arc::new(postgres), Arc::new(AtomicU64::new(0)));
    let source = Names { postgres: Arc::clone(&postgres), loads: Arc::clone(&loads) };
    let engine = Engine::on_tokio().unwrap();
    let feeding = Feeding::over("users", feed);
    let names: Cache<u64, String> = Cache::builder("names")
        .engine(&engine)
        .max_staleness(PROMISE)
        .fresh_for(Duration::from_secs(3600))
        .source(source)
        // It goes by rows alone, as most do.
        .feed(&feeding, |notice: &Notice| match notice {
            Notice::Changed(change) if change.rows().next().is_none() => Touched::Everything,
            _ => Touched::Nothing,
        })
        .build()
        .unwrap();
    feeding.start(&engine).unwrap();
    // Once the feed vouches for it, it is held for longer than is promised.
    let begun = Instant::now();
    let mut held = (0, Instant::now());
    while held.1.elapsed() < 2 * PROMISE {
        assert_eq!(names.get(&1).await.unwrap().as_deref(), Some("Ada"));
        let now = loads.load(Ordering::Relaxed);
        if now != held.0 {
            held = (now, Instant::now());
        }
        assert!(begun.elapsed() < 2 * LONG, "the feed doesn't vouch for it");
    }
    postgres.psql("ALTER TABLE users ALTER name TYPE text USING upper(name)");
    let altered = Instant::now();
    loop {
        let asked = altered.elapsed();
        let name = names.get(&1).await.unwrap();
        if name.as_deref() == Some("ADA") {
            break;
        }
        assert!(asked <= PROMISE, "after {asked:?} it is still {name:?}");
    }
    assert_eq!(names.get(&1).await.unwrap().as_deref(), Some("ADA"));
}
