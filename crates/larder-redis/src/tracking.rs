//! The bus that also hears of every change of an entry from Redis itself.
//!
//! What is announced comes over the stream, as in [`RedisBus`]: it has numbers, and is still there
//! for who was cut off for a moment. Beside it every server that entries live on is told to
//! *track* them: it pushes the name of each that is written, dropped, evicted or expired, whoever
//! did it. So a change is heard of that nobody announced.
//!
//! Pushes have no numbers, and what is pushed while nobody listens is gone. So
//!
//! 1. a connection that is lost, or falls behind, is a gap, told when its successor listens,
//! 2. nothing is passed on from the stream before everything was heard that was pushed earlier.
//!
//! The second needs a question of its own. A server pushes at the end of a turn of its loop, behind
//! the answers of that turn: an announcement can arrive before the push of what was dropped just
//! before it, even on one connection. But whoever has read the announcement knows that its turn is
//! over, and that the push stands before the answer to anything that is asked now. So every
//! connection is asked PING.

mod ears;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use larder_core::bus::{Announcement, BusEvent, Message, Position, ProcessId, Subscription};
use larder_core::shared::{Invalidation, MarkClock, cache_and_key};
use larder_core::{BoxFuture, Bus, Result};
use tokio::time::{Instant, sleep, sleep_until};

use crate::bus::RedisBus;
use crate::client::Client;
use crate::subscription;

pub(crate) use ears::Pushes;
use ears::{Ears, Heard};

/// The most events of the stream that wait for one answer to PING.
const HELD_MAX: usize = 512;

/// How many bytes of keys one event passes on.
const KEYS_BYTES_MAX: usize = 256 << 10;

/// How often it is looked whether entries live on other servers than are listened to.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a lost connection is left alone: doubled from one to the other.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The other bus of a [`RedisTier`](crate::RedisTier): a [`RedisBus`] whose subscriptions hear
/// from Redis itself of whatever changes an entry, announced or not.
///
/// So they hear of entries that somebody deletes by hand or by a program that knows nothing of
/// larder, and of those that a writer invalidated on a cluster before it died, when it hadn't yet
/// announced it. Redis can't tell a fill from an invalidation, so fills are heard of too, those of
/// the own process included, and evictions: what is held of such a key is then dropped, and read
/// again from the tier when it is asked for. What is marked stale is dropped as well.
///
/// A subscription has a connection to each server that entries live on, besides its own. A change
/// that was announced has been heard of when its announcement is passed on, as ever; one that was
/// not is heard of within the time that Redis takes, for as long as the connections stand. If one
/// is lost it is a gap. On a cluster a server that was added is listened to after five seconds at
/// most, and that is a gap too.
///
/// It needs Redis 6 and the right to use `CLIENT TRACKING`.
#[derive(Clone)]
pub struct TrackingBus {
    client: Arc<Client>,
    announcing: RedisBus,
}

impl TrackingBus {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { announcing: RedisBus::new(client.clone()), client }
    }
}

impl fmt::Debug for TrackingBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackingBus").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Bus for TrackingBus {
    fn name(&self) -> &str {
        self.announcing.name()
    }

    fn publish(
        &self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> BoxFuture<'_, Result<Position>> {
        self.announcing.publish(announcement, marks)
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<(Position, Subscription)>> {
        Box::pin(subscribe(self.client.clone()))
    }
}

async fn subscribe(client: Arc<Client>) -> Result<(Position, Subscription)> {
    // What changes behind the end of the bus is pushed: first the ears, then the end.
    let ears = Ears::open(&client).await?;
    let (last, announced) = subscription::subscribe(client.clone()).await?;
    let hearing = Hearing {
        client,
        ears: Some(ears),
        announced,
        last,
        held: Vec::new(),
        events: VecDeque::new(),
        look_at: Instant::now() + LOOK_EVERY,
        wait: WAIT,
    };
    let events = stream::unfold(hearing, |mut hearing| async {
        let event = hearing.next().await;
        Some((event, hearing))
    });
    Ok((last, Box::pin(events)))
}

