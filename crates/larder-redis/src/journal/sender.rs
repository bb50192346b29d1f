//! The task that sends: one batch after the other, and while one is on its way the next gathers.
//!
//! Group commit, as in a journal on a disk, with a round trip in the place of the sync: DeWitt,
//! Katz, Olken, Shapiro, Stonebraker, Wood, "Implementation Techniques for Main Memory Database
//! Systems", SIGMOD 1984.
//!
//! A batch whose answer was lost is sent again. Its numbers say what of it is there already.
//!
//! | Redis says | what is done |
//! |---|---|
//! | it holds less than it had | what is missing is sent again |
//! | it holds nothing | everything that is needed is |
//! | another process has it | nothing is appended any more |
//! | parts are missing, or of somebody else | the same |
//! | it is full | what is needed no more is removed; the batch is sent again later |
//! | nothing, or that it can't | the same later |

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout};

use super::log::{Log, Sent};
use super::shared::{Batch, Shared};

/// How long Redis is left alone after a failure: doubled from one to the other.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Sender {
    log: Log,
    shared: Arc<Shared>,
    id: String,
    /// Since when nothing has become durable although something waits, or should have been heard.
    trouble: Option<Instant>,
    pause: Duration,
}

impl Sender {
    pub(super) fn new(log: Log, shared: Arc<Shared>, id: String) -> Self {
        Self { log, shared, id, trouble: None, pause: PAUSE }
    }

    /// Sends until it is closed, or has failed.
    pub(super) async fn run(mut self) {
        let mut closing_since = None;
        loop {
            let batch = self.shared.batch();
            if self.shared.is_closing() {
                let since = *closing_since.get_or_insert_with(Instant::now);
                if batch.is_idle {
                    return self.give_back().await;
                }
                if since.elapsed() >= self.shared.settings.answer_within {
                    let name = &self.shared.settings.name;
                    let message = format!("the journal {name} was closed before Redis had it all");
                    return self.shared.fail(Error::new(ErrorKind::Timeout, message));
                }
            } else if batch.is_idle
                && self.trouble.is_none()
                && self.woken_within(self.shared.settings.beat_every()).await
            {
                continue;
            }
            let done = self.turn(&batch).await;
            if self.shared.failure().is_some() {
                return;
            }
            match done {
                Ok(()) => (self.trouble, self.pause) = (None, PAUSE),
                Err(error) => self.rest(error).await,
            }
        }
    }

    /// Gives the journal back.
    pub(super) async fn give_back(&self) {
        // Otherwise whoever wants it waits until it has been silent for long enough.
        let _ = self.log.close().await;
    }

    /// Sends one batch. An error means that it is to be sent again.
    async fn turn(&self, batch: &Batch) -> Result<()> {
        let sent = match self.send(batch).await {
            // What is needed no more must go first, which needs no room.
            Err(error) if error.kind() == ErrorKind::NoRoom && !batch.records.is_empty() => {
                let bare = Batch {
                    records: Vec::new(),
                    count: batch.count - batch.records.len() as u64,
                    ..batch.clone()
                };
                self.settle(&bare, self.send(&bare).await?, false)?;
                return Err(error);
            }
            sent => sent?,
        };
        self.settle(batch, sent, true)
    }

    async fn send(&self, batch: &Batch) -> Result<Sent> {
        self.log.send(batch, &self.id, self.shared.settings.replicas).await
    }

    /// Does what an answer asks for.
    fn settle(&self, batch: &Batch, sent: Sent, counts: bool) -> Result<()> {
        match sent {
            Sent::Stored { next, count, replicas } => {
                let end = batch.at + batch.records.len() as u64;
                if next == end && count != batch.count {
                    self.shared.fail(self.log.torn());
                    return Ok(());
                }
                let wanted = self.shared.settings.replicas;
                let is_durable = counts && replicas >= u64::from(wanted);
                self.shared.stored(batch, next, is_durable);
                if counts && !is_durable {
                    let name = &self.shared.settings.name;
                    let message = format!(
                        "{replicas} replicas have what the journal {name} has: {wanted} must"
                    );
                    return Err(Error::new(ErrorKind::SharedDown, message));
                }
            }
            Sent::Lost(next) => self.shared.rewind(next),
            Sent::Gone => self.shared.begin_anew(),
            Sent::Torn => self.shared.fail(self.log.torn()),
            Sent::Owned(who) => self.shared.fail(self.log.taken_by(&who)),
        }
        Ok(())
    }

    /// Tells those who wait when it has taken too long, and waits for a little.
    async fn rest(&mut self, error: Error) {
        let since = *self.trouble.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.shared.settings.answer_within {
            self.shared.be_late(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    async fn woken_within(&self, time: Duration) -> bool {
        timeout(time, self.shared.work.notified()).await.is_ok()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Nobody else would ever wake those who wait.
        if std::thread::panicking() {
            let message = "the thread that writes the journal has panicked";
            self.shared.fail(Error::new(ErrorKind::Internal, message));
        }
    }
}
