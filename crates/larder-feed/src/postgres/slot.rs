//! The slot: what the server keeps of its log for who follows it.
//!
//! A slot that is lost, or too far behind, is dropped and made again. A new one tells what is
//! committed from its start on; what was committed before but wasn't visible yet isn't among it.
//! So a gap is told only when everything that ran at that moment has ended.

use std::fmt;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use sqlx::Row as _;
use tokio::time::{sleep, timeout};

use super::control::{Control, internal, text};
use crate::pgoutput::Lsn;

/// So long a transaction that ran when the slot was made is waited for.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How a slot stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotStanding {
    /// Somebody follows it.
    pub is_followed: bool,
    /// The server has thrown away what it needed (`max_slot_wal_keep_size`), or made it invalid.
    pub is_lost: bool,
    /// What was acknowledged.
    pub acknowledged: Lsn,
    /// The server keeps so much of its log for it, in bytes.
    pub behind: u64,
    /// The process of the server that sends it to who follows.
    pub process: Option<i32>,
    /// Who follows says that he is called this.
    pub follower: Option<String>,
    /// How the server itself calls its state (`wal_status`): `reserved`, `extended`,
    /// `unreserved`, which is soon lost, or `lost`.
    pub wal_status: String,
    /// So many bytes may be written until it may be lost; `None` where nothing bounds it.
    pub until_lost: Option<u64>,
    /// The catalogue can't be cleaned up of what so many transactions have left since.
    pub transactions: u64,
}

impl fmt::Display for SlotStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.process, &self.follower) {
            (Some(process), Some(name)) => write!(f, "followed by {name} (process {process})")?,
            (Some(process), None) => write!(f, "followed (process {process})")?,
            (None, _) => f.write_str("not followed")?,
        }
        let Self { acknowledged, behind, wal_status, transactions, .. } = self;
        write!(
            f,
            ", acknowledged to {acknowledged}, {behind} bytes and {transactions} transactions \
             behind, {wal_status}"
        )?;
        match self.until_lost {
            Some(bytes) => write!(f, ", lost after {bytes} bytes more"),
            None => Ok(()),
        }
    }
}

/// How it stands; `None` where there is none.
pub(super) async fn standing(control: &Control, name: &str) -> Result<Option<SlotStanding>> {
    let rows = control
        .rows(
            "SELECT s.plugin, s.database = current_database(), s.active,
                        coalesce(s.wal_status, 'lost'),
                        coalesce(s.confirmed_flush_lsn, '0/0')::text,
                        coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::int8,
                        s.active_pid, r.application_name, s.safe_wal_size::int8,
                        coalesce(age(s.catalog_xmin), 0)::int8
                   FROM pg_replication_slots s
                   LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
                  WHERE s.slot_name = $1",
            &[name],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (plugin, is_ours): (Option<String>, Option<bool>) = (
        row.try_get(0).map_err(|error| internal(&error))?,
        row.try_get(1).map_err(|error| internal(&error))?,
    );
    if plugin.as_deref() != Some("pgoutput") || is_ours != Some(true) {
        return Err(super::config(format!(
            "the server has a slot {name} for something else: give the feed another name"
        )));
    }
    let count = |column: usize| -> Result<Option<u64>> {
        let count: Option<i64> = row.try_get(column).map_err(|error| internal(&error))?;
        Ok(count.map(|count| u64::try_from(count).unwrap_or(0)))
    };
    let wal_status = text(row, 3)?;
    Ok(Some(SlotStanding {
        is_followed: row.try_get(2).map_err(|error| internal(&error))?,
        is_lost: wal_status == "lost",
        acknowledged: text(row, 4)?.parse().map_err(|error| internal(&error))?,
        behind: count(5)?.unwrap_or(0),
        process: row.try_get(6).map_err(|error| internal(&error))?,
        follower: row.try_get(7).map_err(|error| internal(&error))?,
        wal_status,
        until_lost: count(8)?,
        transactions: count(9)?.unwrap_or(0),
    }))
}

/// Makes it. Returns where it begins.
pub(super) async fn create(control: &Control, name: &str) -> Result<Lsn> {
    let made = "SELECT lsn::text FROM pg_create_logical_replication_slot($1, 'pgoutput')";
    // The server itself waits for whoever writes at that moment.
    let rows = control.rows_within(ENDED_WITHIN, made, &[name]).await?;
    let row =
        rows.first().ok_or_else(|| Error::new(ErrorKind::Internal, "the slot has no start"))?;
    text(row, 0)?.parse().map_err(|error| internal(&error))
}

/// Waits until every transaction below this number has ended, and so whatever they committed is
/// visible: in front of every gap, as nobody knows whether who made the slot has waited.
pub(super) async fn ended(control: &Control, next: u64) -> Result<()> {
    let ended = async {
        while control.snapshot().await?.xmin < next {
            sleep(ASK_EVERY).await;
        }
        Ok(())
    };
    let ended = timeout(ENDED_WITHIN, ended).await;
    ended.unwrap_or_else(|_| {
        let message = "a transaction that began before the feed hasn't ended for 60 s: the feed \
                       can begin when it has";
        Err(Error::new(ErrorKind::Timeout, message))
    })
}

/// Drops it, whoever follows it.
pub(super) async fn remove(control: &Control, name: &str) -> Result<()> {
    // Who follows lets it go when its connection ends, which it may take a moment to notice.
    for _ in 0..100 {
        match standing(control, name).await? {
            None => return Ok(()),
            Some(standing) if standing.is_followed => {
                let end = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
                            WHERE slot_name = $1 AND active";
                control.rows(end, &[name]).await?;
                sleep(ASK_EVERY).await;
            }
            Some(_) => return drop_slot(control, name).await,
        }
    }
    Err(Error::new(ErrorKind::Refused, "somebody goes on following the feed: stop it first"))
}

async fn drop_slot(control: &Control, name: &str) -> Result<()> {
    let gone = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = $1 AND NOT active";
    control.rows(gone, &[name]).await.map(drop)
}
