//! From a driver's error to what it means for who wrote: one table for each database.
//!
//! What the table doesn't know is a refusal of this one write: the conditions of a server are all
//! listed, and what triggers and functions raise is whatever their authors chose. So a queue is
//! never held up by an error that nobody has thought of; the write becomes a dead letter instead.

use std::time::Duration;

use larder_core::sink::{WriteError, WriteFault};
use larder_core::{Error, ErrorKind};
#[cfg(feature = "mysql")]
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::error::{RETRY_AFTER, unreachable};
use crate::guard::TABLES;
use crate::pool::{Failure, Progress, Stage};

/// What an error says about a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The connection is gone.
    Lost,
    /// The database can't write now.
    Busy,
    /// It took too long, and the database stopped it.
    Slow,
    /// Another writer was in the way.
    Conflict,
    /// This write is refused, and always will be.
    Refused,
    /// Every write is refused: the statement is wrong, or the tables or rights are.
    Wrong,
    /// What was committed here may be lost, or not.
    Doubtful,
}

/// SQLSTATE codes or the beginnings of them; the first that fits counts. PostgreSQL, appendix A.
const POSTGRES: [(&str, Meaning); 32] = [
    ("08", Meaning::Lost),
    ("57P", Meaning::Lost),
    ("40001", Meaning::Conflict),
    ("40P01", Meaning::Conflict),
    ("40003", Meaning::Doubtful),
    // Any other rollback, and what is said within a transaction that has failed.
    ("40002", Meaning::Refused),
    ("40", Meaning::Busy),
    ("25006", Meaning::Busy),
    ("25", Meaning::Busy),
    // A lock or an object that is in use.
    ("55", Meaning::Busy),
    ("57014", Meaning::Slow),
    ("57", Meaning::Busy),
    // Disk, memory, connections.
    ("53", Meaning::Busy),
    ("58", Meaning::Busy),
    ("72", Meaning::Busy),
    ("F0", Meaning::Busy),
    ("HV", Meaning::Busy),
    ("XX", Meaning::Busy),
    // A value that the column can't hold, a constraint, a view's check.
    ("22", Meaning::Refused),
    ("23", Meaning::Refused),
    ("44", Meaning::Refused),
    // No such table, column, function; no right to it; a statement that is none.
    ("42", Meaning::Wrong),
    ("0A", Meaning::Wrong),
    ("26", Meaning::Wrong),
    ("28", Meaning::Wrong),
    ("3D", Meaning::Wrong),
    ("3F", Meaning::Wrong),
    ("2BP", Meaning::Wrong),
    ("0L", Meaning::Wrong),
    ("0P", Meaning::Wrong),
    ("34", Meaning::Wrong),
    ("", Meaning::Refused),
];

/// Result codes, extended ones first. SQLite, "Result and Error Codes".
const SQLITE: [(i32, Meaning); 20] = [
    // SQLITE_BUSY_SNAPSHOT: somebody wrote since this transaction read.
    (517, Meaning::Conflict),
    // SQLITE_ERROR is "no such column" while a statement is prepared, and a function's complaint
    // about its argument while it runs; see `meaning`.
    (1, Meaning::Refused),
    (2, Meaning::Busy),
    (3, Meaning::Wrong),
    (4, Meaning::Busy),
    (5, Meaning::Busy),
    (6, Meaning::Busy),
    (7, Meaning::Busy),
    (8, Meaning::Busy),
    (9, Meaning::Slow),
    (10, Meaning::Doubtful),
    (11, Meaning::Wrong),
    (13, Meaning::Busy),
    (14, Meaning::Lost),
    (15, Meaning::Busy),
    (17, Meaning::Busy),
    (21, Meaning::Wrong),
    (22, Meaning::Busy),
    (23, Meaning::Wrong),
    (26, Meaning::Wrong),
];

