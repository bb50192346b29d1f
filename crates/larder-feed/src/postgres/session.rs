//! The log while it is followed: receiving, holding back what isn't visible, telling.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::control::{Place, internal};
use super::login::failed;
use super::receiver::Receiver;
use super::snapshot::Snapshot;
use super::transaction::{Committed, Transaction};
use super::watch::Watch;
use super::{Inner, SlotStanding, catalogue, slot, watch_slot};
use crate::pgoutput::{Decoder, Frame, Frames, Lsn, Message};

/// What a writer may leave in its transaction for larder is emitted under this prefix.
const MESSAGE_PREFIX: &str = "larder";
/// So often it is looked whether what is held back has become visible.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// What was seen stays seen, so one answer does for all that it saw. It is asked again after so
/// many microseconds, in which no server gives out so many numbers that they begin again.
const SEEN_FOR: i64 = 1_000_000;
/// While so many bytes or transactions are held back, nothing more is received: beyond them
/// there is at most one piece of what the server sends.
const HELD_BYTES_MAX: usize = 64 << 20;
const HELD_MAX: usize = 4_096;
/// So many transactions are told at once.
const TOLD_MAX: usize = 256;

/// See the module's documentation.
pub(super) struct Session {
    feed: Arc<Inner>,
    receiver: Receiver,
    decoder: Decoder,
    /// What the ends that were asked for have found.
    watch: Arc<Watch>,
    log: u32,
    /// The number of the catalogue that was told.
    catalogue: u32,
    gap: Option<FeedEvent>,
    /// The transaction that is being received.
    open: Option<Transaction>,
    /// What was committed and wasn't seen yet, in the order of the commits.
    held: VecDeque<Committed>,
    held_bytes: usize,
    /// What a reader saw when that was asked last.
    seen: Option<Snapshot>,
    /// When the server last sent anything of its log, by its own clock.
    sent: i64,
    /// Everything before this place has been received.
    received: Lsn,
    /// Everything before this place has been told.
    told: Lsn,
    /// When it is to be looked how far the slot is behind.
    looks: Interval,
}

impl Session {
    /// Opens one, with a gap where what came after `since` can't be told.
    pub(super) async fn open(feed: Arc<Inner>, since: Option<FeedPosition>) -> Result<Self> {
        let name = feed.options.name.as_str();
        feed.control.check_server().await?;
        // Before the slot: what is altered from then on is found.
        let known = catalogue::read(&feed.control, name, &feed.options.tables).await?;
        known.check(name)?;
        let (Place { log, catalogue, .. }, since) = (known.end, since.map(Place::of));
        let slot = feed.slot.as_str();
        let (begins, reason) = match slot::standing(&feed.control, slot).await? {
            Some(standing) if standing.is_followed => {
                return Err(Error::new(ErrorKind::Refused, "another process follows the feed"));
            }
            None => (slot::create(&feed.control, slot).await?, Some("the slot is new")),
            Some(standing) if standing.is_lost || standing.behind > feed.options.behind_max => {
                slot::remove(&feed.control, slot).await?;
                let reason = "the slot was too far behind, and was made again";
                (slot::create(&feed.control, slot).await?, Some(reason))
            }
            Some(standing) => {
                let begins = standing.acknowledged;
                let reason = match since {
                    None => Some("nobody knows what was applied before"),
                    Some(since) if since.log != log => Some("the log is another server's"),
                    Some(since) if since.lsn < begins => Some("the slot begins later"),
                    Some(since) if since.catalogue != catalogue => {
                        Some("the tables were altered meanwhile")
                    }
                    Some(_) => None,
                };
                (begins, reason)
            }
        };
        if reason.is_some() {
            // What they commit may be behind the slot's start, or from before the publication was
            // changed, and isn't told then.
            feed.settled(catalogue, begins).await?;
        }
        let receiver = feed.address.follow(slot, name).await?;
        let position = Place { log, lsn: begins, catalogue }.position();
        let gap = reason.map(|reason| FeedEvent::Gap { reason: reason.to_owned(), position });
        let watch = Arc::new(Watch::new(known));
        *feed.watch.lock() = Arc::downgrade(&watch);
        Ok(Self {
            receiver,
            decoder: Decoder::default(),
            watch,
            log,
            catalogue,
            gap,
            open: None,
            held: VecDeque::new(),
            held_bytes: 0,
            seen: None,
            sent: 0,
            received: begins,
            told: begins,
            looks: ticks_every(feed.options.look_every),
            feed,
        })
    }

