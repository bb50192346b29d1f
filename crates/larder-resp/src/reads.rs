//! Reads that must wait, gathered.
//!
//! A client that pipelines sixteen GETs of cold keys has asked sixteen questions; the database
//! should hear one. So a read that memory can't answer is not waited for where it stands: the
//! session goes on, and what has gathered when something else must run, or when the input ends,
//! is read together, one batch for each cache, and answered in order. What goes upstream gathers
//! with it: it is sent in one piece, and its replies take their places among the others.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::{FutureExt, join, join_all, maybe_done};
use larder_core::bus::Position;
use larder_core::{Answer, BoxFuture, Key, Result, Value};
use larder_engine::{Cache, Engine};

use crate::codec::{Protocol, Writer};
use crate::exchange::{Exchange, Over};
use crate::fault;
use crate::key_log::KeyLog;
use crate::upstream::Patience;

/// So many replies, or keys that are asked for, are gathered before they are answered.
const GATHERED_MAX: usize = 1024;

/// So many writes that a journal acknowledges, with the errors among them, are gathered.
const PUSHED_MAX: usize = 256;

/// Output of this length is sent before more is written: a client that asks for much and reads
/// little costs this and one reply.
pub(crate) const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// One key to be asked of a cache.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) cache: Cache<Key, Value>,
    pub(crate) key: Key,
    /// What must have been applied here before it is answered.
    pub(crate) at: Option<Position>,
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

/// What came from upstream for the requests of one command.
pub(crate) type Replies = Vec<Result<Bytes>>;

