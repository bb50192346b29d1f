//! larder's side: memory, and a Redis behind it.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Changes, LoadContext, LoadError, Source};
use larder_engine::{Cache, Engine, MessagePack, Sharing, SharingBounds};
use larder_redis::{RedisOptions, RedisTier};

use super::table::{Row, Table};
use super::{KEPT, MAX_STALENESS, Reads};

/// How many rows are filled in at a time.
const BATCH: u64 = 500;
/// How long the process that fills waits for Redis.
const PATIENCE: Duration = Duration::from_secs(10);
/// What memory may take: enough for all rows, so that only their number bounds it.
const BYTES_MAX: usize = 64 << 20;

pub(super) struct Larder(Cache<u64, Row>);

struct Rows(Arc<Table>);

impl Source<u64, Row> for Rows {
    async fn load(&self, id: &u64, _: &mut LoadContext) -> Result<Option<Row>, LoadError> {
        Ok(Some(self.0.load(*id).await))
    }

    async fn load_many(
        &self,
        ids: &[u64],
        _: &mut LoadContext,
    ) -> Result<Vec<Option<Row>>, LoadError> {
        Ok(ids.iter().map(|&id| Some(self.0.row(id))).collect())
    }

    fn batch_max(&self) -> usize {
        BATCH as usize
    }
}

impl Larder {
    pub(super) async fn new(url: &str, table: &Arc<Table>, held: usize) -> Result<Self, String> {
        Ok(Self(process(url, table, held, SharingBounds::default()).await?))
    }

    /// Another process fills every row into Redis, and ends.
    pub(super) async fn fill(url: &str, table: &Arc<Table>, rows: u64) -> Result<(), String> {
        // It is in no hurry, and every row must get there.
        let bounds =
            SharingBounds { read_within: PATIENCE, write_within: PATIENCE, ..Default::default() };
        let filler = process(url, table, BATCH as usize, bounds).await?;
        for ids in batches(rows) {
            let fills = filler.stats().shared_fills + ids.len() as u64;
            filler.get_many(&ids).await.map_err(|error| error.chain().to_string())?;
            // Nobody waits for fills, and too many at once would be refused.
            while filler.stats().shared_fills < fills {
                let stats = filler.stats();
                if stats.shared_errors + stats.shared_fills_refused > 0 {
                    return Err("Redis took not all rows".to_owned());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    /// Reads every row once, into memory.
    pub(super) async fn warm(&self, rows: u64) -> Result<(), String> {
        for ids in batches(rows) {
            self.0.get_many(&ids).await.map_err(|error| error.chain().to_string())?;
        }
        Ok(())
    }
}

/// What a process does when it starts.
async fn process(
    url: &str,
    table: &Arc<Table>,
    held: usize,
    bounds: SharingBounds,
) -> Result<Cache<u64, Row>, String> {
    let built = async {
        let tier = RedisTier::connect(RedisOptions::new(url))?;
        let bus = Arc::new(tier.bus());
        let engine = Engine::on_tokio()?;
        engine.share(Sharing::over(Arc::new(tier)).own_bus(bus).bounds(bounds)).await?;
        Cache::builder("row")
            .engine(&engine)
            .max_staleness(MAX_STALENESS)
            .fresh_for(KEPT)
            .changes(Changes::Announced)
            .shared(MessagePack)
            .entries_max(held)
            .bytes_max(BYTES_MAX)
            .weigher(|_, row| row.map_or(0, Row::heap_bytes))
            .source(Rows(Arc::clone(table)))
            .build()
    };
    built.await.map_err(|error| error.chain().to_string())
}

/// The numbers of all rows, some at a time.
fn batches(rows: u64) -> impl Iterator<Item = Vec<u64>> {
    let from = (0..rows).step_by(BATCH as usize);
    from.map(move |from| (from..rows.min(from + BATCH)).collect())
}

impl Reads for Larder {
    async fn read(&self, id: u64) -> Result<Row, String> {
        let row = self.0.get(&id).await.map_err(|error| error.chain().to_string())?;
        row.ok_or_else(|| format!("row {id} is said not to exist"))
    }

    async fn changed(&self, id: u64) -> Result<(), String> {
        let done = self.0.invalidate(&id).await;
        done.map(|_| ()).map_err(|error| error.chain().to_string())
    }

    fn hits(&self) -> u64 {
        self.0.stats().hits()
    }

    fn errors(&self) -> u64 {
        self.0.stats().shared_errors
    }
}
