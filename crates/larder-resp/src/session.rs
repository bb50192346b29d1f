//! A session: one client's connection, without the connection.
//!
//! [`Session::run`] takes the bytes that have arrived and writes replies, as far as it gets
//! without waiting. What must wait comes back as [`Gathered`] reads, which the owner of the
//! socket awaits before it goes on. There is no I/O and no runtime here.

use std::sync::Arc;
use std::task::{Context, Poll};

use larder_core::sync::{Mutex, Ordering};
use larder_core::{Moment, Result};

use crate::codec::{Decoder, Limits, Protocol, Writer};
use crate::command::forward::{self, Route};
use crate::command::{self, Call, Command, Outcome};
use crate::link::{Link, Told, Transaction};
use crate::reads::{Gathered, OUTPUT_BYTES_MAX};
use crate::service::Service;
use crate::upstream::Patience;

/// One client.
#[derive(Debug)]
pub struct Session {
    service: Arc<Service>,
    decoder: Decoder,
    state: State,
}

/// What commands know and change about their client.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: u64,
    pub(crate) protocol: Protocol,
    pub(crate) authenticated: bool,
    pub(crate) name: Vec<u8>,
    pub(crate) transaction: Transaction,
    /// What it has of its own upstream. Only the session or what it gathered uses it at a time.
    pub(crate) link: Arc<Mutex<Link>>,
}

impl State {
    /// How much is taken from this client.
    fn limits(&self) -> Limits {
        if self.authenticated { Limits::default() } else { Limits::unauthenticated() }
    }

    /// What RESET goes back to.
    pub(crate) fn reset(&mut self, service: &Service) {
        self.protocol = Protocol::Resp2;
        self.authenticated = !service.asks_password();
        self.name.clear();
        self.transaction = Transaction::default();
        *self.link.lock() = Link::default();
    }
}

/// How far a [`Session::run`] came.
#[derive(Debug)]
#[must_use = "input that was consumed must not be given again"]
pub struct Progress {
    /// So many bytes of the input are done with.
    pub consumed: usize,
    /// What to do next, once the output is written.
    pub next: Next,
}

/// What the owner of the connection does next.
#[derive(Debug)]
pub enum Next {
    /// Read more; at least so many bytes are missing.
    Read(usize),
    /// Send the output, then run again with the rest of the input.
    Send,
    /// Await the answers, write them in this protocol version, then run again with the rest of
    /// the input.
    Await(Gathered, Protocol),
    /// Close the connection.
    Close,
}

/// What one run of a session has come to.
struct Run<'a> {
    out: &'a mut Vec<u8>,
    /// When the reads and writes of this run start. One look at the clock serves them all.
    now: Moment,
    gathered: Gathered,
    commands: u64,
}

/// What became of one request.
enum Step {
    /// It is done with, or gathered.
    Done,
    /// Its turn comes when the reads before it are answered.
    Wait,
    /// It was the last one.
    Close,
}

impl Session {
    /// A new client of `service`.
    #[must_use]
    pub fn new(service: &Arc<Service>) -> Self {
        let id = service.counts.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        service.counts.connected.fetch_add(1, Ordering::Relaxed);
        let authenticated = !service.asks_password();
        let state = State {
            id,
            protocol: Protocol::Resp2,
            authenticated,
            name: Vec::new(),
            transaction: Transaction::default(),
            link: Arc::default(),
        };
        let decoder = Decoder::new(state.limits());
        Self { service: Arc::clone(service), decoder, state }
    }

