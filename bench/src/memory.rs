//! Area `memory`: the in-process tier beside the caches that others would pick.
//!
//! All contenders run in one process, in turn, in an order that rotates each round. A result is
//! the best peer's time over larder's: above one, larder is faster than every peer. A bare
//! hashbrown map, which evicts nothing and synchronizes nothing, is printed as the floor.

mod contenders;
mod hit_ratio;
mod hits;
mod inserts;
mod latencies;
mod overhead;
pub(crate) mod requests;
mod rounds;
mod table;
mod traces;
mod versions;
mod writer;

use std::time::Duration;

use clap::Args;

pub(crate) use contenders::{Cache, Contender, Job, Key, Read, ReadJob, Shared, Value};
pub(crate) use latencies::Latencies;
pub(crate) use overhead::say as say_what_is_held;
pub(crate) use requests::{Popularity, key, text_key};
pub(crate) use rounds::{Cell, Entrant, Figures, in_turn};
pub(crate) use versions::version_of;

/// What of the area is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure for less than three minutes, with fewer peers and more noise
    #[arg(long)]
    quick: bool,
    /// Measure these only: groups (hits, get_or_insert, writer, overhead, hit_ratio) or workloads
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Measure these peers only, beside larder and the bare map
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    peers: Vec<Contender>,
    /// How many rounds are counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
}

/// How much is measured.
pub(crate) struct Extent {
    options: Options,
    /// How many rounds are counted; one more comes before.
    pub(crate) rounds: usize,
    /// How long one contender runs in a round.
    pub(crate) window: Duration,
    /// Requests of a thread in a round of get-or-insert.
    pub(crate) inserts: usize,
    /// Requests before the first of these rounds.
    pub(crate) inserts_before: usize,
}

/// Who takes part in a quick run.
#[derive(Clone, Copy)]
pub(crate) enum Quick {
    /// larder, quick_cache, moka and the floor.
    Few,
    /// These too: without them the best peer would be missing.
    Also(&'static [Contender]),
}

impl Extent {
    fn new(options: Options) -> Self {
        let (rounds, millis, inserts, inserts_before) =
            if options.quick { (5, 100, 200_000, 700_000) } else { (9, 150, 300_000, 1_500_000) };
        Self {
            rounds: options.rounds.map_or(rounds, usize::from),
            window: Duration::from_millis(millis),
            inserts,
            inserts_before,
            options,
        }
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.options.quick
    }

    /// Whether a workload is measured: because it is named, or its group is, or nothing is named
    /// and the run is a whole one or the workload `is_quick`.
    pub(crate) fn wants(&self, group: &str, name: &str, is_quick: bool) -> bool {
        let only = &self.options.only;
        match only.is_empty() {
            true => !self.options.quick || is_quick,
            false if only.iter().any(|wanted| wanted == name) => true,
            false => only.iter().any(|wanted| wanted == group) && (!self.options.quick || is_quick),
        }
    }

    /// Who takes part.
    pub(crate) fn contenders(&self, quick: Quick) -> impl Iterator<Item = Contender> + '_ {
        let also = match quick {
            Quick::Few => &[],
            Quick::Also(also) => also,
        };
        Contender::ALL.into_iter().filter(move |contender| {
            let few = matches!(contender, Contender::QuickCache | Contender::Moka);
            let named = self.options.peers.contains(contender);
            match contender {
                Contender::Larder | Contender::Hashbrown => true,
                _ if !self.options.peers.is_empty() => named,
                _ => !self.options.quick || few || also.contains(contender),
            }
        })
    }
}

/// The groups of workloads.
const GROUPS: [&str; 5] = ["hits", "get_or_insert", "writer", "overhead", hit_ratio::NAME];

fn check(only: &[String]) -> Result<(), String> {
    let mut names = hits::names();
    names.extend(inserts::names());
    names.extend([writer::NAME, overhead::NAME].map(str::to_owned));
    names.extend(GROUPS.map(str::to_owned));
    match only.iter().find(|wanted| !names.contains(wanted)) {
        None => Ok(()),
        Some(unknown) => Err(format!("--only {unknown}: there are {}", names.join(", "))),
    }
}

/// Measures what the options say, and prints it.
pub(crate) fn measure(options: Options) -> Result<(), String> {
    check(&options.only)?;
    let extent = Extent::new(options);
    print!("In one process, {} rounds in turn:", extent.rounds);
    for contender in Contender::ALL {
        print!(" {} {}", contender.name(), versions::version(contender));
    }
    println!("\nstretto has no part in get_or_insert and hit_ratio.\n");
    let overhead = overhead::measure(&extent)?;
    let cells = hits::measure(&extent);
    let inserts = inserts::measure(&extent);
    let writer = writer::measure(&extent);
    let table = hit_ratio::measure(&extent)?;

    hits::results(&cells);
    inserts::results(&inserts);
    writer.iter().for_each(writer::results);
    overhead.into_iter().for_each(overhead::results);
    table.iter().for_each(hit_ratio::results);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(quick: bool, only: &[&str], peers: &[Contender]) -> Extent {
        Extent::new(Options {
            quick,
            only: only.iter().map(|&name| name.to_owned()).collect(),
            peers: peers.to_vec(),
            rounds: None,
        })
    }

    #[test]
    fn a_workload_is_wanted_by_its_name_or_its_group() {
        assert!(extent(false, &[], &[]).wants("hits", "hit_u64_1t", false));
        assert!(!extent(true, &[], &[]).wants("hits", "hit_u64_1t", false));
        assert!(extent(true, &["hit_u64_1t"], &[]).wants("hits", "hit_u64_1t", false));
        assert!(extent(false, &["hits"], &[]).wants("hits", "hit_u64_1t", false));
        assert!(!extent(false, &["writer"], &[]).wants("hits", "hit_u64_1t", true));
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let unknown = check(&["hit_u46_1t".to_owned()]).expect_err("there is none");
        assert!(unknown.contains("hit_u46_1t") && unknown.contains("hit_u64_1t"));
        assert_eq!(check(&["hits".to_owned(), "p999_beside_writer".to_owned()]), Ok(()));
    }

    #[test]
    fn a_quick_run_has_few_peers_and_those_that_are_named() {
        use Contender::{Hashbrown, Larder, Moka, QuickCache, Stretto};
        let of = |extent: &Extent, quick| extent.contenders(quick).collect::<Vec<_>>();
        let quick = extent(true, &[], &[]);
        assert_eq!(of(&quick, Quick::Few), [Larder, QuickCache, Moka, Hashbrown]);
        let also = [Larder, QuickCache, Moka, Stretto, Hashbrown];
        assert_eq!(of(&quick, Quick::Also(&[Stretto])), also);
        assert_eq!(of(&extent(false, &[], &[]), Quick::Few), Contender::ALL);
        assert_eq!(of(&extent(false, &[], &[Moka]), Quick::Few), [Larder, Moka, Hashbrown]);
    }
}
