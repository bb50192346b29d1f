//! Measurements side by side: larder and a peer in one run, in turn, and the ratio.
//!
//! An absolute time says more about the machine than about the program, so none is a result.
//! Each area prints tables and then lines `RESULT <name> <value>`.

mod figures;
mod resp;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// Measures an area.
#[derive(Debug, Parser)]
#[command(name = "larder-bench")]
struct Arguments {
    /// What is measured
    #[arg(value_enum)]
    area: Area,
    /// Measure for about a minute, with more noise
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Area {
    /// GET hits over the Redis protocol, against a real Redis server
    Resp,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let measured = match arguments.area {
        Area::Resp => resp::measure(if arguments.quick { resp::QUICK } else { resp::WHOLE }),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("larder-bench: {message}");
            ExitCode::FAILURE
        }
    }
}
