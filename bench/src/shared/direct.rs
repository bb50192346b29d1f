//! The other side: cache-aside by hand, with the `redis` crate and one connection that all tasks
//! share, as its users have it.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult, cmd, pipe};

use super::table::{Row, Table};
use super::{KEPT, Reads};

/// How many rows are filled in at a time.
const BATCH: u64 = 500;

pub(super) struct Direct {
    redis: MultiplexedConnection,
    table: Arc<Table>,
}

fn key(id: u64) -> String {
    format!("row:{id}")
}

fn bytes(row: &Row) -> Result<Vec<u8>, String> {
    rmp_serde::to_vec_named(row).map_err(|error| error.to_string())
}

impl Direct {
    pub(super) async fn new(url: &str, table: &Arc<Table>) -> Result<Self, String> {
        let opened: RedisResult<_> =
            async { Client::open(url)?.get_multiplexed_async_connection().await }.await;
        let redis = opened.map_err(|error| error.to_string())?;
        Ok(Self { redis, table: Arc::clone(table) })
    }

    /// Sets every row.
    pub(super) async fn fill(&self, rows: u64) -> Result<(), String> {
        for from in (0..rows).step_by(BATCH as usize) {
            let mut questions = pipe();
            for id in from..rows.min(from + BATCH) {
                let bytes = bytes(&self.table.row(id))?;
                let set = questions.cmd("SET").arg(key(id)).arg(bytes);
                set.arg("EX").arg(KEPT.as_secs()).ignore();
            }
            let done: RedisResult<()> = questions.query_async(&mut self.redis.clone()).await;
            done.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Reads for Direct {
    async fn read(&self, id: u64) -> Result<Row, String> {
        let mut redis = self.redis.clone();
        let key = key(id);
        let held: RedisResult<Option<Vec<u8>>> = cmd("GET").arg(&key).query_async(&mut redis).await;
        if let Some(held) = held.map_err(|error| error.to_string())? {
            return rmp_serde::from_slice(&held).map_err(|error| error.to_string());
        }
        let row = self.table.load(id).await;
        let mut set = cmd("SET");
        set.arg(&key).arg(bytes(&row)?).arg("EX").arg(KEPT.as_secs());
        let done: RedisResult<()> = set.query_async(&mut redis).await;
        done.map_err(|error| error.to_string())?;
        Ok(row)
    }

    async fn changed(&self, id: u64) -> Result<(), String> {
        let done: RedisResult<()> =
            cmd("DEL").arg(key(id)).query_async(&mut self.redis.clone()).await;
        done.map_err(|error| error.to_string())
    }

    fn hits(&self) -> u64 {
        0
    }

    /// A read that fails ends the run.
    fn errors(&self) -> u64 {
        0
    }
}
