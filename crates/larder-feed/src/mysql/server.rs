//! The server: whether its log can be followed, where it ends, and how far readers see it.

use std::collections::HashMap;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use mysql_async::Params;
use tokio::time::{sleep, timeout};

use super::config;
use super::control::{Control, internal, needed, number, text};
use super::place::{Place, file_number, mixed};
use crate::binlog::Server;

/// So long a transaction is waited for that was in the log before it could be read.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What is asked of a server.
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN (
    'version', 'server_id', 'server_uuid', 'log_bin', 'binlog_format', 'binlog_row_image',
    'binlog_row_metadata', 'gtid_mode', 'read_only', 'log_slave_updates', 'log_replica_updates',
    'wsrep_on', 'sync_binlog', 'innodb_flush_log_at_trx_commit')";

/// Its settings.
pub(super) struct Facts(HashMap<String, String>);

/// Where the log ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// Which server it is, mixed.
    pub(super) server: u32,
    pub(super) place: Place,
    /// What of the databases isn't in it.
    filters: String,
}

impl Facts {
    pub(super) async fn ask(control: &Control) -> Result<Self> {
        let rows = control.rows(VARIABLES).await?;
        rows.iter()
            .map(|row| Ok((needed(row, 0)?, needed(row, 1)?)))
            .collect::<Result<_>>()
            .map(Self)
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.get("version").contains("MariaDB")
    }

    /// Whether old rows are told as a whole.
    pub(super) fn tells_whole_rows(&self) -> bool {
        self.get("binlog_row_image").starts_with("FULL")
    }

    /// Whether nothing that was read can be lost by a crash.
    pub(super) fn is_durable(&self) -> bool {
        self.get("sync_binlog") == "1" && self.get("innodb_flush_log_at_trx_commit") == "1"
    }

    /// Whether its log tells of every change, as rows.
    pub(super) fn check(&self) -> Result<()> {
        let is_on = |name| matches!(self.get(name), "ON" | "1");
        let wrong = if !is_on("log_bin") {
            "the server writes no binary log: put log_bin under [mysqld], and restart it"
        } else if self.get("binlog_format") != "ROW" {
            "the server's log may have statements instead of rows: SET GLOBAL binlog_format = ROW, \
             and put it under [mysqld]"
        } else if self.get("binlog_row_metadata") != "FULL" {
            "the server's log doesn't have the names of columns: SET GLOBAL binlog_row_metadata = \
             FULL, and put it under [mysqld] (MySQL 8.0.1, MariaDB 10.5, and later)"
        } else if !matches!(self.get("read_only"), "OFF" | "0" | "") {
            "this server takes no writes: follow the primary, where commits are visible first"
        } else if is_on("wsrep_on") {
            "a node of Galera can't be followed: what others commit is visible there first"
        } else if !self.is_mariadb() && self.get("gtid_mode") != "ON" {
            "only with gtid_mode = ON does MySQL say which commits can be read: set it, and \
             enforce_gtid_consistency"
        } else {
            return Ok(());
        };
        Err(config(wrong))
    }

    /// What this server has of others, and doesn't write into its own log.
    pub(super) async fn check_replication(&self, control: &Control) -> Result<()> {
        let is_on = |name| matches!(self.get(name), "ON" | "1");
        if is_on("log_slave_updates") || is_on("log_replica_updates") {
            return Ok(());
        }
        let sql = if self.is_mariadb() { "SHOW ALL SLAVES STATUS" } else { "SHOW REPLICA STATUS" };
        // Who mayn't ask is believed to follow a primary.
        match control.rows(sql).await {
            Ok(rows) if !rows.is_empty() => Err(config(
                "this server replicates another one, whose changes aren't in its log: follow that \
                 one, or put log_slave_updates under [mysqld]",
            )),
            Err(error) if error.kind() != ErrorKind::Config => Err(error),
            _ => Ok(()),
        }
    }
}

impl End {
    /// Asks for it.
    pub(super) async fn ask(control: &Control) -> Result<Self> {
        const IDENTITY: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN
            ('server_id', 'server_uuid')";
        let rows = match control.each(&[IDENTITY, "SHOW MASTER STATUS"], Params::Empty).await {
            // From MySQL 8.4 on there is none of that name.
            Err(error) if error.kind() == ErrorKind::Config => {
                let rows = control.each(&[IDENTITY, "SHOW BINARY LOG STATUS"], Params::Empty).await;
                rows.map_err(|_| error)?
            }
            rows => rows?,
        };
        let Some((status, identity)) = rows.split_last().filter(|(status, _)| status.len() > 2)
        else {
            return Err(config("the server writes no binary log"));
        };
        let identity = identity.iter().filter_map(|row| text(row, 1));
        let server = mixed(identity.flat_map(|text| {
            let parts = text.as_bytes().chunks(8);
            parts
                .map(|part| part.iter().fold(0, |all, &byte| all << 8 | u64::from(byte)))
                .collect::<Vec<_>>()
        }));
        let filters = [text(status, 2), text(status, 3)].into_iter().flatten().collect();
        Ok(Self { server, place: place(&needed(status, 0)?, number(status, 1)?)?, filters })
    }