    /// Executes the requests in `input` as far as it gets without waiting, and appends the
    /// replies to `out`.
    ///
    /// `input` begins where the bytes consumed so far end; bytes that were not consumed are
    /// given again, with more behind them.
    pub fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        if self.service.keyspace.upstream().is_some() && self.state.link.lock().lost {
            return Progress { consumed: 0, next: Next::Close };
        }
        let now = self.service.engine.clock().now();
        let mut run = Run { out, now, gathered: Gathered::default(), commands: 0 };
        let (consumed, next) = self.execute(input, &mut run);
        self.service.counts.commands.add(run.commands);
        // What has gathered comes before everything else.
        let next = match run.gathered.is_empty() {
            true => next,
            false => {
                run.gathered.leave_open(self.state.transaction.is_open());
                let gathered = run.gathered.with_key_log(self.service.keyspace.key_log());
                Next::Await(gathered, self.state.protocol)
            }
        };
        Progress { consumed, next }
    }

    /// Waits for messages that this client has subscribed to, and appends those that are there to
    /// `out`. There are none while it hasn't subscribed to anything.
    ///
    /// # Errors
    ///
    /// When the connection that they come over is lost. The client is to be disconnected.
    pub fn poll_messages(
        &mut self,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Poll<Result<()>> {
        let mut link = self.state.link.lock();
        let Link { connection: Some(connection), subscriptions, lost, .. } = &mut *link else {
            return Poll::Pending;
        };
        if !subscriptions.any() {
            return Poll::Pending;
        }
        let before = out.len();
        while out.len() - before < OUTPUT_BYTES_MAX {
            match connection.poll_reply(context, Patience::Endless) {
                Poll::Ready(Ok(message)) => {
                    if subscriptions.told(&message, self.state.protocol) != Told::Larders {
                        out.extend_from_slice(&message);
                    }
                }
                Poll::Ready(Err(error)) => {
                    *lost = true;
                    return Poll::Ready(Err(error));
                }
                Poll::Pending if out.len() > before => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Executes requests; returns how many bytes they were, and what comes next unless reads have
    /// gathered.
    fn execute(&mut self, input: &[u8], run: &mut Run<'_>) -> (usize, Next) {
        let mut consumed = 0;
        loop {
            if run.out.len() >= OUTPUT_BYTES_MAX {
                return (consumed, Next::Send);
            }
            let rest = &input[consumed..];
            let bytes = match self.decoder.decode(rest) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return (consumed, Next::Read(self.decoder.missing(rest.len()))),
                Err(error) => {
                    // What came before the fault is answered first; the decoder fails again then.
                    if run.gathered.is_empty() {
                        Writer::new(run.out, self.state.protocol).error("ERR", error);
                    }
                    return (consumed, Next::Close);
                }
            };
            match self.step(&rest[..bytes], run) {
                Step::Done => consumed += bytes,
                Step::Wait => return (consumed, Next::Send),
                Step::Close => return (consumed + bytes, Next::Close),
            }
        }
    }

    /// Executes the request that was decoded last, or gathers it.
    #[inline]
    fn step(&mut self, bytes: &[u8], run: &mut Run<'_>) -> Step {
        let Some(request) = self.decoder.request(bytes) else {
            return Step::Done;
        };
        let command = command::find(request.name());
        let behind = !run.gathered.is_empty();
        let gathers = command.is_some_and(Command::only_reads);
        let upstream = self.service.keyspace.upstream().is_some();
        let joins = run.gathered.takes_push(|| command::pushed_key(&self.service, &request));
        if behind && !joins && (!(gathers || upstream) || run.gathered.is_full()) {
            return Step::Wait;
        }
        let mut later = Vec::new();
        let out = if behind { &mut later } else { &mut *run.out };
        let reply = Writer::new(out, self.state.protocol);
        let was_authenticated = self.state.authenticated;
        let session = &mut self.state;
        let now = run.now;
        let mut call = Call { service: &self.service, session, now, request, reply, behind };
        if upstream {
            match forward::route(&mut call, &mut run.gathered) {
                Route::Here if behind && !gathers && !joins => return Step::Wait,
                Route::Here => {}
                Route::Wait => return Step::Wait,
                Route::Written | Route::Forwarded => {
                    run.commands += 1;
                    if !later.is_empty() {
                        run.gathered.written(later);
                    }
                    return Step::Done;
                }
            }
        }
        let outcome = command::execute(command, call);
        if let Outcome::Later = outcome {
            return Step::Wait;
        }
        run.commands += 1;
        match outcome {
            Outcome::Written if behind => run.gathered.written(later),
            Outcome::Written | Outcome::Later => {}
            Outcome::Read(read) => run.gathered.read(read),
            Outcome::Wait(waiting) => run.gathered.wait(waiting),
            Outcome::Push(key, waiting) => run.gathered.push(key, waiting, bytes.len()),
            Outcome::Settle(reply) => run.gathered.settling(&self.service.engine, reply),
            Outcome::Close => return Step::Close,
        }
        if was_authenticated != self.state.authenticated {
            self.decoder.set_limits(self.state.limits());
        }
        Step::Done
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.service.counts.connected.fetch_sub(1, Ordering::Relaxed);
        self.service.tickets.leave(self.state.id);
    }
}
