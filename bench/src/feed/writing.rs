//! What `pgbench` writes.
//!
//! It knows the table and its scripts, and nothing of who follows.

use std::fs;
use std::time::Duration;

use larder_test::Postgres;
use tempfile::TempDir;

use super::lag::PROBED;

/// How many connections write at once.
pub(super) const CLIENTS: u64 = 8;
/// How many rows they write, each client its own part where it writes many at once.
pub(super) const ROWS: u64 = 20_000;
/// How many rows a large transaction changes.
const MANY: u64 = 100;

/// What a transaction changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    Many,
}

/// What was written.
pub(super) struct Load {
    /// How many rows were changed.
    pub(super) changes: f64,
    /// How long that took.
    pub(super) took: Duration,
}

impl Shape {
    pub(super) const ALL: [Self; 2] = [Self::One, Self::Many];

    /// How many rows that is.
    pub(super) const fn rows(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Many => MANY,
        }
    }

    /// Of large transactions each client has rows of its own: none waits for another.
    fn script(self) -> String {
        let each = ROWS / CLIENTS;
        match self {
            Self::One => format!(
                "\\set id random({}, {ROWS})\nUPDATE numbers SET n = n + 1 WHERE id = :id;\n",
                PROBED + 1
            ),
            Self::Many => format!(
                "\\set first :client_id * {each} + random(1, {})\nUPDATE numbers SET n = n + 1 \
                 WHERE id BETWEEN :first AND :first + {};\n",
                each - MANY + 1,
                MANY - 1
            ),
        }
    }

    /// Commits as fast as it goes.
    pub(super) fn write(self, postgres: &Postgres, lasts: Duration) -> Result<Load, String> {
        self.run(postgres, lasts, &[])
    }

    /// Commits so many transactions a second.
    pub(super) fn write_at(
        self,
        per_second: u64,
        postgres: &Postgres,
        lasts: Duration,
    ) -> Result<Load, String> {
        self.run(postgres, lasts, &["-R", &per_second.to_string()])
    }

    fn run(self, postgres: &Postgres, lasts: Duration, more: &[&str]) -> Result<Load, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let script = folder.path().join("script.sql");
        fs::write(&script, self.script()).map_err(|error| error.to_string())?;
        let script = script.display().to_string();
        let (clients, seconds) = (CLIENTS.to_string(), lasts.as_secs().max(1).to_string());
        let args = ["-n", "-M", "prepared", "-c", &clients, "-T", &seconds, "-f", &script];
        let said = postgres.try_pgbench(&[&args[..], more].concat())?;
        let done = |name| figure(&said, name).ok_or_else(|| format!("pgbench said: {said}"));
        let transactions = done("number of transactions actually processed: ")?;
        // Without the time to connect.
        let took = Duration::from_secs_f64(transactions / done("tps = ")?);
        Ok(Load { changes: transactions * self.rows() as f64, took })
    }
}

impl Load {
    pub(super) fn changes_per_second(&self) -> f64 {
        self.changes / self.took.as_secs_f64()
    }
}

/// The number behind a name in what pgbench says.
fn figure(said: &str, name: &str) -> Option<f64> {
    let rest = said.lines().find_map(|line| line.strip_prefix(name))?;
    let number = rest.split(|one: char| !one.is_ascii_digit() && one != '.').next()?;
    number.parse().ok().filter(|number| *number > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgbench_says_how_much_it_did_and_how_fast() {
        let said = "transaction type: a\nnumber of transactions actually processed: 1234\n\
                    latency average = 0.5 ms\ntps = 617.500000 (without initial connection time)\n";
        assert_eq!(figure(said, "number of transactions actually processed: "), Some(1234.0));
        assert_eq!(figure(said, "tps = "), Some(617.5));
        assert_eq!(figure(said, "latency stddev = "), None);
        assert_eq!(figure("tps = 0.0 (", "tps = "), None);
    }

    #[test]
    fn each_client_of_large_transactions_stays_within_its_rows() {
        let each = ROWS / CLIENTS;
        assert_eq!(each * CLIENTS, ROWS);
        assert!(Shape::Many.script().contains(&format!("* {each} + random(1, {})", each - 99)));
    }
}
