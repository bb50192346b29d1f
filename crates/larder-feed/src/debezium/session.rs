//! Records while they are followed: decoding, holding back what isn't visible, telling.
//!
//! A beat is passed in three steps, after which everything that was committed before it has been
//! told:
//!
//! 1. It arrives.
//! 2. Everything that was produced before it has been delivered, in whatever lane.
//! 3. All of that could be read, and was told.

mod held;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::time::timeout;

use super::beat::View;
use super::decode::{Decoder, What};
use super::position::Position;
use super::records::{Batch, Place, Reading, Record};
use super::{Inner, Snapshots};
use held::Held;

/// So often it is looked whether what is held back has become visible.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// While so many batches or bytes are held back, nothing more is read.
const HELD_MAX: usize = 64;
const HELD_BYTES_MAX: usize = 64 << 20;
/// So many changes are told at once, or one batch.
const TOLD_MAX: usize = 16_384;

/// See the module's documentation.
pub(super) struct Session {
    feed: Arc<Inner>,
    reading: Box<dyn Reading>,
    decoder: Decoder,
    /// Which run of the transport it is.
    log: u32,
    /// What was delivered and wasn't told yet.
    held: VecDeque<Held>,
    /// Everything up to this number was told.
    told: u64,
    /// What was told last; asked for more, it has been applied.
    given: Option<u64>,
    /// Debezium reads rows for a snapshot that nobody asked for.
    in_snapshot: bool,
    /// The connector that tells.
    connector: Option<String>,
    beats: Beats,
}

/// How far our beats are.
#[derive(Debug, Default)]
struct Beats {
    /// The last that arrived.
    arrived: u64,
    /// It is asked whether everything produced before this one has been delivered.
    proving: Option<u64>,
    /// It has.
    proven: u64,
    /// And was told.
    passed: u64,
}

impl Session {
    /// Opens one, with a gap where what came after `since` can't be told.
    pub(super) async fn open(feed: Arc<Inner>, since: Option<FeedPosition>) -> Result<Self> {
        let catalog = match &feed.options.heartbeat {
            Some(heartbeat) => heartbeat.beat().catalog().await?,
            None => None,
        };
        let reading = feed.records.open().await?;
        let (unavailable, opaque) = (feed.options.unavailable.clone(), feed.options.opaque.clone());
        let decoder = Decoder { unavailable, opaque, catalog };
        let (begins, since) = (reading.begins(), since.map(|since| Position::of(since).place));
        let reason = match (since, begins) {
            (None, _) => Some("nobody knows what was applied before"),
            (_, None) => Some("nobody knows where the transport continues"),
            (Some(since), Some(begins)) if since.log != begins.log => {
                Some("the transport was made anew")
            }
            (Some(since), Some(begins)) if since.number < begins.number => {
                Some("the transport continues later")
            }
            _ => None,
        };
        let Place { log, number } = begins.unwrap_or(Place { log: 0, number: 0 });
        let gap = reason.map(|reason| Held::gap(number, reason.to_owned()));
        *feed.no_horizon.lock() = None;
        Ok(Self {
            reading,
            decoder,
            log,
            held: gap.into_iter().collect(),
            told: number,
            given: None,
            in_snapshot: false,
            connector: None,
            beats: Beats::default(),
            feed,
        })
    }

    async fn event(&mut self) -> Result<FeedEvent> {
        if let Some(number) = self.given.take() {
            self.reading.applied(number);
            // Nobody will be told how far this is. Who follows next begins with a gap anyway.
            if !self.feed.has_horizon() {
                self.reading.acknowledge(number);
            }
        }
        loop {
            if let Some(event) = self.visible().await? {
                self.given = Some(self.told);
                return Ok(event);
            }
            if self.is_full() {
                tokio::time::sleep(LOOK_AGAIN).await;
            } else if self.held.is_empty() {
                let batch = self.reading.next().await?;
                self.receive(batch);
            } else if let Ok(batch) = timeout(LOOK_AGAIN, self.reading.next()).await {
                self.receive(batch?);
            }
            self.prove().await?;
        }
    }

    fn is_full(&self) -> bool {
        self.held.len() >= HELD_MAX
            || self.held.iter().map(|held| held.bytes).sum::<usize>() >= HELD_BYTES_MAX
    }

    fn position(&self) -> FeedPosition {
        let place = Place { log: self.log, number: self.told };
        Position { beat: self.beats.passed, place }.packed()
    }

    fn receive(&mut self, batch: Batch) {
        match batch {
            Batch::Nothing => {}
            Batch::Lost { reason } => {
                let number = self.held.back().map_or(self.told, |last| last.number);
                self.held.push_back(Held::gap(number, reason));
            }
            Batch::Records { number, records } => {
                let mut held = Held::new(number);
                for record in &records {
                    self.decode(record, &mut held);
                }
                self.held.push_back(held);
            }
        }
    }

