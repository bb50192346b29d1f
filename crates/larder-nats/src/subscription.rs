//! Reading the bus: every announcement once and in order, or a gap.
//!
//! What bears the next number is passed on. A number that doesn't follow may only mean that
//! messages were lost on the way, so the reader asks for them again, from its own place; if the
//! first of those doesn't follow either, it is a gap.
//!
//! Numbers alone don't show everything: a server that lost its last messages (it writes them to
//! disk minutes later, unless told otherwise) gives their numbers out again. So whoever comes back,
//! or hears nothing for a second, looks whether what stands at its own place is still what it read
//! there, in the same stream.
//!
//! Of what was lost before it was read nothing shows at all. But the server's side of a reader is
//! in the server's memory: if that is gone, the server has started again, and that is a gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message as Received;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use futures_util::{StreamExt, stream};
use larder_core::Result;
use larder_core::bus::{BusEvent, Message, Position, Subscription};
use tokio::time::{sleep, timeout};

use crate::bus::Shared;
use crate::stream::{Found, Stamp, find};
use crate::{errors, message};

/// How long a question for messages waits for new ones, and how much longer for its answer.
const BLOCK: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(1);

/// How many announcements are asked for at a time, of at most a mebibyte each.
const COUNT_MAX: usize = 64;

/// A reader that asks for nothing for so long is forgotten by the server.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// How long to leave it alone after a failure: doubled from one to the other.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Subscribes at the end of the bus.
pub(crate) async fn subscribe(shared: Arc<Shared>) -> Result<(Position, Subscription)> {
    // Made before the end is looked up: from there on it shows what the server may have lost.
    let made = find(&shared.link, &shared.stream).await?;
    let (witness, _) = stand_behind(&shared, &made, made.end.number).await?;
    let found = find(&shared.link, &shared.stream).await?;
    let stands = found.published_at(&shared.link, found.end.number).await?;
    let reader = Reader {
        witness,
        shared,
        last: found.end,
        stands,
        made_at: found.made_at,
        consumer: None,
        batch: None,
        events: VecDeque::new(),
        wait: WAIT,
    };
    let events = stream::unfold(reader, |mut reader| async {
        let event = reader.next().await;
        Some((event, reader))
    });
    Ok((found.end, Box::pin(events)))
}

/// A new reader on the server's side, behind the announcement of this number, and its name. It is
/// kept in memory, where the stream is.
async fn stand_behind(
    shared: &Shared,
    found: &Found,
    number: u64,
) -> Result<(String, PullConsumer)> {
    let config = Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: number + 1 },
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGOTTEN_AFTER,
        memory_storage: true,
        ..Config::default()
    };
    match found.stream.create_consumer(config).await {
        Ok(asks) => Ok((asks.cached_info().name.clone(), asks)),
        Err(error) => Err(errors::down(&shared.link.name, "takes no reader").caused_by(error)),
    }
}

/// A reader.
struct Reader {
    shared: Arc<Shared>,
    /// What was read last.
    last: Position,
    /// When it was published, if it surely stood there.
    stands: Option<Stamp>,
    /// When its stream was made.
    made_at: Stamp,
    /// What the server's side of it was called last.
    witness: String,
    consumer: Option<Consumer>,
    batch: Option<Asked>,
    /// Read and not yet given out: at most a gap and a message.
    events: VecDeque<BusEvent>,
    wait: Duration,
}

/// The server's side of a reader.
struct Consumer {
    asks: PullConsumer,
    /// Whether something came that followed: what is missing after that was lost on the way.
    is_proven: bool,
}

/// A question for messages.
struct Asked {
    answers: Batch,
    is_answered: bool,
}

