//! `larder demo`: a shop in SQLite, read straight and through larder, with what was measured.
//!
//! This file is the story. The parts of it:
//!
//! | file | idea |
//! |---|---|
//! | `place` | where the shop lies, and that it goes or stays |
//! | `shop` | the data |
//! | `query` | what is asked, and how often the database has answered |
//! | `random` | the same chance in every run, and Zipf's law |
//! | `load` | a few clients that read as fast as they can |
//! | `stampede` | a crowd that wants one key at the same moment |
//! | `histogram` | how long it all took |
//! | `verdict` | whether it is worth it |
//! | `report`, `progress` | what is shown |
//! | `next` | what to try next |
//! | `fault` | why the story ended early |
//!
//! Every figure that it prints was measured in that run. It opens no socket.

mod fault;
mod histogram;
mod load;
mod next;
mod place;
mod progress;
mod query;
mod random;
mod report;
mod shop;
mod stampede;
#[cfg(test)]
mod tests;
mod verdict;

use std::io::{Write, stdout};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::Args;
use clap::value_parser;
use larder_core::KeyText;
use larder_sql::{Database, Options};
use tokio::signal::unix::{SignalKind, signal};

use self::fault::Fault;
use self::load::{MAX_STALENESS, Measured, TIMEOUT, Way};
use self::next::commands;
use self::place::Place;
use self::progress::Progress;
use self::query::{BESTSELLERS, Keys, PRODUCT, Query};
use self::report::{INDENT, number, paragraph, time};
use self::shop::Size;
use self::verdict::{Figures, Pace};
use crate::check::tell;

/// What `demo` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Keep the shop in this folder, with a larder.toml over it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// How many seconds each of the four read loads takes
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How many clients read at once
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = value_parser!(u64).range(1..=1000))]
    clients: u64,
}

/// How much of everything.
struct Plan {
    size: Size,
    clients: usize,
    /// For each read load.
    time: Duration,
    /// Clients of the stampede.
    crowd: usize,
    /// After which those without an answer are sent away.
    patience: Duration,
    progress: Progress,
    /// What to try next.
    commands: [String; 3],
}

/// The category that everybody wants in the stampede, and in the commands to try next.
const CATEGORY: usize = 7;

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let place = match &arguments.keep {
        Some(folder) => Place::kept(folder),
        None => Place::temporary(),
    };
    let mut place = match place {
        Ok(place) => place,
        Err(fault) => return tell(&fault.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(&format!("can't start the runtime: {error}")),
    };
    let larder = std::env::args().next().unwrap_or_else(|| "larder".to_owned());
    let plan = Plan {
        size: Size::FULL,
        clients: arguments.clients as usize,
        time: Duration::from_secs(arguments.seconds),
        crowd: 1_000,
        patience: Duration::from_secs(15),
        progress: Progress::here(),
        commands: commands(&larder, arguments.keep.as_deref()),
    };
    let mut out = stdout();
    let told = runtime.block_on(async {
        tokio::select! {
            told = Box::pin(story(&mut place, &plan, &mut out)) => told.map(|()| ExitCode::SUCCESS),
            stopped = stopped() => stopped,
        }
    });
    // What still runs is of no use to anybody now.
    runtime.shutdown_background();
    match told {
        Ok(code) => code,
        Err(fault) if fault.is_goodbye() => ExitCode::SUCCESS,
        Err(fault) => tell(&fault.to_string()),
    }
}

/// The demo from its beginning to its end.
async fn story(place: &mut Place, plan: &Plan, out: &mut impl Write) -> Result<(), Fault> {
    let about = plan.time * 4 + Duration::from_secs(10);
    writeln!(out, "A shop in SQLite, read straight and through larder: about {}.\n", time(about))?;

    writeln!(out, "1. The shop: {}", place.shop().display())?;
    let database = make_shop(place, plan, out).await?;

    let Size { products, categories, .. } = plan.size;
    for (at, query, count) in [(2, &BESTSELLERS, categories), (3, &PRODUCT, products)] {
        writeln!(out, "\n{at}. {}: {}", query.title, query.key)?;
        compare(&database, query, count, plan, out).await?;
    }

    writeln!(
        out,
        "\n4. A stampede: {} clients ask for one key at once",
        number(plan.crowd as u64)
    )?;
    stampede(&database, plan, out).await?;

    let fine_print = "Both sides ran in this process. A server adds a network round trip to each \
                      read, be it larder's or a database's that is not embedded.";
    write!(
        out,
        "\n{}\nTry next, with redis-cli or any other Redis client:\n",
        paragraph(fine_print)
    )?;
    for command in &plan.commands {
        writeln!(out, "{INDENT}{command}")?;
    }
    Ok(())
}

