//! Debezium Server's Redis sink: a stream for each topic.
//!
//! Streams are read from places that are kept beside them, in a hash, and by one process at a time:
//! whoever holds a lock, which is renewed with each read. One script does all of it in one step, so
//! who has lost the lock neither reads nor acknowledges, however late it comes.
//!
//! **No consumer group.** A group hands an entry to one reader. A process that was stopped and
//! wakes would take entries that nobody then tells, and who follows would pass them.
//!
//! **Every stream in one order.** A Redis executes one command after the other, and the sink sends
//! them in the order of the log: when an entry is there, so is everything that was produced before
//! it, in whatever stream. (A Redis that is full may refuse an entry and take a later one: give it
//! a limit that it doesn't reach, or the sink's `memory.limit.mb`.) What was lost in a restart or a
//! fail-over is a gap.
//!
//! Entries are not removed: others may read them. Trim the streams (`XTRIM … MINID`), and what is
//! trimmed before it was acknowledged is a gap. Don't delete single ones.
//!
//! It needs Redis 7 or Valkey, and no cluster.

mod place;
mod reply;
mod scripts;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{BoxFuture, Error, ErrorKind, Result};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::marks::Marks;
use super::records::{Batch, Place, Reading, Records};
use crate::shown;
use place::At;
use scripts::Scripts;

/// So long a server may take to connect, and to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Who doesn't read for so long loses the streams to another process.
const LOCKED_FOR: Duration = Duration::from_secs(5);
/// So long nothing comes until that is said.
const NOTHING_AFTER: Duration = Duration::from_millis(100);
/// So many streams are read at most.
pub const STREAMS_MAX: usize = 256;

/// Which streams are read, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisStreamsOptions {
    /// A `redis://` URL.
    pub url: String,
    /// The streams, called as Debezium's topics: of each table, and of the beats (`PREFIX.message`,
    /// or the table's).
    pub streams: Vec<String>,
    /// What the places are kept under, `larder:debezium:NAME`; `larder` by default. One for each
    /// group of processes that share a bus.
    pub name: String,
    /// What stands for no key (`debezium.sink.redis.null.key`).
    pub null_key: String,
    /// What stands for no value (`debezium.sink.redis.null.value`).
    pub null_value: String,
}

impl RedisStreamsOptions {
    /// Reads these streams of the Redis at this URL.
    pub fn new(url: &str, streams: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            url: url.to_owned(),
            streams: streams.into_iter().map(Into::into).collect(),
            name: "larder".to_owned(),
            null_key: "default".to_owned(),
            null_value: "default".to_owned(),
        }
    }
}

impl fmt::Debug for RedisStreamsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStreamsOptions")
            .field("streams", &self.streams)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The streams of a Redis. Clones are the same.
#[derive(Clone)]
pub struct RedisStreams(Arc<Inner>);

struct Inner {
    client: redis::Client,
    options: RedisStreamsOptions,
    shown: String,
    scripts: Scripts,
}

impl RedisStreams {
    /// These streams. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// `Config` when the URL can't be, or there are no streams, too many, or one twice.
    ///
    /// ```
    /// use larder_feed::debezium::redis::{RedisStreams, RedisStreamsOptions};
    ///
    /// let streams = ["shop.public.users", "shop.message"];
    /// let options = RedisStreamsOptions::new("redis://:secret@localhost", streams);
    /// let records = RedisStreams::new(options)?;
    /// assert!(!format!("{records:?}").contains("secret"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn new(options: RedisStreamsOptions) -> Result<Self> {
        let is_twice = |(at, name): (usize, &String)| options.streams[..at].contains(name);
        if options.streams.is_empty() || options.streams.len() > STREAMS_MAX {
            return Err(config("name the streams that are read, at most 256"));
        }
        if options.streams.iter().enumerate().any(is_twice) {
            return Err(config("a stream is named twice"));
        }
        let client = redis::Client::open(options.url.as_str()).map_err(|_| {
            config("streams need a URL like redis://USER:PASSWORD@HOST:PORT/DATABASE, without TLS")
        })?;
        let shown = format!("redis://{}", client.get_connection_info().addr());
        let scripts = Scripts::default();
        Ok(Self(Arc::new(Inner { client, options, shown, scripts })))
    }
}

impl Inner {
    async fn connect(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: redis::RedisError) -> Error {
        let (kind, what) = match error.code() {
            Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "WRONGTYPE" | "CROSSSLOT") => {
                (ErrorKind::Config, "refuses to be read")
            }
            _ => (ErrorKind::SourceDown, "can't be read"),
        };
        Error::new(kind, format!("the streams of {} {what}", self.shown)).caused_by(error)
    }

    fn taken(&self) -> Error {
        let message = format!("another process reads the streams of {}", self.shown);
        Error::new(ErrorKind::Refused, message)
    }
}