impl Reader {
    async fn next(&mut self) -> BusEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if self.step().await.is_err() {
                // Whatever it was, it is tried again from the same place.
                (self.consumer, self.batch) = (None, None);
                sleep(self.wait).await;
                self.wait = (self.wait * 2).min(WAIT_MAX);
            }
        }
    }

    /// Waits for one message, or for none.
    async fn step(&mut self) -> Result<()> {
        let Some(asked) = &mut self.batch else { return self.ask().await };
        let silent = |_| errors::down(&self.shared.link.name, "says nothing");
        match timeout(BLOCK + GRACE, asked.answers.next()).await.map_err(silent)? {
            Some(Ok(received)) => {
                asked.is_answered = true;
                self.wait = WAIT;
                self.take(&received)
            }
            Some(Err(_)) => Err(errors::down(&self.shared.link.name, "has forgotten this reader")),
            None => {
                let is_answered = asked.is_answered;
                self.batch = None;
                if is_answered { Ok(()) } else { self.look(true).await.map(drop) }
            }
        }
    }

    /// Asks for what comes next.
    async fn ask(&mut self) -> Result<()> {
        if self.consumer.is_none() {
            self.stand().await?;
        }
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let asking = consumer.asks.batch().max_messages(COUNT_MAX).expires(BLOCK).messages();
        let answers = asking.await.map_err(|error| {
            errors::down(&self.shared.link.name, "can't be asked for messages").caused_by(error)
        })?;
        self.batch = Some(Asked { answers, is_answered: false });
        Ok(())
    }

    /// Stands behind what was read last, or at the end after a gap: then there is no consumer yet.
    async fn stand(&mut self) -> Result<()> {
        let link = &self.shared.link;
        let found = find(link, &self.shared.stream).await?;
        // A stream that was rolled back may end earlier.
        let last = self.last.number.min(found.end.number);
        // In this order: if the old one is there now, it is the same run that has the new one.
        let (name, asks) = stand_behind(&self.shared, &found, last).await?;
        let lives = found.has_consumer(link, &self.witness).await?;
        let still = self.look(lives).await?;
        self.witness = name;
        self.consumer = still.then_some(Consumer { asks, is_proven: false });
        Ok(())
    }

    /// Looks whether everything up to the last announcement is still as it was, and the server
    /// still `lives` that had it. Otherwise it goes on at the end.
    async fn look(&mut self, lives: bool) -> Result<bool> {
        let link = &self.shared.link;
        let found = find(link, &self.shared.stream).await?;
        let is_same = lives && found.end.reaches(self.last) && found.made_at == self.made_at;
        let still = match (is_same, self.stands) {
            (false, _) => false,
            (true, None) => found.first <= self.last.number + 1,
            (true, stands) => found.published_at(link, self.last.number).await? == stands,
        };
        if !still {
            self.stands = found.published_at(link, found.end.number).await?;
            (self.last, self.made_at) = (found.end, found.made_at);
            (self.consumer, self.batch) = (None, None);
            self.events.push_back(BusEvent::Gap(Some(self.last)));
        }
        Ok(still)
    }

    fn take(&mut self, received: &Received) -> Result<()> {
        let odd = || errors::down(&self.shared.link.name, "sent what is no message of its stream");
        let info = received.info().map_err(|_| odd())?;
        let position = Position { run: self.last.run, number: info.stream_sequence };
        let stamp = info.published.unix_timestamp_nanos();
        if position.number <= self.last.number {
            return Err(odd());
        }
        let Some(consumer) = &mut self.consumer else { return Err(odd()) };
        if !self.last.is_followed_by(position) {
            if consumer.is_proven {
                // It may have been lost on the way: once more, from the same place.
                (self.consumer, self.batch) = (None, None);
                return Ok(());
            }
            let before = Position { number: position.number - 1, ..position };
            self.events.push_back(BusEvent::Gap(Some(before)));
        }
        consumer.is_proven = true;
        (self.last, self.stands) = (position, Some(stamp));
        self.events.push_back(match message::decode(received.payload.clone()) {
            Some((announcement, marks)) => {
                BusEvent::Message(Message { position, announcement, marks })
            }
            // Somebody else writes there, and knows what we don't.
            None => BusEvent::Gap(Some(position)),
        });
        Ok(())
    }
}
