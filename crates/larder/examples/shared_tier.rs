//! A shared tier: what one process loaded another finds, and both hear of changes. Here two engines
//! stand for two processes. The Redis is the first argument, or `REDIS_URL`, or the one on this
//! machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use larder::core::bus::Position;
use larder::engine::{MessagePack, Sharing, SharingBounds};
use larder::redis::{RedisOptions, RedisTier};
use larder::{Cache, Changes, Engine, LoadContext, LoadError, Source, Tier};

/// The database of all processes: one price, and how often it was asked for.
#[derive(Default)]
struct Shop {
    price: AtomicU32,
    loads: AtomicU32,
}

struct Prices(Arc<Shop>);

impl Source<u64, u32> for Prices {
    async fn load(&self, _: &u64, _: &mut LoadContext) -> Result<Option<u32>, LoadError> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        Ok(Some(self.0.price.load(Ordering::SeqCst)))
    }
}

/// What each process does when it starts.
async fn process(url: &str, shop: &Arc<Shop>) -> larder::Result<Cache<u64, u32>> {
    let options = RedisOptions { namespace: "larder-example".into(), ..RedisOptions::new(url) };
    let tier = RedisTier::connect(options)?;
    let bus = Arc::new(tier.bus());
    let engine = Engine::on_tokio()?;
    // Without this line a read goes on without Redis after 50 ms; here it is to be waited for.
    let bounds = SharingBounds { read_within: Duration::from_secs(1), ..SharingBounds::default() };
    engine.share(Sharing::over(Arc::new(tier)).own_bus(bus).bounds(bounds)).await?;
    Cache::builder("price")
        .engine(&engine)
        .max_staleness(Duration::from_secs(2))
        .changes(Changes::Announced) // whoever changes a price invalidates it
        .shared(MessagePack)
        .source(Prices(Arc::clone(shop)))
        .build()
}

#[tokio::main]
async fn main() -> larder::Result<()> {
    let url = std::env::args().nth(1).or_else(|| std::env::var("REDIS_URL").ok());
    run(&url.unwrap_or_else(|| "redis://127.0.0.1".to_owned())).await
}

pub(crate) async fn run(url: &str) -> larder::Result<()> {
    let shop = Arc::new(Shop::default());
    shop.price.store(700, Ordering::SeqCst);
    let (one, other) = (process(url, &shop).await?, process(url, &shop).await?);
    one.invalidate(&7).await?; // an earlier run of this example may have left its price

    // One loads; the other finds it in Redis, and from then on in its own memory. If it came before
    // the price was in Redis it would wait for it, because only one has the lease.
    assert_eq!(one.get(&7).await?, Some(700));
    let answer = other.ask(&7).await?;
    assert_eq!((answer.value, answer.tier), (Some(700), Tier::Shared));
    assert_eq!(other.ask(&7).await?.tier, Tier::Memory);
    assert_eq!(shop.loads.load(Ordering::SeqCst), 1);

    // One changes the price. The position goes to whoever must see that: in a header, or a cookie.
    shop.price.store(800, Ordering::SeqCst);
    let position = one.invalidate(&7).await?.position.expect("there is a bus");
    let header = position.to_string();

    // Without it the other sees the new price within two seconds, and almost always at once. With
    // it the answer is never from before.
    let position: Position = header.parse().expect("it was one");
    assert_eq!(other.read(&7).at(position).get().await?, Some(800));
    println!("read at {header} after {} loads", shop.loads.load(Ordering::SeqCst));
    Ok(())
}