/// Error numbers. MySQL, "Error Message Reference"; MariaDB, "Error Codes".
#[cfg(feature = "mysql")]
const MYSQL: [(u16, Meaning); 75] = [
    // Shutting down, killed, and what happened to packets.
    (1053, Meaning::Lost),
    (1079, Meaning::Lost),
    (1927, Meaning::Lost),
    (1158, Meaning::Lost),
    (1159, Meaning::Lost),
    (1160, Meaning::Lost),
    (1161, Meaning::Lost),
    (2006, Meaning::Lost),
    (2013, Meaning::Lost),
    // A deadlock, a row that changed since it was read, a cluster's other node.
    (1020, Meaning::Conflict),
    (1213, Meaning::Conflict),
    (3101, Meaning::Conflict),
    // Errors of a commit itself.
    (1180, Meaning::Doubtful),
    // Disk, memory, threads, connections, locks, a cluster's node that is not ready.
    (1021, Meaning::Busy),
    (1026, Meaning::Busy),
    (1030, Meaning::Busy),
    (1036, Meaning::Busy),
    (1037, Meaning::Busy),
    (1038, Meaning::Busy),
    (1040, Meaning::Busy),
    (1041, Meaning::Busy),
    (1047, Meaning::Busy),
    (1099, Meaning::Busy),
    (1114, Meaning::Busy),
    (1129, Meaning::Busy),
    (1135, Meaning::Busy),
    (1194, Meaning::Busy),
    (1195, Meaning::Busy),
    (1203, Meaning::Busy),
    (1205, Meaning::Busy),
    (1206, Meaning::Busy),
    (1223, Meaning::Busy),
    (1226, Meaning::Busy),
    (1412, Meaning::Busy),
    (1461, Meaning::Busy),
    (1615, Meaning::Busy),
    (3032, Meaning::Busy),
    (3100, Meaning::Busy),
    (3572, Meaning::Busy),
    // It only reads for now, perhaps because it is a replica.
    (1290, Meaning::Busy),
    (1792, Meaning::Busy),
    (1836, Meaning::Busy),
    (1317, Meaning::Slow),
    (1969, Meaning::Slow),
    (3024, Meaning::Slow),
    // No such table, column, function; no right to it; a statement that is none.
    (1044, Meaning::Wrong),
    (1045, Meaning::Wrong),
    (1046, Meaning::Wrong),
    (1049, Meaning::Wrong),
    (1051, Meaning::Wrong),
    (1052, Meaning::Wrong),
    (1054, Meaning::Wrong),
    (1060, Meaning::Wrong),
    (1064, Meaning::Wrong),
    (1066, Meaning::Wrong),
    (1109, Meaning::Wrong),
    (1110, Meaning::Wrong),
    (1130, Meaning::Wrong),
    (1136, Meaning::Wrong),
    (1142, Meaning::Wrong),
    (1143, Meaning::Wrong),
    (1146, Meaning::Wrong),
    (1227, Meaning::Wrong),
    (1235, Meaning::Wrong),
    (1243, Meaning::Wrong),
    (1288, Meaning::Wrong),
    (1295, Meaning::Wrong),
    (1305, Meaning::Wrong),
    (1356, Meaning::Wrong),
    (1370, Meaning::Wrong),
    (1471, Meaning::Wrong),
    (1665, Meaning::Wrong),
    (1698, Meaning::Wrong),
    (1862, Meaning::Wrong),
    (3118, Meaning::Wrong),
];

fn meaning(error: &sqlx::Error, progress: &Progress) -> Meaning {
    let sqlx::Error::Database(answer) = error else { return Meaning::Lost };
    if let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>() {
        let fits = |&&(code, _): &&(&str, Meaning)| answer.code().starts_with(code);
        return POSTGRES.iter().find(fits).map_or(Meaning::Refused, |&(_, meaning)| meaning);
    }
    if answer.try_downcast_ref::<SqliteError>().is_some() {
        let code = answer.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
        if progress.is_unready() && code & 0xff == 1 {
            return Meaning::Wrong;
        }
        let fits = |&&(known, _): &&(i32, Meaning)| known == code || known == code & 0xff;
        return SQLITE.iter().find(fits).map_or(Meaning::Refused, |&(_, meaning)| meaning);
    }
    #[cfg(feature = "mysql")]
    if let Some(answer) = answer.try_downcast_ref::<MySqlDatabaseError>() {
        let fits = |&&(number, _): &&(u16, Meaning)| number == answer.number();
        return MYSQL.iter().find(fits).map_or(Meaning::Refused, |&(_, meaning)| meaning);
    }
    Meaning::Refused
}

/// The error of a write to `database`, called `verb`, that came as far as `progress` says.
pub(crate) fn writing(
    database: &str,
    verb: &str,
    progress: &Progress,
    failure: Failure,
) -> WriteError {
    match failure {
        Failure::Driver(error) => driver(database, verb, progress, error),
        Failure::Whole(error) | Failure::Cut(error) => own(error),
        Failure::Unreachable(error) => WriteError::new(WriteFault::Transient, error),
        Failure::Outdated => {
            let what = format!("the tables of the source {database} changed during the {verb}");
            WriteError::new(WriteFault::Transient, Error::new(ErrorKind::SourceDown, what))
        }
    }
}

