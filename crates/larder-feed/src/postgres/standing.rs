//! How a feed stands in its database, for who runs it: the tables, the slot, and how much of the
//! disk it may take.
//!
//! It asks, and says what to do; what is done about it is the operator's business.

use std::fmt;

use larder_core::change::Table;
use larder_core::{Error, ErrorKind, Result};
use sqlx::Row as _;

use super::control::{Control, internal};
use super::{SlotStanding, TableStanding, config};

const MIB: u64 = 1 << 20;

/// How a feed stands. Its text says all of it, with what should be done, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresStanding {
    /// What the publication and the slot are called.
    pub name: String,
    /// The tables that are to be followed.
    pub tables: Vec<TableStanding>,
    /// Those whose changes aren't told, with the reason.
    pub untold: Vec<(Table, String)>,
    /// The slot; `None` where nobody has followed yet.
    pub slot: Option<SlotStanding>,
    /// The server keeps at most so many bytes of its log for a slot (`max_slot_wal_keep_size`);
    /// `None` where nothing bounds it.
    pub budget: Option<u64>,
}

impl PostgresStanding {
    /// What should be done, each with the SQL that does it. Nothing, where all is well.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let problems = self.tables.iter().flat_map(|table| &table.problems);
        let mut warnings: Vec<String> = problems.map(ToString::to_string).collect();
        let name = &self.name;
        let untold = self.untold.iter();
        warnings.extend(untold.map(|(_, why)| format!("the publication {name} {why}: install")));
        if self.budget.is_none() {
            warnings.push(format!(
                "while nobody follows, the server keeps its log until the disk is full: {}",
                bound(1 << 30)
            ));
        }
        warnings
    }
}

impl fmt::Display for PostgresStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            let identity = match table.identity.is_empty() {
                true => "nothing".to_owned(),
                false => table.identity.join(", "),
            };
            writeln!(f, "{}: {identity} is known of old rows", table.table)?;
        }
        match &self.slot {
            None => writeln!(f, "slot {}: none, nobody has followed it yet", self.name)?,
            Some(slot) => writeln!(f, "slot {}: {slot}", self.name)?,
        }
        match self.budget {
            None => f.write_str("log kept for a slot: without a bound")?,
            Some(bytes) => write!(f, "log kept for a slot: at most {} MiB", bytes / MIB)?,
        }
        self.warnings().iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

/// How much of its log the server keeps for a slot, in bytes.
pub(super) async fn budget(control: &Control) -> Result<Option<u64>> {
    let asked = "SELECT setting::int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'";
    let rows = control.rows(asked, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mib: i64 = row.try_get(0).map_err(|error| internal(&error))?;
    Ok(u64::try_from(mib).ok().map(|mib| mib * MIB))
}

/// Makes the server keep no more than this, unless it keeps less already.
///
/// # Errors
///
/// `Config` with the SQL, when the user may not.
pub(super) async fn keep_within(control: &Control, bytes: u64) -> Result<()> {
    if budget(control).await?.is_some_and(|budget| budget <= bytes) {
        return Ok(());
    }
    let set = control.rows(&alter(bytes), &[]).await.map(drop);
    match set {
        Err(error) if error.kind() == ErrorKind::Config => {
            return Err(config(format!(
                "the feed is installed, but this user may not bound the log that is kept for it: \
                 {}",
                bound(bytes)
            )));
        }
        set => set?,
    }
    control.rows("SELECT pg_reload_conf()", &[]).await?;
    for _ in 0..100 {
        if budget(control).await?.is_some_and(|budget| budget <= bytes) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let message = "the server doesn't take over max_slot_wal_keep_size: something else sets it, \
                   such as its command line";
    Err(Error::new(ErrorKind::Config, message))
}

fn alter(bytes: u64) -> String {
    format!("ALTER SYSTEM SET max_slot_wal_keep_size = '{}MB'", (bytes / MIB).max(1))
}

fn bound(bytes: u64) -> String {
    format!("{}; SELECT pg_reload_conf()", alter(bytes))
}
