//! From a driver's error to what a caller can do: one table for each database.
//!
//! The driver's own error is always inside, so `downcast_ref::<sqlx::Error>()` finds it. Nothing
//! here ever holds a URL.

use std::error::Error as StdError;
use std::time::Duration;

use larder_core::{Error, ErrorKind};
use sqlx::error::DatabaseError;
#[cfg(feature = "mysql")]
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// When a database that is down is worth asking again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What an error says about the connection and about the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The connection is gone, and perhaps the database with it.
    Lost,
    /// The database is there and can't take the question now.
    Busy,
    /// It took too long, and the database stopped it.
    Slow,
    /// The value of a parameter is none that the statement can take.
    BadKey,
    /// What was prepared on this connection is of no more use; on another it may be.
    Unprepared,
    /// The statement no longer fits the tables.
    Outdated,
    /// The database lets nobody in who says what we say.
    Denied,
    /// Its own affair.
    Other,
}

/// SQLSTATE codes or the beginnings of them; the first that fits counts. PostgreSQL, appendix A.
const POSTGRES: [(&str, Meaning); 20] = [
    ("08", Meaning::Lost),
    ("57P", Meaning::Lost),
    ("57014", Meaning::Slow),
    ("53300", Meaning::Busy),
    ("53400", Meaning::Busy),
    // An enum label, a number, a date that does not read as one; a value out of range; and a
    // value that a domain's CHECK refuses.
    ("22P02", Meaning::BadKey),
    ("22003", Meaning::BadKey),
    ("22007", Meaning::BadKey),
    ("22008", Meaning::BadKey),
    ("23514", Meaning::BadKey),
    // "Cached plan must not change result type", and an unknown prepared statement.
    ("0A000", Meaning::Unprepared),
    ("26000", Meaning::Unprepared),
    // No such column, table, function, type; and another type.
    ("42703", Meaning::Outdated),
    ("42P01", Meaning::Outdated),
    ("42883", Meaning::Outdated),
    ("42704", Meaning::Outdated),
    ("42804", Meaning::Outdated),
    ("28", Meaning::Denied),
    ("3D000", Meaning::Denied),
    ("", Meaning::Other),
];

/// Primary result codes. SQLite, "Result and Error Codes".
const SQLITE: [(i32, Meaning); 6] = [
    // SQLITE_ERROR is also "no such column".
    (1, Meaning::Outdated),
    (5, Meaning::Busy),
    (6, Meaning::Busy),
    (9, Meaning::Slow),
    (14, Meaning::Lost),
    (26, Meaning::Denied),
];

/// Error numbers. MySQL, "Error Message Reference"; MariaDB, "Error Codes".
#[cfg(feature = "mysql")]
const MYSQL: [(u16, Meaning); 57] = [
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
    // Disk, memory, threads, connections, locks, a cluster's node that is not ready.
    (1021, Meaning::Busy),
    (1037, Meaning::Busy),
    (1038, Meaning::Busy),
    (1040, Meaning::Busy),
    (1041, Meaning::Busy),
    (1047, Meaning::Busy),
    (1114, Meaning::Busy),
    (1129, Meaning::Busy),
    (1135, Meaning::Busy),
    (1203, Meaning::Busy),
    (1205, Meaning::Busy),
    (1213, Meaning::Busy),
    (1226, Meaning::Busy),
    (1412, Meaning::Busy),
    (1461, Meaning::Busy),
    (3032, Meaning::Busy),
    (3572, Meaning::Busy),
    (1317, Meaning::Slow),
    (1969, Meaning::Slow),
    (3024, Meaning::Slow),
    // A value that does not read as a number, a date, a document; and one out of range.
    (1264, Meaning::BadKey),
    (1292, Meaning::BadKey),
    (1366, Meaning::BadKey),
    (1406, Meaning::BadKey),
    (1411, Meaning::BadKey),
    (1690, Meaning::BadKey),
    (3140, Meaning::BadKey),
    (3141, Meaning::BadKey),
    (4038, Meaning::BadKey),
    (1243, Meaning::Unprepared),
    (1615, Meaning::Unprepared),
    // No such column, table, function.
    (1051, Meaning::Outdated),
    (1054, Meaning::Outdated),
    (1060, Meaning::Outdated),
    (1109, Meaning::Outdated),
    (1146, Meaning::Outdated),
    (1222, Meaning::Outdated),
    (1305, Meaning::Outdated),
    (1356, Meaning::Outdated),
    (1044, Meaning::Denied),
    (1045, Meaning::Denied),
    (1049, Meaning::Denied),
    (1130, Meaning::Denied),
    (1251, Meaning::Denied),
    (1698, Meaning::Denied),
    (1862, Meaning::Denied),
    (3118, Meaning::Denied),
    (4151, Meaning::Denied),
];

fn meaning(error: &sqlx::Error) -> Meaning {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => Meaning::Lost,
        sqlx::Error::Database(answer) => {
            if let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>() {
                let fits = |&&(code, _): &&(&str, Meaning)| answer.code().starts_with(code);
                POSTGRES.iter().find(fits).map_or(Meaning::Other, |&(_, meaning)| meaning)
            } else if answer.try_downcast_ref::<SqliteError>().is_some() {
                let code = answer.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
                let fits = |&&(primary, _): &&(i32, Meaning)| primary == code & 0xff;
                SQLITE.iter().find(fits).map_or(Meaning::Other, |&(_, meaning)| meaning)
            } else {
                mysql(answer.as_ref())
            }
        }
        _ => Meaning::Other,
    }
}

