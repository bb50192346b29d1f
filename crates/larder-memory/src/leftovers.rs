//! What an operation took out of a shard, kept until the shard is unlocked.
//!
//! Keys and values are dropped, and shown to the listener, by code that the tier doesn't know. It
//! must not run under the lock: it may take long, and it may call the tier again.

use crate::stats::RemovalCause;

/// Who wants to know which entries left, and why.
pub(crate) type Listener<K, V> = dyn Fn(&K, &V, RemovalCause) + Send + Sync;

/// Keys and values on their way out. Declared before the lock is taken, so that it is dropped
/// after the lock is released, on every path out of a function.
pub(crate) struct Leftovers<'a, K, V> {
    listener: Option<&'a Listener<K, V>>,
    removed: Vec<(K, V, RemovalCause)>,
    /// What was never held.
    refused: Option<(K, V)>,
}

impl<'a, K, V> Leftovers<'a, K, V> {
    pub(crate) const fn new(listener: Option<&'a Listener<K, V>>) -> Self {
        Self { listener, removed: Vec::new(), refused: None }
    }

    /// An entry that was held.
    pub(crate) fn push_removed(&mut self, (key, value): (K, V), cause: RemovalCause) {
        // What has no destructor needs no room.
        if self.listener.is_some() || std::mem::needs_drop::<(K, V)>() {
            self.removed.push((key, value, cause));
        }
    }

    /// A key and a value that there was no room for. There is at most one.
    pub(crate) fn push_refused(&mut self, key: K, value: V) {
        self.refused = Some((key, value));
    }
}

impl<K, V> Drop for Leftovers<'_, K, V> {
    fn drop(&mut self) {
        if let Some(listener) = self.listener {
            for (key, value, cause) in &self.removed {
                listener(key, value, *cause);
            }
        }
    }
}
