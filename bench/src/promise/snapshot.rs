//! What somebody saw, and when: snapshots of Postgres, taken again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use larder_test::checker::now;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Builder;

/// How long to wait between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(3);
/// How long to wait for a server that isn't there.
const AWAY_REST: Duration = Duration::from_millis(20);

/// What could be seen at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    /// When the answer had come.
    at: Duration,
    /// All transactions below have ended, but for those that run.
    below: u64,
    running: Vec<u64>,
}

/// Looks in the order of their time.
#[derive(Debug, Default)]
pub(super) struct Looks(Vec<Look>);

impl Looks {
    /// Looks until it is over, and once more then.
    pub(super) fn until(over: &AtomicBool, url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime without threads needs nothing");
        let mut looks = Self::default();
        let mut connection = None;
        loop {
            let is_last = over.load(Ordering::Relaxed);
            let looked = runtime.block_on(look(&mut connection, url));
            match looked {
                Some(look) => {
                    looks.0.push(look);
                    if is_last {
                        return looks;
                    }
                    sleep(BETWEEN_LOOKS);
                }
                None => {
                    connection = None;
                    sleep(AWAY_REST);
                }
            }
        }
    }

    /// When this transaction was seen to have ended; `None` if it wasn't.
    pub(super) fn seen(&self, transaction: u64) -> Option<Duration> {
        // Who has ended stays so.
        let first = self.0.partition_point(|look| !look.sees(transaction));
        self.0.get(first).map(|look| look.at)
    }

    /// How many there were, the median time between two, and the longest.
    pub(super) fn intervals(&self) -> (usize, Duration, Duration) {
        let pairs = self.0.windows(2);
        let mut all: Vec<Duration> = pairs.map(|pair| pair[1].at - pair[0].at).collect();
        all.sort_unstable();
        let median = all.get(all.len() / 2).copied().unwrap_or_default();
        (self.0.len(), median, all.last().copied().unwrap_or_default())
    }
}

impl Look {
    /// What `pg_current_snapshot()` says: `10:20:10,15`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':').skip(1);
        let below = parts.next()?.parse().ok()?;
        let running = parts.next()?.split(',').filter(|one| !one.is_empty());
        let running = running.map(|one| one.parse().ok()).collect::<Option<Vec<u64>>>()?;
        Some(Self { at: now(), below, running })
    }

    fn sees(&self, transaction: u64) -> bool {
        transaction < self.below && !self.running.contains(&transaction)
    }
}

async fn look(connection: &mut Option<PgConnection>, url: &str) -> Option<Look> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(PgConnection::connect(url).await.ok()?),
    };
    let asked = sqlx::query_scalar("SELECT pg_current_snapshot()::text");
    let text: String = asked.fetch_one(connection).await.ok()?;
    Look::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(texts: &[&str]) -> Looks {
        let look = |(at, text): (u64, &&str)| Look {
            at: Duration::from_millis(at),
            ..Look::parse(text).unwrap()
        };
        Looks((1..).zip(texts).map(look).collect())
    }

    #[test]
    fn a_transaction_was_seen_by_the_first_look_behind_its_end() {
        let looks = looks(&["5:5:", "5:9:5,7", "7:10:7", "12:12:"]);
        let seen = |number| looks.seen(number).map(|at| at.as_millis());
        assert_eq!([4, 5, 6, 7, 8, 9, 11, 12].map(seen), {
            [Some(1), Some(3), Some(2), Some(4), Some(2), Some(3), Some(4), None]
        });
        assert_eq!(looks.intervals(), (4, Duration::from_millis(1), Duration::from_millis(1)));
    }

    #[test]
    fn what_is_no_snapshot_is_none() {
        assert!(["", "1", "1:x:", "1:2:3,y"].into_iter().all(|text| Look::parse(text).is_none()));
    }
}
