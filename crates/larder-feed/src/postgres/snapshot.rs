//! What a reader who begins now would see.
//!
//! A commit is written into the log first and becomes visible after, when those who wait for it
//! have it: a synchronous standby can hold it up for as long as it likes. In between the log has
//! it and no reader does.

use std::str::FromStr;

use larder_core::{Error, Result};

use super::control::internal;

/// `pg_current_snapshot()`: transactions below `xmax` that aren't in the list have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) xmin: u64,
    pub(super) xmax: u64,
    /// When it was taken, in microseconds since the year 2000, by the server's clock.
    pub(super) micros: i64,
    /// Those that run, in ascending order.
    running: Vec<u64>,
}

impl Snapshot {
    /// Whether a reader sees what this transaction committed. Its number is that of the log, which
    /// leaves the epoch out; it is the nearest to the newest of this snapshot.
    pub(super) fn sees(&self, transaction: u32) -> bool {
        #[allow(clippy::cast_possible_truncation)] // The epoch is what is cut off.
        let ahead = transaction.wrapping_sub(self.xmax as u32).cast_signed();
        let full = self.xmax.wrapping_add_signed(i64::from(ahead));
        full < self.xmax && self.running.binary_search(&full).is_err()
    }
}

impl FromStr for Snapshot {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse().map_err(|error| internal(&error));
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().unwrap_or_default();
        let (xmin, xmax) = (number(part())?, number(part())?);
        let running = part().split(',').filter(|one| !one.is_empty());
        Ok(Self { xmin, xmax, micros: 0, running: running.map(number).collect::<Result<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_or_has_not_begun_is_not_seen() {
        let snapshot: Snapshot = "10:20:10,15".parse().unwrap();
        let seen: Vec<u32> = (8..22).filter(|&number| snapshot.sees(number)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 14, 16, 17, 18, 19]);
        assert_eq!((snapshot.xmin, snapshot.xmax), (10, 20));
    }

    #[test]
    fn a_number_of_the_log_is_of_the_epoch_that_is_nearest() {
        let wrap = 1_u64 << 32;
        let snapshot: Snapshot = format!("{0}:{0}:", wrap * 3 + 5).parse().unwrap();
        assert!(snapshot.sees(4), "of this epoch");
        assert!(snapshot.sees(u32::MAX), "of the one before");
        assert!(!snapshot.sees(5) && !snapshot.sees(1_000), "of the time to come");
        let snapshot: Snapshot = format!("{0}:{0}:", wrap * 3 - 2).parse().unwrap();
        assert!(snapshot.sees(u32::MAX - 5));
        assert!(!snapshot.sees(3), "of the next epoch");
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in ["", "1", "1:x:", "1:2:3,y", ":::"] {
            text.parse::<Snapshot>().unwrap_err();
        }
        assert!("7:7:".parse::<Snapshot>().unwrap().running.is_empty());
    }
}
