//! What is done with a connection once: writes.
//!
//! How far it has come decides what a lost connection means. As long as nothing was sent that
//! could change anything, it is done on another connection; what was sent within a transaction is
//! undone by the database; and once the commit was sent, nobody knows.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::{Backend, Failure, Loan, Pool};
use crate::error::is_lost;

/// A connection that was idle for longer is asked whether it still leads anywhere, so that one
/// that died meanwhile, with a restart for instance, doesn't make the outcome of a write unknown.
/// It costs those a round trip that write seldom.
const TRUSTED: Duration = Duration::from_millis(20);

/// How far a write has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was sent that could change anything.
    Nothing,
    /// Within a transaction, which a lost connection ends.
    Begun,
    /// What commits was sent.
    Sent,
}

/// How far a write has come, as its caller sees it when it is given up.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    stage: AtomicU8,
    /// The connection is within a transaction.
    is_open: AtomicBool,
    /// It failed while it was being prepared.
    is_unready: AtomicBool,
}

impl Progress {
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Nothing,
            1 => Stage::Begun,
            _ => Stage::Sent,
        }
    }

    /// A transaction has begun.
    pub(crate) fn begun(&self) {
        self.stage.store(1, Ordering::Relaxed);
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// From now on it may be committed.
    pub(crate) fn sent(&self) {
        self.stage.store(2, Ordering::Relaxed);
    }

    /// The transaction has ended, either way, and the connection is as it was before.
    pub(crate) fn ended(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// A statement could not be prepared.
    pub(crate) fn unready(&self) {
        self.is_unready.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_unready(&self) -> bool {
        self.is_unready.load(Ordering::Relaxed)
    }

    /// Nothing has happened yet.
    pub(crate) fn reset(&self) {
        self.stage.store(0, Ordering::Relaxed);
        self.is_open.store(false, Ordering::Relaxed);
        self.is_unready.store(false, Ordering::Relaxed);
    }
}

/// What is done with a connection, and is never done again once it told its progress of more
/// than [`Stage::Nothing`].
pub(crate) trait Once<B: Backend>: Sync {
    /// What comes of it.
    type Output: Send;

    /// Does it.
    fn run(
        &self,
        connection: &mut B::Connection,
        progress: &Progress,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

impl<B: Backend> Pool<B> {
    /// Does `job` with a connection, waiting for one if all are in use. The caller sets the
    /// deadline, and looks at `progress` when it has passed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection that was in use, which ends its transaction.
    pub(crate) async fn run_once<J: Once<B>>(
        &self,
        job: &J,
        progress: &Progress,
    ) -> Result<J::Output, Failure> {
        let mut loan = self.borrow().await?;
        if loan.idle.is_some_and(|idle| idle > TRUSTED) {
            let asked = timeout(self.connect_timeout, self.backend.is_alive(&mut loan.connection));
            if !asked.await.unwrap_or(false) {
                loan = self.instead_of(loan).await?;
            }
        }
        loop {
            let reused = loan.idle.is_some();
            let failure = match job.run(&mut loan.connection, progress).await {
                Ok(output) => {
                    if !progress.is_open() {
                        loan.put_back();
                    }
                    return Ok(output);
                }
                Err(failure) => failure,
            };
            match &failure {
                Failure::Driver(error)
                    if reused && is_lost(error) && progress.stage() == Stage::Nothing =>
                {
                    loan = self.instead_of(loan).await?;
                }
                _ => {
                    if !failure.spoils_connection() && !progress.is_open() {
                        loan.put_back();
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// A fresh connection in the place of one that died while it was idle. Its siblings are no
    /// better.
    pub(super) async fn instead_of<'a>(
        &'a self,
        loan: Loan<'a, B>,
    ) -> Result<Loan<'a, B>, Failure> {
        self.idle.lock().clear();
        let permit = loan.close();
        self.open(permit).await
    }
}
