//! A program that writes by itself: a pool, prepared statements, a commit for each write.

use std::sync::Arc;

use super::database::{Database, Pool};
use super::run::Writer;
use super::workload::{Kind, One, Workload, body};

pub(super) struct Direct {
    pool: Pool,
    kind: Kind,
    sql: Arc<str>,
}

impl Direct {
    pub(super) async fn new(database: &Database, workload: &Workload) -> Result<Self, String> {
        // The statement that larder is given, as the driver takes it.
        let sql = database.statements(workload.kind).write;
        let sql = ["{id}", "{delta}", "{body}"]
            .into_iter()
            .zip(["$1", "$2", "$2"])
            .fold(sql.to_owned(), |sql, (ours, theirs)| sql.replace(ours, theirs));
        let pool = database.pool().clone();
        pool.open().await?;
        Ok(Self { pool, kind: workload.kind, sql: sql.into() })
    }
}

impl Writer for Direct {
    async fn write(&self, one: One) -> Result<(), String> {
        let rows = match self.kind {
            Kind::Counters => self.pool.write(&self.sql, one.id, one.number).await?,
            Kind::Rows => self.pool.write(&self.sql, one.id, body(one.number)).await?,
        };
        if rows == 1 { Ok(()) } else { Err(format!("{rows} rows were written at {}", one.id)) }
    }

    async fn applied(&self) -> Result<(), String> {
        Ok(())
    }
}
