//! A source and a sink as objects: one box per load or write, none per hit.

use std::time::Duration;

use larder_core::sink::{Applied, DeadLetter, Numbered, Sequence, Sink, SinkAbilities, WriteError};
use larder_core::{BoxFuture, Error, LoadContext, LoadError, Source, Write, Written};

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

/// What [`Sink`] is once its type is forgotten.
pub(crate) trait DynSink<K, V>: Send + Sync + 'static {
    fn abilities(&self) -> SinkAbilities;

    fn lingers(&self) -> Duration;

    fn check(&self, key: &K, write: &Write<V>) -> Result<(), Error>;

    fn write<'a>(
        &'a self,
        key: &'a K,
        write: &'a Write<V>,
    ) -> BoxFuture<'a, Result<Written<V>, WriteError>>;

    fn replace<'a>(
        &'a self,
        key: &'a K,
        expected: Option<&'a V>,
        write: &'a Write<V>,
    ) -> BoxFuture<'a, Result<Written<V>, WriteError>>;

    fn own<'a>(&'a self, owner: &'a str) -> BoxFuture<'a, Result<u64, Error>>;

    fn disown(&self, epoch: u64) -> BoxFuture<'_, Result<(), Error>>;

    fn apply<'a>(
        &'a self,
        epoch: u64,
        batch: &'a [Numbered<K, V>],
    ) -> BoxFuture<'a, Result<Vec<Applied<V>>, WriteError>>;

    fn applied<'a>(&'a self, keys: &'a [K]) -> BoxFuture<'a, Result<Vec<Option<Sequence>>, Error>>;

    fn bury<'a>(
        &'a self,
        epoch: u64,
        write: &'a Numbered<K, V>,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), WriteError>>;

    fn requeued(&self, limit: usize) -> BoxFuture<'_, Result<Vec<DeadLetter<K, V>>, Error>>;
}

impl<K, V, S> DynSink<K, V> for S
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: Sink<K, V>,
{
    fn abilities(&self) -> SinkAbilities {
        Sink::abilities(self)
    }

    fn lingers(&self) -> Duration {
        Sink::lingers(self)
    }

    fn check(&self, key: &K, write: &Write<V>) -> Result<(), Error> {
        Sink::check(self, key, write)
    }

    fn write<'a>(
        &'a self,
        key: &'a K,
        write: &'a Write<V>,
    ) -> BoxFuture<'a, Result<Written<V>, WriteError>> {
        Box::pin(async move { Sink::write(self, key, write).await })
    }

    fn replace<'a>(
        &'a self,
        key: &'a K,
        expected: Option<&'a V>,
        write: &'a Write<V>,
    ) -> BoxFuture<'a, Result<Written<V>, WriteError>> {
        Box::pin(async move { Sink::replace(self, key, expected, write).await })
    }

    fn own<'a>(&'a self, owner: &'a str) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move { Sink::own(self, owner).await })
    }

    fn disown(&self, epoch: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Sink::disown(self, epoch).await })
    }

    fn apply<'a>(
        &'a self,
        epoch: u64,
        batch: &'a [Numbered<K, V>],
    ) -> BoxFuture<'a, Result<Vec<Applied<V>>, WriteError>> {
        Box::pin(async move { Sink::apply(self, epoch, batch).await })
    }

    fn applied<'a>(&'a self, keys: &'a [K]) -> BoxFuture<'a, Result<Vec<Option<Sequence>>, Error>> {
        Box::pin(async move { Sink::applied(self, keys).await })
    }

    fn bury<'a>(
        &'a self,
        epoch: u64,
        write: &'a Numbered<K, V>,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move { Sink::bury(self, epoch, write, reason).await })
    }

    fn requeued(&self, limit: usize) -> BoxFuture<'_, Result<Vec<DeadLetter<K, V>>, Error>> {
        Box::pin(async move { Sink::requeued(self, limit).await })
    }
}
