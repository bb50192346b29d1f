//! Many keys, few questions: `get_many` for those that are known together, `gather` for single
//! reads that happen to come together.

use std::sync::Arc;
use std::time::Duration;

use larder::engine::runtime::TokioSpawn;
use larder::{Cache, Engine, LoadContext, LoadError, Source};
use larder_test::{ManualClock, TestSource};

const MS: Duration = Duration::from_millis(1);

/// A table that takes up to a hundred keys with one query.
struct Prices(TestSource<u64, u32>);

impl Source<u64, u32> for Prices {
    async fn load(&self, id: &u64, context: &mut LoadContext) -> Result<Option<u32>, LoadError> {
        self.0.load(id, context).await // SELECT … WHERE id = ?
    }

    async fn load_many(
        &self,
        ids: &[u64],
        context: &mut LoadContext,
    ) -> Result<Vec<Option<u32>>, LoadError> {
        // SELECT … WHERE id IN (…), and then in the order of `ids`, None where there is no row.
        self.0.load_many(ids, context).await
    }

    fn batch_max(&self) -> usize {
        100
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current()?));
    let source = TestSource::answering(|id: &u64| u32::try_from(*id).ok()).batching(100);
    let prices = Cache::builder("price")
        .max_staleness(Duration::from_secs(60))
        .gather(MS) // single reads wait this long for company
        .source(Prices(source.clone()))
        .engine(&engine)
        .build()?;

    // A page of 250 products: three queries, and none for those that are held.
    let page: Vec<u64> = (0..250).collect();
    assert_eq!(prices.get_many(&page).await?.len(), 250);
    let mut batches = source.batches();
    batches.sort_unstable();
    assert_eq!(batches, [50, 100, 100]);
    prices.get_many(&page).await?;
    assert_eq!(source.batches().len(), 3);

    // Ten requests, each for one product, within a millisecond: one query.
    let readers: Vec<_> = (1_000..1_010)
        .map(|id| {
            let prices = prices.clone();
            tokio::spawn(async move { prices.get(&id).await })
        })
        .collect();
    clock.until_sleepers(11).await; // ten readers, and the end of the millisecond
    clock.advance(MS);
    for (reader, id) in readers.into_iter().zip(1_000..) {
        assert_eq!(reader.await.expect("the reader doesn't panic")?, Some(id));
    }
    assert_eq!((source.batches().last(), source.loads()), (Some(&10), 0));
    println!("{} queries for 510 reads", source.batches().len());
    Ok(())
}
