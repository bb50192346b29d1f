//! Patience: how long one read waits, and what it takes.

use std::time::Duration;

use larder_core::bus::Position;
use larder_core::{Answer, CacheKey, LoadContext, LoadError, Result, State};

use crate::cache::Cache;
use crate::load::Loader;
use crate::wait::within;

/// How long a read waits, and how old an answer it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long a read waits before it takes what may stand in.
    pub(crate) wait: Duration,
    /// Whether it waits also where a stale value could be served at once.
    pub(crate) waits_for_fresh: bool,
    /// How long a read waits at all.
    pub(crate) deadline: Duration,
    /// The oldest answer that it takes, within the cache's promise.
    pub(crate) max_staleness: Duration,
}

impl Patience {
    /// Whether this answer from memory is taken without waiting.
    #[inline]
    pub(crate) fn takes<V>(&self, answer: &Answer<V>) -> bool {
        answer.current <= self.max_staleness
            && !(self.waits_for_fresh && answer.state == State::Stale)
    }
}

/// One read with patience of its own; see [`Cache::read`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a read does nothing until it is asked"]
pub struct Read<'a, K, V> {
    cache: &'a Cache<K, V>,
    key: &'a K,
    patience: Patience,
    at: Option<Position>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// One read of `key` with patience of its own.
    ///
    /// ```
    /// # use larder_engine::Cache;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let prices: Cache<u64, u32> =
    /// #     Cache::builder("price").max_staleness(Duration::from_secs(60)).build()?;
    /// let hurried = prices.read(&7).deadline(Duration::from_millis(200));
    /// let price = hurried.get_or_load(|_| async { Ok(Some(1999)) }).await?;
    /// assert_eq!(price, Some(1999));
    /// # Ok(()) }
    /// ```
    pub fn read<'a>(&'a self, key: &'a K) -> Read<'a, K, V> {
        Read { cache: self, key, patience: self.0.patience, at: None }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Read<'_, K, V> {
    /// Waits so long for a fresh value before a stale one is taken; the load goes on. Zero takes
    /// it at once. Where there is nothing stale to take it means nothing.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.patience.wait = wait;
        self.patience.waits_for_fresh = !wait.is_zero();
        self
    }

    /// Waits so long at all, and then gets a [`Timeout`](larder_core::ErrorKind::Timeout); the
    /// load goes on.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.patience.deadline = deadline;
        self
    }

    /// Takes no answer that is older than this. More than the cache promises is as much as it
    /// promises.
    pub fn max_staleness(mut self, max: Duration) -> Self {
        self.patience.max_staleness = self.patience.max_staleness.min(max);
        self
    }

    /// Reads what was written before this [position](crate::Invalidated::position), in whatever
    /// process that was. It waits, for no longer than [`wait`](Self::wait) says, until the
    /// announcement has arrived here; otherwise it asks the source, whatever is held.
    ///
    /// ```
    /// # use larder_engine::Cache;
    /// # use larder_core::bus::Position;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let prices: Cache<u64, u32> =
    /// #     Cache::builder("price").max_staleness(Duration::from_secs(60)).build()?;
    /// let position: Position = "5eed0001-42".parse().unwrap(); // what the writer was given
    /// let price = prices.read(&7).at(position).get_or_load(|_| async { Ok(Some(1999)) }).await?;
    /// # assert_eq!(price, Some(1999));
    /// # Ok(()) }
    /// ```
    pub fn at(mut self, position: Position) -> Self {
        self.at = Some(position);
        self
    }

    /// What it takes, once the position has been reached or waited for long enough.
    async fn arrived(&self) -> Patience {
        let Some(position) = self.at else { return self.patience };
        let engine = &self.cache.0.engine;
        if let Some(shared) = engine.shared() {
            let wait = self.patience.wait.min(self.patience.deadline);
            let until = engine.now() + wait;
            let reached = shared.applied.reached(position);
            if within(&**engine.clock(), until, reached).await.is_some() {
                return self.patience;
            }
        }
        // Nobody knows whether what is held is from before: only a load that begins now will do.
        Patience { max_staleness: Duration::ZERO, ..self.patience }
    }

    /// As [`Cache::get`].
    ///
    /// # Errors
    ///
    /// As [`Cache::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::get`].
    pub async fn get(self) -> Result<Option<V>> {
        Ok(self.ask().await?.value)
    }

    /// As [`Cache::ask`].
    ///
    /// # Errors
    ///
    /// As [`Cache::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::ask`].
    pub async fn ask(self) -> Result<Answer<V>> {
        let patience = self.arrived().await;
        self.cache.0.ask(self.key, patience, Loader::Source).await
    }

    /// As [`Cache::get_or_load`].
    ///
    /// # Errors
    ///
    /// As [`Cache::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::get_or_load`].
    pub async fn get_or_load<F, L>(self, load: F) -> Result<Option<V>>
    where
        F: FnOnce(LoadContext) -> L + Send + 'static,
        L: Future<Output = Result<Option<V>, LoadError>> + Send + 'static,
    {
        let loader = Loader::Once(Box::new(move |context| Box::pin(async { load(context).await })));
        let patience = self.arrived().await;
        Ok(self.cache.0.ask(self.key, patience, loader).await?.value)
    }
}
