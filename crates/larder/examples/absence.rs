//! "There is none" is an answer too, and is remembered: who asks for keys that don't exist doesn't
//! get through to the database every time.

use std::sync::Arc;
use std::time::Duration;

use larder::engine::runtime::TokioSpawn;
use larder::{Cache, Engine};
use larder_test::{ManualClock, TestSource};

const S: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current()?));
    let source: TestSource<u64, &str> = TestSource::of([(1, "Ada")]);
    let users = Cache::builder("user")
        .max_staleness(60 * S)
        .missing_for(5 * S) // 30 s if nothing is said
        .source(source.clone())
        .engine(&engine)
        .build()?;

    for _ in 0..1_000 {
        assert_eq!(users.get(&2).await?, None);
    }
    assert_eq!((source.loads_of(&2), users.stats().absent), (1, 1));

    // Somebody inserts the row and says so: the next read finds it.
    source.set(2, "Grace");
    users.invalidate(&2).await?;
    assert_eq!(users.get(&2).await?, Some("Grace"));

    // Somebody inserts a row and tells nobody: missing_for bounds how long that goes unseen.
    assert_eq!(users.get(&3).await?, None);
    source.set(3, "Linus");
    clock.advance(5 * S);
    assert_eq!(users.get(&3).await?, None);
    clock.advance(Duration::from_millis(1));
    assert_eq!(users.get(&3).await?, Some("Linus"));
    println!("{} loads for {} reads", source.loads(), users.stats().hits() + 4);
    Ok(())
}
