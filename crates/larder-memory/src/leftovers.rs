//! What an operation took out of a shard, kept until the shard is unlocked.
//!
//! Keys and values are dropped by code that the tier doesn't know. It must not run under the
//! lock: it may take long, and it may call the tier again.

/// Keys and values on their way out. Declared before the lock is taken, so that it is dropped
/// after the lock is released, on every path out of a function.
///
/// Nearly every operation leaves at most one thing, which needs no allocation.
#[derive(Debug)]
pub(crate) struct Leftovers<K, V> {
    first: Option<(Option<K>, V)>,
    rest: Vec<(Option<K>, V)>,
}

impl<K, V> Leftovers<K, V> {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    pub(crate) fn push_entry(&mut self, (key, value): (K, V)) {
        self.push((Some(key), value));
    }

    pub(crate) fn push_value(&mut self, value: V) {
        self.push((None, value));
    }

    /// How many things are on their way out.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    fn push(&mut self, leftover: (Option<K>, V)) {
        if self.first.is_none() {
            self.first = Some(leftover);
        } else {
            self.rest.push(leftover);
        }
    }
}
