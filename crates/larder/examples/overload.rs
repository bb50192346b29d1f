//! A guard bounds what a database is asked at a time: so many run, so many wait, and the rest is
//! told at once when to come back.

use std::time::Duration;

use larder::{Cache, ErrorKind, Guard, GuardBounds};
use larder_test::TestSource;

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let source = TestSource::of((0..100_u64).map(|id| (id, id)));
    source.close(); // a database that is stuck
    // One guard for one database, whatever number of caches read from it.
    let bounds = GuardBounds { loads_max: 4, loads_waiting_max: 16, ..GuardBounds::default() };
    let guard = Guard::new(bounds)?;
    let users = Cache::builder("user")
        .max_staleness(Duration::from_secs(2))
        .guard(guard.clone())
        .source(source.clone())
        .build()?;

    let readers: Vec<_> = (0..100)
        .map(|id| {
            let users = users.clone();
            tokio::spawn(async move { users.get(&id).await })
        })
        .collect();
    while guard.occupied() + usize::try_from(guard.shed()).unwrap_or(0) < 100 {
        tokio::task::yield_now().await;
    }
    source.until_waiting(4).await;
    assert_eq!((source.running(), guard.occupied(), guard.shed()), (4, 20, 80));

    source.open(); // it works again
    let (mut served, mut shed) = (0, 0);
    for reader in readers {
        match reader.await.expect("the reader doesn't panic") {
            Ok(_) => served += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Shed);
                assert!(error.retry_delay().is_some());
                shed += 1;
            }
        }
    }
    assert_eq!((served, shed, source.running_max()), (20, 80, 4));
    println!("{served} served, {shed} shed, never more than 4 at the database");
    Ok(())
}
