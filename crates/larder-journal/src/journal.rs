//! The journal as its users see it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{Builder, JoinHandle};

use larder_core::journal::{Journal, JournalStanding, Records};
use larder_core::{BoxFuture, Error, ErrorKind, Result};

use crate::committer::Committer;
use crate::files::Folder;
use crate::options::Settings;
use crate::reader::Reader;
use crate::recovery::{Recovered, recover};
use crate::report::Recovery;
use crate::shared::Shared;
use crate::waiters::Ticket;

/// A journal in a folder of its own, which [`JournalOptions`](crate::JournalOptions) open.
///
/// `append`, `durable` and `truncate_below` wait for no disk: one thread, `larder-journal`, writes
/// for all. What was truncated is written down when that thread gets to it, so after a crash some
/// of it may be read again. `truncate_below` never goes beyond what is durable.
///
/// When a write or a sync fails, everything that waits fails, and so does every later `append`,
/// with the same error. What is durable can still be read, and truncated, so that a full disk gets
/// room again. To go on, drop it and open it anew.
///
/// When it is dropped, everything is written and synced first. That waits for the disk;
/// [`close`](Self::close) also says whether it succeeded.
pub struct FileJournal {
    pub(crate) shared: Arc<Shared>,
    folder: Arc<dyn Folder>,
    id: String,
    recovery: Recovery,
    thread: Option<JoinHandle<()>>,
}

impl FileJournal {
    /// Opens what is in a folder, and lets a thread write.
    pub(crate) fn start(folder: Arc<dyn Folder>, path: &str, settings: Settings) -> Result<Self> {
        let (mut journal, committer) = Self::recover(folder, path, settings)?;
        let builder = Builder::new().name("larder-journal".to_owned());
        let thread = builder.spawn(move || committer.run()).map_err(|error| {
            let message = "the system gives no thread to write the journal";
            Error::new(ErrorKind::Internal, message).caused_by(error)
        })?;
        journal.thread = Some(thread);
        Ok(journal)
    }

    /// Opens what is in a folder. Nothing is written until somebody lets the committer.
    pub(crate) fn recover(
        folder: Arc<dyn Folder>,
        path: &str,
        settings: Settings,
    ) -> Result<(Self, Committer)> {
        let Recovered { identity, log, standing, recovery } =
            recover(folder.clone(), path, settings)?;
        let shared = Arc::new(Shared::new(identity, settings, standing));
        let committer = Committer::new(shared.clone(), log);
        let id = format!("{:032x}", u128::from_be_bytes(identity));
        Ok((Self { shared, folder, id, recovery, thread: None }, committer))
    }

    /// What was found when it was opened.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Makes everything durable, whatever durability was chosen, and gives the folder back. It
    /// waits for the disk.
    ///
    /// # Errors
    ///
    /// `Internal` when something failed, now or before: what isn't durable is then lost.
    pub fn close(mut self) -> Result<()> {
        self.end();
        self.shared.failure().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            // If it has panicked, it has said so to everybody.
            let _ = thread.join();
        }
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.end();
    }
}

impl Journal for FileJournal {
    fn id(&self) -> &str {
        &self.id
    }

    fn append(&self, record: &[u8]) -> Result<u64> {
        self.shared.append(record)
    }

    fn durable(&self, number: u64) -> BoxFuture<'static, Result<()>> {
        Box::pin(Durable { shared: self.shared.clone(), number, ticket: None })
    }

    fn durable_below(&self) -> u64 {
        self.shared.durable_below()
    }

    fn read_from(&self, number: u64) -> Result<Records> {
        let end = self.shared.durable_below();
        Ok(Box::new(Reader::new(self.shared.clone(), self.folder.clone(), number, end)))
    }

    fn truncate_below(&self, number: u64) -> Result<()> {
        self.shared.truncate_below(number)
    }

    fn standing(&self) -> JournalStanding {
        self.shared.standing()
    }
}

impl fmt::Debug for FileJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileJournal")
            .field("id", &self.id)
            .field("standing", &self.shared.standing())
            .finish_non_exhaustive()
    }
}

/// Waits for a record to become durable. What it is woken by is taken back when it is dropped.
struct Durable {
    shared: Arc<Shared>,
    number: u64,
    ticket: Option<Ticket>,
}

impl Future for Durable {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.shared.poll_durable(this.number, &mut this.ticket, context.waker()) {
            Some(done) => Poll::Ready(done),
            None => Poll::Pending,
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.take_back(ticket);
        }
    }
}