#[cfg(feature = "mysql")]
fn mysql(answer: &dyn DatabaseError) -> Meaning {
    let number = answer.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    let fits = |&&(known, _): &&(u16, Meaning)| Some(known) == number;
    MYSQL.iter().find(fits).map_or(Meaning::Other, |&(_, meaning)| meaning)
}

#[cfg(not(feature = "mysql"))]
fn mysql(_: &dyn DatabaseError) -> Meaning {
    Meaning::Other
}

/// Whether the connection that gave `error` is of no more use.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    // A value that does not decode may leave the rest of the answer unread.
    matches!(meaning(error), Meaning::Lost | Meaning::Unprepared)
        || !matches!(error, sqlx::Error::Database(_))
}

/// Whether the same question may succeed once it has been prepared anew.
pub(crate) fn is_outdated(error: &sqlx::Error) -> bool {
    meaning(error) == Meaning::Outdated
}

/// Whether a statement is unknown on its connection, or has become another one, so that it was
/// not executed.
pub(crate) fn is_unprepared(error: &sqlx::Error) -> bool {
    meaning(error) == Meaning::Unprepared
}

/// Whether a statement for many keys met one row twice, which as many statements may be possible.
pub(crate) fn is_twice_one_row(error: &sqlx::Error) -> bool {
    const CARDINALITY_VIOLATION: &str = "21000";
    error.as_database_error().and_then(DatabaseError::code).as_deref()
        == Some(CARDINALITY_VIOLATION)
}

/// Whether a failure to connect is one that a new configuration cures and waiting does not.
fn is_denied(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) => true,
        sqlx::Error::Io(error) => {
            error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<NoFile>)
        }
        error => meaning(error) == Meaning::Denied,
    }
}

/// There is no database file. It lies inside an I/O error.
#[derive(Debug)]
pub(crate) struct NoFile(pub(crate) std::path::PathBuf);

impl std::fmt::Display for NoFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no file {}", self.0.display())
    }
}

impl std::error::Error for NoFile {}

/// The error of a load whose statement binds `bindings` parameters.
pub(crate) fn loading(database: &str, bindings: usize, error: sqlx::Error) -> Error {
    let meaning = match meaning(&error) {
        // Without a key in it, a statement can't fail because of the key.
        Meaning::BadKey if bindings == 0 => Meaning::Other,
        meaning => meaning,
    };
    match meaning {
        Meaning::Lost => unreachable(database, error),
        Meaning::Busy => Error::new(
            ErrorKind::SourceDown,
            format!("the source {database} can't take the load now"),
        )
        .retry_after(RETRY_AFTER)
        .caused_by(error),
        Meaning::Slow => Error::new(
            ErrorKind::Timeout,
            format!("the source {database} stopped the load because it took too long"),
        )
        .caused_by(error),
        Meaning::BadKey => Error::new(
            ErrorKind::BadKey,
            format!("the source {database} can't take what the key holds"),
        )
        .caused_by(error),
        Meaning::Unprepared | Meaning::Outdated | Meaning::Denied | Meaning::Other => {
            Error::new(ErrorKind::Loader, format!("the source {database} refused the load"))
                .caused_by(error)
        }
    }
}

/// The error of a database that does not accept a connection or has lost it.
pub(crate) fn unreachable(database: &str, error: sqlx::Error) -> Error {
    Error::new(ErrorKind::SourceDown, format!("the source {database} can't be reached"))
        .retry_after(RETRY_AFTER)
        .caused_by(error)
}

/// The error of a load that had `limit`.
pub(crate) fn timeout(database: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("the source {database} did not answer within {limit:?}"))
}

/// The error of a statement that the live database was asked about.
pub(crate) fn preparing(database: &str, error: sqlx::Error) -> Error {
    match meaning(&error) {
        // What passes by itself is no fault of the configuration.
        Meaning::Lost | Meaning::Busy | Meaning::Slow => loading(database, 0, error),
        _ => {
            Error::new(ErrorKind::Config, format!("the source {database} does not accept the load"))
                .caused_by(error)
        }
    }
}

/// What [`unreachable`] becomes where a wrong configuration should be told from a database that
/// is down.
pub(crate) fn opening(database: &str, error: Error) -> Error {
    if !error.downcast_ref::<sqlx::Error>().is_some_and(is_denied) {
        return error;
    }
    Error::new(ErrorKind::Config, format!("the source {database} can't be opened as it is named"))
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_a_source_down_with_the_driver_error_inside() {
        let io = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(is_lost(&io()));
        let error = loading("shop", 1, io());
        assert_eq!(error.kind(), ErrorKind::SourceDown);
        assert_eq!(error.retry_delay(), Some(RETRY_AFTER));
        assert!(matches!(error.downcast_ref(), Some(sqlx::Error::Io(_))));
    }

    #[test]
    fn an_answer_that_makes_no_sense_costs_the_connection_and_is_the_loads_own() {
        let error = sqlx::Error::Decode("odd".into());
        assert!(is_lost(&error));
        assert_eq!(loading("shop", 1, error).kind(), ErrorKind::Loader);
    }
}
