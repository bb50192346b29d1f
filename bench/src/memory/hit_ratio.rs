//! Hit ratios over traces of real requests: get, and insert what was missed.
//!
//! stretto has no part in it: an insert takes up to 265 us there when the cache is large, and
//! what it hits depends on how far its thread has come.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::figures::result;
use crate::memory::contenders::{Cache, Contender, Job};
use crate::memory::inserts::get_or_insert;
use crate::memory::table::{Column, Table};
use crate::memory::traces::{self, Trace};
use crate::memory::versions::version;
use crate::memory::{Extent, Quick};

/// The name of the workload.
pub(crate) const NAME: &str = "hit_ratio";

/// Everybody who has a hit ratio.
const ALL: [Contender; 7] = [
    Contender::Larder,
    Contender::QuickCache,
    Contender::Moka,
    Contender::FoyerLfu,
    Contender::FoyerS3Fifo,
    Contender::FoyerLru,
    Contender::MutexLru,
];

/// Measures it, if it is wanted and there are traces, and prints it.
pub(crate) fn measure(extent: &Extent) -> Result<Option<Table>, String> {
    if !extent.wants(NAME, NAME, true) {
        return Ok(None);
    }
    let folder = traces::folder();
    let traces = traces::read(&folder)?;
    if traces.is_empty() {
        println!(
            "{NAME}: left out, since {} has no traces; LARDER_TRACES says where they are\n",
            folder.display()
        );
        return Ok(None);
    }
    let live: Vec<Contender> =
        extent.contenders(Quick::Few).filter(|contender| ALL.contains(contender)).collect();
    let mut table = replay(&traces, &live);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("hit-ratios.csv");
    if live == ALL {
        fs::write(&kept, table.to_csv()).map_err(|error| format!("{}: {error}", kept.display()))?;
    } else if extent.is_quick() {
        add_kept(&mut table, &kept)?;
    }
    print(&table, &traces, &live);
    Ok(Some(table))
}

/// Replays all traces at all capacities with all contenders, on two threads.
fn replay(traces: &[Trace], live: &[Contender]) -> Table {
    let points: Vec<(&Trace, usize)> = traces
        .iter()
        .flat_map(|trace| trace.capacities().map(move |capacity| (trace, capacity)))
        .collect();
    let (next, (done, replayed)) = (AtomicUsize::new(0), mpsc::channel());
    let mut columns: Vec<Column> = live
        .iter()
        .map(|&contender| Column {
            contender,
            version: version(contender).to_owned(),
            ratios: vec![0.0; points.len()],
        })
        .collect();
    thread::scope(|scope| {
        for done in [done.clone(), done] {
            scope.spawn(|| {
                let done = done;
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    let (column, point) = (run % live.len(), run / live.len());
                    let Some(&(trace, capacity)) = points.get(point) else { break };
                    let hits = live[column].cache(Replay { keys: &trace.keys, capacity });
                    let hits = hits.expect("all of them evict") as f64;
                    let percent = hits * 100.0 / trace.keys.len() as f64;
                    done.send((column, point, percent)).expect("it is waited for");
                }
            });
        }
        for (column, point, percent) in replayed {
            columns[column].ratios[point] = percent;
        }
    });
    let points = points.iter().map(|(trace, capacity)| (trace.name.clone(), *capacity)).collect();
    Table { points, columns }
}

struct Replay<'a> {
    keys: &'a [u64],
    capacity: usize,
}

impl Job<u64, u64> for Replay<'_> {
    type Out = usize;

    fn run<C: Cache<u64, u64> + 'static>(self) -> usize {
        get_or_insert(&C::for_hits(self.capacity), self.keys)
    }
}

