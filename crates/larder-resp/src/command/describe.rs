//! COMMAND and its subcommands: the tables, as clients ask for them.
//!
//! Where there is a Redis behind larder, what is passed through to it is told as well, so a client
//! that asks which commands there are, or where their keys stand, finds a Redis.

use super::container::{self, Subcommand};
use super::glob::{self, Case};
use super::places::Keys;
use super::redis::{self, RedisCommand};
use super::{Call, Command, Kind, Outcome, TABLE, find, takes};
use crate::codec::Writer;

pub(super) fn command(call: &mut Call<'_>) -> Outcome {
    match call.request.len() {
        1 => describe_all(call),
        _ => container::run(call, "COMMAND", &COMMAND),
    }
}

const COMMAND: [Subcommand; 5] = [
    Subcommand {
        name: "COUNT",
        arity: 2,
        arguments: "",
        summary: "Returns how many commands there are.",
        run: count,
    },
    Subcommand {
        name: "DOCS",
        arity: -2,
        arguments: "[<command> ...]",
        summary: "Returns what commands, or all of them, are for.",
        run: docs,
    },
    Subcommand {
        name: "GETKEYS",
        arity: -4,
        arguments: "<full-command>",
        summary: "Returns the keys of a command, which isn't executed.",
        run: getkeys,
    },
    Subcommand {
        name: "INFO",
        arity: -2,
        arguments: "[<command> ...]",
        summary: "Returns how commands, or all of them, are called.",
        run: info,
    },
    Subcommand {
        name: "LIST",
        arity: -2,
        arguments: "[FILTERBY (MODULE <module> | ACLCAT <category> | PATTERN <pattern>)]",
        summary: "Returns the names of commands; there are no modules and no categories.",
        run: list,
    },
];

