//! Debezium Server's HTTP sink: what it posts, and the answer that it waits for.
//!
//! It posts one record, waits for the answer, and posts the next: one order, in which nothing is
//! behind what wasn't answered. A request is answered when what it brought has been applied:
//! Debezium then never sends it again. What failed it sends again, in the same order, so nothing is
//! remembered here.
//!
//! This receives requests from whoever listens, and knows nothing of sockets, credentials and
//! statuses.

mod body;
mod queue;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::time::timeout;

use super::records::{Batch, Place, Reading, Records};
use queue::Queue;

/// A body has so many bytes at most.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// So long nothing comes until that is said.
const NOTHING_AFTER: Duration = Duration::from_millis(100);

/// How much may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpIntakeOptions {
    /// So many requests wait for their answer, 256 by default. Further ones are refused with
    /// `Shed`.
    pub waiting_max: usize,
    /// With so many bytes at most, 16 MiB by default.
    pub waiting_bytes_max: usize,
    /// A request waits no longer, 30 s by default: Debezium gives up after 60.
    pub within: Duration,
}

impl Default for HttpIntakeOptions {
    fn default() -> Self {
        Self { waiting_max: 256, waiting_bytes_max: 16 << 20, within: Duration::from_secs(30) }
    }
}

/// Where requests of Debezium Server's HTTP sink go. Clones are the same.
///
/// ```
/// use larder_feed::debezium::http::{HttpIntake, HttpIntakeOptions};
///
/// # use larder_core::Result;
/// # async fn route(headers: Vec<(String, String)>, body: bytes::Bytes) -> Result<()> {
/// let intake = HttpIntake::new(HttpIntakeOptions::default());
/// // A clone of it is the transport of a feed. Whoever listens passes on what is posted:
/// let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
/// intake.accept(headers, body).await?; // then 200, and the error's status otherwise
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HttpIntake(Arc<Inner>);

struct Inner {
    options: HttpIntakeOptions,
    queue: Queue,
    /// Numbers mean something to this process only.
    log: u32,
}

impl HttpIntake {
    /// One that nothing was posted to.
    #[must_use]
    pub fn new(options: HttpIntakeOptions) -> Self {
        #[allow(clippy::cast_possible_truncation)] // Half of a random number is one, too.
        let log = RandomState::new().hash_one(0_u8) as u32;
        let queue = Queue::new(options.waiting_max, options.waiting_bytes_max);
        Self(Arc::new(Inner { options, queue, log }))
    }

    /// Takes what was posted: a record in JSON, an array of them, or CloudEvents, structured,
    /// binary or in a batch. Returns when it has been applied.
    ///
    /// # Errors
    ///
    /// `Refused` when the body isn't JSON, or is too long. `Shed` when too much waits already.
    /// `Timeout` when it wasn't applied in time, `SourceDown` when who followed has stopped: in
    /// both cases it may be posted again.
    ///
    /// # Cancel safety
    ///
    /// What was taken is applied all the same.
    pub async fn accept<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: Bytes,
    ) -> Result<()> {
        let records = body::records(headers, &body)?;
        if records.is_empty() {
            return Ok(());
        }
        let is_applied = self.0.queue.push(records)?;
        match timeout(self.0.options.within, is_applied).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                let message = "who followed has stopped: post it again";
                Err(Error::new(ErrorKind::SourceDown, message))
            }
            Err(_) => {
                let message = "nobody has applied it in time: post it again";
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }
}

impl Records for HttpIntake {
    fn name(&self) -> &str {
        "http"
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Reading>>> {
        Box::pin(async move {
            if !self.0.queue.begin() {
                let message = "somebody reads these requests already";
                return Err(Error::new(ErrorKind::Refused, message));
            }
            Ok(Box::new(HttpReading(Arc::clone(&self.0))) as Box<dyn Reading>)
        })
    }
}

impl fmt::Debug for HttpIntake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpIntake").field("options", &self.0.options).finish_non_exhaustive()
    }
}

struct HttpReading(Arc<Inner>);

impl Reading for HttpReading {
    fn begins(&self) -> Option<Place> {
        Some(Place { log: self.0.log, number: self.0.queue.applied() })
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Batch>> {
        Box::pin(async move {
            Ok(match timeout(NOTHING_AFTER, self.0.queue.next()).await {
                Ok((number, records)) => Batch::Records { number, records },
                Err(_) => Batch::Nothing,
            })
        })
    }

    fn applied(&mut self, batch: u64) {
        self.0.queue.answer(batch);
    }

    /// It was answered when it was applied: Debezium has forgotten it.
    fn acknowledge(&mut self, _batch: u64) {}

    fn caught_up(&mut self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async { Ok(true) })
    }
}

impl Drop for HttpReading {
    fn drop(&mut self) {
        self.0.queue.end();
    }
}