    fn decode(&mut self, record: &Record, held: &mut Held) {
        held.weigh(record);
        let event = match self.decoder.decode(record) {
            Ok(event) => event,
            Err(unreadable) => return held.is_gap(unreadable.to_string()),
        };
        if !matches!(event.what, What::Nothing)
            && let Some(connector) = &event.connector
        {
            self.check_connector(connector);
        }
        let mut told = Vec::new();
        match event.what {
            What::Nothing => {}
            What::Told(notices) => {
                self.in_snapshot = false;
                told = notices;
            }
            What::Read { row, is_asked_for } => {
                if !is_asked_for && !std::mem::replace(&mut self.in_snapshot, true) {
                    held.is_gap("Debezium begins anew, with a snapshot".to_owned());
                }
                if self.feed.options.snapshots == Snapshots::Inserted {
                    told.push(row);
                }
            }
            What::Beat(text) => {
                if let Some(number) = self.feed.own_beat(&text) {
                    self.beats.arrived = self.beats.arrived.max(number);
                }
            }
        }
        told.retain(|notice| self.feed.follows(notice));
        held.tell(told, event.transaction, event.millis);
    }

    /// A beat of one connector proves nothing of what another one tells.
    fn check_connector(&mut self, connector: &str) {
        match &self.connector {
            None => self.connector = Some(connector.to_owned()),
            Some(known) if known == connector => {}
            Some(known) => self.lose_horizon(Error::new(
                ErrorKind::Config,
                format!(
                    "two connectors tell, {known} and {connector}, and a beat of one proves \
                     nothing of the other: follow each as a feed of its own"
                ),
            )),
        }
    }

    fn lose_horizon(&mut self, why: Error) {
        self.beats.proving = None;
        self.beats.arrived = self.beats.proven;
        self.feed.no_horizon.lock().get_or_insert(why);
    }

    /// Asks whether everything that was produced before the last beat that arrived is here.
    async fn prove(&mut self) -> Result<()> {
        if !self.feed.has_horizon() {
            return Ok(());
        }
        if self.beats.proving.is_none() && self.beats.arrived > self.beats.proven {
            self.beats.proving = Some(self.beats.arrived);
        }
        let Some(proving) = self.beats.proving else { return Ok(()) };
        match self.reading.caught_up().await {
            Ok(false) => {}
            Ok(true) => {
                self.beats.proving = None;
                self.beats.proven = proving;
                if let Some(last) = self.held.back_mut() {
                    last.beat = proving;
                } else {
                    self.held.push_back(Held::beat(self.told, proving));
                }
            }
            Err(error) if error.kind() == ErrorKind::Config => self.lose_horizon(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What is held and can be read by now, as far as everything delivered before it can.
    async fn visible(&mut self) -> Result<Option<FeedEvent>> {
        let view = match &self.feed.options.heartbeat {
            Some(heartbeat) if self.held.iter().any(Held::needs_view) => {
                heartbeat.beat().view().await?
            }
            _ => None,
        };
        if let Some(view) = &view {
            self.held.iter_mut().for_each(|held| held.look(view));
        }
        let sees = |held: &Held| view.as_ref().is_none_or(|view| held.is_seen(view));
        let Some(first) = self.held.front().filter(|first| sees(first)) else { return Ok(None) };
        // Both by the same clock, which isn't ours.
        let age = first.millis.and_then(|millis| age(view.as_ref()?, millis));
        if first.reason.is_some() {
            return Ok(Some(self.tell_gap(age)));
        }
        let mut notices = Vec::new();
        while let Some(held) = self.held.front()
            && held.reason.is_none()
            && (notices.is_empty() || notices.len() + held.notices.len() <= TOLD_MAX)
            && sees(held)
        {
            let Some(held) = self.held.pop_front() else { break };
            self.told = self.told.max(held.number);
            self.beats.passed = self.beats.passed.max(held.beat);
            notices.extend(held.notices);
        }
        let position = self.position();
        Ok(Some(match notices.is_empty() {
            true => FeedEvent::Passed(position),
            false => FeedEvent::Notices { notices, position, age },
        }))
    }

    /// The first that is held is a gap, of which what can be read is told first: it may concern
    /// what the feed doesn't cover.
    fn tell_gap(&mut self, age: Option<Duration>) -> FeedEvent {
        if let Some(held) = self.held.front_mut()
            && !held.notices.is_empty()
        {
            let notices: Vec<Notice> = std::mem::take(&mut held.notices);
            return FeedEvent::Notices { notices, position: self.position(), age };
        }
        let held = self.held.pop_front();
        if let Some(held) = &held {
            self.told = self.told.max(held.number);
            self.beats.passed = self.beats.passed.max(held.beat);
        }
        let reason = held.and_then(|held| held.reason).unwrap_or_default();
        FeedEvent::Gap { reason, position: self.position() }
    }
}

fn age(view: &View, millis: i64) -> Option<Duration> {
    let age = view.millis.checked_sub(millis)?;
    u64::try_from(age).ok().map(Duration::from_millis)
}

impl Following for Session {
    fn next(&mut self) -> BoxFuture<'_, Result<FeedEvent>> {
        Box::pin(self.event())
    }

    fn acknowledge(&mut self, position: FeedPosition) {
        let Place { log, number } = Position::of(position).place;
        if log == self.log {
            self.reading.acknowledge(number);
        }
    }
}
