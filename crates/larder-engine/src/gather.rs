//! Gathering: single reads that miss within a short time of each other are loaded with one
//! question, as if they had been asked for together.

use std::sync::Arc;
use std::time::Duration;

use larder_core::CacheKey;
use larder_core::sync::Mutex;

use crate::cache::Parts;
use crate::departed::Departed;
use crate::flight::Flight;
use crate::load::Seek;

/// Flights whose loads wait for company.
///
/// At most as many wait as the source takes in one question: the last one makes them depart.
pub(crate) struct Gathering<K, V> {
    window: Duration,
    waiting: Mutex<Vec<Waiting<K, V>>>,
}

/// A flight that waits.
struct Waiting<K, V> {
    key: K,
    flight: Arc<Flight<V>>,
    seek: Seek,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Gathering<K, V> {
    /// The first to come waits so long for others.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, waiting: Mutex::new(Vec::new()) }
    }

    /// Adds a flight to those that wait. They depart when the window of the first has passed, or
    /// when they fill a question.
    pub(crate) fn gather(
        &self,
        parts: &Arc<Parts<K, V>>,
        key: &K,
        flight: &Arc<Flight<V>>,
        seek: Seek,
    ) {
        let batch_max = parts.source.as_ref().map_or(1, |source| source.batch_max());
        let waiting = {
            let mut waiting = self.waiting.lock();
            waiting.push(Waiting { key: key.clone(), flight: Arc::clone(flight), seek });
            waiting.len()
        };
        if waiting >= batch_max {
            parts.depart_many(self.take(parts));
        } else if waiting == 1 {
            let window = Window(Arc::clone(parts));
            parts.engine.spawn(window.depart_later(self.window));
        }
    }

    /// Those that wait, who don't wait any more.
    fn take(&self, parts: &Arc<Parts<K, V>>) -> Vec<Departed<K, V>> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let departed = |of: &Waiting<K, V>| Departed::new(parts, &of.key, &of.flight, of.seek);
        waiting.iter().map(departed).collect()
    }
}

/// The end of a window. If its task is dropped (with the runtime) those that wait are dropped
/// too, and so land as errors.
struct Window<K: CacheKey, V: Clone + Send + Sync + 'static>(Arc<Parts<K, V>>);

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Window<K, V> {
    async fn depart_later(self, wait: Duration) {
        let clock = Arc::clone(self.0.engine.clock());
        clock.sleep_until(clock.now() + wait).await;
        self.0.depart_many(self.take());
    }

    fn take(&self) -> Vec<Departed<K, V>> {
        let gathering = self.0.gathering.as_ref();
        gathering.map(|gathering| gathering.take(&self.0)).unwrap_or_default()
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Drop for Window<K, V> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