async fn make_shop(
    place: &mut Place,
    plan: &Plan,
    out: &mut impl Write,
) -> Result<Database, Fault> {
    let Size { products, users, order_lines, .. } = plan.size;
    let [products, users, lines] = [products, users, order_lines].map(|rows| number(rows as u64));
    writeln!(out, "{INDENT}{products} products, {users} users, {lines} order lines")?;
    let bar = plan.progress.begin("making them", plan.size.rows() as u64, out)?;
    let (file, began) = (place.shop(), Instant::now());
    shop::make(&file, &plan.size, &bar)
        .await
        .map_err(|error| Fault::because(format_args!("make {}", file.display()), error))?;
    drop(bar);
    let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    writeln!(out, "{INDENT}{} MB, made in {}", number(bytes / 1_000_000), time(began.elapsed()))?;
    place.finish()?;
    // Both ways have a connection for each core: more of them only get into each other's way in
    // SQLite, which would flatter larder.
    let connections = available_parallelism().map_or(1, NonZero::get);
    let (load_timeout, connect_timeout) = (TIMEOUT, TIMEOUT);
    let options = Options { connections, load_timeout, connect_timeout, ..Options::new("shop") };
    Ok(Database::open(&place.url()?, &options)?)
}

/// Reads the answers of one query both ways, and judges.
async fn compare(
    database: &Database,
    query: &'static Query,
    count: usize,
    plan: &Plan,
    out: &mut impl Write,
) -> Result<(), Fault> {
    for line in query.sql.lines() {
        writeln!(out, "{INDENT}{INDENT}{line}")?;
    }
    let keys = Arc::new(Keys::new(query, count)?);
    let source = Arc::new(query.to(database)?);
    let straight = Way::Straight(Arc::clone(&source));
    let through = Way::through(&source, query.name)?;
    let count = number(keys.count() as u64);
    let what = format!(
        "{} clients for {} each way, {count} keys by Zipf's law, max_staleness {}",
        plan.clients,
        time(plan.time),
        time(MAX_STALENESS)
    );
    writeln!(out, "{INDENT}{what}")?;
    let mut measure = async |way: &Way, what, clients, time: Duration| {
        let bar = plan.progress.begin(what, time.as_millis() as u64, out)?;
        load::run(way, &keys, clients, time, &bar).await
    };
    let alone = measure(&straight, "one read at a time, straight", 1, plan.time / 10).await?;
    let straight = measure(&straight, "straight at the database", plan.clients, plan.time).await?;
    let through = measure(&through, "through larder", plan.clients, plan.time).await?;
    writeln!(out, "\n{}", report::reads(&straight, &through))?;
    write!(out, "{}", paragraph(&figures(&alone, &straight, &through).sentence()))?;
    Ok(())
}

fn figures(alone: &Measured, straight: &Measured, through: &Measured) -> Figures {
    let pace = |measured: &Measured| Pace {
        reads_per_second: measured.reads_per_second(),
        p99: measured.latencies.quantile(0.99),
    };
    Figures {
        straight: pace(straight),
        through: pace(through),
        alone: alone.latencies.mean(),
        reaching: through.queries as f64 / through.latencies.count() as f64,
        max_staleness: MAX_STALENESS,
    }
}

/// Lets a crowd loose on a key that nobody has read, both ways.
async fn stampede(database: &Database, plan: &Plan, out: &mut impl Write) -> Result<(), Fault> {
    let key = BESTSELLERS.key_of(CATEGORY)?;
    let source = Arc::new(BESTSELLERS.to(database)?);
    writeln!(out, "{INDENT}{key}, which is held nowhere yet", key = KeyText::lossy(&key))?;
    let mut crowd = async |way: &Way, what| {
        let bar = plan.progress.begin(what, plan.crowd as u64, out)?;
        stampede::run(way, &key, plan.crowd, plan.patience, &bar).await
    };
    let straight = Way::Straight(Arc::clone(&source));
    let straight = crowd(&straight, "straight at the database").await?;
    let through = Way::through(&source, BESTSELLERS.name)?;
    let through = crowd(&through, "through larder").await?;
    write!(out, "\n{}", report::stampedes(plan.crowd, &straight, &through))?;
    Ok(())
}

/// Waits for the signal to stop, and says so.
async fn stopped() -> Result<ExitCode, Fault> {
    let fault = |error| Fault::because("listen for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    eprintln!("\nlarder: stopped");
    // As the shell has it for a program that SIGINT ended.
    Ok(ExitCode::from(130))
}
