//! Area `edge`: a cache of responses in front of an origin, beside nginx's `proxy_cache` and
//! Varnish in the same run.
//!
//! Hits: small and large objects that all hold. Each server has one core and one worker, wrk
//! another core; the rounds go from one server to the next, and each ratio is the median of the
//! rounds' ratios, so that a disturbance hits all of them or none. wrk needs about as much CPU as
//! a server, so that requests per second show little but that the server keeps up: the server's
//! own CPU time for a request shows what it costs. A result is the worse of both sizes.
//!
//! A herd: 1,000 clients want what nobody holds, while the origin stops in the middle of its
//! answer. What counts is how often the origin is asked, and whether what it has said so far
//! reaches everybody.

mod cores;
mod herd;
mod hits;
mod servers;

use clap::Args;
use larder_test::Origin;

use crate::figures::result;
use crate::shared_herd::allow_files;
use cores::Cores;
use hits::Ratios;
use servers::Servers;

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Five rounds of a second instead of fifteen of three
    #[arg(long)]
    quick: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    rounds: usize,
    seconds: u32,
    herds: usize,
}

const QUICK: Extent = Extent { rounds: 5, seconds: 1, herds: 1 };
const WHOLE: Extent = Extent { rounds: 15, seconds: 3, herds: 5 };

/// Files that are no connection of the herd's: its origin may have as many.
const FILES_BESIDE: u64 = 2_000;

/// Runs what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let extent = if options.quick { QUICK } else { WHOLE };
    allow_files(herd::CLIENTS as u64 + FILES_BESIDE)?;
    let cores = Cores::of_this_machine()?;
    let origin = Origin::start();
    let servers = Servers::start(&origin, &cores)?;
    let hits = hits::measure(&servers, &origin, &cores, extent)?;
    let herds = herd::measure(&servers, &origin, extent)?;
    println!();
    for (peer, Ratios { throughput, cpu }) in hits {
        result(&format!("edge_hits_vs_{peer}"), throughput);
        result(&format!("edge_cpu_vs_{peer}"), cpu);
    }
    result("edge_collapsed_requests", herds.requests as f64);
    result("edge_streamed_clients", herds.streamed as f64);
    Ok(())
}
