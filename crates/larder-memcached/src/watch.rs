//! Who has had the win of an entry for how long, as far as was seen here.
//!
//! The win of an item without data ends with its stub. That of an entry ends only with the entry,
//! so a winner that died would leave it stale for as long as it is held. Each process that is
//! turned away notes when it first was. After as long as its own lease would last, it takes over,
//! if the item is still the same.

use std::collections::HashMap;
use std::time::Duration;

use larder_core::sync::Mutex;
use tokio::time::Instant;

/// How many items are watched. Of further ones the longest watched is forgotten, and its wait
/// begins anew.
const WATCHED_MAX: usize = 1_024;

/// The items whose wins are watched.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<HashMap<u64, Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    cas: u64,
    since: Instant,
}

impl Watch {
    /// How much of `time` is left to the winner of the item with the name `hash` and this `cas`;
    /// `None` when it is over. Then the item is watched no more.
    pub(crate) fn left(
        &self,
        hash: u64,
        cas: u64,
        time: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let mut seen = self.0.lock();
        match seen.get(&hash) {
            Some(known) if known.cas == cas => {
                let left = time.saturating_sub(now.duration_since(known.since));
                if left.is_zero() {
                    seen.remove(&hash);
                }
                Some(left).filter(|left| !left.is_zero())
            }
            _ => {
                if seen.len() >= WATCHED_MAX && !seen.contains_key(&hash) {
                    let longest = seen.iter().min_by_key(|(_, seen)| seen.since);
                    if let Some(longest) = longest.map(|(&hash, _)| hash) {
                        seen.remove(&longest);
                    }
                }
                seen.insert(hash, Seen { cas, since: now });
                Some(time)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_winner_is_given_as_long_as_a_lease_from_when_it_was_first_seen() {
        let (watch, start) = (Watch::default(), Instant::now());
        assert_eq!(watch.left(1, 7, TIME, start), Some(TIME));
        assert_eq!(watch.left(1, 7, TIME, start + second(4)), Some(second(6)));
        assert_eq!(watch.left(1, 7, TIME, start + second(10)), None);
        assert_eq!(watch.left(1, 7, TIME, start + second(11)), Some(TIME));
    }

    #[test]
    fn another_change_of_the_item_begins_the_wait_anew() {
        let (watch, start) = (Watch::default(), Instant::now());
        watch.left(1, 7, TIME, start);
        assert_eq!(watch.left(1, 8, TIME, start + second(20)), Some(TIME));
    }

    #[test]
    fn at_the_limit_the_longest_watched_is_forgotten() {
        let (watch, start) = (Watch::default(), Instant::now());
        for hash in 0..=WATCHED_MAX as u64 {
            watch.left(hash, 7, TIME, start + Duration::from_millis(hash));
        }
        assert_eq!(watch.0.lock().len(), WATCHED_MAX);
        assert_eq!(watch.left(1, 7, TIME, start + second(20)), None);
        assert_eq!(watch.left(0, 7, TIME, start + second(20)), Some(TIME));
    }
}