/// Writes the reply of a command that went upstream, once everything for it is there.
pub(crate) type MergedReply = Box<dyn FnOnce(Replies, Answers, &mut Writer<'_>) + Send>;

/// A command that went upstream, and how its reply is written then.
#[derive(Default)]
pub(crate) struct Forward {
    /// What is asked here for it.
    pub(crate) asks: Vec<Ask>,
    /// How its reply is made; without it, the reply from upstream is its own.
    pub(crate) reply: Option<MergedReply>,
}

/// A reply in its turn: written already, or waited for.
enum Turn {
    Written(Vec<u8>),
    Read(Read),
    /// With how many requests it became.
    Forward(Forward, usize),
    Settling(SettledReply),
    /// `None` while it is waited for.
    Waiting(Option<Waiting>),
}

/// What a command waits for besides reads, and what writes its reply then.
pub(crate) type Waiting = BoxFuture<'static, Later>;

/// Writes the reply of a command that has waited.
pub(crate) type Later = Box<dyn FnOnce(&mut Writer<'_>) + Send>;

/// Writes the reply of a command that invalidated something, once other larders were told; the
/// position is where that was announced.
pub(crate) type SettledReply = Box<dyn FnOnce(Option<Position>, &mut Writer<'_>) + Send>;

/// The replies that stand behind a read that must wait.
#[derive(Default)]
pub struct Gathered {
    turns: Vec<Turn>,
    asks: usize,
    written_bytes: usize,
    exchange: Option<Box<Exchange>>,
    /// Nothing may stand behind what was gathered last.
    sealed: bool,
    /// Where what was gathered last must have been announced before it is answered.
    settles: Option<Engine>,
    key_log: Option<Arc<KeyLog>>,
    /// The keys of the writes that a journal acknowledges, if there is nothing else.
    pushed: Vec<Key>,
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
            || self.sealed
            || self.exchange.as_ref().is_some_and(|exchange| {
                exchange.count() >= GATHERED_MAX || exchange.requests.len() >= OUTPUT_BYTES_MAX
            })
    }

    /// Over which connection it goes upstream, as far as it does.
    pub(crate) fn over(&self) -> Option<Over> {
        self.exchange.as_ref().map(|exchange| exchange.over)
    }

    /// Whether a reply is waited for as long as it takes. Whoever waits should see whether the
    /// client is still there.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.patience == Patience::Endless)
    }

    /// Nothing may stand behind what was gathered last.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
    }

    /// Gathers a command that goes upstream: `write` adds its requests. `begin` begins the
    /// exchange, if it is the first.
    pub(crate) fn forward(
        &mut self,
        begin: impl FnOnce() -> Exchange,
        write: impl FnOnce(&mut Exchange),
        forward: Forward,
    ) {
        let exchange = self.exchange.get_or_insert_with(|| Box::new(begin()));
        let before = exchange.count();
        write(exchange);
        self.asks += forward.asks.len();
        self.turns.push(Turn::Forward(forward, exchange.count() - before));
    }

    /// Gathers a command that waits for something of its own. Nothing may stand behind it.
    pub(crate) fn wait(&mut self, waiting: Waiting) {
        self.turns.push(Turn::Waiting(Some(waiting)));
        self.seal();
    }

    /// Gathers a write that a journal acknowledges. Nothing but its like may stand behind it.
    /// It came in so many bytes.
    pub(crate) fn push(&mut self, key: Key, waiting: Waiting, bytes: usize) {
        self.wait(waiting);
        self.written_bytes += bytes;
        self.pushed.push(key);
    }

    /// Whether a write of this key that a journal acknowledges may stand behind what has gathered:
    /// that is only such writes, and all of other keys. One of the same key might have to reply
    /// what the first one made.
    pub(crate) fn takes_push(&self, key: impl FnOnce() -> Option<Key>) -> bool {
        let has_room = self.turns.len() < PUSHED_MAX && self.written_bytes < OUTPUT_BYTES_MAX;
        !self.pushed.is_empty() && has_room && key().is_some_and(|key| !self.pushed.contains(&key))
    }

    /// Says whether the client is in a transaction behind everything that has gathered.
    pub(crate) fn leave_open(&mut self, open: bool) {
        if let Some(exchange) = &mut self.exchange {
            exchange.stays_open = open;
        }
    }

    /// What was gathered last has invalidated something: it is answered when that was carried out
    /// everywhere, and nothing may stand behind it.
    pub(crate) fn settle(&mut self, engine: &Engine) {
        self.sealed = true;
        self.settles = Some(engine.clone());
    }

    /// The same, with how it is answered then.
    pub(crate) fn settling(&mut self, engine: &Engine, reply: SettledReply) {
        self.turns.push(Turn::Settling(reply));
        self.settle(engine);
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
    /// Dropping the future leaves the loads that it began, whose results are kept, and the writes,
    /// which are carried through.
    pub async fn answer(mut self) -> Answered {
        let mut batches: Vec<Batch> = Vec::new();
        let mut answers = Vec::with_capacity(self.turns.len());
        let mut waiting = Vec::new();
        for (at, turn) in self.turns.iter_mut().enumerate() {
            let asks = match turn {
                Turn::Written(_) | Turn::Settling(_) => Vec::new(),
                // One, which seals what has gathered, or writes into a journal and nothing else.
                Turn::Waiting(waits) => {
                    waiting.extend(waits.take());
                    Vec::new()
                }
                Turn::Read(read) => std::mem::take(&mut read.asks),
                Turn::Forward(forward, _) => std::mem::take(&mut forward.asks),
            };
            answers.push(asks.iter().map(|_| None).collect::<Vec<_>>());
            for (nth, ask) in asks.into_iter().enumerate() {
                Batch::add(&mut batches, ask, (at, nth));
            }
        }
        let exchange = self.exchange.take();
        let exchanged = async {
            match exchange {
                Some(exchange) => exchange.run().await,
                None => Vec::new(),
            }
        };
        let read = join_all(batches.iter().map(Batch::ask));
        let (read, replies) = join(read, Box::pin(exchanged)).await;
        for (batch, read) in batches.iter().zip(read) {
            if let Some(log) = &self.key_log {
                batch.note(&read, log);
            }
            for (&(at, nth), answer) in batch.places.iter().zip(read) {
                answers[at][nth] = Some(answer);
            }
        }
        let later = all_in_order(waiting).await.into_iter();
        let settled = match &self.settles {
            Some(engine) => engine.settled().await,
            None => Ok(None),
        };
        let answers = answers.into_iter().map(|answers| answers.into_iter().flatten().collect());
        let turns = self.turns.into_iter().zip(answers).collect();
        Answered { turns, replies: replies.into_iter(), settled, later }
    }
}

/// Gathered reads whose answers are there, to be written.
pub struct Answered {
    turns: VecDeque<(Turn, Answers)>,
    /// What came from upstream, in the order of the turns.
    replies: std::vec::IntoIter<Result<Bytes>>,
    /// What became of the invalidation of the last turn, if it was one.
    settled: Result<Option<Position>>,
    /// What came of what turns have waited for, in their order.
    later: std::vec::IntoIter<Later>,
}

impl Answered {
    /// Appends replies to `out`, in order, until all are written or `out` is long enough to be
    /// sent first. Returns whether any are left.
    pub fn write(&mut self, protocol: Protocol, out: &mut Vec<u8>) -> bool {
        while out.len() < OUTPUT_BYTES_MAX {
            match self.turns.pop_front() {
                None => return false,
                Some(_) if self.turns.is_empty() && self.settled.is_err() => {
                    if let Err(error) = &self.settled {
                        fault::error(&mut Writer::new(out, protocol), error);
                    }
                }
                Some((Turn::Settling(reply), _)) => {
                    let position = self.settled.as_ref().ok().copied().flatten();
                    reply(position, &mut Writer::new(out, protocol));
                }
                Some((Turn::Waiting(_), _)) => {
                    if let Some(later) = self.later.next() {
                        later(&mut Writer::new(out, protocol));
                    }
                }
                Some((Turn::Written(bytes), _)) => out.extend_from_slice(&bytes),
                Some((Turn::Read(read), answers)) => {
                    (read.reply)(answers, &mut Writer::new(out, protocol));
                }
                Some((Turn::Forward(forward, requests), answers)) => {
                    let replies = self.replies.by_ref().take(requests);
                    match forward.reply {
                        Some(reply) => {
                            reply(replies.collect(), answers, &mut Writer::new(out, protocol));
                        }
                        None => replies.for_each(|reply| match reply {
                            Ok(bytes) => out.extend_from_slice(&bytes),
                            Err(error) => fault::error(&mut Writer::new(out, protocol), &error),
                        }),
                    }
                }
            }
        }
        !self.turns.is_empty()
    }
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answered").field("turns", &self.turns.len()).finish()
    }
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").field("turns", &self.turns.len()).finish()
    }
}

