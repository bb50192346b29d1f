//! Cache-aside without the race: a miss gives a ticket, and only the ticket can fill.

use std::time::Duration;

use larder::{Cache, Fill, Lookup, Ticket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

/// A read in a program that asks its database itself.
async fn price(cache: &Cache<u64, u32>, database: &Database, id: u64) -> Option<u32> {
    match cache.lookup(&id).await {
        Lookup::Hit(answer) => answer.value,
        Lookup::Miss(ticket) => {
            let price = database.price(id); // after the lookup: the ticket holds the fence
            let _stored_or_refused = ticket.fill(price);
            price
        }
    }
}

pub(crate) async fn run() -> larder::Result<()> {
    let cache: Cache<u64, u32> =
        Cache::builder("price").max_staleness(Duration::from_secs(60)).build()?;
    let mut database = Database(1999);

    // 1. A reader misses and reads the old price.
    let ticket = missed(cache.lookup(&7).await);
    let old = database.price(7);
    // 2. A writer commits a new one, and invalidates.
    database.0 = 2499;
    cache.invalidate(&7).await?;
    // 3. The reader fills what it has read: refused, because its fence fell in step 2.
    assert_eq!(ticket.fill(old), Fill::Refused);

    assert_eq!(price(&cache, &database, 7).await, Some(2499)); // misses, reads, fills
    database.0 = 0;
    assert_eq!(price(&cache, &database, 7).await, Some(2499)); // a hit
    println!("{} fill was refused", cache.stats().fills_refused);
    Ok(())
}

fn missed(lookup: Lookup<u64, u32>) -> Ticket<u64, u32> {
    match lookup {
        Lookup::Miss(ticket) => ticket,
        Lookup::Hit(answer) => panic!("nothing was held, and yet: {answer:?}"),
    }
}

/// A database with one price.
struct Database(u32);

impl Database {
    fn price(&self, _id: u64) -> Option<u32> {
        Some(self.0)
    }
}
