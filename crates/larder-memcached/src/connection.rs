//! One connection: requests go out as they come, and replies come back in the same order.
//!
//! One task owns both directions, so that neither waits for the other. It bounds what is on the
//! way: where [`OUTGOING_BYTES_MAX`] or [`IN_FLIGHT_MAX`] is reached, no further call is taken
//! from the queue before some are answered. It doesn't know what a reply means, with two
//! exceptions that can't wait for who asked: what the server says about itself, and wins that
//! nobody wants.
//!
//! It opens no connection again; its server does.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use larder_core::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::call::{Answer, Call, Need, Outcome};
use crate::codec::{DATA, Failure, Flags, Reply, Request, SECONDS_MAX, Stats, Step, decode};
use crate::error;
use crate::server::Known;
use crate::token::Over;

/// How many bytes wait to be written before no further call is taken. A call that was taken is
/// encoded as a whole, so one call more is the most.
const OUTGOING_BYTES_MAX: usize = 256 << 10;
/// How many requests wait for their replies before no further call is taken; one call more is the
/// most.
const IN_FLIGHT_MAX: usize = 4_096;
/// How much room is made for each read at least.
const READ_BYTES_MIN: usize = 16 << 10;
/// How much at most, however long the server says that the value is.
const READ_BYTES_MAX: usize = 1 << 20;
/// A buffer that has grown beyond this is given back when it is empty.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// How old what is known of the server's clock may be. What is older costs nothing but that an
/// entry looks so much older.
const CLOCK_AGE_MAX: Duration = Duration::from_millis(200);
/// What larder is tested with. Versions before 1.6.12 read a fill's data as commands.
const VERSION_MIN: [u32; 3] = [1, 6, 18];

/// A connection while it lasts.
pub(crate) struct Connection<'a> {
    known: &'a Known,
    generation: u32,
    answer_timeout: Duration,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    /// The requests of all that wait, those that are answered already included.
    in_flight: usize,
    /// The latest that was heard of the server's clock.
    clock: u32,
    /// When the server was last asked for its clock.
    clock_asked: Option<Instant>,
    /// When the server last said something.
    heard: Instant,
}

/// A call on its way.
struct Waiting {
    requests: Vec<Request>,
    replies: Vec<Reply>,
    /// `None` for what the connection asks for itself.
    answer: Option<oneshot::Sender<Result<Outcome>>>,
    since: Instant,
}

/// Why a connection ended.
pub(crate) enum End {
    /// Nobody is left who could ask.
    Unwanted,
    /// It was lost, or can't be used.
    Lost(Error),
}

