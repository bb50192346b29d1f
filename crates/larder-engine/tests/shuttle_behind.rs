//! Writes behind the cache under a checker that explores interleavings: what was acknowledged is
//! read, and what a batch returned is put into memory, beside readers, tickets and invalidations.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test 'shuttle*'`. Each
//! protective step that is left out must make the checker find an interleaving that breaks the
//! promise; the shortest one stands at its test.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod explored;
#[path = "explored/journal.rs"]
mod journal;

use std::sync::Arc;
use std::time::Duration;

use explored::{Explored, Way, draw, explore, must_fail, must_fail_by_priorities, pause};
use larder_engine::Omit;
use larder_engine::behind::{BehindBounds, WriteBehind};
use shuttle::future::{block_on, spawn};

/// Nobody waits for others, as time stands still.
fn bounds() -> BehindBounds {
    BehindBounds { delay: Duration::ZERO, lanes: 1, ..BehindBounds::default() }
}

async fn explored(omit: Omit) -> (Explored, WriteBehind) {
    let behind = WriteBehind::with(Arc::new(journal::Unlost::default()), bounds());
    let explored = Explored::behind(omit, &behind);
    behind.start(&explored.engine).await.unwrap();
    (explored, behind)
}

/// A key that is held is written and read, while somebody else reads it.
fn a_writer_and_a_reader(omit: Omit) {
    block_on(async {
        let (explored, _) = explored(omit).await;
        explored.get(7).await;
        let reader = explored.reader();
        explored.put_behind(7).await;
        explored.get(7).await;
        reader.await.unwrap();
        explored.end().await;
    });
}

/// Somebody reads for himself, and fills, while what waits isn't known.
fn a_ticket_beside_a_batch(omit: Omit) {
    block_on(async {
        let (explored, _) = explored(omit).await;
        explored.put_behind(7).await;
        explored.aside_here(7).await;
        explored.get(7).await;
        explored.end().await;
    });
}

/// Somebody commits behind larder's back and invalidates, while a batch is on its way.
fn a_batch_beside_an_invalidation(omit: Omit) {
    block_on(async {
        let (explored, behind) = explored(omit).await;
        explored.get(7).await;
        explored.put_behind(7).await;
        pause().await;
        explored.write_beside(7, [Way::Key, Way::All][draw(2)]).await;
        behind.stop(&explored.engine, explored::MINUTE).await.unwrap();
        explored.end().await;
    });
}

/// Somebody adds, and somebody updates, while a third one reads what nobody holds.
fn an_update_beside_a_writer_and_a_reader(omit: Omit) {
    block_on(async {
        let (explored, _) = explored(omit).await;
        let reader = explored.reader();
        let writer = spawn({
            let explored = explored.clone();
            async move { explored.put_behind(7).await }
        });
        explored.update_behind(7).await;
        reader.await.unwrap();
        writer.await.unwrap();
        explored.end().await;
    });
}

#[test]
fn what_was_acknowledged_is_read_until_it_is_applied_and_after() {
    explore(|| a_writer_and_a_reader(Omit::Nothing));
}

#[test]
fn a_ticket_fills_nothing_that_is_older_than_what_was_acknowledged() {
    explore(|| a_ticket_beside_a_batch(Omit::Nothing));
}

#[test]
fn what_an_invalidation_overlapped_is_not_put_into_memory() {
    explore(|| a_batch_beside_an_invalidation(Omit::Nothing));
}

#[test]
fn an_update_replaces_nothing_that_it_has_not_read() {
    explore(|| an_update_beside_a_writer_and_a_reader(Omit::Nothing));
}

/// 1. Memory holds `v0`,
/// 2. W is acknowledged, and gets `v0`.
#[test]
fn without_the_strike_of_a_write_what_is_held_is_read_after_it() {
    must_fail(|| a_writer_and_a_reader(Omit::StrikeAtPush));
}

/// 1. T takes a ticket while `v1` waits and isn't known, and reads `v0`,
/// 2. `v1` is applied, and the map forgets the key,
/// 3. T fills `v0`, and W, who knows that it wrote, gets `v0`.
#[test]
fn without_a_strike_at_the_end_a_ticket_fills_what_is_old() {
    must_fail(|| a_ticket_beside_a_batch(Omit::StrikeAtClose));
}

/// The same, and W reads before the strike comes.
#[test]
fn a_strike_that_comes_when_the_key_is_forgotten_is_too_late() {
    must_fail(|| a_ticket_beside_a_batch(Omit::StrikeBeforeClose));
}

/// 1. A batch commits `v1`,
/// 2. somebody commits `v2` behind larder's back, and invalidates,
/// 3. the batch puts `v1` into memory.
#[test]
fn without_the_fence_what_was_invalidated_is_put_into_memory() {
    must_fail_by_priorities(|| a_batch_beside_an_invalidation(Omit::FenceAtInstall));
}
