//! A journal in a stream of Redis, for programs without a disk that lasts.
//!
//! The head says who has the journal, and which numbers its log holds; the log is a stream whose
//! entries have the records' numbers. Both live on one server, and change in one step.
//!
//! One process has it at a time. Whoever takes it over writes a token of his own into the head, and
//! from then on the scripts refuse whoever comes with another one, however late: no clock decides
//! that. Whether somebody who has it lives is asked before, and by the clock, so that two programs
//! that were given one name don't take it from each other for ever.
//!
//! It knows nothing of what a record says, nor who applies it.
//!
//! | module | idea |
//! |---|---|
//! | `options`, `report` | what a user says, and what he is told |
//! | `shared` | the records, how far Redis has them, and who waits |
//! | `sender` | the task that sends |
//! | `log` | what is asked of Redis |
//! | `opening` | taking over, and reading |

mod log;
mod opening;
mod options;
mod report;
mod sender;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use larder_core::journal::{Journal, JournalStanding, Records};
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::sync::oneshot;

pub use options::RedisJournalOptions;
pub use report::{RecordsLost, RedisRecovery};

use opening::Opened;
use shared::Shared;

/// A journal in a stream of Redis, which [`RedisJournalOptions`] open: **replicated, not durable**.
///
/// Acknowledged records are in two places, in Redis and in this process, until they are needed no
/// more. What is lost when:
///
/// - This process: nothing. Whoever opens the journal next reads them.
/// - Redis, or its last writes in a fail-over, or somebody empties it: nothing. This process sends
///   again what is missing, all of it if need be.
/// - Both, before that: what Redis hadn't saved, or passed on to whoever takes its place.
///   [`RedisRecovery::may_lack_from`] says that it may be so. Where everything is gone, the journal
///   has another [`id`](Journal::id).
///
/// How much Redis keeps is its own affair: with `appendonly yes` and `appendfsync always` what it
/// has answered is on its disk, with `everysec` all but the last second or two, and by default
/// nothing is but its last snapshot. With [`replicas`](RedisJournalOptions::replicas) a record
/// counts when so many replicas have it, too; Redis doesn't promise to choose one of these for a
/// successor.
///
/// `append`, `durable` and `truncate_below` wait for nobody; one thread with a runtime of its own,
/// `larder-redis-journal`, sends for all, so it may be used on any runtime. `read_from` reads what
/// is in memory.
///
/// When another process takes the journal over, or what it holds was changed, everything that waits
/// fails with `Refused`, and so does every later `append`.
///
/// When it is dropped, everything is sent first, which takes
/// [`answer_within`](RedisJournalOptions::answer_within) at most where Redis doesn't answer;
/// [`close`](Self::close) also says whether it succeeded.
///
/// # Bounds
///
/// | what | bound | at the bound |
/// |---|---|---|
/// | a record | `record_bytes_max`, 8 MiB | `Refused` |
/// | the journal, in Redis and in this process | `bytes_max`, 256 MiB | `Shed` |
/// | what is on its way to Redis | `waiting_bytes_max`, 32 MiB | `Shed` |
/// | who waits for it | 65,536 | `Shed` |
/// | how long Redis may not answer | `answer_within`, 10 s | `Timeout`; `Shed` for whoever comes |
/// | a batch | 1 MiB and 1,024 records, or one record | the next one |
///
/// It needs Redis 6.2, and no more of its access list than scripts, streams, hashes, `INFO` and
/// `WAIT`.
pub struct RedisJournal {
    shared: Arc<Shared>,
    id: String,
    recovery: RedisRecovery,
    thread: Option<JoinHandle<()>>,
}

impl RedisJournal {
    fn new(opened: Opened, thread: JoinHandle<()>) -> Self {
        let Opened { shared, id, recovery } = opened;
        Self { shared, id, recovery, thread: Some(thread) }
    }

    /// What was found when it was opened.
    #[must_use]
    pub const fn recovery(&self) -> &RedisRecovery {
        &self.recovery
    }

    /// Sends everything, and gives the journal back, so that another process may have it at once.
    ///
    /// # Errors
    ///
    /// What failed, now or before: what wasn't durable by then may be lost. `Timeout` when Redis
    /// doesn't answer in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes it all the same.
    pub async fn close(mut self) -> Result<()> {
        self.shared.close();
        let (done, is_done) = oneshot::channel();
        let thread = self.thread.take();
        let waiter = std::thread::Builder::new().name("larder-redis-close".to_owned());
        let waiter = waiter.spawn(move || {
            // If it has panicked, it has said so to everybody.
            let _ = thread.map(JoinHandle::join);
            let _ = done.send(());
        });
        waiter.map_err(|error| {
            let message = "the system gives no thread to close the journal";
            Error::new(ErrorKind::Internal, message).caused_by(error)
        })?;
        let _ = is_done.await;
        self.shared.failure().map_or(Ok(()), Err)
    }
}

impl Drop for RedisJournal {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Journal for RedisJournal {
    fn id(&self) -> &str {
        &self.id
    }

    fn append(&self, record: &[u8]) -> Result<u64> {
        self.shared.append(record)
    }

    fn durable(&self, number: u64) -> BoxFuture<'static, Result<()>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.durable(number).await })
    }

    fn durable_below(&self) -> u64 {
        self.shared.durable_below()
    }

    fn read_from(&self, number: u64) -> Result<Records> {
        Ok(Box::new(self.shared.read_from(number).into_iter().map(Ok)))
    }

    fn truncate_below(&self, number: u64) -> Result<()> {
        self.shared.truncate_below(number)
    }

    fn standing(&self) -> JournalStanding {
        self.shared.standing()
    }
}

impl fmt::Debug for RedisJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisJournal")
            .field("id", &self.id)
            .field("standing", &self.shared.standing())
            .finish_non_exhaustive()
    }
}
