//! The log while it is followed: receiving, holding back what isn't visible, telling.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use larder_core::feed::{FeedEvent, FeedPosition, Following};
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::time::{sleep, timeout};

use super::event::kind;
use super::lock::Lock;
use super::log::{Committed, Log};
use super::place::{Origin, Place};
use super::server::{self, End, Facts};
use super::stream::{Event, Failure, Stream};
use super::{Inner, Told, config, tables};

/// So often it is looked whether what is held back has become visible.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// While so many bytes or transactions are held back, nothing more is received.
const HELD_BYTES_MAX: usize = 64 << 20;
const HELD_MAX: usize = 4_096;
/// So many transactions are told at once.
const TOLD_MAX: usize = 256;
/// So many events are taken before it is looked what of them can be told.
const RECEIVED_MAX: usize = 4_096;
const TOO_FAR_BACK: &str = "the log isn't what it was, or doesn't go back that far any more";
/// After so many of its signs of life a server doesn't send what its log has.
const STUCK_MAX: u32 = 5;

/// See the module's documentation.
pub(super) struct Session {
    feed: Arc<Inner>,
    stream: Stream,
    lock: Lock,
    log: Log,
    origin: Origin,
    is_mariadb: bool,
    gap: Option<FeedEvent>,
    /// What was committed and wasn't seen yet, in the order of the commits.
    held: VecDeque<Committed>,
    held_bytes: usize,
    /// Everything before this place has been told.
    told: Place,
    /// So often the server had nothing to send, though its log goes on.
    stuck: u32,
}

/// Where a session begins.
struct Begin {
    place: Place,
    /// What the file's origin must be, where somebody went on.
    origin: Option<u32>,
    gap: Option<&'static str>,
}

impl Session {
    /// Opens one, with a gap where what came after `since` can't be told.
    pub(super) async fn open(feed: Arc<Inner>, since: Option<FeedPosition>) -> Result<Self> {
        let (control, options) = (&feed.control, &feed.options);
        let lock = Lock::take(feed.address.options(), &options.name).await?;
        let (facts, end) = feed.check_server().await?;
        let is_mariadb = facts.is_mariadb();
        let standing = feed.standing(&facts).await?;
        let watched = tables::watched(control, &standing).await?;
        let dialect = server::dialect(control, is_mariadb).await?;
        let mut begin = Begin::at(&feed, since, end.server).await?;
        let (stream, origin) = loop {
            // One that nobody goes on from.
            if begin.gap.is_some() {
                begin.place = server::begin(control, is_mariadb).await?;
            }
            match begin.open(&feed, lock.holder).await {
                Ok(opened) => break opened,
                Err(Failure::Unreadable(_)) if begin.gap.is_none() => {
                    begin.gap = Some(TOO_FAR_BACK);
                    begin.origin = None;
                }
                Err(failure) => return Err(failure.into_error()),
            }
        };
        let origin = Origin { server: end.server, file: origin };
        let position = begin.place.position(origin);
        let gap = begin.gap.map(|reason| FeedEvent::Gap { reason: reason.to_owned(), position });
        feed.tell(Some(Told { server: end.server, place: begin.place }));
        Ok(Self {
            log: Log::new(dialect, watched, begin.place, facts.is_durable()),
            feed,
            stream,
            lock,
            origin,
            is_mariadb,
            gap,
            held: VecDeque::new(),
            held_bytes: 0,
            told: begin.place,
            stuck: 0,
        })
    }