/// Waits for all. They begin in their order: what each does before it waits, is done before the
/// next one begins.
async fn all_in_order(waiting: Vec<Waiting>) -> Vec<Later> {
    let mut waiting: Vec<_> = waiting.into_iter().map(maybe_done).collect();
    poll_fn(|context| {
        // Each is polled, whether or not another one is ready.
        let left =
            waiting.iter_mut().filter_map(|one| one.poll_unpin(context).is_pending().then_some(()));
        if left.count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.iter_mut().filter_map(|one| Pin::new(one).take_output()).collect()
}

/// The keys that one cache is asked together, and whose they are.
struct Batch {
    cache: Cache<Key, Value>,
    keys: Vec<Key>,
    places: Vec<(usize, usize)>,
    at: Option<Position>,
}

impl Batch {
    /// Asks for its keys. One alone is asked for as such: its cache may gather it with those of
    /// other clients.
    async fn ask(&self) -> Answers {
        match &self.keys[..] {
            [key] => vec![match self.at {
                Some(position) => self.cache.read(key).at(position).ask().await,
                None => self.cache.ask(key).await,
            }],
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
        let joins = |batch: &&mut Self| {
            ask.at.is_none() && batch.at.is_none() && batch.cache.is(&ask.cache)
        };
        let known = batches.iter_mut().find(joins);
        match known {
            Some(batch) => {
                batch.keys.push(ask.key);
                batch.places.push(place);
            }
            None => {
                let Ask { cache, key, at } = ask;
                batches.push(Self { cache, keys: vec![key], places: vec![place], at });
            }
        }
    }
}
