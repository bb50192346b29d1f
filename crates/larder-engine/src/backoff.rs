//! Back-off: how long a key is left alone after its load failed.
//!
//! It holds only while something can stand in: a stale value within its windows, or one under
//! `stale_on_error`. Who has nothing to serve asks the source, and what a failing source is asked
//! at all is bounded by its guard.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use foldhash::fast::RandomState;
use larder_core::Moment;

/// After the first failure.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// After many.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How many keys are remembered at most, of one shard of the flights. Beyond them those whose time
/// has come are forgotten, and if there are none the failure is not remembered: such a key is
/// tried again at once.
const KEYS_MAX: usize = 1024;

/// The keys of one shard whose last load failed.
#[derive(Debug)]
pub(crate) struct Failures<K>(HashMap<K, Failure, RandomState>);

#[derive(Clone, Copy, Debug)]
struct Failure {
    times: u32,
    rests_until: Moment,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Clone + Eq + Hash> Failures<K> {
    /// Notes that a load failed at `now`, and returns until when the key rests.
    pub(crate) fn note(&mut self, key: &K, now: Moment) -> Moment {
        let before = self.0.get(key).filter(|held| now <= held.rests_until + BACKOFF_MAX);
        let times = before.map_or(0, |held| held.times).saturating_add(1);
        let rests_until = now + delay(times);
        if self.0.len() >= KEYS_MAX && !self.0.contains_key(key) {
            self.0.retain(|_, held| held.rests_until > now);
            if self.0.len() >= KEYS_MAX {
                return now;
            }
        }
        self.0.insert(key.clone(), Failure { times, rests_until });
        rests_until
    }

    /// A load succeeded.
    pub(crate) fn forget(&mut self, key: &K) {
        if !self.0.is_empty() {
            self.0.remove(key);
        }
    }

    /// Until when the key rests, if it does at `now`.
    pub(crate) fn rests_until<Q>(&self, key: &Q, now: Moment) -> Option<Moment>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(key).map(|held| held.rests_until).filter(|&until| now < until)
    }
}

/// One second, doubled by each further failure, up to thirty.
pub(crate) fn delay(times: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(times.saturating_sub(1).min(16));
    BACKOFF_MIN.saturating_mul(doubled).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn each_failure_doubles_the_rest_up_to_thirty_seconds() {
        let mut failures = Failures::default();
        let mut now = Moment::ZERO;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let until = failures.note(&7, now);
            assert_eq!(until - now, S * seconds);
            assert_eq!(failures.rests_until(&7, now), Some(until));
            assert_eq!(failures.rests_until(&7, until), None);
            now = until;
        }
        failures.forget(&7);
        assert_eq!(failures.note(&7, now) - now, S);
    }

    #[test]
    fn a_failure_of_long_ago_counts_for_nothing() {
        let mut failures = Failures::default();
        let until = failures.note(&7, Moment::ZERO);
        let late = until + BACKOFF_MAX + S;
        assert_eq!(failures.note(&7, late) - late, S);
    }

    #[test]
    fn at_the_limit_a_further_key_is_remembered_only_once_others_may_be_tried_again() {
        let mut failures = Failures::default();
        for key in 0..KEYS_MAX {
            failures.note(&key, Moment::ZERO);
        }
        let late = KEYS_MAX + 1;
        assert_eq!(failures.note(&late, Moment::ZERO), Moment::ZERO);
        assert_eq!(failures.rests_until(&late, Moment::ZERO), None);
        assert!(failures.rests_until(&0, Moment::ZERO).is_some());
        let then = Moment::ZERO + S;
        assert_eq!(failures.note(&late, then), then + S);
        assert!(failures.0.len() <= KEYS_MAX);
    }
}
