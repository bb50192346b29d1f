//! How much of the processors who takes, as the kernel counts it.
//!
//! It knows processes, and nothing of what they do.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use larder_test::Postgres;

/// The kernel counts in hundredths of a second, wherever it tells programs.
const TICK: Duration = Duration::from_millis(10);

/// The time on processors that was taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// By this process: what follows, the cache, and its reader.
    pub(super) larder: Duration,
    /// By the process of the server that sends its log.
    pub(super) sender: Duration,
    /// By all others of the server.
    pub(super) server: Duration,
}

/// What the kernel says of a process.
struct Process {
    parent: u32,
    own: Duration,
    /// Of its children that have ended.
    children: Duration,
}

impl Used {
    pub(super) fn now(postgres: &Postgres) -> Result<Self, String> {
        let sender = postgres.psql(
            "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'larder' AND active",
        );
        let sender: u32 = sender.parse().map_err(|_| "nobody follows the log".to_owned())?;
        let sends = Process::of(sender)?;
        let server = Process::of(sends.parent)?;
        let mut others = server.own + server.children;
        for entry in fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // One that ends meanwhile is counted with its parent.
            if let Ok(one) = Process::of(pid)
                && one.parent == sends.parent
                && pid != sender
            {
                others += one.own;
            }
        }
        let larder = Process::of(std::process::id())?.own;
        Ok(Self { larder, sender: sends.own, server: others })
    }

    /// In seconds for a hundred thousand of so many changes.
    pub(super) fn per_100_000(self, changes: f64) -> [f64; 3] {
        [self.larder, self.sender, self.server].map(|used| used.as_secs_f64() * 1e5 / changes)
    }
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            larder: self.larder.saturating_sub(before.larder),
            sender: self.sender.saturating_sub(before.sender),
            server: self.server.saturating_sub(before.server),
        }
    }
}

impl Process {
    fn of(pid: u32) -> Result<Self, String> {
        let said = fs::read_to_string(format!("/proc/{pid}/stat"));
        Self::parse(&said.map_err(|error| error.to_string())?)
            .ok_or_else(|| format!("the kernel says nothing of the process {pid}"))
    }

    /// Its name may hold anything, and stands in parentheses.
    fn parse(said: &str) -> Option<Self> {
        let (_, rest) = said.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let time = |at: usize| Some(TICK * fields.get(at)?.parse::<u32>().ok()?);
        let parent = fields.get(1)?.parse().ok()?;
        Some(Self { parent, own: time(11)? + time(12)?, children: time(13)? + time(14)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_it_is_called() {
        let said = "42 (a) b (c) S 7 1 1 0 -1 4194560 1 2 3 4 150 50 20 10 20 0 1 0 9 9 9";
        let process = Process::parse(said).unwrap();
        assert_eq!(process.parent, 7);
        assert_eq!(process.own, Duration::from_secs(2));
        assert_eq!(process.children, Duration::from_millis(300));
        assert!(Process::parse("42 (a) S 7 1").is_none());
    }

    #[test]
    fn what_was_taken_is_of_this_process() {
        let before = Process::of(std::process::id()).unwrap();
        let mut count = 0_u64;
        while Process::of(std::process::id()).unwrap().own == before.own {
            count += 1;
        }
        assert!(count > 0 || before.own > Duration::ZERO);
    }
}
