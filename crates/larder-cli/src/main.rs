//! `larder`: the command line.
//!
//! Each command has a file that turns its arguments into calls of the crates below and their
//! results into words and an exit code: 0 when all is well, 1 when something is wrong, 2 when
//! the command line is.

mod check;
mod demo;
mod serve;
mod simulate;
mod warm;

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
    /// Make a shop in SQLite and measure what larder is worth there
    Demo(demo::Arguments),
    /// Run a server until SIGTERM or SIGINT
    Serve(serve::Arguments),
    /// Replay a trace of requests and say which policy and size it asks for
    Simulate(simulate::Arguments),
    /// Ask a running server for keys, so that it has them when others ask
    Warm(warm::Arguments),
}

fn main() -> ExitCode {
    match CommandLine::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Warm(arguments) => warm::run(&arguments),
    }
}