    async fn event(&mut self) -> Result<FeedEvent> {
        if let Some(gap) = self.gap.take() {
            return Ok(gap);
        }
        loop {
            // Also while there is always something to tell.
            self.look_at_slot().await?;
            // What has arrived already goes together.
            while !self.is_full() {
                match self.receiver.next().now_or_never() {
                    Some(piece) => self.receive(piece?)?,
                    None => break,
                }
            }
            if let Some(event) = self.altered()? {
                return Ok(event);
            }
            if !self.held.is_empty() {
                if let Some(event) = self.visible().await? {
                    return Ok(event);
                }
                sleep(LOOK_AGAIN).await;
                continue;
            }
            if self.received > self.told {
                self.told = self.received;
                return Ok(FeedEvent::Passed(self.at(self.told)));
            }
            let received = {
                let (next, found) = (pin!(self.receiver.next()), pin!(self.watch.found.notified()));
                match timeout(self.feed.options.look_every, select(next, found)).await {
                    Ok(Either::Left((piece, _))) => Some(piece),
                    Ok(Either::Right(_)) | Err(_) => None,
                }
            };
            if let Some(piece) = received {
                self.receive(piece?)?;
            }
        }
    }

    /// What was altered besides rows, and isn't told yet.
    fn altered(&mut self) -> Result<Option<FeedEvent>> {
        let Some((notices, catalogue)) = self.watch.take()? else { return Ok(None) };
        self.catalogue = catalogue;
        let position = self.at(self.told);
        Ok(Some(FeedEvent::Notices { notices, position, age: None }))
    }

    fn is_full(&self) -> bool {
        self.held.len() >= HELD_MAX || self.held_bytes >= HELD_BYTES_MAX
    }

    fn at(&self, lsn: Lsn) -> FeedPosition {
        Place { log: self.log, lsn, catalogue: self.catalogue }.position()
    }

    /// What is held and can be read by now, as far as everything committed before it can.
    async fn visible(&mut self) -> Result<Option<FeedEvent>> {
        let Some(first) = self.held.front() else { return Ok(None) };
        let (number, micros) = (first.number, first.micros);
        let known = self
            .seen
            .take()
            .filter(|seen| self.sent.saturating_sub(seen.micros) < SEEN_FOR && seen.sees(number));
        let snapshot = match known {
            Some(known) => known,
            None => self.snapshot().await?,
        };
        let held = self.held.iter().take(TOLD_MAX);
        let count = held.take_while(|held| snapshot.sees(held.number)).count();
        // All by the same clock, which isn't ours.
        let age = snapshot.micros.max(self.sent).checked_sub(micros);
        let age = age.and_then(|age| u64::try_from(age).ok()).map(Duration::from_micros);
        self.seen = Some(snapshot);
        let mut notices = Vec::new();
        for committed in self.held.drain(..count) {
            self.held_bytes -= committed.bytes;
            self.told = self.told.max(committed.end);
            notices.extend(committed.notices);
        }
        let position = self.at(self.told);
        Ok((count > 0).then_some(FeedEvent::Notices { notices, position, age }))
    }

