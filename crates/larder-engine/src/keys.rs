//! A list of keys as an object: one box per reading and one per page.
//!
//! It doesn't know what the keys are read for.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use larder_core::{BoxFuture, KeyList, KeyPages, LoadError};

/// A [`KeyList`] whose type is forgotten. Clones are the same list.
///
/// ```
/// use larder_core::keys_of;
/// use larder_engine::AnyKeyList;
///
/// let lists = [AnyKeyList::new(keys_of(0..10_u64)), AnyKeyList::new(keys_of([3_u64, 5]))];
/// # assert_eq!(lists.len(), 2);
/// ```
pub struct AnyKeyList<K>(Arc<dyn DynKeyList<K>>);

impl<K: 'static> AnyKeyList<K> {
    /// The same list, without its type.
    pub fn new(list: impl KeyList<K>) -> Self {
        Self(Arc::new(list))
    }
}

impl<K> Clone for AnyKeyList<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for AnyKeyList<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyKeyList").finish_non_exhaustive()
    }
}

impl<K: 'static> KeyList<K> for AnyKeyList<K> {
    type Pages = AnyKeyPages<K>;

    fn pages(&self) -> AnyKeyPages<K> {
        AnyKeyPages(self.0.pages())
    }

    fn count(&self) -> impl Future<Output = Result<Option<u64>, LoadError>> + Send {
        self.0.count()
    }
}

/// One reading of an [`AnyKeyList`].
pub struct AnyKeyPages<K>(Box<dyn DynKeyPages<K>>);

impl<K> fmt::Debug for AnyKeyPages<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyKeyPages").finish_non_exhaustive()
    }
}

impl<K: 'static> KeyPages<K> for AnyKeyPages<K> {
    fn next(&mut self, max: usize) -> impl Future<Output = Result<Vec<K>, LoadError>> + Send {
        self.0.next(max)
    }
}

/// What [`KeyList`] is once its type is forgotten.
trait DynKeyList<K>: Send + Sync + 'static {
    fn pages(&self) -> Box<dyn DynKeyPages<K>>;

    fn count(&self) -> BoxFuture<'_, Result<Option<u64>, LoadError>>;
}

impl<K: 'static, L: KeyList<K>> DynKeyList<K> for L {
    fn pages(&self) -> Box<dyn DynKeyPages<K>> {
        Box::new(KeyList::pages(self))
    }

    fn count(&self) -> BoxFuture<'_, Result<Option<u64>, LoadError>> {
        Box::pin(KeyList::count(self))
    }
}

/// What [`KeyPages`] is once its type is forgotten.
trait DynKeyPages<K>: Send + 'static {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<K>, LoadError>>;
}

impl<K: 'static, P: KeyPages<K>> DynKeyPages<K> for P {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<K>, LoadError>> {
        Box::pin(KeyPages::next(self, max))
    }
}