/// Who reads both.
struct Hearing {
    client: Arc<Client>,
    ears: Option<Ears>,
    announced: Subscription,
    /// Where what was passed on last stands.
    last: Position,
    /// Read from the stream and not vouched for yet.
    held: Vec<BusEvent>,
    /// To be given out: what was held, and one push or as many as wait at most.
    events: VecDeque<BusEvent>,
    look_at: Instant,
    wait: Duration,
}

impl Hearing {
    async fn next(&mut self) -> BusEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if self.step().await.is_err() {
                // Nobody knows what was pushed: all of it is heard anew, after a gap.
                self.ears = None;
                sleep(self.wait).await;
                self.wait = (self.wait * 2).min(WAIT_MAX);
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        let Some(ears) = &mut self.ears else { return self.listen_again().await };
        if !self.held.is_empty() {
            return self.vouch().await;
        }
        tokio::select! {
            biased;
            heard = ears.heard.recv() => self.hear(heard.unwrap_or(Heard::Lost))?,
            event = self.announced.next() => {
                self.held.extend(event);
                // What has arrived with it.
                while self.held.len() < HELD_MAX
                    && let Some(event) = self.announced.next().now_or_never()
                {
                    self.held.extend(event);
                }
            }
            () = sleep_until(self.look_at) => {
                self.look_at = Instant::now() + LOOK_EVERY;
                ears.look(&self.client).await?;
            }
        }
        Ok(())
    }

    async fn listen_again(&mut self) -> Result<()> {
        self.ears = Some(Ears::open(&self.client).await?);
        self.wait = WAIT;
        self.events.push_back(BusEvent::Gap(Some(self.last)));
        // What was held was read before: the gap stands for all that was pushed until then.
        self.release();
        Ok(())
    }

    /// Hears everything that was pushed before what is held was announced, and passes on both.
    async fn vouch(&mut self) -> Result<()> {
        let Some(ears) = &mut self.ears else { return Ok(()) };
        ears.catch_up().await?;
        let mut all = Vec::new();
        while let Ok(heard) = ears.heard.try_recv() {
            all.push(heard);
        }
        for heard in all {
            self.hear(heard)?;
        }
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        for event in self.held.drain(..) {
            match &event {
                BusEvent::Message(message) => self.last = message.position,
                BusEvent::Gap(position) => self.last = position.unwrap_or(self.last),
            }
            self.events.push_back(event);
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<()> {
        match heard {
            Heard::Lost => return Err(self.client.lost_track()),
            Heard::Flushed => self.events.push_back(BusEvent::Gap(Some(self.last))),
            Heard::Changed(names) => self.pass_on(&names),
        }
        Ok(())
    }

    /// Passes on which keys changed. What is no key of a cache nobody holds.
    fn pass_on(&mut self, names: &[Bytes]) {
        let mut names = names.iter().filter_map(|name| self.client.names.key(name)).peekable();
        let mut announcements = Vec::new();
        while let Some(first) = names.next() {
            let Some((cache, key)) = cache_and_key(&first) else { continue };
            let (mut bytes, mut keys) = (key.len(), vec![Box::from(key)]);
            while bytes < KEYS_BYTES_MAX
                && let Some(next) =
                    names.next_if(|name| cache_and_key(name).is_some_and(|(of, _)| of == cache))
            {
                let key: Box<str> = cache_and_key(&next).map_or("", |(_, key)| key).into();
                bytes += key.len() + 2;
                keys.push(key);
            }
            let (strike, cache) = (Invalidation::Drop, Box::from(cache));
            // Who changed an entry, Redis doesn't say.
            let announcement = Announcement::Keys { strike, cache, keys };
            announcements.push(announcement.encode(ProcessId::NOBODY));
        }
        for announcement in announcements {
            let message = Message { position: self.last, announcement, marks: None };
            self.events.push_back(BusEvent::Message(message));
        }
    }
}
