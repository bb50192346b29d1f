//! COMMAND, COMMAND COUNT, COMMAND DOCS, COMMAND INFO: the table, as clients ask for it.

use super::container::{self, Subcommand};
use super::{Call, Command, Kind, Outcome, TABLE, find};
use crate::codec::Writer;

pub(super) fn command(call: &mut Call<'_>) -> Outcome {
    match call.request.len() {
        1 => describe_all(&mut call.reply),
        _ => container::run(call, "COMMAND", &COMMAND),
    }
}

const COMMAND: [Subcommand; 3] = [
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
        name: "INFO",
        arity: -2,
        arguments: "[<command> ...]",
        summary: "Returns how commands, or all of them, are called.",
        run: info,
    },
];

fn count(call: &mut Call<'_>) -> Outcome {
    call.reply.integer(i64::try_from(TABLE.len()).unwrap_or(i64::MAX));
    Outcome::Written
}

/// `COMMAND INFO [name …]`: null for those that aren't there.
fn info(call: &mut Call<'_>) -> Outcome {
    if call.request.len() == 2 {
        return describe_all(&mut call.reply);
    }
    call.reply.array(call.request.len() - 2);
    for name in call.request.iter().skip(2) {
        match find(name) {
            Some(command) => describe(command, &mut call.reply),
            None => call.reply.null(),
        }
    }
    Outcome::Written
}

/// `COMMAND DOCS [name …]`: those that aren't there are left out.
fn docs(call: &mut Call<'_>) -> Outcome {
    let wanted: Vec<&Command> = match call.request.len() {
        2 => TABLE.iter().collect(),
        _ => call.request.iter().skip(2).filter_map(find).collect(),
    };
    call.reply.map(wanted.len());
    for command in wanted {
        call.reply.bulk(command.name.to_ascii_lowercase().as_bytes());
        call.reply.map(2);
        for (field, text) in [("summary", command.summary), ("group", command.group)] {
            call.reply.bulk(field.as_bytes());
            call.reply.bulk(text.as_bytes());
        }
    }
    Outcome::Written
}

fn describe_all(reply: &mut Writer<'_>) -> Outcome {
    reply.array(TABLE.len());
    TABLE.iter().for_each(|command| describe(command, reply));
    Outcome::Written
}

/// One command in the ten fields of Redis 7; the last four are empty here.
fn describe(command: &Command, reply: &mut Writer<'_>) {
    reply.array(10);
    reply.bulk(command.name.to_ascii_lowercase().as_bytes());
    reply.integer(i64::from(command.arity));
    let flags: &[&str] = match command.kind {
        Kind::Reads => &["readonly", "fast"],
        Kind::Writes => &["write", "fast"],
        Kind::Serves => &["loading", "stale"],
        Kind::Greets => &["noscript", "loading", "stale", "fast", "no_auth"],
    };
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    let (first, last, step) = command.keys;
    [first, last, step].into_iter().for_each(|number| reply.integer(i64::from(number)));
    (0..4).for_each(|_| reply.set(0));
}
