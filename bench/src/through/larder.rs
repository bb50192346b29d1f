//! larder's own cache, as a user would build it.

use std::sync::Arc;

use larder_core::{LoadContext, LoadError, Source};
use larder_engine::Cache;

use crate::memory::Value;

use super::{Key, ReadThrough, Rows, Terms};

pub(super) struct Larder<K, V>(Cache<K, V>);

/// The source as larder reads it.
struct Table(Arc<Rows>);

impl<K: Key, V: Value> Source<K, V> for Table {
    async fn load(&self, key: &K, _: &mut LoadContext) -> Result<Option<V>, LoadError> {
        Ok(Some(self.0.load(key).await?))
    }
}

impl<K: Key, V: Value> ReadThrough<K, V> for Larder<K, V> {
    fn new(terms: Terms, rows: Arc<Rows>) -> Self {
        let builder = Cache::builder("rows")
            .max_staleness(terms.fresh_for + terms.stale_for)
            .fresh_for(terms.fresh_for)
            .stale_for(terms.stale_for)
            .stale_on_error(terms.stale_on_error)
            .entries_max(terms.capacity)
            .source(Table(rows));
        Self(builder.build().expect("the windows agree, and a runtime is there"))
    }

    async fn get(&self, key: &K) -> Option<V> {
        self.0.get(key).await.ok().flatten()
    }

    async fn invalidate(&self, key: &K) {
        self.0.invalidate(key).await.expect("the key has a valid text");
    }

    async fn holds(&self, key: &K) -> bool {
        self.0.peek(key).is_some()
    }
}
