//! What a cache that is written behind says in the log: that the database doesn't take its writes,
//! and why. A database that is down for long is told of now and then, not at each attempt.

use std::time::{Duration, Instant};

use larder_core::sync::Mutex;
use larder_engine::observe::{Event, Failing, Observer, What};

/// How often at most it is told that what waits can't be applied.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Tells the log of one cache.
#[derive(Debug, Default)]
pub(crate) struct BehindLog {
    failed: Mutex<Told>,
    buried: Mutex<Told>,
}

/// When something was told last, and how often it happened since.
#[derive(Debug, Default)]
struct Told {
    told: Option<Instant>,
    since: u64,
}

impl Told {
    /// Whether it is to be told now, and how often it happened without being told.
    fn again(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.duration_since(told) < TELL_EVERY) {
            self.since += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

impl Observer for BehindLog {
    fn observe(&self, event: &Event<'_>) {
        let cache = event.cache;
        match event.what {
            What::WriteFailed { what: Failing::ForGood, error } => tracing::error!(
                cache,
                "nothing is written behind any more until larder is started again; what was \
                 acknowledged is in the journal: {}",
                error.chain()
            ),
            What::WriteFailed { what, error } => {
                if let Some(more) = self.failed.lock().again(Instant::now()) {
                    let what = doing(what);
                    tracing::warn!(
                        cache,
                        failures_untold = more,
                        "{what} failed, and is tried again: {}",
                        error.chain()
                    );
                }
            }
            What::Buried { error } => {
                if let Some(more) = self.buried.lock().again(Instant::now()) {
                    tracing::error!(
                        cache,
                        key = event.key,
                        more_untold = more,
                        "the database refused an acknowledged write, which is with the dead \
                         letters (larder_dead_letters): {}",
                        error.chain()
                    );
                }
            }
            _ => {}
        }
    }
}

const fn doing(what: Failing) -> &'static str {
    match what {
        Failing::Unknown => "applying writes, which may be committed or not,",
        Failing::Bury => "putting a write with the dead letters",
        Failing::Requeue => "taking a dead letter back",
        Failing::Truncate => "telling the journal what is applied",
        _ => "applying writes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_for_long_is_told_now_and_then_with_how_often_it_happened() {
        let (mut now, start) = (Told::default(), Instant::now());
        assert_eq!(now.again(start), Some(0));
        assert_eq!(now.again(start + TELL_EVERY / 2), None);
        assert_eq!(now.again(start + TELL_EVERY / 3), None);
        assert_eq!(now.again(start + TELL_EVERY), Some(2));
        assert_eq!(now.again(start + TELL_EVERY), None);
    }
}
