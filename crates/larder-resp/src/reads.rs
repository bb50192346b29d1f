//! Reads that must wait, gathered.
//!
//! A client that pipelines sixteen GETs of cold keys has asked sixteen questions; the database
//! should hear one. So a read that memory can't answer is not waited for where it stands: the
//! session goes on, and what has gathered when something else must run, or when the input ends,
//! is read together, one batch for each cache, and answered in order.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::join_all;
use larder_core::{Answer, Key, Result, Value};
use larder_engine::Cache;

use crate::codec::{Protocol, Writer};
use crate::key_log::KeyLog;

/// So many replies, or keys that are asked for, are gathered before they are answered.
const GATHERED_MAX: usize = 1024;

/// Output of this length is sent before more is written: a client that asks for much and reads
/// little costs this and one reply.
pub(crate) const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// One key to be asked of a cache.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) cache: Cache<Key, Value>,
    pub(crate) key: Key,
}

/// The answers to the keys of one read, in their order.
pub(crate) type Answers = Vec<Result<Answer<Value>>>;

/// Writes the reply of a command, once its answers are there.
type Reply = Box<dyn FnOnce(Answers, &mut Writer<'_>) + Send>;

/// A command that waits for answers, and how its reply is written then.
pub(crate) struct Read {
    pub(crate) asks: Vec<Ask>,
    pub(crate) reply: Reply,
}

impl Read {
    /// A read of one key.
    pub(crate) fn one(
        ask: Ask,
        reply: impl FnOnce(Result<Answer<Value>>, &mut Writer<'_>) + Send + 'static,
    ) -> Self {
        let reply = |mut answers: Answers, writer: &mut Writer<'_>| {
            if let Some(answer) = answers.pop() {
                reply(answer, writer);
            }
        };
        Self { asks: vec![ask], reply: Box::new(reply) }
    }
}

/// A reply in its turn: written already, or waited for.
enum Turn {
    Written(Vec<u8>),
    Read(Read),
}

/// The replies that stand behind a read that must wait.
#[derive(Default)]
pub struct Gathered {
    turns: Vec<Turn>,
    asks: usize,
    written_bytes: usize,
    key_log: Option<Arc<KeyLog>>,
}

impl Gathered {
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether it must be answered before more is gathered.
    pub(crate) fn is_full(&self) -> bool {
        self.turns.len() >= GATHERED_MAX
            || self.asks >= GATHERED_MAX
            || self.written_bytes >= OUTPUT_BYTES_MAX
    }

    /// Notes in this log what the reads come to.
    pub(crate) fn with_key_log(mut self, log: Option<&Arc<KeyLog>>) -> Self {
        self.key_log = log.cloned();
        self
    }

    pub(crate) fn read(&mut self, read: Read) {
        self.asks += read.asks.len();
        self.turns.push(Turn::Read(read));
    }

    pub(crate) fn written(&mut self, bytes: Vec<u8>) {
        self.written_bytes += bytes.len();
        self.turns.push(Turn::Written(bytes));
    }

    /// Asks for everything that is waited for, each cache once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the loads that it began; their results are kept.
    pub async fn answer(mut self) -> Answered {
        let mut batches: Vec<Batch> = Vec::new();
        let mut answers = Vec::with_capacity(self.turns.len());
        for (at, turn) in self.turns.iter_mut().enumerate() {
            let asks = match turn {
                Turn::Written(_) => Vec::new(),
                Turn::Read(read) => std::mem::take(&mut read.asks),
            };
            answers.push(asks.iter().map(|_| None).collect::<Vec<_>>());
            for (nth, ask) in asks.into_iter().enumerate() {
                Batch::add(&mut batches, ask, (at, nth));
            }
        }
        let read = join_all(batches.iter().map(Batch::ask)).await;
        for (batch, read) in batches.iter().zip(read) {
            if let Some(log) = &self.key_log {
                batch.note(&read, log);
            }
            for (&(at, nth), answer) in batch.places.iter().zip(read) {
                answers[at][nth] = Some(answer);
            }
        }
        let answers = answers.into_iter().map(|answers| answers.into_iter().flatten().collect());
        Answered(self.turns.into_iter().zip(answers).collect())
    }
}

/// Gathered reads whose answers are there, to be written.
pub struct Answered(VecDeque<(Turn, Answers)>);

impl Answered {
    /// Appends replies to `out`, in order, until all are written or `out` is long enough to be
    /// sent first. Returns whether any are left.
    pub fn write(&mut self, protocol: Protocol, out: &mut Vec<u8>) -> bool {
        while out.len() < OUTPUT_BYTES_MAX {
            match self.0.pop_front() {
                None => return false,
                Some((Turn::Written(bytes), _)) => out.extend_from_slice(&bytes),
                Some((Turn::Read(read), answers)) => {
                    (read.reply)(answers, &mut Writer::new(out, protocol));
                }
            }
        }
        !self.0.is_empty()
    }
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answered").field("turns", &self.0.len()).finish()
    }
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").field("turns", &self.turns.len()).finish()
    }
}

/// The keys that one cache is asked together, and whose they are.
struct Batch {
    cache: Cache<Key, Value>,
    keys: Vec<Key>,
    places: Vec<(usize, usize)>,
}

impl Batch {
    /// Asks for its keys. One alone is asked for as such: its cache may gather it with those of
    /// other clients.
    async fn ask(&self) -> Answers {
        match &self.keys[..] {
            [key] => vec![self.cache.ask(key).await],
            keys => self.cache.ask_many(keys).await,
        }
    }

    /// Notes what its keys were answered.
    fn note(&self, answers: &Answers, log: &KeyLog) {
        for (key, answer) in self.keys.iter().zip(answers) {
            log.answered(key.as_bytes(), self.cache.window(), answer);
        }
    }

    fn add(batches: &mut Vec<Self>, ask: Ask, place: (usize, usize)) {
        let known = batches.iter_mut().find(|batch| batch.cache.is(&ask.cache));
        match known {
            Some(batch) => {
                batch.keys.push(ask.key);
                batch.places.push(place);
            }
            None => {
                batches.push(Self { cache: ask.cache, keys: vec![ask.key], places: vec![place] });
            }
        }
    }
}