    /// What a reader who begins now would see. What comes meanwhile is received: so one answer is
    /// for all that was committed while it was on its way, and the log isn't kept waiting.
    async fn snapshot(&mut self) -> Result<Snapshot> {
        let feed = Arc::clone(&self.feed);
        let mut asked = pin!(feed.control.snapshot());
        while !self.is_full() {
            let received = {
                let next = pin!(self.receiver.next());
                match select(asked.as_mut(), next).await {
                    Either::Left((snapshot, _)) => return snapshot,
                    Either::Right((piece, _)) => piece,
                }
            };
            self.receive(received?)?;
        }
        asked.await
    }

    /// Reads a piece of what the server sends.
    fn receive(&mut self, piece: Bytes) -> Result<()> {
        for frame in Frames::of(piece) {
            match frame.map_err(|error| internal(&error))? {
                Frame::Log { message, sent } => {
                    self.sent = sent;
                    let message =
                        self.decoder.decode(&message).map_err(|error| internal(&error))?;
                    self.heard(message);
                }
                // Within a transaction it is ahead of what was received of it.
                Frame::Alive { end, .. } if self.open.is_none() => {
                    self.received = self.received.max(end);
                }
                Frame::Failed(said) => return Err(failed(&said)),
                Frame::Over => {
                    return Err(Error::new(ErrorKind::SourceDown, "the server ended the log"));
                }
                Frame::Alive { .. } | Frame::Other => {}
            }
        }
        Ok(())
    }

    fn heard(&mut self, message: Message) {
        match message {
            Message::Change(change) => self.push(Notice::Changed(change)),
            Message::Begin { transaction, .. } => {
                self.open = Some(Transaction::begin(transaction));
            }
            Message::Commit { end, micros, .. } => self.commit(end, micros),
            Message::Truncate(tables) => {
                for table in tables {
                    self.push(Notice::truncated(table));
                }
            }
            Message::Relation { table, is_altered: true } => self.push(Notice::Altered(table)),
            Message::Emitted { is_transactional: true, prefix, content, .. }
                if prefix == MESSAGE_PREFIX =>
            {
                self.push(Notice::Message(content));
            }
            Message::Relation { .. } | Message::Emitted { .. } | Message::Other => {}
        }
    }

    fn push(&mut self, notice: Notice) {
        if let Some(open) = &mut self.open {
            open.push(notice);
        }
    }

    fn commit(&mut self, end: Lsn, micros: i64) {
        let Some(open) = self.open.take() else { return };
        let committed = open.commit(end, micros);
        self.received = self.received.max(end);
        self.held_bytes += committed.bytes;
        self.held.push_back(committed);
    }

    /// Gives up a slot for which the server keeps too much of its log: who follows it again begins
    /// with a gap. And drops that of who watched, and was killed before he could.
    async fn look_at_slot(&mut self) -> Result<()> {
        if self.looks.tick().now_or_never().is_none() {
            return Ok(());
        }
        let Inner { control, options, .. } = &*self.feed;
        let is_too_far =
            |standing: &SlotStanding| standing.is_lost || standing.behind > options.behind_max;
        let watch = watch_slot(&options.name);
        if self.feed.slot != watch
            && let Ok(Some(left)) = slot::standing(control, &watch).await
            && !left.is_followed
            && is_too_far(&left)
        {
            slot::remove(control, &watch).await?;
        }
        let standing = slot::standing(control, &self.feed.slot).await?;
        if !standing.is_none_or(|standing| is_too_far(&standing)) {
            return Ok(());
        }
        let message = "the slot is too far behind: it is to be made again";
        Err(Error::new(ErrorKind::SourceDown, message))
    }
}

impl Following for Session {
    fn next(&mut self) -> BoxFuture<'_, Result<FeedEvent>> {
        Box::pin(self.event())
    }

    fn acknowledge(&mut self, position: FeedPosition) {
        let place = Place::of(position);
        if place.log == self.log {
            self.receiver.applied(place.lsn);
        }
    }
}

/// The first tick comes at once: a slot that was too far behind isn't followed in the first place.
fn ticks_every(every: Duration) -> Interval {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
