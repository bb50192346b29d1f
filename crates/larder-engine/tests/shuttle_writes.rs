//! Writes through the cache under a checker that explores interleavings.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test 'shuttle*'`. Each
//! protective step that is left out must make the checker find an interleaving that breaks the
//! promise; the shortest one stands at its test.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod explored;

use explored::{
    Explored, MINUTE, WAYS, Way, draw, explore, must_fail, must_fail_by_priorities, pause,
};
use larder_engine::{Invalidation, Omit};
use shuttle::future::{block_on, spawn};

/// Two writers of one key that is held, each of whom reads what it wrote; and a reader.
fn two_writers_and_a_reader(omit: Omit) {
    block_on(async {
        let explored = Explored::new(omit, MINUTE);
        explored.get(7).await;
        let reader = explored.reader();
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let explored = explored.clone();
                spawn(async move {
                    explored.put(7).await;
                    explored.get(7).await;
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        reader.await.unwrap();
        explored.end().await;
    });
}

/// A writer through the cache, beside one who commits behind it and then invalidates, in any way.
fn a_writer_beside_an_invalidation(omit: Omit, ways: &[Way]) {
    block_on(async {
        let explored = Explored::new(omit, MINUTE);
        explored.get(7).await;
        let through = spawn({
            let explored = explored.clone();
            async move {
                explored.put(7).await;
                explored.get(7).await;
            }
        });
        pause().await;
        let what = [Invalidation::Drop, Invalidation::MarkStale][draw(2)];
        explored.write(7, ways[draw(ways.len())], what).await;
        explored.get(7).await;
        through.await.unwrap();
        explored.end().await;
    });
}

/// A load that is marked stale or overtaken is begun while a write is under way.
fn a_cold_reader_beside_a_writer(omit: Omit) {
    block_on(async {
        let explored = Explored::new(omit, MINUTE);
        explored.get(7).await;
        explored.write(7, Way::Key, Invalidation::MarkStale).await;
        let reader = explored.reader();
        explored.put(7).await;
        explored.get(7).await;
        reader.await.unwrap();
        explored.get(7).await;
        explored.end().await;
    });
}

#[test]
fn whoever_wrote_reads_it_and_of_two_writers_no_older_value_stays() {
    explore(|| two_writers_and_a_reader(Omit::Nothing));
}

#[test]
fn what_an_invalidation_overlapped_is_not_put_into_memory() {
    explore(|| a_writer_beside_an_invalidation(Omit::Nothing, &WAYS));
}

#[test]
fn a_load_from_before_a_write_fills_nothing_after_it() {
    explore(|| a_cold_reader_beside_a_writer(Omit::Nothing));
}

/// 1. A commits `v1`,
/// 2. B commits `v2`, puts it into memory and returns,
/// 3. A puts `v1` into memory, and B, who knows that it wrote, gets `v1`.
#[test]
fn without_the_fence_at_the_end_an_older_value_is_put_into_memory() {
    must_fail(|| two_writers_and_a_reader(Omit::FenceAtInstall));
}

/// The same, where B commits behind the cache and invalidates the prefix, which no mark of the
/// entry tells of.
#[test]
fn without_the_fence_at_the_end_what_was_invalidated_comes_back() {
    must_fail_by_priorities(|| {
        a_writer_beside_an_invalidation(Omit::FenceAtInstall, &[Way::Prefix]);
    });
}

/// 1. A reader misses and loads `v0`,
/// 2. W commits `v1` and puts it into memory,
/// 3. the reader fills `v0` under the epoch that there was, and W gets `v0`.
#[test]
fn without_the_epoch_at_the_end_a_load_from_before_fills_what_is_old() {
    must_fail(|| a_cold_reader_beside_a_writer(Omit::EpochAtInstall));
}