/// Adds the peers that a whole run has measured with the versions and traces of this one.
fn add_kept(table: &mut Table, path: &PathBuf) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let csv = match fs::read_to_string(path) {
        Ok(csv) => csv,
        Err(error) => {
            println!("{NAME}: only of those that are live: {}\n", said(&error));
            return Ok(());
        }
    };
    let kept = Table::from_csv(&csv).map_err(|error| said(&error))?;
    if kept.points != table.points {
        println!("{NAME}: only of those that are live: the kept table is of other traces\n");
        return Ok(());
    }
    for column in kept.columns {
        if column.contender == Contender::Larder || table.column(column.contender).is_some() {
            continue;
        }
        let now = version(column.contender);
        if column.version == now {
            table.columns.push(column);
        } else {
            let (name, kept) = (column.contender.name(), &column.version);
            println!("{NAME}: {name} is left out: the kept table is of {kept}, this is {now}");
        }
    }
    Ok(())
}

fn print(table: &Table, traces: &[Trace], live: &[Contender]) {
    let points = table.points.len();
    println!(
        "{NAME}: means in percent over {points} points of {} traces; best at so many points",
        traces.len()
    );
    for column in &table.columns {
        let best = |point: &usize| {
            let best = table.columns.iter().map(|column| column.ratios[*point]);
            best.fold(f64::MIN, f64::max) <= column.ratios[*point]
        };
        println!(
            "  {:<13}{:<8}{:>6.2}  {:>4}  {}",
            column.contender.name(),
            column.version,
            column.mean(),
            (0..points).filter(best).count(),
            if live.contains(&column.contender) { "" } else { "(from hit-ratios.csv)" }
        );
    }
    println!("  stretto is left out: its replay takes hours, and depends on its thread");
    let gaps = gaps(table);
    if !gaps.is_empty() {
        println!("  where larder is furthest behind the best peer, in points:");
    }
    for (gap, point, peer) in gaps.iter().take(8) {
        let (trace, capacity) = &table.points[*point];
        println!("  {gap:>7.2}  {trace} at {capacity} entries, to {}", peer.name());
    }
    println!();
}

/// larder's hit ratio minus the best peer's at each point, the worst first.
fn gaps(table: &Table) -> Vec<(f64, usize, Contender)> {
    let Some(ours) = table.column(Contender::Larder) else { return Vec::new() };
    let gap = |point: usize| {
        let (peer, theirs) = table.best_peer_at(point)?;
        Some((ours.ratios[point] - theirs, point, peer))
    };
    let mut gaps: Vec<_> = (0..table.points.len()).filter_map(gap).collect();
    gaps.sort_by(|one, other| one.0.total_cmp(&other.0));
    gaps
}

/// Prints the results.
pub(crate) fn results(table: &Table) {
    let Some(ours) = table.column(Contender::Larder) else { return };
    result("hit_ratio_mean", ours.mean());
    if let Some(best) = table.best_peer() {
        result("hit_ratio_lead", ours.mean() - best.mean());
    }
    if let Some((worst, ..)) = gaps(table).first() {
        result("hit_ratio_worst_gap", *worst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_counts_what_was_held() {
        let keys: Vec<u64> =
            (0..300).flat_map(|lap| (0..100).map(move |id| id + lap / 100)).collect();
        let trace = Trace { name: "laps".to_owned(), keys, distinct: 102 };
        let table = replay(&[trace], &[Contender::Larder, Contender::MutexLru]);
        assert!(table.points.is_empty(), "half of 102 is below 64");
        let keys: Vec<u64> = (0..200).chain(0..200).collect();
        let trace = Trace { name: "twice".to_owned(), keys, distinct: 200 };
        let table = replay(&[trace], &[Contender::MutexLru]);
        assert_eq!(table.points, [("twice".to_owned(), 100)]);
        assert_eq!(table.columns[0].ratios, [0.0]);
    }

    #[test]
    fn gaps_are_to_the_best_peer_and_the_worst_comes_first() {
        let csv = "trace,capacity,larder 1,moka 1,quick_cache 1\n\
                   arc,64,50.0,40.0,45.0\narc,640,60.0,60.5,70.0\n";
        let gaps = gaps(&Table::from_csv(csv).expect("a table"));
        assert_eq!(gaps, [(-10.0, 1, Contender::QuickCache), (5.0, 0, Contender::QuickCache)]);
    }
}
