//! All keys of a source, page by page: what a filter is built from and a cache is warmed from.
//!
//! A reading is an object of its own ([`KeyPages`]), so that a source may answer with whatever it
//! has: a position in the order of its keys, a cursor, an iterator. It knows nothing of who reads
//! it, and holds one page at a time, however many keys there are.

use std::future::{Future, ready};
use std::sync::Arc;

use crate::LoadError;

/// The keys of a source, to be read as often as wanted.
///
/// A reading gives at least every key that had a value when its first page was asked for and
/// still has one when it ends. A key whose value comes or goes in between may be given or not.
/// Some keys too many, or one key twice, do no harm; one that is left out does: a filter built
/// from the list would say that it doesn't exist. So the list is read where the source itself
/// reads, and not from a replica that lags behind.
///
/// A database that sorts by the key goes on after the last one that it gave:
///
/// ```
/// use larder_core::{KeyList, KeyPages, LoadError};
/// use std::collections::BTreeSet;
/// use std::ops::Bound::{Excluded, Unbounded};
/// use std::sync::Arc;
///
/// struct Users(Arc<BTreeSet<u64>>); // a pool of connections
///
/// struct UserPages(Arc<BTreeSet<u64>>, Option<u64>);
///
/// impl KeyList<u64> for Users {
///     type Pages = UserPages;
///
///     fn pages(&self) -> UserPages {
///         UserPages(Arc::clone(&self.0), None)
///     }
///
///     // SELECT count(*) FROM users
///     async fn count(&self) -> Result<Option<u64>, LoadError> {
///         Ok(Some(self.0.len() as u64))
///     }
/// }
///
/// impl KeyPages<u64> for UserPages {
///     // SELECT id FROM users WHERE id > {after} ORDER BY id LIMIT {max}
///     async fn next(&mut self, max: usize) -> Result<Vec<u64>, LoadError> {
///         let after = self.1.map_or(Unbounded, Excluded);
///         let page: Vec<_> = self.0.range((after, Unbounded)).copied().take(max).collect();
///         self.1 = page.last().copied();
///         Ok(page)
///     }
/// }
///
/// # let example = async {
/// let users = Users(Arc::new([3, 1, 2].into()));
/// let mut pages = users.pages();
/// assert_eq!(pages.next(2).await?, [1, 2]);
/// assert_eq!(pages.next(2).await?, [3]);
/// assert!(pages.next(2).await?.is_empty()); // the end
/// # Ok::<_, LoadError>(())
/// # };
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # let polled = Box::pin(example).as_mut().poll(&mut context);
/// # assert!(matches!(polled, std::task::Poll::Ready(Ok(()))));
/// ```
pub trait KeyList<K>: Send + Sync + 'static {
    /// One reading of the list.
    type Pages: KeyPages<K>;

    /// Begins a reading. Nothing is asked before its first page is.
    fn pages(&self) -> Self::Pages;

    /// About how many keys there are, if that is known without reading them. It decides only how
    /// much room is made.
    ///
    /// # Errors
    ///
    /// Whatever went wrong.
    fn count(&self) -> impl Future<Output = Result<Option<u64>, LoadError>> + Send {
        ready(Ok(None))
    }
}

/// One reading of a [`KeyList`].
///
/// # Cancel safety
///
/// A reading whose `next` was dropped or failed is over: whoever wants the keys begins another.
pub trait KeyPages<K>: Send + 'static {
    /// The next keys: at least one and at most `max`, which is not zero. None means that there
    /// are no more.
    ///
    /// # Errors
    ///
    /// Whatever went wrong.
    fn next(&mut self, max: usize) -> impl Future<Output = Result<Vec<K>, LoadError>> + Send;
}

impl<K, L: KeyList<K>> KeyList<K> for Arc<L> {
    type Pages = L::Pages;

    fn pages(&self) -> Self::Pages {
        L::pages(self)
    }

    fn count(&self) -> impl Future<Output = Result<Option<u64>, LoadError>> + Send {
        L::count(self)
    }
}

/// The keys that a program can name itself, as a [`KeyList`].
///
/// `keys` is cloned for each reading and to be counted, so a range or an iterator is better than
/// a long `Vec`, which would be copied whole.
///
/// ```
/// use larder_core::{KeyList, keys_of};
///
/// let even = keys_of((0..1_000_000_u64).step_by(2));
/// let names = keys_of(["ada".to_owned(), "grace".to_owned()]);
/// # fn check(_: impl KeyList<u64>, _: impl KeyList<String>) {}
/// # check(even, names);
/// ```
pub fn keys_of<I>(keys: I) -> KeysOf<I>
where
    I: IntoIterator<IntoIter: Send> + Clone + Send + Sync + 'static,
{
    KeysOf(keys)
}

/// The list that [`keys_of`] makes.
#[derive(Clone, Debug)]
pub struct KeysOf<I>(I);

impl<I> KeyList<I::Item> for KeysOf<I>
where
    I: IntoIterator<IntoIter: Send + 'static> + Clone + Send + Sync + 'static,
{
    type Pages = PagesOf<I::IntoIter>;

    fn pages(&self) -> Self::Pages {
        PagesOf(self.0.clone().into_iter())
    }

    fn count(&self) -> impl Future<Output = Result<Option<u64>, LoadError>> + Send {
        let (at_least, at_most) = self.0.clone().into_iter().size_hint();
        let exact = at_most.filter(|&at_most| at_most == at_least);
        ready(Ok(exact.and_then(|count| u64::try_from(count).ok())))
    }
}

/// One reading of what [`keys_of`] made.
#[derive(Debug)]
pub struct PagesOf<I>(I);

impl<I: Iterator + Send + 'static> KeyPages<I::Item> for PagesOf<I> {
    async fn next(&mut self, max: usize) -> Result<Vec<I::Item>, LoadError> {
        Ok(self.0.by_ref().take(max).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What a future that never waits returns.
    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn pages_hold_no_more_than_asked_for_and_the_last_is_empty() {
        let list = keys_of(0..5_u32);
        for _ in 0..2 {
            let mut pages = list.pages();
            assert_eq!(now(pages.next(2)).unwrap(), [0, 1]);
            assert_eq!(now(pages.next(2)).unwrap(), [2, 3]);
            assert_eq!(now(pages.next(2)).unwrap(), [4]);
            assert_eq!(now(pages.next(2)).unwrap(), []);
        }
    }

    #[test]
    fn the_count_is_known_only_where_it_is_exact() {
        assert_eq!(now(keys_of(0..5_u32).count()).unwrap(), Some(5));
        assert_eq!(now(Arc::new(keys_of(["a", "b"])).count()).unwrap(), Some(2));
        assert_eq!(now(keys_of((0..5_u32).filter(|key| key % 2 == 0)).count()).unwrap(), None);
    }
}
