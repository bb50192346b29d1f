//! Writes through the cache: committed, and then held, unless anything overlapped them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder::core::sink::{Sink, SinkAbilities, WriteError, WriteFault};
use larder::{Cache, Error, ErrorKind, LoadContext, LoadError, Source, Write, WriteMode, Written};

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

/// A table of stocks, which counts what it is asked.
#[derive(Clone, Default)]
struct Stocks(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    rows: HashMap<u64, i64>,
    reads: u32,
}

impl Stocks {
    fn with<T>(&self, ask: impl FnOnce(&mut Table) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source<u64, i64> for Stocks {
    async fn load(&self, product: &u64, _: &mut LoadContext) -> Result<Option<i64>, LoadError> {
        Ok(self.with(|table| {
            table.reads += 1;
            table.rows.get(product).copied()
        }))
    }
}

impl Sink<u64, i64> for Stocks {
    fn abilities(&self) -> SinkAbilities {
        let all = SinkAbilities { store: true, delete: true, add: true, ..Default::default() };
        SinkAbilities { replace: true, ..all }
    }

    /// One transaction: `INSERT … ON CONFLICT … RETURNING`, `DELETE`, `UPDATE … RETURNING`.
    async fn write(&self, product: &u64, write: &Write<i64>) -> Result<Written<i64>, WriteError> {
        Ok(self.with(|table| {
            let held = table.rows.get(product).copied();
            let now = match write {
                Write::Store(stock) => Some(*stock),
                Write::Delete => None,
                Write::Add(delta) => held.map(|stock| stock + delta),
            };
            match now {
                Some(stock) => table.rows.insert(*product, stock),
                None => table.rows.remove(product),
            };
            now.map_or(Written::Absent, Written::Value)
        }))
    }

    /// `UPDATE … WHERE id = … AND stock = …`, and no row is a conflict.
    async fn replace(
        &self,
        product: &u64,
        expected: Option<&i64>,
        write: &Write<i64>,
    ) -> Result<Written<i64>, WriteError> {
        if self.with(|table| table.rows.get(product) != expected) {
            let message = "somebody else changed it";
            let error = Error::new(ErrorKind::Conflict, message);
            return Err(WriteError::new(WriteFault::Conflict, error));
        }
        self.write(product, write).await
    }
}

/// Takes so many from the stock, if there are so many.
async fn take(cache: &Cache<u64, i64>, product: u64, count: i64) -> larder::Result<bool> {
    let mut enough = false;
    cache
        .update(&product, |stock| {
            enough = stock.is_some_and(|stock| stock >= count);
            enough.then(|| Write::Store(stock.unwrap_or_default() - count))
        })
        .await?;
    Ok(enough)
}

pub(crate) async fn run() -> larder::Result<()> {
    let stocks = Stocks::default();
    let cache = Cache::builder("stock")
        .max_staleness(Duration::from_secs(60))
        .source(stocks.clone())
        .sink(stocks.clone())
        .write(WriteMode::Through) // without it: WriteMode::Around
        .build()?;

    cache.put(&7, 10).await?; // never read: not held, the next read loads it
    assert_eq!(cache.get(&7).await?, Some(10));
    cache.increment(&7, -3).await?; // held: what the database returned takes its place
    assert_eq!(cache.get(&7).await?, Some(7));

    assert!(take(&cache, 7, 5).await?);
    assert!(!take(&cache, 7, 5).await?); // two are left
    assert_eq!(cache.delete(&7).await?.written, Written::Absent);
    assert_eq!(cache.get(&7).await?, None); // its absence is held, too

    let (stats, reads) = (cache.stats(), stocks.with(|table| table.reads));
    println!("{} writes, {} put into memory, {reads} reads", stats.writes.count(), stats.installed);
    Ok(())
}
