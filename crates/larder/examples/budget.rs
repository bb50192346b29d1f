//! Several caches on one budget of memory: hot ones take room from cold ones.

use std::time::Duration;

use larder::{Budget, Cache, CacheKey};
use larder_test::TestSource;

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let budget = Budget::bytes(4 << 20);
    let pages = cache(&budget, "page", |id: &u64| format!("{id:>400}"))?;
    let users = cache(&budget, "user", |name: &String| format!("{name:>400}"))?;
    let equal = pages.worth().memory_bytes_max;
    assert_eq!(users.worth().memory_bytes_max, equal);

    // Everybody reads pages, more of them than half of the budget holds.
    for round in 0..20 {
        for id in 0..6_000 {
            pages.get(&(id * 7 % 6_000)).await?;
        }
        users.get(&format!("user {round}")).await?;
    }
    let (pages, users) = (pages.worth(), users.worth());
    assert!(pages.memory_bytes_max > equal && users.memory_bytes_max < equal);
    assert!(pages.memory_bytes_max + users.memory_bytes_max <= 4 << 20);
    println!("pages have {} bytes now, users {}", pages.memory_bytes_max, users.memory_bytes_max);
    Ok(())
}

fn cache<K: CacheKey>(
    budget: &Budget,
    name: &str,
    load: impl Fn(&K) -> String + Send + Sync + 'static,
) -> larder::Result<Cache<K, String>> {
    Cache::builder(name)
        .max_staleness(Duration::from_secs(3600))
        .weigher(|_, value: Option<&String>| value.map_or(0, String::capacity))
        .source(TestSource::answering(move |key: &K| Some(load(key))))
        .budget(budget)
        .build()
}
