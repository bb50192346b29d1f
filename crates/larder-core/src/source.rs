//! The system of record, as larder reads it.

use std::future::Future;
use std::sync::Arc;

use crate::LoadContext;

/// What a load fails with: any error at all.
///
/// An [`Error`](crate::Error) keeps its kind on the way to the caller; anything else arrives as
/// [`ErrorKind::Loader`](crate::ErrorKind::Loader) with the original inside.
pub type LoadError = Box<dyn std::error::Error + Send + Sync>;

/// Who may change the data of a source: without knowing it, no promise about staleness is honest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changes {
    /// Anyone, at any time, behind larder's back: only its age bounds an answer's staleness.
    #[default]
    Unknown,
    /// Every writer announces its changes, by an invalidation after the commit.
    Announced,
    /// Nobody.
    Static,
}

/// The system of record behind a cache.
///
/// `Ok(None)` means that the source was asked and has no such value; it is an answer, and the
/// cache remembers it.
///
/// ```
/// use larder_core::{LoadContext, LoadError, Source};
///
/// struct Squares;
///
/// impl Source<u64, u64> for Squares {
///     async fn load(&self, key: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
///         Ok(key.checked_mul(*key))
///     }
/// }
/// ```
///
/// # Cancel safety
///
/// The engine drops a load that exceeds its timeout, so dropping either future must leave the
/// source usable.
pub trait Source<K, V>: Send + Sync + 'static
where
    K: Sync,
    V: Send,
{
    /// Loads one value.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; every caller that waits for this load receives it.
    fn load(
        &self,
        key: &K,
        context: &mut LoadContext,
    ) -> impl Future<Output = Result<Option<V>, LoadError>> + Send;

    /// Loads many values with one question, in the order of `keys`: the answer has the same
    /// length. Never called with more than [`batch_max`](Source::batch_max) keys.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; it fails the whole batch.
    fn load_many(
        &self,
        keys: &[K],
        context: &mut LoadContext,
    ) -> impl Future<Output = Result<Vec<Option<V>>, LoadError>> + Send {
        async move {
            let mut values = Vec::with_capacity(keys.len());
            for key in keys {
                values.push(self.load(key, context).await?);
            }
            Ok(values)
        }
    }

    /// Whether `key` can name anything at all, as far as that is known without asking. Called
    /// before a load is begun, so that a bad key takes no turn of a good one and fails no batch;
    /// it must be cheap.
    ///
    /// # Errors
    ///
    /// Why it can't, as an [`Error`](crate::Error) of the kind
    /// [`BadKey`](crate::ErrorKind::BadKey).
    fn check(&self, key: &K) -> crate::Result<()> {
        let _ = key;
        Ok(())
    }

    /// How many keys one [`load_many`](Source::load_many) takes. A source that answers 1, as by
    /// default, is asked key by key, concurrently, and `load_many` is not used.
    fn batch_max(&self) -> usize {
        1
    }
}

impl<K, V, S> Source<K, V> for Arc<S>
where
    K: Sync,
    V: Send,
    S: Source<K, V>,
{
    fn load(
        &self,
        key: &K,
        context: &mut LoadContext,
    ) -> impl Future<Output = Result<Option<V>, LoadError>> + Send {
        S::load(self, key, context)
    }

    fn load_many(
        &self,
        keys: &[K],
        context: &mut LoadContext,
    ) -> impl Future<Output = Result<Vec<Option<V>>, LoadError>> + Send {
        S::load_many(self, keys, context)
    }

    fn check(&self, key: &K) -> crate::Result<()> {
        S::check(self, key)
    }

    fn batch_max(&self) -> usize {
        S::batch_max(self)
    }
}
