//! Tags: one name for everything that depends on the same thing, over several caches.

use std::sync::Arc;
use std::time::Duration;

use larder::{Cache, Engine, LoadContext, LoadError, Source};

/// Prices and whole price lists, of tenants.
struct Prices;

impl Source<(u64, u64), u32> for Prices {
    async fn load(
        &self,
        &(tenant, product): &(u64, u64),
        context: &mut LoadContext,
    ) -> Result<Option<u32>, LoadError> {
        context.tag(format!("tenant:{tenant}")).tag(format!("product:{product}"));
        Ok(Some(100 + u32::try_from(product)?))
    }
}

struct Lists;

impl Source<u64, Arc<[u32]>> for Lists {
    async fn load(
        &self,
        tenant: &u64,
        context: &mut LoadContext,
    ) -> Result<Option<Arc<[u32]>>, LoadError> {
        context.tag(format!("tenant:{tenant}")).tag("product:1").tag("product:2");
        Ok(Some(Arc::from([101, 102])))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let engine = Engine::on_tokio()?; // tags reach the caches of one engine
    let window = Duration::from_secs(3600);
    let prices =
        Cache::builder("price").max_staleness(window).source(Prices).engine(&engine).build()?;
    let lists =
        Cache::builder("list").max_staleness(window).source(Lists).engine(&engine).build()?;
    for tenant in [7, 8] {
        lists.get(&tenant).await?;
        prices.get(&(tenant, 1)).await?;
        prices.get(&(tenant, 2)).await?;
    }
    let held = || {
        let lists = [7, 8].map(|tenant| lists.peek(&tenant).is_some());
        let prices = [(7, 1), (7, 2), (8, 1), (8, 2)].map(|key| prices.peek(&key).is_some());
        (lists, prices)
    };
    assert_eq!(held(), ([true, true], [true, true, true, true]));

    // Product 2 changed: its prices, and every list that it is on.
    prices.invalidate_tags(&["product:2"]).await?;
    assert_eq!(held(), ([false, false], [true, false, true, false]));

    // Tenant 7 changed its currency.
    prices.invalidate_tags(&["tenant:7"]).await?;
    assert_eq!(held(), ([false, false], [false, false, true, false]));

    // A new version of this program computes prices another way.
    prices.invalidate_all().await?;
    assert_eq!(held(), ([false, false], [false, false, false, false]));
    println!("{} sweeps, {} loads", prices.stats().sweeps, prices.stats().loads.count());
    Ok(())
}
