//! How many queries run in Postgres at the same time, counted by Postgres itself.
//!
//! A query that calls the function `concurrency(gate, ms)` holds a place at that gate until its
//! transaction ends, counts who else holds one, and takes `ms` milliseconds. Places are advisory
//! locks, so one whose client has gone is given back; and the most that was ever counted stands in
//! the log of the server, where no end of a connection or of a transaction can undo it.
//!
//! It knows Postgres, and no cache: who is bounded by a gate is the test's business.

use crate::Postgres;

/// The function. Each connection says a number once, so the log grows by no more than a line for
/// each connection and each number.
const FUNCTION: &str = "
CREATE FUNCTION concurrency(gate int, ms int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    said text := 'concurrency.said_' || gate;
    running int;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1129270851, gate);
    SELECT count(*) INTO running FROM pg_locks
        WHERE locktype = 'advisory' AND classid = 1129270851 AND objid = gate::oid AND granted;
    IF running > coalesce(nullif(current_setting(said, true), ''), '0')::int THEN
        PERFORM set_config(said, running::text, false);
        RAISE LOG 'concurrency % at gate %;', running, gate;
    END IF;
    PERFORM pg_sleep(ms / 1000.0);
    RETURN running;
END $$;
";

/// Makes the function.
///
/// # Panics
///
/// When Postgres can't be asked, or has such a function.
pub fn create(postgres: &Postgres) {
    postgres.psql(FUNCTION);
}

/// The most queries that were counted at a gate so far; 0 if there was none.
///
/// ```
/// use larder_test::{Postgres, concurrency};
///
/// let postgres = Postgres::start();
/// concurrency::create(&postgres);
/// assert_eq!(postgres.psql("SELECT 'row' FROM concurrency(7, 10)"), "row");
/// assert_eq!((concurrency::most(&postgres, 7), concurrency::most(&postgres, 8)), (1, 0));
/// ```
#[must_use]
pub fn most(postgres: &Postgres, gate: u32) -> u64 {
    let gate = format!(" at gate {gate};");
    let counted = |line: &str| {
        let (_, said) = line.split_once("LOG:  concurrency ")?;
        said.strip_suffix(&gate)?.parse().ok()
    };
    postgres.log().lines().filter_map(counted).max().unwrap_or(0)
}
