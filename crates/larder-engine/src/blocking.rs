//! The blocking handle: the same cache for code that can't await.
//!
//! What is fresh in memory is returned at once; for the rest the thread waits while the engine's
//! tasks do what they do for everybody else.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use larder_core::{Answer, BoxFuture, CacheKey, Error, ErrorKind, LoadContext, LoadError, Result};

use crate::cache::Cache;
use crate::held::Seen;
use crate::invalidate::Invalidated;
use crate::load::Loader;
use crate::runtime::oneshot;

/// A cache for code that can't await; see [`Cache::blocking`].
#[derive(Clone, Copy, Debug)]
pub struct Blocking<'a, K, V>(&'a Cache<K, V>);

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// This cache for code that can't await: the same methods, which block their thread.
    ///
    /// A thread that itself runs the engine's tasks must not wait for them: on a tokio runtime
    /// with one thread these methods refuse, unless the cache has an
    /// [engine with threads of its own](crate::Engine::on_threads). On one with several threads
    /// they hand the others' tasks over while they wait.
    ///
    /// ```
    /// use larder_engine::{Cache, Engine};
    /// use std::time::Duration;
    ///
    /// # fn main() -> larder_core::Result<()> {
    /// let engine = Engine::on_threads(1)?;
    /// let prices: Cache<u64, u32> = Cache::builder("price")
    ///     .max_staleness(Duration::from_secs(60))
    ///     .engine(&engine)
    ///     .build()?;
    /// let price = prices.blocking().get_or_load(&7, |_| Ok(Some(1999)))?; // asks a database
    /// assert_eq!(price, Some(1999));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn blocking(&self) -> Blocking<'_, K, V> {
        Blocking(self)
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Blocking<'_, K, V> {
    /// As [`Cache::get`].
    ///
    /// # Errors
    ///
    /// As [`Cache::ask`]; `Refused` on a thread that must not wait.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        Ok(self.ask(key)?.value)
    }

    /// As [`Cache::ask`].
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn ask(&self, key: &K) -> Result<Answer<V>> {
        if let Some(answer) = self.at_once(key) {
            return Ok(answer);
        }
        let (cache, key) = (self.0.clone(), key.clone());
        self.wait(async move { cache.ask(&key).await })?
    }

    /// As [`Cache::get_many`].
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_many(&self, keys: &[K]) -> Result<Vec<Option<V>>> {
        let (cache, keys) = (self.0.clone(), keys.to_vec());
        self.wait(async move { cache.get_many(&keys).await })?
    }

    /// As [`Cache::get_or_load`]; `load` may block, and runs on a thread for such work. A panic
    /// of `load` is an error of everybody who waits for it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_or_load<F>(&self, key: &K, load: F) -> Result<Option<V>>
    where
        F: FnOnce(LoadContext) -> Result<Option<V>, LoadError> + Send + 'static,
    {
        if let Some(answer) = self.at_once(key) {
            return Ok(answer.value);
        }
        let (parts, key) = (Arc::clone(&self.0.0), key.clone());
        let spawner = Arc::clone(parts.engine.spawner());
        let loader = Loader::Once(Box::new(move |context| {
            let loaded: BoxFuture<'static, _> = Box::pin(async move {
                let (done, result) = oneshot::channel();
                spawner.spawn_blocking(Box::new(move || {
                    let _ = done.send(catch_unwind(AssertUnwindSafe(|| load(context))));
                }));
                match result.await {
                    Ok(Ok(loaded)) => loaded,
                    Ok(Err(panic)) => resume_unwind(panic),
                    Err(_) => Err(dropped().into()),
                }
            });
            loaded
        }));
        let patience = parts.patience;
        Ok(self.wait(async move { parts.ask(&key, patience, loader).await })??.value)
    }

    /// As [`Cache::invalidate`].
    ///
    /// # Errors
    ///
    /// As [`Cache::invalidate`]; `Refused` on a thread that must not wait.
    pub fn invalidate(&self, key: &K) -> Result<Invalidated> {
        let (cache, key) = (self.0.clone(), key.clone());
        self.wait(async move { cache.invalidate(&key).await })?
    }

    /// As [`Cache::invalidate_tags`].
    ///
    /// # Errors
    ///
    /// As [`Cache::invalidate_tags`]; `Refused` on a thread that must not wait.
    pub fn invalidate_tags<T: AsRef<str>>(&self, tags: &[T]) -> Result<Invalidated> {
        let cache = self.0.clone();
        let tags: Vec<String> = tags.iter().map(|tag| tag.as_ref().to_owned()).collect();
        self.wait(async move { cache.invalidate_tags(&tags).await })?
    }

    /// As [`Cache::invalidate_all`].
    ///
    /// # Errors
    ///
    /// As [`Cache::invalidate_all`]; `Refused` on a thread that must not wait.
    pub fn invalidate_all(&self) -> Result<Invalidated> {
        let cache = self.0.clone();
        self.wait(async move { cache.invalidate_all().await })?
    }

    /// What memory has fresh, with nothing else to do.
    fn at_once(&self, key: &K) -> Option<Answer<V>> {
        let parts = &self.0.0;
        match parts.look(key, parts.engine.about_now()) {
            Some(Seen::Served { answer, due: None }) => Some(parts.served(answer)),
            _ => None,
        }
    }

    /// Waits for what the engine's tasks do.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let engine = &self.0.0.engine;
        let (done, result) = sync_channel(1);
        let mut received = None;
        // Moved into the task, so that a dropped task ends the wait.
        let mut work = Some((work, done));
        engine.spawner().block(&mut || {
            if let Some((work, done)) = work.take() {
                engine.spawn(async move {
                    let _ = done.send(work.await);
                });
            }
            received = result.recv().ok();
        })?;
        received.ok_or_else(dropped)
    }
}

fn dropped() -> Error {
    Error::new(ErrorKind::Internal, "the work was dropped: the runtime is shutting down")
}
