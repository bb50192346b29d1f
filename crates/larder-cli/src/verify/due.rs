//! Which key is looked at when: some times after its last change.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use larder_core::Key;

use super::watch::Touch;

/// What is looked at, and how long after which change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) cache: String,
    pub(super) key: Key,
    pub(super) delay: Duration,
    /// The change; another one has another number.
    pub(super) change: u64,
}

/// All that is to be looked at, in the order of time.
#[derive(Debug)]
pub(super) struct Schedule {
    delays: Vec<Duration>,
    /// So many keys at most.
    keys_max: usize,
    due: BTreeMap<(Instant, u64), Due>,
    /// The last change of each key that is to be looked at, and how many looks are left.
    last: HashMap<Key, (u64, usize)>,
    /// The next number.
    next: u64,
}

impl Schedule {
    pub(super) fn new(delays: Vec<Duration>, keys_max: usize) -> Self {
        Self { delays, keys_max, due: BTreeMap::new(), last: HashMap::new(), next: 0 }
    }

    /// Looks at this key after each of the delays, and not for its earlier changes any more.
    /// Returns whether there is room for it.
    pub(super) fn touched(&mut self, touch: &Touch) -> bool {
        if !self.last.contains_key(&touch.key) && self.last.len() >= self.keys_max {
            return false;
        }
        self.next += 1;
        let change = self.next;
        self.last.insert(touch.key.clone(), (change, self.delays.len()));
        for delay in self.delays.clone() {
            self.next += 1;
            let (cache, key) = (touch.cache.clone(), touch.key.clone());
            self.due.insert((touch.at + delay, self.next), Due { cache, key, delay, change });
        }
        true
    }

    /// What is to be looked at now, if anything is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        loop {
            let entry = self.due.first_entry()?;
            if entry.key().0 > now {
                return None;
            }
            let due = entry.remove();
            if !self.is_last(&due) {
                continue;
            }
            if let Some((_, left)) = self.last.get_mut(&due.key) {
                *left -= 1;
            }
            return Some(due);
        }
    }

    /// Whether the key wasn't changed since.
    pub(super) fn is_last(&self, due: &Due) -> bool {
        self.last.get(&due.key).is_some_and(|(change, _)| *change == due.change)
    }

    /// This was looked at; forgets the key when it was for the last time.
    pub(super) fn done(&mut self, due: &Due) {
        if self.is_last(due) && self.last.get(&due.key).is_some_and(|(_, left)| *left == 0) {
            self.last.remove(&due.key);
        }
    }

    /// Looks at none of them.
    pub(super) fn forget(&mut self) {
        self.due.clear();
        self.last.clear();
    }

    /// When something is to be looked at next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn touch(key: &str, at: Instant) -> Touch {
        Touch { cache: "user".to_owned(), key: Key::new(key.as_bytes()), at }
    }

    #[test]
    fn a_key_is_looked_at_after_each_delay_and_then_forgotten() {
        let start = Instant::now();
        let mut schedule = Schedule::new(vec![SECOND, 5 * SECOND], 10);
        assert!(schedule.touched(&touch("user:1", start)));
        assert_eq!(schedule.next(), Some(start + SECOND));
        assert_eq!(schedule.take(start), None);
        let first = schedule.take(start + SECOND).unwrap();
        assert_eq!((first.delay, schedule.take(start + 2 * SECOND)), (SECOND, None));
        schedule.done(&first);
        let second = schedule.take(start + 9 * SECOND).unwrap();
        assert!(schedule.is_last(&second) && second.delay == 5 * SECOND);
        schedule.done(&second);
        assert!(schedule.last.is_empty() && schedule.next().is_none());
    }

    #[test]
    fn another_change_begins_again() {
        let start = Instant::now();
        let mut schedule = Schedule::new(vec![SECOND, 5 * SECOND], 10);
        schedule.touched(&touch("user:1", start));
        let first = schedule.take(start + SECOND).unwrap();
        schedule.touched(&touch("user:1", start + SECOND));
        assert!(!schedule.is_last(&first));
        schedule.done(&first);
        let delays: Vec<_> = std::iter::from_fn(|| schedule.take(start + 9 * SECOND)).collect();
        assert_eq!(delays.iter().map(|due| due.delay).collect::<Vec<_>>(), [SECOND, 5 * SECOND]);
        assert!(delays.iter().all(|due| schedule.is_last(due)));
    }

    #[test]
    fn there_is_room_for_so_many_keys() {
        let start = Instant::now();
        let mut schedule = Schedule::new(vec![SECOND], 2);
        assert!(schedule.touched(&touch("user:1", start)));
        assert!(schedule.touched(&touch("user:2", start)));
        assert!(!schedule.touched(&touch("user:3", start)));
        assert!(schedule.touched(&touch("user:1", start)), "it is one of them");
        let due = schedule.take(start + SECOND).unwrap();
        schedule.forget();
        assert!(!schedule.is_last(&due) && schedule.next().is_none());
        assert!(schedule.touched(&touch("user:3", start)));
    }
}
