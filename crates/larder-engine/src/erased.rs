//! A source as an object: one box per load, none per hit.

use larder_core::{BoxFuture, Error, LoadContext, LoadError, Source};

/// What [`Source`] is once its type is forgotten.
pub(crate) trait DynSource<K, V>: Send + Sync + 'static {
    fn load<'a>(
        &'a self,
        key: &'a K,
        context: &'a mut LoadContext,
    ) -> BoxFuture<'a, Result<Option<V>, LoadError>>;

    fn load_many<'a>(
        &'a self,
        keys: &'a [K],
        context: &'a mut LoadContext,
    ) -> BoxFuture<'a, Result<Vec<Option<V>>, LoadError>>;

    fn check(&self, key: &K) -> Result<(), Error>;

    fn batch_max(&self) -> usize;
}

impl<K: Sync + 'static, V: Send + 'static, S: Source<K, V>> DynSource<K, V> for S {
    fn load<'a>(
        &'a self,
        key: &'a K,
        context: &'a mut LoadContext,
    ) -> BoxFuture<'a, Result<Option<V>, LoadError>> {
        // In a block, so that a loader which panics before its future is there does so in it.
        Box::pin(async move { Source::load(self, key, context).await })
    }

    fn load_many<'a>(
        &'a self,
        keys: &'a [K],
        context: &'a mut LoadContext,
    ) -> BoxFuture<'a, Result<Vec<Option<V>>, LoadError>> {
        Box::pin(async move { Source::load_many(self, keys, context).await })
    }

    fn check(&self, key: &K) -> Result<(), Error> {
        Source::check(self, key)
    }

    fn batch_max(&self) -> usize {
        Source::batch_max(self).max(1)
    }
}