impl Records for RedisStreams {
    fn name(&self) -> &str {
        &self.0.shown
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Reading>>> {
        Box::pin(async move {
            let reading = RedisReading::open(Arc::clone(&self.0)).await?;
            Ok(Box::new(reading) as Box<dyn Reading>)
        })
    }
}

impl fmt::Debug for RedisStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::debug(f, "RedisStreams", &self.0.shown, &self.0.options)
    }
}

struct RedisReading {
    streams: Arc<Inner>,
    /// Who reads.
    token: String,
    connection: MultiplexedConnection,
    /// It waits for entries, and so can't be asked anything else.
    waiting: MultiplexedConnection,
    begins: Place,
    /// The number of what was delivered last, and the place of each stream behind it.
    number: u64,
    at: Vec<At>,
    marks: Marks<Vec<At>>,
    /// What is to be acknowledged with the next read.
    acknowledged: Option<(u64, Vec<At>)>,
    /// Where the streams ended when they were read last.
    ends: Vec<At>,
    /// What is to be delivered until that is caught up with.
    target: Option<Vec<At>>,
    /// The stream that is read first: another one each time.
    first: usize,
}

impl RedisReading {
    async fn open(streams: Arc<Inner>) -> Result<Self> {
        let mut connection = streams.connect().await?;
        let waiting = streams.connect().await?;
        let number = || RandomState::new().hash_one(0_u8);
        let token = format!("{:016x}{:016x}", number(), number());
        let opened = streams.scripts.open(&mut connection, &streams.options, &token).await;
        let Some(opened) = opened.map_err(|error| streams.failed(error))? else {
            return Err(streams.taken());
        };
        let opened = opened?;
        Ok(Self {
            streams,
            token,
            connection,
            waiting,
            begins: opened.begins,
            ends: opened.at.clone(),
            number: opened.begins.number,
            at: opened.at,
            marks: Marks::default(),
            acknowledged: None,
            target: None,
            first: 0,
        })
    }

    async fn batch(&mut self) -> Result<Batch> {
        let batch = self.read().await?;
        if batch != Batch::Nothing {
            return Ok(batch);
        }
        let wait = self.streams.scripts.wait(
            &mut self.waiting,
            &self.streams.options.streams,
            &self.at,
            NOTHING_AFTER,
        );
        let Ok(has_come) = timeout(NOTHING_AFTER, wait).await else { return Ok(Batch::Nothing) };
        match has_come.map_err(|error| self.streams.failed(error))? {
            true => self.read().await,
            false => Ok(Batch::Nothing),
        }
    }

    /// Reads, and acknowledges what is to be.
    async fn read(&mut self) -> Result<Batch> {
        let streams = Arc::clone(&self.streams);
        let options = &streams.options;
        let order = (0..options.streams.len()).map(|at| (self.first + at) % options.streams.len());
        let order: Vec<usize> = order.collect();
        let asked = scripts::Ask {
            options,
            token: &self.token,
            order: &order,
            at: &self.at,
            acknowledge: self.acknowledged.as_ref().map(|(number, at)| (*number, &**at)),
        };
        let answered = streams.scripts.read(&mut self.connection, &asked).await;
        let Some(read) = answered.map_err(|error| streams.failed(error))? else {
            return Err(streams.taken());
        };
        // Nothing waits from here on: what came is taken as a whole, or was never asked for.
        let read = read?;
        self.acknowledged = None;
        self.first = (self.first + 1) % options.streams.len();
        self.ends = read.ends;
        if let Some((stream, begins)) = read.lost {
            let name = &options.streams[stream];
            self.at[stream] = begins;
            self.target = None;
            return Ok(Batch::Lost {
                reason: format!("entries of the stream {name} are gone that weren't read"),
            });
        }
        if read.records.is_empty() {
            return Ok(Batch::Nothing);
        }
        self.at = read.at;
        self.number += read.records.len() as u64;
        self.marks.deliver(self.number, self.at.clone());
        Ok(Batch::Records { number: self.number, records: read.records })
    }
}

impl Reading for RedisReading {
    fn begins(&self) -> Option<Place> {
        Some(self.begins)
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Batch>> {
        Box::pin(self.batch())
    }

    fn acknowledge(&mut self, batch: u64) {
        if let Some(reached) = self.marks.acknowledge(batch) {
            self.acknowledged = Some(reached);
        }
    }

    fn caught_up(&mut self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let target = self.target.get_or_insert_with(|| self.ends.clone());
            let reached = self.at.iter().zip(target.iter());
            let is_reached = reached.into_iter().all(|(at, end)| at.id >= end.id);
            if is_reached {
                self.target = None;
            }
            Ok(is_reached)
        })
    }
}

impl Drop for RedisReading {
    /// Another process needn't wait until the lock ends by itself. Where it can't be said, it does.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let (streams, token) = (Arc::clone(&self.streams), std::mem::take(&mut self.token));
        let mut connection = self.connection.clone();
        runtime.spawn(async move {
            let _ = streams.scripts.close(&mut connection, &streams.options, &token).await;
        });
    }
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
