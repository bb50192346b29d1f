//! Who leads, and how far everything was applied: one message that is exchanged for the next.
//!
//! It is exchanged only by who knows the number of the one before. So of two who want to lead one
//! does, and who has lost the lead without knowing changes nothing any more. Who leads exchanges it
//! several times while a lead lasts; one that nobody has exchanged for so long, by the watch of who
//! stands by, is a lead that nobody has.
//!
//! A task of its own does it, until nobody reads any more; then it gives the lead back.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Stream;
use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::place::{At, Kept};
use super::stream::{KEPT_IN, last};
use super::{down, refused};

/// So often who leads says so, in one lead.
const SAID_TIMES: u32 = 5;

/// What who stands by has seen: the number of the message, and since when.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<Option<(u64, Instant)>>);

impl Watched {
    /// Whether nobody has exchanged it for so long.
    fn is_left(&self, number: u64, lead_for: Duration) -> bool {
        let mut seen = self.0.lock();
        match *seen {
            Some((same, since)) if same == number => since.elapsed() >= lead_for,
            _ => {
                *seen = Some((number, Instant::now()));
                false
            }
        }
    }
}

/// What was applied everywhere: the number of the last batch, and what it reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) number: u64,
    pub(super) at: At,
}

/// The message, and its place.
pub(super) struct Lead {
    context: Context,
    own: Stream,
    subject: String,
    lead_for: Duration,
    leader: u64,
    /// The number of the message, as far as it is known.
    sequence: u64,
    kept: Option<Kept>,
}

impl Lead {
    /// Looks whether somebody leads.
    ///
    /// # Errors
    ///
    /// `Refused` if so.
    pub(super) async fn look(
        context: Context,
        own: Stream,
        subject: String,
        lead_for: Duration,
        watched: &Watched,
    ) -> Result<Self> {
        let leader = RandomState::new().hash_one(0_u8);
        let (sequence, kept) = match last(&own, &subject).await? {
            Some((sequence, text)) => (sequence, Kept::parse(&text)),
            None => (0, None),
        };
        let is_led = kept.as_ref().is_some_and(|kept| kept.leader.is_some());
        if is_led && !watched.is_left(sequence, lead_for) {
            return Err(taken());
        }
        Ok(Self { context, own, subject, lead_for, leader, sequence, kept })
    }

    /// What was kept when it was looked at.
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Leads, from this place on.
    ///
    /// # Errors
    ///
    /// `Refused` when another one was faster.
    pub(super) async fn take(&mut self, kept: Kept) -> Result<()> {
        self.kept = Some(Kept { leader: Some(self.leader), ..kept });
        self.exchange().await
    }

    /// Writes what is kept, if the message is still the one that is known.
    async fn exchange(&mut self) -> Result<()> {
        for _ in 0..2 {
            let text = self.kept.as_ref().map(ToString::to_string).unwrap_or_default();
            let message = PublishMessage::build()
                .payload(text.into())
                .expected_stream(KEPT_IN)
                .expected_last_subject_sequence(self.sequence);
            let sent = match self.context.send_publish(self.subject.clone(), message).await {
                Ok(acknowledged) => acknowledged.await,
                Err(error) => Err(error),
            };
            let error = match sent {
                Ok(acknowledged) => {
                    self.sequence = acknowledged.sequence;
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.kind() != PublishErrorKind::WrongLastSequence {
                return Err(refused(None, error));
            }
            // It may be what was written here, and never acknowledged.
            match last(&self.own, &self.subject).await? {
                Some((sequence, text)) if self.is_ours(&text) => self.sequence = sequence,
                _ => return Err(taken()),
            }
        }
        Err(down("what is kept is exchanged by somebody else all the time"))
    }

    fn is_ours(&self, text: &[u8]) -> bool {
        Kept::parse(text).is_some_and(|kept| kept.leader == Some(self.leader))
    }

    /// Keeps the lead, and writes what is applied, until nobody says it any more.
    pub(super) async fn keep(
        mut self,
        mut applied: watch::Receiver<Applied>,
        lost: Arc<Mutex<Option<Error>>>,
    ) {
        let mut said = Instant::now();
        loop {
            let changed = timeout(self.lead_for / SAID_TIMES, applied.changed()).await;
            let is_over = matches!(changed, Ok(Err(_)));
            let Applied { number, at } = *applied.borrow_and_update();
            if let Some(kept) = &mut self.kept {
                (kept.number, kept.at) = (number, at);
                kept.leader = (!is_over).then_some(self.leader);
            }
            let error = match self.exchange().await {
                Ok(()) => {
                    said = Instant::now();
                    None
                }
                Err(error) => Some(error),
            };
            if is_over {
                // Where it couldn't be said, another process waits until the lead ends by itself.
                return;
            }
            if let Some(error) = error
                && (error.kind() == ErrorKind::Refused || said.elapsed() >= self.lead_for)
            {
                *lost.lock() = Some(error);
                return;
            }
        }
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::Refused, "another process reads the records from NATS")
}