impl<'a> Connection<'a> {
    pub(crate) fn new(
        stream: TcpStream,
        known: &'a Known,
        generation: u32,
        answer_timeout: Duration,
    ) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            known,
            generation,
            answer_timeout,
            reader,
            writer,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            waiting: VecDeque::new(),
            in_flight: 0,
            clock: 0,
            clock_asked: None,
            heard: Instant::now(),
        }
    }

    /// Sends `first` and what `calls` brings until the connection ends, and answers them all.
    pub(crate) async fn run(mut self, first: Call, calls: &mut mpsc::Receiver<Call>) -> End {
        self.ask_for_itself(Request::Settings);
        self.take(first);
        let end = loop {
            let silent = self.waiting.front().map_or(self.heard, |call| self.heard.max(call.since))
                + self.answer_timeout;
            tokio::select! {
                call = calls.recv(), if self.takes_more() => match call {
                    Some(call) => self.take(call),
                    None => break End::Unwanted,
                },
                written = self.writer.write_buf(&mut self.outgoing),
                    if !self.outgoing.is_empty() =>
                {
                    if let Err(error) = written {
                        break End::Lost(self.lost("the connection was lost").caused_by(error));
                    }
                    shrink(&mut self.outgoing);
                }
                read = self.reader.read_buf(&mut self.incoming) => match read {
                    Ok(0) => break End::Lost(self.lost("it closed the connection")),
                    Ok(_) => {
                        if let Err(error) = self.digest() {
                            break End::Lost(error);
                        }
                    }
                    Err(error) => {
                        break End::Lost(self.lost("the connection was lost").caused_by(error));
                    }
                },
                () = sleep_until(silent), if !self.waiting.is_empty() => {
                    break End::Lost(self.lost("it does not answer"));
                }
            }
        };
        if let End::Lost(error) = &end {
            for answer in self.waiting.drain(..).filter_map(|call| call.answer) {
                // Who has gone needs no answer.
                let _ = answer.send(Err(error.clone()));
            }
        }
        end
    }

    fn takes_more(&self) -> bool {
        self.outgoing.len() < OUTGOING_BYTES_MAX && self.in_flight < IN_FLIGHT_MAX
    }

    fn take(&mut self, call: Call) {
        if call.answer.is_closed() {
            return;
        }
        if call.generation.is_some_and(|generation| generation != self.generation) {
            let _ = call.answer.send(Ok(Outcome::OtherGeneration));
            return;
        }
        let is_recent = self.clock_asked.is_some_and(|asked| asked.elapsed() < CLOCK_AGE_MAX);
        if call.clock == Need::Now || (call.clock == Need::Recent && !is_recent) {
            self.clock_asked = Some(Instant::now());
            self.ask_for_itself(Request::Clock);
        }
        self.send(call.requests, Some(call.answer));
    }

    fn ask_for_itself(&mut self, request: Request) {
        self.send(vec![request], None);
    }

    fn send(&mut self, requests: Vec<Request>, answer: Option<oneshot::Sender<Result<Outcome>>>) {
        for request in &requests {
            request.encode(&mut self.outgoing);
        }
        self.in_flight += requests.len();
        let replies = Vec::with_capacity(requests.len());
        self.waiting.push_back(Waiting { requests, replies, answer, since: Instant::now() });
    }

    /// Reads the replies that have arrived.
    fn digest(&mut self) -> Result<()> {
        self.heard = Instant::now();
        while !self.incoming.is_empty() {
            let step = decode(&self.incoming)
                .map_err(|fault| self.lost("it can't be understood").caused_by(fault))?;
            match step {
                Step::Whole(reply, length) => {
                    self.incoming.advance(length);
                    self.note(reply)?;
                }
                Step::More(missing) => {
                    self.incoming.reserve(missing.clamp(READ_BYTES_MIN, READ_BYTES_MAX));
                    return Ok(());
                }
            }
        }
        shrink(&mut self.incoming);
        self.incoming.reserve(READ_BYTES_MIN);
        Ok(())
    }

    /// Takes the reply to the oldest request without one.
    fn note(&mut self, reply: Reply) -> Result<()> {
        let Some(call) = self.waiting.front_mut() else {
            // It may say why it closes the connection.
            return Err(match &reply {
                Reply::Failed(failure) => error::refused(&self.known.name, failure),
                _ => error::astray(&self.known.name),
            });
        };
        // Behind an error that is ours or unknown, nothing tells which reply is to what.
        let is_last = matches!(&reply, Reply::Failed(Failure::Client(_) | Failure::Unknown(_)));
        let last = if let (true, Reply::Failed(failure)) = (is_last, &reply) {
            Err(error::refused(&self.known.name, failure))
        } else {
            Ok(())
        };
        if call.answer.is_none() {
            return self.note_own(reply).and(last);
        }
        // A plain read must not keep others from the lease.
        let request = &call.requests[call.replies.len()];
        let unwanted = match request {
            Request::Get { ask: None, .. } => give_back(request, &reply),
            _ => None,
        };
        call.replies.push(reply);
        if call.replies.len() == call.requests.len() {
            self.finish();
        }
        if let Some(request) = unwanted {
            self.ask_for_itself(request);
        }
        last
    }

    /// Takes the reply to the oldest request, which the connection sent for itself.
    fn note_own(&mut self, reply: Reply) -> Result<()> {
        let asked = self.waiting.front().and_then(|call| call.requests.first()).cloned();
        self.finish();
        match (asked, reply) {
            (Some(Request::Clock | Request::Settings), Reply::Stats(stats)) => self.learn(&stats),
            (Some(Request::Delete { .. } | Request::Rewrite { .. }), _) => Ok(()),
            (_, Reply::Failed(failure)) => Err(error::refused(&self.known.name, &failure)),
            _ => Err(error::astray(&self.known.name)),
        }
    }

    /// Answers the oldest call, whose replies are all there.
    fn finish(&mut self) {
        let Some(call) = self.waiting.pop_front() else { return };
        self.in_flight -= call.requests.len();
        let Some(answer) = call.answer else { return };
        let outcome = Outcome::Answered(Answer {
            generation: self.generation,
            clock: self.clock,
            replies: call.replies,
        });
        let Err(Ok(Outcome::Answered(unheard))) = answer.send(Ok(outcome)) else { return };
        // Who asked has gone. Plain reads have given back already.
        for (request, reply) in call.requests.iter().zip(&unheard.replies) {
            if let (Request::Get { ask: Some(_), .. }, Some(back)) =
                (request, give_back(request, reply))
            {
                self.ask_for_itself(back);
            }
        }
    }

    /// Notes what the server says about itself.
    fn learn(&mut self, stats: &Stats) -> Result<()> {
        let name = &self.known.name;
        if let Some(bytes) = stats.item_size_max {
            self.known.note_item_bytes_max(bytes);
        }
        if stats.version.is_some_and(|version| version < VERSION_MIN) {
            return Err(error::unfit(name, "is too old: it must be 1.6.18 or later"));
        }
        if stats.keeps_items {
            let what = "was started with -e, and may hold after a restart what was invalidated \
                        meanwhile: start it without";
            return Err(error::unfit(name, what));
        }
        match stats.time {
            // What is less is taken for a length of time.
            Some(time) if time <= SECONDS_MAX => {
                Err(error::unfit(name, "believes that it is 1970: set its clock"))
            }
            Some(time) => {
                self.clock = time;
                Ok(())
            }
            None if stats.item_size_max.is_some() => Ok(()),
            None => Err(error::unfit(name, "does not say what time it has")),
        }
    }

    fn lost(&self, what: &str) -> Error {
        error::down(&self.known.name, what)
    }
}

