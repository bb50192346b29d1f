//! The keys that a warming still has to look at: one reading of its list, and what came back.
//!
//! It doesn't know what becomes of a key.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use larder_core::{Clock, Error, ErrorKind, KeyList, KeyPages, LoadError, Result};

use crate::keys::{AnyKeyList, AnyKeyPages};
use crate::wait::{catch_panic, pass_the_turn, within};

/// Keys that are read from the list at a time.
const PAGE_KEYS: usize = 1024;
/// How long the list may take for its count, or for one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Reading<K> {
    list: AnyKeyList<K>,
    pages: Option<AnyKeyPages<K>>,
    /// What was read of the list and not taken yet: one page.
    page: VecDeque<K>,
    /// What was taken and is to be looked at again: no more than what was under way.
    again: VecDeque<K>,
    /// How many keys may still be read.
    wanted: u64,
    /// No more pages.
    listed: bool,
    /// Why there are none, if the list failed.
    fault: Option<Error>,
}

/// A key of a [`Reading`].
pub(super) struct Taken<K> {
    pub(super) key: K,
    /// It wasn't taken before.
    pub(super) is_new: bool,
}

impl<K: Send + 'static> Reading<K> {
    /// At most so many keys of `list`.
    pub(super) fn new(list: AnyKeyList<K>, keys_max: u64) -> Self {
        Self {
            list,
            pages: None,
            page: VecDeque::new(),
            again: VecDeque::new(),
            wanted: keys_max,
            listed: false,
            fault: None,
        }
    }

    /// Counts the list and reads its first page. After an error it may be called again.
    pub(super) async fn begin(&mut self, clock: &dyn Clock) -> Result<Option<u64>> {
        // A reading that failed is over.
        self.pages = None;
        let count = in_time(clock, self.list.count()).await?;
        let of = count.map(|count| count.min(self.wanted));
        self.next_page(clock).await?;
        Ok(of)
    }

    /// The next key: first of those that are to be looked at again.
    pub(super) async fn next(&mut self, clock: &dyn Clock) -> Option<Taken<K>> {
        if let Some(key) = self.again.pop_front() {
            return Some(Taken { key, is_new: false });
        }
        if self.page.is_empty()
            && !self.listed
            && let Err(error) = self.next_page(clock).await
        {
            // What it gave before is loaded all the same.
            (self.listed, self.fault) = (true, Some(error));
        }
        self.page.pop_front().map(|key| Taken { key, is_new: true })
    }

    /// `key` is to be looked at again, before all others.
    pub(super) fn put_back(&mut self, key: K) {
        self.again.push_front(key);
    }

    /// `key` is to be looked at again.
    pub(super) fn again(&mut self, key: K) {
        self.again.push_back(key);
    }

    /// How many keys are to be looked at again.
    pub(super) fn waiting(&self) -> usize {
        self.again.len()
    }

    /// Whether all keys were taken.
    pub(super) fn is_over(&self) -> bool {
        self.listed && self.page.is_empty() && self.again.is_empty()
    }

    /// Why the list broke off, if it did.
    pub(super) fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    async fn next_page(&mut self, clock: &dyn Clock) -> Result<()> {
        let max = usize::try_from(self.wanted).unwrap_or(usize::MAX).min(PAGE_KEYS);
        if max == 0 {
            self.listed = true;
            return Ok(());
        }
        let pages = self.pages.get_or_insert_with(|| self.list.pages());
        let page = in_time(clock, pages.next(max)).await?;
        self.wanted -= page.len() as u64;
        self.listed = page.is_empty();
        self.page.extend(page);
        // A list that never waits would keep its thread from everybody else.
        pass_the_turn().await;
        Ok(())
    }
}

/// What a list answers in time; an error if it panics.
async fn in_time<T: Send>(
    clock: &dyn Clock,
    question: impl Future<Output = Result<T, LoadError>> + Send,
) -> Result<T> {
    let answer = catch_panic(Box::pin(question));
    match within(clock, clock.now() + PAGE_TIMEOUT, answer).await {
        Some(Ok(answer)) => answer.map_err(Error::from_loader),
        Some(Err(panic)) => {
            let message = format!("the list of keys panicked: {panic}");
            Err(Error::new(ErrorKind::Loader, message))
        }
        None => {
            let message = format!("the list of keys took longer than {PAGE_TIMEOUT:?}");
            Err(Error::new(ErrorKind::Timeout, message))
        }
    }
}
