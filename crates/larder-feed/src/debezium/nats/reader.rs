//! A stream read in its order, by a task of its own: batches, and what is gone.
//!
//! Everything in the stream is asked for, whatever its subject, because then each number follows
//! the one before. One that doesn't may mean that messages were lost on the way, so they are asked
//! for again, from the reader's own place; if the first answer doesn't follow either, it is gone.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::stream::Stream;
use futures_util::{FutureExt as _, StreamExt as _};
use larder_core::{Error, Result};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::place::{At, Origin};
use super::{down, stream};
use crate::debezium::records::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Record};

/// So long a question for messages waits for new ones, and so much longer for its answer.
const WAITED_FOR: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(1);
/// So many messages are asked for at once.
const ASKED_FOR: usize = 256;
/// A reader that asks for nothing for so long is forgotten by the server.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// What the task says.
pub(super) enum Delivered {
    /// Messages up to this one; those of other subjects aren't among the records, of which there
    /// may be none.
    Read { at: At, records: Vec<Record> },
    /// Messages are gone that weren't read.
    Lost,
    /// It can't go on.
    Failed(Error),
}

/// See the module's documentation.
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) stream: Stream,
    pub(super) origin: Origin,
    pub(super) subjects: HashSet<String>,
    /// What was read last.
    pub(super) at: At,
    pub(super) delivered: mpsc::Sender<Delivered>,
}

/// What is to be delivered.
#[derive(Default)]
struct Gathered {
    at: Option<At>,
    records: Vec<Record>,
    bytes: usize,
}

/// What became of a question.
enum Answered {
    /// Something came.
    Some,
    /// Nothing did.
    Nothing,
    /// What came doesn't follow.
    Holed,
}

/// Why a reader reads no more.
enum End {
    /// Nobody takes what is delivered.
    Closed,
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Reader {
    /// Reads until nobody takes what it says.
    pub(super) async fn run(mut self) {
        if let Err(End::Failed(error)) = self.read().await {
            // Who isn't there any more needn't know.
            let _ = self.delivered.send(Delivered::Failed(error)).await;
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        loop {
            let consumer = self.stand_behind().await?;
            // Whether something came that followed: what is missing after it was lost on the way.
            let mut is_proven = false;
            loop {
                match self.ask(&consumer, &mut is_proven).await? {
                    Answered::Some => {}
                    Answered::Nothing => self.look().await?,
                    Answered::Holed => break,
                }
            }
        }
    }

    async fn stand_behind(&self) -> Result<PullConsumer> {
        let start_sequence = self.at.sequence + 1;
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            ..Config::default()
        };
        let made = self.stream.create_consumer(config).await;
        made.map_err(|error| down("the stream takes no reader").caused_by(error))
    }

    /// Asks once, and delivers what comes.
    async fn ask(
        &mut self,
        consumer: &PullConsumer,
        is_proven: &mut bool,
    ) -> Result<Answered, End> {
        let asking = consumer.batch().max_messages(ASKED_FOR).expires(WAITED_FOR).messages();
        let fail = |error| down("the stream can't be asked").caused_by(error);
        let mut answers = asking.await.map_err(fail)?;
        let mut gathered = Gathered::default();
        let mut answered = Answered::Nothing;
        loop {
            let next = if gathered.at.is_none() {
                timeout(WAITED_FOR + GRACE, answers.next()).await.map_err(|_| silent())?
            } else if let Some(next) = answers.next().now_or_never() {
                // What has come by now belongs to it.
                next
            } else {
                self.deliver(&mut gathered).await?;
                continue;
            };
            let Some(next) = next else { break };
            let message = next.map_err(|_| down("the stream has forgotten this reader"))?;
            let at = place(&message)?;
            if at.sequence <= self.at.sequence {
                return Err(down("the stream sends what it has sent before").into());
            }
            if at.sequence != self.at.sequence + 1 {
                self.deliver(&mut gathered).await?;
                if *is_proven {
                    return Ok(Answered::Holed);
                }
                self.say(Delivered::Lost).await?;
            }
            if gathered.is_full(&message) {
                self.deliver(&mut gathered).await?;
            }
            (*is_proven, answered) = (true, Answered::Some);
            self.at = at;
            gathered.take(at, message, &self.subjects);
        }
        self.deliver(&mut gathered).await?;
        Ok(answered)
    }

    async fn deliver(&self, gathered: &mut Gathered) -> Result<(), End> {
        match std::mem::take(gathered) {
            Gathered { at: Some(at), records, .. } => {
                self.say(Delivered::Read { at, records }).await
            }
            _ => Ok(()),
        }
    }

    /// Says it, unless the server is another one than it was.
    async fn say(&self, delivered: Delivered) -> Result<(), End> {
        self.check()?;
        self.delivered.send(delivered).await.map_err(|_| End::Closed)
    }

    /// Whether it is still the server that was asked at first, and there.
    fn check(&self) -> Result<()> {
        let is_same = |run: &String| *run == stream::run(&self.client);
        if !self.origin.run.as_ref().is_none_or(is_same) {
            return Err(down("the server was started anew"));
        }
        match self.client.connection_state() {
            State::Connected => Ok(()),
            _ => Err(down("the server can't be reached")),
        }
    }

    /// Where nothing comes: whether everything is still as it was.
    async fn look(&mut self) -> Result<(), End> {
        self.check()?;
        let found = stream::look(&self.client, &self.stream).await?;
        if found.origin != self.origin || found.last.sequence < self.at.sequence {
            return Err(down("the stream was made anew, or has forgotten messages").into());
        }
        if found.first > self.at.sequence + 1 {
            self.at = At { sequence: found.first - 1, stamp: 0 };
            self.say(Delivered::Lost).await?;
        }
        Ok(())
    }
}

impl Gathered {
    /// Whether a batch has no room for this one.
    fn is_full(&self, message: &Message) -> bool {
        self.records.len() == BATCH_RECORDS_MAX
            || (self.at.is_some() && self.bytes + message.payload.len() > BATCH_BYTES_MAX)
    }

    fn take(&mut self, at: At, message: Message, subjects: &HashSet<String>) {
        self.at = Some(at);
        if !subjects.contains(message.subject.as_str()) {
            return;
        }
        let message = message.message;
        self.bytes += message.payload.len();
        // The sink sends no keys.
        let topic = message.subject.as_str().into();
        self.records.push(Record { topic, lane: 0, key: None, value: Some(message.payload) });
    }
}

fn place(message: &Message) -> Result<At> {
    let info = message.info().map_err(|_| down("the stream sends what is no message of it"))?;
    let stamp = info.published.unix_timestamp_nanos();
    Ok(At { sequence: info.stream_sequence, stamp })
}

fn silent() -> Error {
    down("the server says nothing")
}
