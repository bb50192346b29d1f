//! One build of a filter: a reading of its list, from the claim to the end.
//!
//! It doesn't know who runs it, nor on what.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use larder_core::{Clock, Error, ErrorKind, KeyList, KeyPages, LoadError, Moment, Result};

use super::bits::{Bits, Plan};
use super::{BuildState, Filter};
use crate::wait::{catch_panic, pass_the_turn, within};

/// A build that is due and that nobody else runs. If it is dropped before it has ended it has
/// failed, and another one is due after the usual pause.
#[must_use = "a build does nothing until it is run"]
pub struct Build<K: Hash> {
    filter: Filter<K>,
    began: Moment,
    ended: bool,
}

impl<K: Hash> Build<K> {
    pub(super) fn new(filter: Filter<K>, began: Moment) -> Self {
        Self { filter, began, ended: false }
    }
}

impl<K: Hash + Send + Sync + 'static> Build<K> {
    /// Reads all of `list`, a page at a time, and puts what was built in use. Returns how it
    /// ended; a list that panics has failed.
    ///
    /// The room that is made is for as many keys as the list counts, or as the last reading gave
    /// if that were more. A list that doesn't count is taken to have grown by what was announced,
    /// and to have [`keys_planned`](super::FilterOptions::keys_planned) before its first reading.
    /// If there turn out to be twice as many or more, the filter is in use, with a worse rate, and
    /// the next build is due, which knows the number.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future fails the build, and what was built before stays in use.
    pub async fn run(mut self, list: &impl KeyList<K>, clock: &dyn Clock) -> BuildState {
        let outcome = match catch_panic(Box::pin(self.read(list, clock))).await {
            Ok(outcome) => outcome,
            Err(panic) => {
                let message = format!("the list of keys panicked: {panic}");
                Err(Error::new(ErrorKind::Loader, message))
            }
        };
        self.end(outcome, clock.now())
    }

    async fn read(&self, list: &impl KeyList<K>, clock: &dyn Clock) -> Result<()> {
        let inner = &*self.filter.0;
        let options = &inner.options;
        let count = self.answer(list.count(), clock).await?;
        let known = inner.state.lock().keys_known(count);
        let keys = known.unwrap_or(options.keys_planned);
        let bits = Arc::new(Bits::new(Plan::of(keys, options)));
        #[cfg(shuttle)]
        let late = inner.omit == super::Omit::BitsBeforePages;
        #[cfg(not(shuttle))]
        let late = false;
        if !late {
            // From here on, what is announced goes into them: see the module.
            inner.state.lock().fill(Arc::clone(&bits), count);
        }
        let mut pages = list.pages();
        loop {
            let page = self.answer(pages.next(options.page_keys), clock).await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|key| bits.add_listed(inner.hash(key)));
            if !inner.state.lock().page_added(page.len()) {
                return Ok(());
            }
            if clock.now() - self.began > options.rebuild_after {
                let message = "reading all keys takes longer than the filter may be old";
                return Err(Error::new(ErrorKind::Timeout, message));
            }
            // A list that never waits would keep its thread from everybody else.
            pass_the_turn().await;
        }
        if late {
            inner.state.lock().fill(bits, count);
        }
        Ok(())
    }

    /// What the list answers in time.
    async fn answer<T>(
        &self,
        question: impl Future<Output = Result<T, LoadError>>,
        clock: &dyn Clock,
    ) -> Result<T> {
        let timeout = self.filter.0.options.page_timeout;
        match within(clock, clock.now() + timeout, question).await {
            Some(answer) => answer.map_err(Error::from_loader),
            None => {
                let message = format!("the list of keys took longer than {timeout:?}");
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }
}

impl<K: Hash> Build<K> {
    fn end(&mut self, outcome: Result<()>, now: Moment) -> BuildState {
        self.ended = true;
        let (ended, freed) = self.filter.0.state.lock().end(outcome, now);
        drop(freed);
        ended
    }
}

impl<K: Hash> Drop for Build<K> {
    fn drop(&mut self) {
        if !self.ended {
            let message = "the build was dropped: the runtime is shutting down";
            // Nobody tells the time here; the pause counts from the beginning then.
            self.end(Err(Error::new(ErrorKind::Internal, message)), self.began);
        }
    }
}

impl<K: Hash> fmt::Debug for Build<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Build").field("began", &self.began).finish_non_exhaustive()
    }
}