/// What our own error means: what can't be written never can, all else may pass.
pub(crate) fn own(error: Error) -> WriteError {
    let fault = match error.kind() {
        ErrorKind::BadKey | ErrorKind::Refused | ErrorKind::Loader => WriteFault::Poison,
        ErrorKind::Conflict => WriteFault::Conflict,
        _ => WriteFault::Transient,
    };
    WriteError::new(fault, error)
}

fn driver(database: &str, verb: &str, progress: &Progress, error: sqlx::Error) -> WriteError {
    let sent = progress.stage() == Stage::Sent;
    match meaning(&error, progress) {
        Meaning::Lost | Meaning::Doubtful if sent => unknown(database, verb).caused(error),
        Meaning::Lost => WriteError::new(WriteFault::Transient, unreachable(database, error)),
        Meaning::Busy | Meaning::Doubtful => {
            let what = format!("the source {database} can't take the {verb} now");
            let error =
                Error::new(ErrorKind::SourceDown, what).retry_after(RETRY_AFTER).caused_by(error);
            WriteError::new(WriteFault::Transient, error)
        }
        Meaning::Slow => {
            let what = format!("the source {database} stopped the {verb} because it took too long");
            let error = Error::new(ErrorKind::Timeout, what).caused_by(error);
            WriteError::new(WriteFault::Transient, error)
        }
        Meaning::Conflict => {
            let what =
                format!("another writer of the source {database} was in the way of the {verb}");
            WriteError::new(
                WriteFault::Conflict,
                Error::new(ErrorKind::Conflict, what).caused_by(error),
            )
        }
        Meaning::Refused => {
            let what = format!("the source {database} refused the {verb}");
            WriteError::new(
                WriteFault::Poison,
                Error::new(ErrorKind::Refused, what).caused_by(error),
            )
        }
        Meaning::Wrong if TABLES.iter().any(|table| error.to_string().contains(table)) => {
            let what = format!(
                "the source {database} has no tables of larder, and without them nothing is \
                 written behind: install them, or grant the rights to them"
            );
            let error = Error::new(ErrorKind::Config, what).caused_by(error);
            WriteError::new(WriteFault::Transient, error)
        }
        Meaning::Wrong => {
            let what = format!(
                "the source {database} refuses every {verb}, because the statement doesn't fit \
                 its tables and rights: correct one or the other"
            );
            let error = Error::new(ErrorKind::Config, what).caused_by(error);
            WriteError::new(WriteFault::Transient, error)
        }
    }
}

/// The error of a write that took longer than `limit`.
pub(crate) fn timeout(
    database: &str,
    verb: &str,
    progress: &Progress,
    limit: Duration,
) -> WriteError {
    if progress.stage() == Stage::Sent {
        return unknown(database, verb);
    }
    let what = format!("the source {database} did not take the {verb} within {limit:?}");
    WriteError::new(WriteFault::Transient, Error::new(ErrorKind::Timeout, what))
}

fn unknown(database: &str, verb: &str) -> WriteError {
    let what =
        format!("the {verb} may be written or not: the answer of the source {database} was lost");
    WriteError::new(WriteFault::Unknown, Error::new(ErrorKind::SourceDown, what))
}

trait Caused {
    fn caused(self, cause: sqlx::Error) -> Self;
}

impl Caused for WriteError {
    fn caused(self, cause: sqlx::Error) -> Self {
        Self::new(self.fault, self.error.caused_by(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(progress: &Progress, failure: Failure) -> WriteFault {
        writing("shop", "store", progress, failure).fault
    }

    #[test]
    fn a_lost_connection_is_unknown_only_once_the_commit_was_sent() {
        let lost = || Failure::Driver(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        let progress = Progress::default();
        assert_eq!(fault(&progress, lost()), WriteFault::Transient);
        progress.begun();
        assert_eq!(fault(&progress, lost()), WriteFault::Transient);
        assert_eq!(timeout("shop", "store", &progress, RETRY_AFTER).fault, WriteFault::Transient);
        progress.sent();
        assert_eq!(fault(&progress, lost()), WriteFault::Unknown);
        assert_eq!(timeout("shop", "store", &progress, RETRY_AFTER).fault, WriteFault::Unknown);
    }

    #[test]
    fn what_can_not_be_sent_is_poison_whatever_was_sent_before() {
        for kind in [ErrorKind::BadKey, ErrorKind::Refused] {
            let progress = Progress::default();
            progress.sent();
            let failure = Failure::Whole(Error::new(kind, "odd"));
            assert_eq!(fault(&progress, failure), WriteFault::Poison);
        }
        let wrong = Failure::Whole(Error::new(ErrorKind::Config, "odd"));
        assert_eq!(fault(&Progress::default(), wrong), WriteFault::Transient);
    }
}