    /// Whether all databases are in it.
    pub(super) fn check(&self) -> Result<()> {
        if self.filters.is_empty() {
            return Ok(());
        }
        Err(config(
            "the server leaves databases out of its log: take binlog_do_db and binlog_ignore_db \
             away",
        ))
    }
}

fn place(file: &str, offset: u64) -> Result<Place> {
    let file = file_number(file.as_bytes()).ok_or_else(|| internal("a file has no number"))?;
    Ok(Place { file, offset })
}

/// How far readers see it, and what time it is there, in seconds since the year 1970.
pub(super) struct Seen {
    pub(super) place: Place,
    pub(super) seconds: u64,
}

/// What a reader of MariaDB who begins now would see: everything in front of this place.
pub(super) async fn seen(control: &Control) -> Result<Seen> {
    let rows = control
        .each(
            &[
                "START TRANSACTION WITH CONSISTENT SNAPSHOT",
                "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'",
                "SELECT 'now', UNIX_TIMESTAMP()",
                "COMMIT",
            ],
            Params::Empty,
        )
        .await?;
    let value = |name: &str| {
        let named = |row: &&mysql_async::Row| {
            text(row, 0).is_some_and(|found| found.eq_ignore_ascii_case(name))
        };
        rows.iter().find(named).and_then(|row| text(row, 1)).ok_or_else(|| internal("no snapshot"))
    };
    let parsed = |text: String| text.parse::<u64>().map_err(internal);
    let offset = parsed(value("binlog_snapshot_position")?)?;
    let place = place(&value("binlog_snapshot_file")?, offset)?;
    Ok(Seen { place, seconds: parsed(value("now")?)? })
}

/// How many of these transactions of MySQL a reader who begins now would see, from the first on,
/// and what time it is there.
pub(super) async fn executed(control: &Control, sets: &[&str]) -> Result<(usize, u64)> {
    // They are numbers and letters of our own making.
    let asked = sets.iter().map(|set| format!(", GTID_SUBSET('{set}', @@GLOBAL.gtid_executed)"));
    let asked: String = asked.collect();
    let row = control.row(&format!("SELECT UNIX_TIMESTAMP(){asked}")).await?;
    let is_seen = |at: &usize| text(&row, at + 1).as_deref() == Some("1");
    Ok(((0..sets.len()).take_while(is_seen).count(), number(&row, 0)?))
}

/// A place in front of which readers see everything.
pub(super) async fn begin(control: &Control, is_mariadb: bool) -> Result<Place> {
    if is_mariadb {
        return Ok(seen(control).await?.place);
    }
    let end = End::ask(control).await?.place;
    // What is in the log and can't be read yet is owned by who commits it.
    let owned = async || -> Result<Vec<String>> {
        let row = control.row("SELECT @@GLOBAL.gtid_owned").await?;
        let text = text(&row, 0).unwrap_or_default();
        Ok(text
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect())
    };
    let mut running = owned().await?;
    let ended = async {
        while !running.is_empty() {
            sleep(ASK_EVERY).await;
            let now = owned().await?;
            running.retain(|one| now.contains(one));
        }
        Ok(end)
    };
    match timeout(ENDED_WITHIN, ended).await {
        Ok(ended) => ended,
        Err(_) => {
            let message = "a transaction has been about to be committed for a minute: end it";
            Err(Error::new(ErrorKind::Timeout, message))
        }
    }
}

/// The files of the log that the server has, with their sizes.
pub(super) async fn files(control: &Control) -> Result<Vec<(String, Place)>> {
    let rows = control.rows("SHOW BINARY LOGS").await?;
    let file = |row: &mysql_async::Row| {
        let name = needed(row, 0)?;
        let place = place(&name, number(row, 1)?)?;
        Ok((name, place))
    };
    rows.iter().map(file).collect()
}

/// What its collations are of.
pub(super) async fn dialect(control: &Control, is_mariadb: bool) -> Result<Server> {
    // Those of Unicode 14 have no number among MariaDB's collations, only here.
    let applicable = match is_mariadb {
        true => control
            .rows(
                "SELECT id, character_set_name
                   FROM information_schema.collation_character_set_applicability",
            )
            .await
            .unwrap_or_default(),
        false => Vec::new(),
    };
    let known = "SELECT id, character_set_name FROM information_schema.collations
                  WHERE id IS NOT NULL AND character_set_name IS NOT NULL";
    let rows = control.rows(known).await?;
    let pairs: Vec<(u64, String)> = rows
        .iter()
        .chain(&applicable)
        .filter_map(|row| Some((text(row, 0)?.parse().ok()?, text(row, 1)?)))
        .collect();
    Ok(Server::new(is_mariadb, pairs.iter().map(|(number, name)| (*number, name.as_str()))))
}