    async fn event(&mut self) -> Result<FeedEvent> {
        if let Some(gap) = self.gap.take() {
            return Ok(gap);
        }
        loop {
            // What has arrived already goes together.
            for _ in 0..RECEIVED_MAX {
                if self.is_full() || self.log.is_outdated {
                    break;
                }
                match self.stream.next().now_or_never() {
                    Some(event) => self.receive(event)?,
                    None => break,
                }
            }
            if self.log.is_outdated {
                self.look_at_tables().await?;
            }
            if self.feed.is_lost.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::SourceDown, "the log was begun anew"));
            }
            if let Some(lost) = (&mut self.lock.lost).now_or_never() {
                return Err(lost);
            }
            if !self.held.is_empty() {
                if let Some(event) = self.visible().await? {
                    return Ok(event);
                }
                sleep(LOOK_AGAIN).await;
                continue;
            }
            if self.log.received > self.told {
                return Ok(FeedEvent::Passed(self.tell(self.log.received)));
            }
            let event = match select(pin!(self.stream.next()), &mut self.lock.lost).await {
                Either::Left((event, _)) => event,
                Either::Right((lost, _)) => return Err(lost),
            };
            let is_idle = matches!(&event, Ok(event) if event.head().kind == kind::HEARTBEAT);
            self.receive(event)?;
            self.stuck = if is_idle { self.look_at_end().await? } else { 0 };
        }
    }

    /// Whoever begins the log anew leaves us with the old one, whose end never comes.
    async fn look_at_end(&mut self) -> Result<u32> {
        let is_behind = self.log.received < End::ask(&self.feed.control).await?.place;
        let stuck = if is_behind { self.stuck + 1 } else { 0 };
        if stuck == STUCK_MAX {
            self.feed.is_lost.store(true, Ordering::Release);
        }
        Ok(stuck)
    }

    fn is_full(&self) -> bool {
        self.held.len() >= HELD_MAX || self.held_bytes >= HELD_BYTES_MAX
    }

    fn tell(&mut self, place: Place) -> FeedPosition {
        self.told = self.told.max(place);
        self.feed.tell(Some(Told { server: self.origin.server, place: self.told }));
        self.told.position(self.origin)
    }

    /// What is held and can be read by now, as far as everything committed before it can.
    async fn visible(&mut self) -> Result<Option<FeedEvent>> {
        let (count, now) = if self.is_mariadb {
            let seen = server::seen(&self.feed.control).await?;
            let held = self.held.iter().take(TOLD_MAX);
            (held.take_while(|held| held.end <= seen.place).count(), seen.seconds)
        } else {
            let held = self.held.iter().take(TOLD_MAX);
            let sets: Vec<&str> = held.map_while(|held| held.gtid.as_deref()).collect();
            server::executed(&self.feed.control, &sets).await?
        };
        // Of both clocks, which are one, whole seconds are known: it is at least as long ago.
        let age = self
            .held
            .front()
            .map(|first| Duration::from_secs(now.saturating_sub(u64::from(first.seconds) + 1)));
        let (mut notices, mut told) = (Vec::new(), self.told);
        for committed in self.held.drain(..count) {
            self.held_bytes -= committed.bytes;
            told = told.max(committed.end);
            notices.extend(committed.notices);
        }
        let event = |position| FeedEvent::Notices { notices, position, age };
        Ok((count > 0).then(|| event(self.tell(told))))
    }

    fn receive(&mut self, event: Result<Event, Failure>) -> Result<()> {
        let event = match event {
            Ok(event) => event,
            Err(failure) => {
                if let Failure::Unreadable(_) = &failure {
                    self.feed.is_lost.store(true, Ordering::Release);
                }
                return Err(failure.into_error());
            }
        };
        let head = event.head();
        if head.kind == kind::TAGGED_GTID {
            return Err(config("transactions whose GTIDs have tags can't be followed"));
        }
        if head.kind == kind::FORMAT {
            self.origin.file = event.origin();
        }
        if let Some(committed) = self.log.receive(head, event.body()) {
            self.held_bytes += committed.bytes;
            self.held.push_back(committed);
        }
        Ok(())
    }

    /// Asks again what is to be watched, as a definition has changed.
    async fn look_at_tables(&mut self) -> Result<()> {
        let facts = Facts::ask(&self.feed.control).await?;
        let standing = self.feed.standing(&facts).await?;
        if let Some(broken) = tables::broken(&standing) {
            return Err(broken);
        }
        self.log.watch(tables::watched_besides(&self.feed.control, &standing).await?);
        Ok(())
    }
}

impl Begin {
    /// Where to begin behind `since`, in this server's log.
    async fn at(feed: &Inner, since: Option<FeedPosition>, server: u32) -> Result<Self> {
        let anew = |reason| Self { place: Place::default(), origin: None, gap: Some(reason) };
        let was_lost = feed.is_lost.swap(false, Ordering::AcqRel);
        let Some(since) = since else {
            return Ok(anew("nobody knows what was applied before"));
        };
        let (place, origin) = Place::of(since);
        if origin.server != server {
            return Ok(anew("the log is another server's"));
        }
        let files = server::files(&feed.control).await?;
        let has = |(_, end): &(String, Place)| end.file == place.file && end.offset >= place.offset;
        let can_be_named = u32::try_from(place.offset).is_ok();
        if was_lost || !can_be_named || !files.iter().any(has) {
            return Ok(anew(TOO_FAR_BACK));
        }
        let origin = (origin.file != 0).then_some(origin.file);
        Ok(Self { place, origin, gap: None })
    }

    /// The log from there on, and the origin of its file.
    async fn open(&self, feed: &Inner, holder: u32) -> Result<(Stream, u32), Failure> {
        let files = server::files(&feed.control).await.map_err(Failure::Other)?;
        let file = files.iter().find(|(_, end)| end.file == self.place.file);
        let unreadable = |reason: &str| Failure::Unreadable(reason.to_owned());
        let (name, _) = file.ok_or_else(|| unreadable("the log's file is gone"))?;
        let offset = u32::try_from(self.place.offset);
        let offset = offset.map_err(|_| unreadable("the log's file is too long"))?;
        let stream = Stream::open(feed, name, offset, holder).await;
        let mut stream = stream.map_err(Failure::Other)?;
        let format = async {
            loop {
                // The name of the file comes first, and then this.
                let event = stream.next().await?;
                if event.head().kind == kind::FORMAT {
                    return Ok(event.origin());
                }
            }
        };
        let Ok(origin) = timeout(super::control::STATEMENT_WITHIN, format).await else {
            let message = "the server doesn't begin to send its log";
            return Err(Failure::Other(Error::new(ErrorKind::Timeout, message)));
        };
        let origin = origin?;
        let kept =
            |origin: u32| Place::of(Place::default().position(Origin { server: 0, file: origin }));
        if self.origin.is_some_and(|wanted| wanted != kept(origin).1.file) {
            return Err(unreadable("the log was begun anew"));
        }
        Ok((stream, origin))
    }
}

impl Following for Session {
    fn next(&mut self) -> BoxFuture<'_, Result<FeedEvent>> {
        Box::pin(self.event())
    }

    /// The server keeps its log as long as it is told to, whoever follows.
    fn acknowledge(&mut self, _position: FeedPosition) {}
}

impl Drop for Session {
    fn drop(&mut self) {
        self.feed.tell(None);
    }
}

impl End {
    /// Whether it may be an end of the log that is followed, as far as that was told.
    pub(super) fn is_behind(&self, told: &Told) -> bool {
        self.server == told.server && self.place >= told.place
    }
}
