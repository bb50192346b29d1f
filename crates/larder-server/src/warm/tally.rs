//! Which keys are there most often, with a bound on how many are counted.

use std::collections::HashMap;

use larder_core::Key;

/// Counts keys. It holds at most twice as many as are wanted: then all but the wanted number with
/// the highest counts are forgotten, and begin anew when they come again. So a key that is there
/// often is found wherever it is, and of those that are there once or twice some may be missed.
#[derive(Debug)]
pub(super) struct Tally {
    wanted: usize,
    counts: HashMap<Key, Count>,
    seen: u64,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    times: u64,
    /// Which key of all it was when it came first.
    first: u64,
}

impl Tally {
    /// For the `wanted` keys that are there most often.
    pub(super) fn new(wanted: usize) -> Self {
        Self { wanted, counts: HashMap::new(), seen: 0 }
    }

    /// Counts one key.
    pub(super) fn add(&mut self, key: Key) {
        self.seen += 1;
        let first = self.seen;
        self.counts.entry(key).or_insert(Count { times: 0, first }).times += 1;
        if self.counts.len() > self.wanted.saturating_mul(2) {
            let kept = self.take().into_iter().take(self.wanted);
            self.counts = kept.collect();
        }
    }

    /// The keys that were wanted, those first that were there most often, and of equals those that
    /// came first.
    pub(super) fn finish(mut self) -> Vec<Key> {
        self.take().into_iter().take(self.wanted).map(|(key, _)| key).collect()
    }

    fn take(&mut self) -> Vec<(Key, Count)> {
        let mut all: Vec<_> = self.counts.drain().collect();
        all.sort_unstable_by_key(|(_, count)| (std::cmp::Reverse(count.times), count.first));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(wanted: usize, keys: &str) -> String {
        let mut tally = Tally::new(wanted);
        keys.split(' ').for_each(|key| tally.add(Key::from(key)));
        assert!(tally.counts.len() <= 2 * wanted);
        let text = |key: &Key| String::from_utf8_lossy(key.as_bytes()).into_owned();
        tally.finish().iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_come_by_how_often_they_are_there_then_in_their_order() {
        assert_eq!(tally(9, "c a b b d a b"), "b a c d");
        assert_eq!(tally(2, "c a b b"), "b c");
    }

    #[test]
    fn what_is_there_often_is_found_among_any_number_of_others() {
        let mut keys = Vec::new();
        for at in 0..10_000 {
            keys.push(format!("once{at}"));
            if at % 3 == 0 {
                keys.push("often".to_owned());
            }
        }
        assert_eq!(tally(10, &keys.join(" ")).split(' ').next(), Some("often"));
    }
}
