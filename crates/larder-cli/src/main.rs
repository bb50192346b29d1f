//! `larder`: the command line.
//!
//! Each command has a file that turns its arguments into calls of the crates below and their
//! results into words and an exit code: 0 when all is well, 1 when something is wrong, 2 when
//! the command line is.

mod check;
mod client;
mod deadletter;
mod demo;
mod feed;
mod journal;
mod output;
mod serve;
mod simulate;
mod sources;
mod verify;
mod warm;
mod writes;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The cache whose staleness is a promise.
#[derive(Debug, Parser)]
#[command(name = "larder", version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say in words what a configuration promises, or what is wrong with it
    Check(check::Arguments),
    /// Look at writes that a database refused, requeue or drop them
    Deadletter(deadletter::Arguments),
    /// Make a shop in SQLite and measure what larder is worth there
    Demo(demo::Arguments),
    /// Prepare a database so that it tells of its changes, look at that, or take it away
    Feed(feed::Arguments),
    /// Look at the journal of writes that the database hasn't got yet
    Journal(journal::Arguments),
    /// Run a server until SIGTERM or SIGINT
    Serve(serve::Arguments),
    /// Replay a trace of requests and say which policy and size it asks for
    Simulate(simulate::Arguments),
    /// Compare what running servers answer with the database, some time after each change
    Verify(verify::Arguments),
    /// Ask a running server for keys, so that it has them when others ask
    Warm(warm::Arguments),
    /// Make, look at or remove the tables that writing behind needs in a database
    Writes(writes::Arguments),
}

fn main() -> ExitCode {
    match CommandLine::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Deadletter(arguments) => deadletter::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Feed(arguments) => feed::run(&arguments),
        Command::Journal(arguments) => journal::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Warm(arguments) => warm::run(&arguments),
        Command::Writes(arguments) => writes::run(&arguments),
    }
}
