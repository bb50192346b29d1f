//! The filter in front of a source under a checker that explores interleavings.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test shuttle_filter`. The
//! code is the real one; only its lock is exchanged, and the bits are set at one stroke. Each
//! protective step that is left out must make the checker find an interleaving in which a key that
//! exists is called absent.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Clock, KeyList, KeyPages, LoadError, Moment};
use larder_engine::filter::{Filter, FilterOptions, Omit, Verdict};
use shuttle::future::{block_on, spawn, yield_now};

const ITERATIONS: usize = 3_000;

/// Time stands still; when it is a question of age, the moment is given.
struct Still;

const NOW: Moment = Moment::from_nanos(1_000_000_000);

impl Clock for Still {
    fn now(&self) -> Moment {
        NOW
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH
    }

    fn sleep_until(&self, _: Moment) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// What is committed, in the order in which it is read.
#[derive(Clone)]
struct Table(Arc<Mutex<BTreeSet<u64>>>);

impl Table {
    fn commit(&self, key: u64) {
        self.0.lock().insert(key);
    }
}

impl KeyList<u64> for Table {
    type Pages = TablePages;

    fn pages(&self) -> TablePages {
        TablePages(self.clone(), None)
    }
}

struct TablePages(Table, Option<u64>);

impl KeyPages<u64> for TablePages {
    async fn next(&mut self, max: usize) -> Result<Vec<u64>, LoadError> {
        yield_now().await;
        let after = self.1.map_or(Unbounded, Excluded);
        let page: Vec<_> = self.0.0.lock().range((after, Unbounded)).copied().take(max).collect();
        self.1 = page.last().copied();
        Ok(page)
    }
}

/// A filter that was built, and a table that holds the keys 10 and 20.
async fn setup(omit: Omit) -> (Filter<u64>, Table) {
    let options = FilterOptions { page_keys: 1, keys_planned: 1, ..FilterOptions::default() };
    let filter = Filter::new(options).unwrap().omitting(omit);
    let table = Table(Arc::new(Mutex::new([10, 20].into())));
    filter.begin(NOW).unwrap().run(&table, &Still).await;
    assert_eq!([filter.ask(&10), filter.ask(&15)], [Verdict::Maybe, Verdict::Absent]);
    (filter, table)
}

/// A build that is due because the last one is old.
async fn rebuild(filter: Filter<u64>, table: Table) {
    let old = NOW + Duration::from_secs(25 * 3_600);
    if let Some(build) = filter.begin(old) {
        build.run(&table, &Still).await;
    }
}

/// A writer inserts while the filter is built anew: whoever asks after the announcement is not
/// told "absent", during the build or after it.
fn nothing_announced_is_lost(omit: Omit) {
    block_on(async {
        let (filter, table) = setup(omit).await;
        let build = spawn(rebuild(filter.clone(), table.clone()));
        let writers: Vec<_> = [5, 15]
            .into_iter()
            .map(|key| {
                let (filter, table) = (filter.clone(), table.clone());
                spawn(async move {
                    table.commit(key);
                    filter.add(&key);
                    assert_eq!(filter.ask(&key), Verdict::Maybe, "announced, and not there");
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        build.await.unwrap();
        for key in [5, 10, 15, 20] {
            assert_eq!(filter.ask(&key), Verdict::Maybe, "lost by the build");
        }
    });
}

/// Keys are inserted that nobody names, while the filter is built anew.
fn nothing_unnamed_is_called_absent(omit: Omit) {
    block_on(async {
        let (filter, table) = setup(omit).await;
        let build = spawn(rebuild(filter.clone(), table.clone()));
        let writer = spawn({
            let (filter, table) = (filter.clone(), table.clone());
            async move {
                table.commit(5);
                filter.void();
                assert_ne!(filter.ask(&5), Verdict::Absent, "voided, and still trusted");
            }
        });
        writer.await.unwrap();
        build.await.unwrap();
        assert_ne!(filter.ask(&5), Verdict::Absent, "read before it was voided");
    });
}

/// Many ask for the build that is due: one is given it, and it is the only one.
fn one_build_at_a_time() {
    block_on(async {
        let (filter, table) = setup(Omit::Nothing).await;
        let builds: Vec<_> =
            (0..3).map(|_| spawn(rebuild(filter.clone(), table.clone()))).collect();
        for build in builds {
            build.await.unwrap();
        }
        let stats = filter.stats();
        assert_eq!((stats.builds, stats.builds_failed, stats.builds_voided), (2, 0, 0));
        assert!(filter.due(NOW).is_none());
    });
}

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(scenario, ITERATIONS);
}

/// The checker must find a counter-example. It stops at the first one, so it may look for long.
fn must_fail(scenario: impl Fn() + Send + Sync + 'static + std::panic::UnwindSafe) {
    let found = catch_unwind(|| shuttle::check_random(scenario, 100 * ITERATIONS));
    assert!(found.is_err(), "without this step a key must be lost");
}

#[test]
fn what_is_announced_during_a_build_is_in_it() {
    explore(|| nothing_announced_is_lost(Omit::Nothing));
}

#[test]
fn what_is_voided_during_a_build_voids_it() {
    explore(|| nothing_unnamed_is_called_absent(Omit::Nothing));
}

#[test]
fn builds_do_not_overlap() {
    explore(one_build_at_a_time);
}

#[test]
fn without_adding_to_the_build_a_key_is_lost() {
    must_fail(|| nothing_announced_is_lost(Omit::AddToBuild));
}

#[test]
fn without_the_bits_before_the_pages_a_key_is_lost() {
    must_fail(|| nothing_announced_is_lost(Omit::BitsBeforePages));
}

#[test]
fn without_the_void_of_a_build_an_old_reading_is_trusted() {
    must_fail(|| nothing_unnamed_is_called_absent(Omit::VoidOfBuild));
}