/// What gives back the win that came with a reply, if one did.
fn give_back(request: &Request, reply: &Reply) -> Option<Request> {
    let (Request::Get { name, .. }, Reply::Value { flags, .. }) = (request, reply) else {
        return None;
    };
    let over = match flags {
        Flags { client: DATA, stale: false, .. } => Over::Seen,
        Flags { client: DATA, .. } => Over::Stale,
        _ => Over::Stub,
    };
    flags.won.then(|| over.give_back(name.clone(), flags.cas))
}

/// Gives a buffer back that a large request or reply has made large.
fn shrink(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::name::Name;

    #[test]
    fn a_win_is_given_back_so_that_the_item_stays_what_it_was() {
        let name = || Name::new("n", b"key");
        let back = |client, stale, won| {
            let flags = Flags { cas: 5, client, stale, won, ..Flags::default() };
            let request = Request::Get { name: name(), ask: None };
            give_back(&request, &Reply::Value { data: Bytes::new(), flags })
        };
        for (client, stale, over) in [
            (DATA, false, Over::Seen),
            (DATA, true, Over::Stale),
            (0, false, Over::Stub),
            (0, true, Over::Stub),
        ] {
            assert_eq!(back(client, stale, true), Some(over.give_back(name(), 5)));
            assert_eq!(back(client, stale, false), None);
        }
    }
}