/// A command that clients are told of.
#[derive(Clone, Copy)]
enum Told {
    /// One that larder has itself.
    Own(&'static Command),
    /// One that only the Redis behind it has.
    Passed(&'static RedisCommand),
}

impl Told {
    fn name(self) -> String {
        match self {
            Self::Own(command) => command.name,
            Self::Passed(command) => command.name,
        }
        .to_ascii_lowercase()
    }

    fn arity(self) -> i8 {
        match self {
            Self::Own(command) => command.arity,
            Self::Passed(command) => command.arity,
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Own(command) => command.group,
            Self::Passed(command) => command.group,
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::Own(command) => command.summary,
            Self::Passed(_) => "Is passed through to the Redis behind larder.",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            Self::Own(command) => match command.kind {
                Kind::Reads => "readonly fast",
                Kind::Writes => "write fast",
                Kind::Serves => "loading stale",
                Kind::Greets => "noscript loading stale fast no_auth",
            },
            Self::Passed(command) => command.flags,
        }
    }

    /// The first key, the last, and the step between them. Keys that aren't in a row are those
    /// that move: the first of them is told, if it stands still.
    fn keys(self) -> [i64; 3] {
        match self {
            Self::Own(Command { keys: (first, last, step), .. }) => {
                [first, last, step].map(|number| i64::from(*number))
            }
            Self::Passed(command) => match command.keys {
                // As in Redis, the keys of a container are those of its subcommands.
                Keys::Range(2, 2, 1) if command.group != "bitmap" => [0; 3],
                Keys::Range(first, last, step) => {
                    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
                    [number(first), i64::try_from(last).unwrap_or(-1), number(step)]
                }
                Keys::StoredCounted | Keys::Sort | Keys::Near(_) => [1; 3],
                Keys::None | Keys::Counted(_) | Keys::Streams => [0; 3],
            },
        }
    }

    /// One command in the ten fields of Redis 7; the last four are empty here.
    fn describe(self, reply: &mut Writer<'_>) {
        reply.array(10);
        reply.bulk(self.name().as_bytes());
        reply.integer(i64::from(self.arity()));
        reply.set(self.flags().split_ascii_whitespace().count());
        self.flags().split_ascii_whitespace().for_each(|flag| reply.simple(flag));
        self.keys().into_iter().for_each(|number| reply.integer(number));
        (0..4).for_each(|_| reply.set(0));
    }
}

/// All commands that clients are told of.
fn all(call: &Call<'_>) -> Vec<Told> {
    let passes = call.service.keyspace.upstream().is_some();
    let passed = redis::passed().filter(|command| passes && !is_own(command));
    TABLE.iter().map(Told::Own).chain(passed.map(Told::Passed)).collect()
}

/// The one of this name, in any case.
fn told(call: &Call<'_>, name: &[u8]) -> Option<Told> {
    let passed = || {
        let passes = call.service.keyspace.upstream().is_some();
        redis::find(name).filter(|command| passes && command.refusal().is_none())
    };
    find(name).map(Told::Own).or_else(|| passed().map(Told::Passed))
}

fn is_own(command: &RedisCommand) -> bool {
    find(command.name.as_bytes()).is_some()
}

fn count(call: &mut Call<'_>) -> Outcome {
    let count = all(call).len();
    call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Outcome::Written
}

/// `COMMAND INFO [name …]`: null for those that aren't there.
fn info(call: &mut Call<'_>) -> Outcome {
    if call.request.len() == 2 {
        return describe_all(call);
    }
    call.reply.array(call.request.len() - 2);
    for name in call.request.iter().skip(2) {
        match told(call, name) {
            Some(command) => command.describe(&mut call.reply),
            None => call.reply.null(),
        }
    }
    Outcome::Written
}

/// `COMMAND DOCS [name …]`: those that aren't there are left out.
fn docs(call: &mut Call<'_>) -> Outcome {
    let wanted = match call.request.len() {
        2 => all(call),
        _ => call.request.iter().skip(2).filter_map(|name| told(call, name)).collect(),
    };
    call.reply.map(wanted.len());
    for command in wanted {
        call.reply.bulk(command.name().as_bytes());
        call.reply.map(2);
        for (field, text) in [("summary", command.summary()), ("group", command.group())] {
            call.reply.bulk(field.as_bytes());
            call.reply.bulk(text.as_bytes());
        }
    }
    Outcome::Written
}

/// `COMMAND GETKEYS name argument …`, with Redis's own words for what has none.
fn getkeys(call: &mut Call<'_>) -> Outcome {
    let Some(asked) = call.request.behind(2) else { return call.syntax() };
    let passed = redis::find(asked.name()).filter(|command| command.refusal().is_none());
    let own = find(asked.name());
    let keys = match (passed, own) {
        (Some(command), _) => command.keys,
        (None, Some(&Command { keys: (first @ 1.., last, step), .. })) => {
            let number = |number: i8| usize::from(number.unsigned_abs());
            Keys::Range(number(first), isize::from(last), number(step))
        }
        (None, _) => Keys::None,
    };
    let arity = passed.map(|command| command.arity).or(own.map(|command| command.arity));
    let refusal = match arity {
        None => "Invalid command specified",
        Some(_) if keys == Keys::None => "The command has no key arguments",
        Some(arity) if !takes(arity, asked.len()) => {
            "Invalid number of arguments specified for command"
        }
        Some(_) => {
            let places: Vec<_> = keys.places(&asked).collect();
            // A script may name none.
            if !places.is_empty() || passed.is_some_and(|command| command.group == "scripting") {
                call.reply.array(places.len());
                places.into_iter().for_each(|at| call.reply.bulk(&asked[at]));
                return Outcome::Written;
            }
            "Invalid arguments specified for command"
        }
    };
    call.reply.error("ERR", refusal);
    Outcome::Written
}

fn list(call: &mut Call<'_>) -> Outcome {
    let all: Vec<_> = all(call).into_iter().map(Told::name).collect();
    let names = match call.request.len() {
        2 => all,
        5 if call.is(2, "FILTERBY") && call.is(3, "PATTERN") => {
            let fits = |name: &String| glob::matches(&call.request[4], name.as_bytes(), Case::Same);
            all.into_iter().filter(fits).collect()
        }
        5 if call.is(2, "FILTERBY") && (call.is(3, "MODULE") || call.is(3, "ACLCAT")) => Vec::new(),
        _ => return call.syntax(),
    };
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    Outcome::Written
}

fn describe_all(call: &mut Call<'_>) -> Outcome {
    let all = all(call);
    call.reply.array(all.len());
    all.into_iter().for_each(|command| command.describe(&mut call.reply));
    Outcome::Written
}
