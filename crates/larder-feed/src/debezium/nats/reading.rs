//! Records while they are read: where that begins, batches, and what is acknowledged.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Error, Result};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::lead::{Applied, Lead};
use super::place::{At, Kept};
use super::reader::{Delivered, Reader};
use super::{Inner, down, stream};
use crate::debezium::marks::Marks;
use crate::debezium::records::{Batch, Place, Reading};

/// So many batches wait to be taken.
const WAITING_MAX: usize = 2;
/// So long nothing comes until that is said.
const NOTHING_AFTER: Duration = Duration::from_millis(100);

/// See the module's documentation.
pub(super) struct NatsReading {
    begins: Place,
    delivered: mpsc::Receiver<Delivered>,
    reader: AbortHandle,
    /// What was reached with each batch.
    marks: Marks<At>,
    /// Something is gone, and nothing was delivered since.
    is_holed: bool,
    /// What the lead is told; dropped, the lead is given back.
    applied: watch::Sender<Applied>,
    /// Why there is no lead any more.
    lost: Arc<Mutex<Option<Error>>>,
}

impl NatsReading {
    /// Begins to read as who leads.
    pub(super) async fn open(records: &Inner) -> Result<Self> {
        let options = &records.options;
        let (client, context) = records.connect().await?;
        let stream = stream::of(&context, &options.subjects).await?;
        let own = stream::own(&context, &stream).await?;
        let subject = format!("{}.{}", stream::KEPT_UNDER, options.name);
        let watched = &records.watched;
        let mut lead = Lead::look(context, own, subject, options.lead_for, watched).await?;
        let found = stream::look(&client, &stream).await?;
        let there = match lead.kept() {
            Some(kept) => stream::stamp(&stream, kept.at.sequence).await?,
            None => None,
        };
        let kept = match lead.kept() {
            Some(kept) if !found.has_lost(kept, there) => kept.clone(),
            kept => {
                let at = found.begins(kept);
                #[allow(clippy::cast_possible_truncation)] // Half of a random number is one, too.
                let log = RandomState::new().hash_one(0_u8) as u32;
                Kept { log, number: at.sequence, at, origin: found.origin, leader: None }
            }
        };
        lead.take(kept.clone()).await?;
        let Kept { log, number, at, origin, .. } = kept;
        let (sender, delivered) = mpsc::channel(WAITING_MAX);
        let subjects = options.subjects.iter().cloned().collect();
        let reader = Reader { client, stream, origin, subjects, at, delivered: sender };
        let (applied, said) = watch::channel(Applied { number, at });
        let lost = Arc::default();
        tokio::spawn(lead.keep(said, Arc::clone(&lost)));
        Ok(Self {
            begins: Place { log, number },
            delivered,
            reader: tokio::spawn(reader.run()).abort_handle(),
            marks: Marks::default(),
            is_holed: false,
            applied,
            lost,
        })
    }

    async fn batch(&mut self) -> Result<Batch> {
        if let Some(error) = self.lost.lock().clone() {
            return Err(error);
        }
        let Ok(delivered) = timeout(NOTHING_AFTER, self.delivered.recv()).await else {
            return Ok(Batch::Nothing);
        };
        match delivered {
            Some(Delivered::Read { at, records }) if records.is_empty() => {
                self.pass(at);
                Ok(Batch::Nothing)
            }
            Some(Delivered::Read { at, records }) => {
                self.is_holed = false;
                self.marks.deliver(at.sequence, at);
                Ok(Batch::Records { number: at.sequence, records })
            }
            Some(Delivered::Lost) => {
                self.is_holed = true;
                let reason = "messages of the stream are gone that weren't read".to_owned();
                Ok(Batch::Lost { reason })
            }
            Some(Delivered::Failed(error)) => Err(error),
            None => Err(down("nobody reads the stream any more")),
        }
    }

    /// Nothing that is read came up to here: it is reached with what was delivered before. What
    /// comes behind a hole isn't, as the hole must be told first.
    fn pass(&mut self, at: At) {
        if self.is_holed {
            return;
        }
        match self.marks.last_mut() {
            Some(reached) => *reached = at,
            None => self.applied.send_modify(|applied| applied.at = at),
        }
    }
}

impl Reading for NatsReading {
    fn begins(&self) -> Option<Place> {
        Some(self.begins)
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Batch>> {
        Box::pin(self.batch())
    }

    fn acknowledge(&mut self, batch: u64) {
        if let Some((number, at)) = self.marks.acknowledge(batch) {
            self.applied.send_replace(Applied { number, at });
        }
    }

    /// One stream is one order.
    fn caught_up(&mut self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async { Ok(true) })
    }
}

impl Drop for NatsReading {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
