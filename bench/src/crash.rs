//! Area `crash`: processes that write behind are killed, at any moment and at every step of a
//! write, and started again; what they acknowledged is compared with the database.
//!
//! What is done is [`larder_crash`]. SQLite and Postgres are written in turn, each with a journal
//! of its own that lives through all rounds. There is no peer and no ratio: the result is how many
//! keys were wrong, and must be none. A kill isn't a power cut: what of a journal survives one of
//! those is the business of its own tests, on a simulated disk.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use clap::Args;
use larder_crash::{End, Rounds, TestDatabase, child};

use crate::figures::result;
use crate::shared::runtime;

/// Every so many rounds of a database it is settled and compared.
const COMPARED_EVERY: u64 = 5;

/// How long it goes on.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Ten rounds instead of two hundred
    #[arg(long)]
    quick: bool,
}

/// Runs what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let rounds = if options.quick { 10 } else { 200 };
    println!(
        "{rounds} rounds: {} writers put unique values, some to the same keys again and again, \
         and add to {} counters;\ntheir process is killed, at random or when it reaches a step, \
         and started again over the same journal.\nSQLite and Postgres in turn; every \
         {COMPARED_EVERY} rounds of each, everything is applied and compared\n",
        child::WRITERS,
        child::COUNTERS
    );
    let runtime = runtime();
    runtime.block_on(async {
        let postgres = tokio::task::block_in_place(TestDatabase::postgres);
        let mut both = [TestDatabase::sqlite().await, postgres].map(|it| Rounds::new(it, program));
        let mut ends: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for round in 0..rounds {
            // Each database sees every step: the steps are as many as ten, with random.
            let rounds = &mut both[usize::from((round + round / 10) % 2 == 1)];
            let end = End::of_round(round, rounds.random());
            let as_meant = rounds.kill(end).await;
            ends.entry(end.name()).or_default()[usize::from(!as_meant)] += 1;
            if round / 2 % COMPARED_EVERY == COMPARED_EVERY - 1 {
                rounds.settle(0);
                rounds.compare().await;
            }
        }
        for rounds in &mut both {
            rounds.settle(300);
            rounds.compare().await;
        }
        print(&both, &ends);
    });
    Ok(())
}

/// Is a process that [`measure`] kills.
pub(crate) fn drive() -> Result<(), String> {
    let asked = child::asked().ok_or("nobody asked for anything")?;
    runtime().block_on(asked.answer());
    Ok(())
}

fn program() -> Command {
    let mut program = Command::new(env::current_exe().expect("this program has a file"));
    program.arg("driver");
    program
}

fn print(both: &[Rounds; 2], ends: &BTreeMap<&str, [u64; 2]>) {
    println!("killed at        times   not reached, and killed somewhere");
    for (name, [reached, missed]) in ends {
        println!("  {name:<13}{:>7}{missed:>14}", reached + missed);
    }
    println!(
        "\ndatabase   acknowledged   of them refused   replayed   of them applied before   wrong"
    );
    for rounds in both {
        let said = rounds.said();
        println!(
            "{:<11}{:>12}{:>18}{:>11}{:>25}{:>8}",
            rounds.database().name(),
            said.acknowledged,
            said.bad(),
            said.replayed,
            said.before,
            rounds.wrong().len()
        );
        rounds.wrong().iter().for_each(|wrong| println!("  {wrong}"));
    }
    let sum = |of: fn(&Rounds) -> u64| both.iter().map(of).sum::<u64>();
    println!("\n{} acknowledged writes compared", sum(|rounds| rounds.said().acknowledged));
    result("lost_writes", sum(|rounds| rounds.wrong().len() as u64) as f64);
}
