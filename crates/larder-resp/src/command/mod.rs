//! The commands: one table (`table.rs`), one file for each family.
//!
//! A command checks its arguments, does what needs no waiting and writes its reply; a read that
//! memory can't answer is handed back as [`Read`]. The table is also what COMMAND reports, so a
//! command that isn't described doesn't exist.

mod bits;
mod compatibility;
mod connection;
mod container;
mod declared;
mod describe;
mod everywhere;
mod expiry;
mod filter;
pub(crate) mod forward;
mod glob;
mod guard;
mod info;
mod invalidate;
mod larder;
mod long_double;
mod names;
mod natural;
mod numbers;
pub(crate) mod places;
mod reads;
mod redis;
mod reference;
mod rows;
mod shared_plain;
mod split;
mod strings;
mod table;
pub(crate) mod way;
mod writes;

use std::sync::Arc;

use larder_core::bus::Position;
use larder_core::{Key, Moment};

use crate::codec::{Request, Writer};
use crate::fault;
use crate::reads::{Read, SettledReply, Waiting};
use crate::service::Service;
use crate::session::State;

pub use compatibility::compatibility;
pub(crate) use expiry::integer;
pub use reference::reference;
pub(crate) use rows::pushed_key;
pub(crate) use table::{TABLE, find};

/// One command, as the table has it.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name, in capitals.
    pub(crate) name: &'static str,
    /// How many arguments it takes, its name counted; negative: at least so many.
    pub(crate) arity: i8,
    /// What it does to keys, in Redis's words.
    pub(crate) kind: Kind,
    /// Where its keys stand: first, last, step; zeros for none. A negative last counts from the
    /// end.
    pub(crate) keys: (i8, i8, i8),
    /// The group that COMMAND DOCS names.
    pub(crate) group: &'static str,
    /// Its arguments, as the reference shows them.
    pub(crate) arguments: &'static str,
    /// What it does, in a sentence.
    pub(crate) summary: &'static str,
    run: fn(&mut Call<'_>) -> Outcome,
}

/// What a command does to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It reads keys; reads may be gathered.
    Reads,
    /// It changes keys.
    Writes,
    /// It is about the connection or the server.
    Serves,
    /// The same, and a client may do it before it has authenticated.
    Greets,
}

impl Command {
    /// Whether it can stand behind reads that are still waited for.
    pub(crate) fn only_reads(&self) -> bool {
        self.kind == Kind::Reads
    }
}

/// Whether an arity, as a table has it, takes so many arguments.
fn takes(arity: i8, arguments: usize) -> bool {
    let wanted = usize::from(arity.unsigned_abs());
    if arity < 0 { arguments >= wanted } else { arguments == wanted }
}

/// One call of a command.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a Arc<Service>,
    pub(crate) session: &'a mut State,
    /// When it starts, by the engine's clock.
    pub(crate) now: Moment,
    pub(crate) request: Request<'a>,
    pub(crate) reply: Writer<'a>,
    /// Whether reads that came before it are still waited for.
    pub(crate) behind: bool,
}

/// What became of a call.
pub(crate) enum Outcome {
    /// The reply is written.
    Written,
    /// The reply is written when this has been read.
    Read(Read),
    /// The reply is written when this has been waited for. Nothing stands before it.
    Wait(Waiting),
    /// The same of a write of this key that a journal acknowledges. Others of other keys may stand
    /// before and behind it.
    Push(Key, Waiting),
    /// Something was invalidated; the reply is written when other larders were told.
    Settle(SettledReply),
    /// Nothing: it tells how a key is held, which the reads before it may still change. It is to
    /// be called again when they are answered.
    Later,
    /// The connection is to be closed, after what is written.
    Close,
}

/// What the reply of an invalidation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// How much was struck.
    Count,
    /// And where that stands among everything that larders tell each other.
    CountAndPosition,
}

impl Says {
    fn write(self, count: i64, position: Option<Position>, reply: &mut Writer<'_>) {
        match (self, position) {
            (Self::Count, _) => reply.integer(count),
            (Self::CountAndPosition, position) => {
                reply.array(2);
                reply.integer(count);
                match position {
                    Some(position) => reply.bulk(position.to_string().as_bytes()),
                    None => reply.null(),
                }
            }
        }
    }
}

impl Call<'_> {
    /// The key at `index` of the request.
    fn key(&self, index: usize) -> Key {
        Key::new(&self.request[index])
    }

    /// Whether the argument at `index` is this word, in any case.
    fn is(&self, index: usize, word: &str) -> bool {
        self.request.get(index).is_some_and(|given| given.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Replies a number, once what the command invalidated is announced to other larders, if
    /// there are any.
    fn settled(&mut self, number: i64, says: Says) -> Outcome {
        if self.service.engine.shares() {
            return Outcome::Settle(Box::new(move |position, reply| {
                says.write(number, position, reply);
            }));
        }
        says.write(number, None, &mut self.reply);
        Outcome::Written
    }

    fn syntax(&mut self) -> Outcome {
        fault::syntax(&mut self.reply);
        Outcome::Written
    }

    fn not_an_integer(&mut self) -> Outcome {
        fault::not_an_integer(&mut self.reply);
        Outcome::Written
    }

    fn wrong_arity(&mut self, name: &str) -> Outcome {
        fault::wrong_arity(&mut self.reply, name);
        Outcome::Written
    }

    fn fail(&mut self, error: &larder_core::Error) -> Outcome {
        fault::error(&mut self.reply, error);
        Outcome::Written
    }
}

/// Executes a request; `command` is what [`find`] found for its name.
#[inline]
pub(crate) fn execute(command: Option<&'static Command>, mut call: Call<'_>) -> Outcome {
    let Some(command) = command else {
        return unknown(&mut call);
    };
    if !takes(command.arity, call.request.len()) {
        fault::wrong_arity(&mut call.reply, command.name);
        return Outcome::Written;
    }
    if !call.session.authenticated && command.kind != Kind::Greets {
        unauthenticated(&mut call);
        return Outcome::Written;
    }
    (command.run)(&mut call)
}

fn unauthenticated(call: &mut Call<'_>) {
    call.reply.error("NOAUTH", "Authentication required.");
}

/// A name that is no command here. Redis may have it behind this server, or it isn't for clients;
/// otherwise nobody knows it. A browser that was lured here sends `POST` or `Host:`: as in
/// Redis, the connection is closed before anything in the body is taken for a command.
fn unknown(call: &mut Call<'_>) -> Outcome {
    let name = call.request.name();
    if name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:") {
        return Outcome::Close;
    }
    if let Some(redis) = redis::find(name) {
        match call.session.authenticated {
            true => redis.refuse(call),
            false => unauthenticated(call),
        }
        return Outcome::Written;
    }
    fault::unknown_command(&mut call.reply, name, call.request.iter().skip(1));
    Outcome::Written
}
