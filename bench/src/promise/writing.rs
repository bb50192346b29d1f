//! The bank: accounts that `pgbench` changes, and which version each of them had when.
//!
//! It knows Postgres, and nothing of who reads.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_test::Postgres;
use larder_test::checker::{Write, now};
use tempfile::TempDir;

use super::snapshot::Looks;

/// How many of the accounts are read.
pub(super) const KEYS: u64 = 2_000;
/// How many changes of these there are in a second; a third of that are pgbench's own.
pub(super) const CHANGES_PER_SECOND: u64 = 100;
/// How long one pgbench runs before the next, in seconds.
const SLICE: &str = "2";
/// How long one rests to whom the server is away.
const AWAY_REST: Duration = Duration::from_millis(50);
/// By how much the clocks may move apart in a run: more, and somebody has set one.
const APART_MAX: Duration = Duration::from_millis(10);

/// Numbers the versions, and notes who made them; what was rolled back isn't there.
const TABLES: &str = "
ALTER TABLE pgbench_accounts ADD version bigint NOT NULL DEFAULT 0;
CREATE TABLE account_versions (aid bigint, version bigint, made_by xid8);
CREATE FUNCTION raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    INSERT INTO account_versions VALUES (NEW.aid, NEW.version, pg_current_xact_id());
    RETURN NEW;
END $$;
CREATE TRIGGER raise_version BEFORE UPDATE ON pgbench_accounts
    FOR EACH ROW EXECUTE FUNCTION raise_version();
";

pub(super) struct Bank {
    pub(super) postgres: Postgres,
}

/// When a version counts as seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// When it was committed, by the database's own clock: nobody can have seen it before.
    AsSoonAsCommitted,
    /// When somebody had surely seen it.
    BySomebody,
}

/// One version of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    account: u64,
    version: u64,
    /// When its commit began to be done.
    committed: Duration,
    /// When somebody had seen it.
    seen: Duration,
}

/// All versions.
pub(super) struct Changes {
    all: Vec<Change>,
    /// How often pgbench had to begin again because the server was away.
    aborted: u64,
    looks: (usize, Duration, Duration),
    /// By how much the two clocks moved apart.
    apart: Duration,
}

impl Bank {
    pub(super) fn open() -> Self {
        let settings = [("wal_level", "logical"), ("track_commit_timestamp", "on")];
        let postgres = Postgres::start_with(&settings);
        postgres.pgbench(&["-i", "-q", "-s", "1"]);
        postgres.psql(TABLES);
        Self { postgres }
    }

    /// Runs pgbench while `meanwhile` runs, and returns what it changed.
    pub(super) fn changed_while<T>(
        &self,
        meanwhile: impl FnOnce() -> T,
    ) -> Result<(T, Changes), String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let script = folder.path().join("changes.sql");
        let update = format!(
            "\\set aid random(1, {KEYS})\n\\set delta random(-5000, 5000)\n\
             UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n"
        );
        fs::write(&script, update).map_err(|error| error.to_string())?;
        let (over, aborted) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = wall_ahead();
        let (result, looks) = thread::scope(|scope| {
            let end = End(&over);
            let looks = scope.spawn(|| Looks::until(&over, &self.postgres.url()));
            let script = format!("{}@3", script.display());
            let changes = scope.spawn({
                let (over, aborted) = (&over, &aborted);
                move || {
                    while !over.load(Ordering::Relaxed) {
                        if self.change(&script).is_err() {
                            aborted.fetch_add(1, Ordering::Relaxed);
                            sleep(AWAY_REST);
                        }
                    }
                }
            });
            let result = meanwhile();
            drop(end);
            changes.join().expect("who writes doesn't panic");
            (result, looks.join().expect("who looks doesn't panic"))
        });
        // What pgbench committed at its end may have come after the last look, and was read by
        // nobody.
        let changes = self.changes(&looks, before, aborted.into_inner())?;
        Ok((result, changes))
    }

    /// Of four changes three are of accounts that are read, and one is what pgbench has built in.
    fn change(&self, script: &str) -> Result<String, String> {
        let rate = (CHANGES_PER_SECOND * 4 / 3).to_string();
        self.postgres.try_pgbench(&[
            "-n",
            "-M",
            "prepared",
            "-c",
            "4",
            "-T",
            SLICE,
            "-R",
            &rate,
            "-f",
            script,
            "-b",
            "tpcb-like@1",
        ])
    }

    fn changes(&self, looks: &Looks, before: i128, aborted: u64) -> Result<Changes, String> {
        let after = wall_ahead();
        let apart = Duration::from_nanos(u64::try_from((after - before).abs()).unwrap_or(u64::MAX));
        if apart > APART_MAX {
            return Err(format!("the machine's clock was set meanwhile, by {apart:?}"));
        }
        let rows = self.postgres.psql(&format!(
            "SELECT aid, version, made_by,
                    (extract(epoch FROM pg_xact_commit_timestamp(made_by::xid)) * 1e6)::bigint
               FROM account_versions WHERE aid <= {KEYS}"
        ));
        let all = rows.lines().filter_map(|row| Change::parse(row, looks, before.max(after)));
        Ok(Changes { all: all.collect(), aborted, looks: looks.intervals(), apart })
    }
}

impl Change {
    /// `ahead` is by how many nanoseconds the clock that commits go by is ahead of ours. `None`
    /// where nobody has seen it, who looked until after the last read.
    fn parse(row: &str, looks: &Looks, ahead: i128) -> Option<Self> {
        let numbers: Vec<u64> = row.split('|').filter_map(|one| one.parse().ok()).collect();
        let [account, version, made_by, micros] = numbers[..] else {
            panic!("four numbers, and not {row}");
        };
        let seen = looks.seen(made_by)?;
        let committed = u64::try_from(i128::from(micros) * 1_000 - ahead).unwrap_or_default();
        Some(Self { account, version, committed: Duration::from_nanos(committed).min(seen), seen })
    }
}

impl Changes {
    pub(super) fn writes(&self, seen: Seen) -> impl Iterator<Item = Write> {
        self.all.iter().map(move |change| {
            let known = match seen {
                Seen::AsSoonAsCommitted => change.committed,
                Seen::BySomebody => change.seen,
            };
            Write {
                key: change.account,
                version: change.version,
                began: change.committed,
                committed: Some(known),
                announced: Some(known),
            }
        })
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (looks, median, longest) = self.looks;
        write!(
            f,
            "{} changes of what is read, pgbench began again {} times; {looks} looks at what can \
             be seen, every {median:.1?},\nthe longest time between two {longest:.1?} (a server \
             may have been away); the clocks moved apart by {:.1?}",
            self.all.len(),
            self.aborted,
            self.apart
        )
    }
}

/// Ends who writes and who looks when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// By how many nanoseconds the wall clock is ahead of the one that all else goes by: the reading
/// between the two nearest of ours, of some.
fn wall_ahead() -> i128 {
    let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    let reading = || {
        let before = now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let after = now();
        (after - before, nanos(wall) - nanos(before + (after - before) / 2))
    };
    let nearest = (0..20).map(|_| reading()).min();
    nearest.expect("there are some").1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_put_on_our_clock_and_is_never_behind_who_saw_it() {
        let ahead = wall_ahead();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let apart = (wall.as_nanos() as i128 - ahead) - now().as_nanos() as i128;
        assert!(apart.abs() < 100_000_000, "{apart} ns");
    }
}
