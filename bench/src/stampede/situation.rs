//! What has become of the key when the readers come, and how it is brought about.

use std::time::Duration;

use tokio::time::sleep;

use crate::memory;
use crate::through::{Contender, ReadThrough, Rows, Terms};

/// Why the readers don't simply find the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    Cold,
    Expired,
    Invalidated,
    Evicted,
    Refreshing,
    Failing,
    FailingHeld,
}

/// The key of the readers.
pub(crate) const KEY: u64 = 42;

/// How long an entry is fresh where it is to grow old: longer than a herd takes.
const SHORT: Duration = Duration::from_millis(600);
/// By then it has.
const PAST_SHORT: Duration = Duration::from_millis(650);
/// Where nothing is to grow old.
const LONG: Duration = Duration::from_secs(3600);
/// Where something is to be evicted.
const FEW: usize = 64;
/// How often twice as many others as there is room for are read before we give up.
const CROWDINGS_MAX: usize = 200;
/// How often each of them is read.
const READS_OF_ANOTHER: usize = 4;

impl Situation {
    pub(crate) const ALL: [Self; 7] = [
        Self::Cold,
        Self::Expired,
        Self::Invalidated,
        Self::Evicted,
        Self::Refreshing,
        Self::Failing,
        Self::FailingHeld,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Expired => "expired",
            Self::Invalidated => "invalidated",
            Self::Evicted => "evicted",
            Self::Refreshing => "refreshing",
            Self::Failing => "failing",
            Self::FailingHeld => "failing_held",
        }
    }

    /// For the table: what the key is.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Expired => "expired",
            Self::Invalidated => "invalidated just before",
            Self::Evicted => "evicted",
            Self::Refreshing => "stale, and may be served while it is refreshed",
            Self::Failing => "cold, and the source fails (4 waves in 1.5 s)",
            Self::FailingHeld => "expired, and the source fails (4 waves in 1.5 s)",
        }
    }

    /// Whether `contender` can come into it.
    pub(crate) fn exists_for(self, contender: Contender) -> bool {
        match self {
            Self::Cold | Self::Invalidated | Self::Failing => true,
            Self::Expired | Self::FailingHeld => contender.expires(),
            Self::Evicted => contender.evicts(),
            Self::Refreshing => contender.refreshes(),
        }
    }

    /// Whether the source fails while the readers read.
    pub(crate) fn is_failing(self) -> bool {
        matches!(self, Self::Failing | Self::FailingHeld)
    }

    /// How often the readers come.
    pub(crate) fn waves(self) -> u32 {
        if self.is_failing() { 4 } else { 1 }
    }

    /// What the cache is told.
    pub(crate) fn terms(self) -> Terms {
        let grows_old = matches!(self, Self::Expired | Self::Refreshing | Self::FailingHeld);
        let only = |situation: Self| if self == situation { LONG } else { Duration::ZERO };
        Terms {
            capacity: if self == Self::Evicted { FEW } else { 10_000 },
            fresh_for: if grows_old { SHORT } else { LONG },
            stale_for: only(Self::Refreshing),
            stale_on_error: only(Self::FailingHeld),
        }
    }

    /// Brings it about in an empty cache, whose source takes no time yet.
    ///
    /// # Errors
    ///
    /// When the key was to be evicted and is still held.
    pub(crate) async fn bring_about<C: ReadThrough<u64, u64>>(
        self,
        cache: &C,
        rows: &Rows,
    ) -> Result<(), String> {
        rows.behave(Duration::ZERO, false);
        if matches!(self, Self::Cold | Self::Failing) {
            return Ok(());
        }
        cache.get(&KEY).await.ok_or("a source that is up failed")?;
        cache.settle().await;
        match self {
            Self::Cold | Self::Failing => Ok(()),
            Self::Expired | Self::Refreshing | Self::FailingHeld => {
                sleep(PAST_SHORT).await;
                Ok(())
            }
            Self::Invalidated => {
                cache.invalidate(&KEY).await;
                Ok(())
            }
            Self::Evicted => crowd_out(cache).await,
        }
    }
}

/// Reads others, always new ones, twice as many as there is room for, and again. Each is read
/// several times in a row: who keeps what is asked for often lets the key go only for what was
/// asked for more often.
async fn crowd_out<C: ReadThrough<u64, u64>>(cache: &C) -> Result<(), String> {
    let mut others = (0..).map(memory::key);
    for _ in 0..CROWDINGS_MAX {
        for other in others.by_ref().take(2 * FEW) {
            for _ in 0..READS_OF_ANOTHER {
                cache.get(&other).await.ok_or("a source that is up failed")?;
            }
        }
        cache.settle().await;
        if !cache.holds(&KEY).await {
            return Ok(());
        }
    }
    Err("a key that nobody asked for was not evicted".to_owned())
}
