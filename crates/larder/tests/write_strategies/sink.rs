//! A sink that stands still at a step, for a process that is to be killed there.

use larder::core::sink::{
    Applied, DeadLetter, Numbered, Sequence, Sink, SinkAbilities, WriteError,
};
use larder::core::{Key, Value, Write, Written};
use larder::sql::SqlSink;

/// Where a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The database has it, and nobody was told.
    Committed,
    /// The caller was told that it is done.
    Acknowledged,
}

/// The sink of a process. It stands still for ever once it has committed, if it is told to.
pub(crate) struct StoppingSink {
    pub(crate) inner: SqlSink,
    pub(crate) stops: Option<fn()>,
}

impl StoppingSink {
    /// Says so and stands still, if it is to: with its thread, so that no timeout goes on.
    fn committed<T>(&self, outcome: T) -> T {
        if let Some(say) = self.stops {
            say();
            loop {
                std::thread::park();
            }
        }
        outcome
    }
}

impl Sink<Key, Value> for StoppingSink {
    fn abilities(&self) -> SinkAbilities {
        self.inner.abilities()
    }

    async fn write(&self, key: &Key, write: &Write<Value>) -> Result<Written<Value>, WriteError> {
        let written = self.inner.write(key, write).await?;
        Ok(self.committed(written))
    }

    async fn replace(
        &self,
        key: &Key,
        expected: Option<&Value>,
        write: &Write<Value>,
    ) -> Result<Written<Value>, WriteError> {
        self.inner.replace(key, expected, write).await
    }

    async fn own(&self, owner: &str) -> larder::Result<u64> {
        Sink::<Key, Value>::own(&self.inner, owner).await
    }

    async fn disown(&self, epoch: u64) -> larder::Result<()> {
        Sink::<Key, Value>::disown(&self.inner, epoch).await
    }

    async fn apply(
        &self,
        epoch: u64,
        batch: &[Numbered<Key, Value>],
    ) -> Result<Vec<Applied<Value>>, WriteError> {
        let applied = self.inner.apply(epoch, batch).await?;
        Ok(self.committed(applied))
    }

    async fn applied(&self, keys: &[Key]) -> larder::Result<Vec<Option<Sequence>>> {
        Sink::<Key, Value>::applied(&self.inner, keys).await
    }

    async fn bury(
        &self,
        epoch: u64,
        write: &Numbered<Key, Value>,
        reason: &str,
    ) -> Result<(), WriteError> {
        self.inner.bury(epoch, write, reason).await
    }

    async fn requeued(&self, limit: usize) -> larder::Result<Vec<DeadLetter<Key, Value>>> {
        self.inner.requeued(limit).await
    }
}
