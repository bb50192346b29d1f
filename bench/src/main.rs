//! Measurements side by side: larder and its peers in one run, in turn, and the ratio.
//!
//! An absolute time says more about the machine than about the program, so none is a result.
//! Each area prints tables and then lines `RESULT <name> <value>`.

mod async_hits;
mod crash;
mod edge;
mod faults;
mod feed;
mod figures;
mod instructions;
mod lost;
mod memory;
mod promise;
mod resp;
mod shared;
mod shared_herd;
mod stampede;
mod through;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures an area.
#[derive(Debug, Parser)]
#[command(name = "larder-bench")]
struct Arguments {
    /// What is measured
    #[command(subcommand)]
    area: Area,
}

#[derive(Debug, Subcommand)]
enum Area {
    /// GET hits over the Redis protocol, against a real Redis server
    Resp {
        /// Measure for about a minute, with more noise
        #[arg(long)]
        quick: bool,
    },
    /// The in-process tier, beside the caches that others would pick
    Memory(memory::Options),
    /// An async get on a hit, beside the caches that load by themselves what they don't hold
    Async(through::Options),
    /// Ten thousand readers of one key at once: how many loads, and how long they wait
    Stampede(through::Options),
    /// A cache with a Redis behind its memory, beside a program that asks Redis itself
    Shared(shared::Options),
    /// Several larders under faults: how stale their answers are, and that no promise is broken
    Faults(faults::Options),
    /// Redis killed at full load: what readers of fresh values notice, and when it is used again
    Lost(lost::Options),
    /// Processes that write behind are killed at every step: what they acknowledged is not lost
    Crash(crash::Options),
    /// Responses from a cache in front of an origin, beside nginx and Varnish; needs them and wrk
    Edge(edge::Options),
    /// What a feed is worth: whether it keeps up with the database, and how late it is
    Feed(feed::Options),
    /// Postgres changed by pgbench under two larders that follow its log, while everything fails
    Promise(promise::Options),
    /// 1,500 readers of one key at three larders: how often the database is asked
    SharedHerd(shared_herd::Options),
    /// Writes behind a journal, beside the same writes straight into Postgres and SQLite
    Write(write::Options),
    /// Instructions per operation of the in-process tier, held to a kept table; needs valgrind
    Instructions {
        /// Keep what is counted now
        #[arg(long)]
        update: bool,
    },
    /// What `memory` runs in a process of its own
    #[command(hide = true)]
    Held { contender: memory::Contender },
    /// What `crash` kills
    #[command(hide = true)]
    Driver,
    /// What `instructions` counts
    #[command(hide = true)]
    Operations(instructions::Operations),
}

fn main() -> ExitCode {
    let measured = match Arguments::parse().area {
        Area::Resp { quick: true } => resp::measure(resp::QUICK),
        Area::Resp { quick: false } => resp::measure(resp::WHOLE),
        Area::Memory(options) => memory::measure(options),
        Area::Async(options) => async_hits::measure(&options),
        Area::Stampede(options) => stampede::measure(&options),
        Area::Shared(options) => shared::measure(&options),
        Area::Faults(options) => faults::measure(&options),
        Area::Lost(options) => lost::measure(&options),
        Area::Crash(options) => crash::measure(&options),
        Area::Edge(options) => edge::measure(&options),
        Area::Feed(options) => feed::measure(&options),
        Area::Promise(options) => promise::measure(&options),
        Area::SharedHerd(options) => shared_herd::measure(&options),
        Area::Write(options) => write::measure(&options),
        Area::Instructions { update: true } => instructions::update(),
        Area::Instructions { update: false } => instructions::check(),
        Area::Held { contender } => memory::say_what_is_held(contender),
        Area::Driver => crash::drive(),
        Area::Operations(operations) => instructions::run(&operations),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("larder-bench: {message}");
            ExitCode::FAILURE
        }
    }
}
