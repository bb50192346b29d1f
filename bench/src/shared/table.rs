//! The rows that both sides read: a table in memory that takes as long as a database in the same
//! network, and counts its loads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a load takes.
pub(super) const LOAD_TAKES: Duration = Duration::from_millis(1);

/// A row, about 200 bytes as MessagePack with the names of its fields.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) id: u64,
    /// How often it was changed.
    pub(super) version: u32,
    name: String,
    about: String,
}

impl Row {
    /// What it holds on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.name.len() + self.about.len()
    }
}

/// All rows.
#[derive(Debug)]
pub(super) struct Table {
    versions: Box<[AtomicU32]>,
    loads: AtomicU64,
}

impl Table {
    pub(super) fn new(rows: u64) -> Self {
        let versions = (0..rows).map(|_| AtomicU32::new(0)).collect();
        Self { versions, loads: AtomicU64::new(0) }
    }

    /// The row as it is now, at once.
    pub(super) fn row(&self, id: u64) -> Row {
        Row {
            id,
            version: self.versions[id as usize].load(Ordering::SeqCst),
            name: format!("the row of number {id}"),
            about: "a text as long as it takes to make the row as long as most rows are. "
                .repeat(2),
        }
    }

    /// Asks for the row, as one asks a database.
    pub(super) async fn load(&self, id: u64) -> Row {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let row = self.row(id);
        tokio::time::sleep(LOAD_TAKES).await;
        row
    }

    pub(super) fn change(&self, id: u64) {
        self.versions[id as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// How many rows were asked for one by one.
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }
}
