//! Commands that are several, like `CLIENT GETNAME` and `CLIENT ID`: a table for each, and HELP
//! for all.

use super::{Call, Outcome, takes};
use crate::fault;

/// A command behind a command, as its table has it.
#[derive(Debug)]
pub(super) struct Subcommand {
    /// Its name, in capitals.
    pub(super) name: &'static str,
    /// How many arguments it takes, both names counted; negative: at least so many.
    pub(super) arity: i8,
    /// Its arguments, as HELP shows them.
    pub(super) arguments: &'static str,
    /// What it does, in a sentence.
    pub(super) summary: &'static str,
    pub(super) run: fn(&mut Call<'_>) -> Outcome,
}

/// Runs the subcommand of `command` that the request names.
pub(super) fn run(call: &mut Call<'_>, command: &str, table: &[Subcommand]) -> Outcome {
    let wrong_arity = |call: &mut Call<'_>, name| call.wrong_arity(&format!("{command}|{name}"));
    let arguments = call.request.len();
    match table.iter().find(|subcommand| call.is(1, subcommand.name)) {
        Some(subcommand) if takes(subcommand.arity, arguments) => (subcommand.run)(call),
        Some(subcommand) => wrong_arity(call, subcommand.name),
        None if call.is(1, "HELP") && arguments == 2 => help(call, command, table),
        None if call.is(1, "HELP") => wrong_arity(call, "HELP"),
        None => {
            fault::unknown_subcommand(&mut call.reply, command, &call.request[1]);
            Outcome::Written
        }
    }
}

fn help(call: &mut Call<'_>, command: &str, table: &[Subcommand]) -> Outcome {
    call.reply.array(3 + 2 * table.len());
    call.reply.simple(&format!("{command} <subcommand> [argument ...]. Subcommands are:"));
    for Subcommand { name, arguments, summary, .. } in table {
        call.reply.simple(format!("{name} {arguments}").trim_end());
        call.reply.simple(&format!("    {summary}"));
    }
    call.reply.simple("HELP");
    call.reply.simple("    Prints this help.");
    Outcome::Written
}
