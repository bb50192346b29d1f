//! What each operation costs on the wire between a process and its shared tier: the page
//! `docs/concepts/costs-of-sharing.md` is held to what is measured here.
//!
//! The process that is measured has its tier behind one proxy and its bus behind another, so that
//! what is asked for isn't mixed with what is heard. The clock of the caches stands still: they
//! send nothing by themselves, and nothing seems late. The proxies delay, so that everything that
//! is sent without waiting for an answer is one round trip.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

#[path = "sharing_costs/beside.rs"]
mod beside;
#[path = "sharing_costs/changes.rs"]
mod changes;
#[path = "sharing_costs/page.rs"]
mod page;
#[path = "sharing_costs/reads.rs"]
mod reads;
#[path = "sharing_costs/site.rs"]
mod site;

use page::{Cost, Row};
use site::{Server, Site, Wire};

/// Every operation is measured so often, and the smallest numbers count: what a connection says by
/// itself now and then only adds to them.
const TRIES: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_of_what_sharing_costs_is_what_is_measured() {
    let (redis, memcached) = tokio::join!(of_redis(), of_memcached());
    page::check(&[(Server::REDIS, redis), (Server::MEMCACHED, memcached)]);
}

async fn of_redis() -> Vec<Row> {
    let site = Site::redis();
    let (other, (measured, wires)) = (site.process().await, site.measured().await);
    let mut rows = reads::of_hits(&measured, &other, &wires.tier).await;
    rows.extend(reads::of_misses(&measured, &other, &wires.tier).await);
    rows.extend(reads::of_waiting(&measured, &other, &wires.tier).await);
    rows.extend(changes::of_keys(&measured, &wires.tier).await);
    rows.extend(changes::of_marks(&measured, &wires.tier).await);
    rows.extend(beside::of_hearing(&measured, &other, &wires.bus).await);
    rows.extend(beside::of_being_there(&measured, &other, &wires.bus).await);
    rows.extend(beside::of_starting(&site).await);
    rows
}

/// Memcached has neither marks nor a bus, and a process that starts says nothing to it.
async fn of_memcached() -> Vec<Row> {
    let site = Site::memcached();
    let (other, (measured, wires)) = (site.process().await, site.measured().await);
    let mut rows = reads::of_hits(&measured, &other, &wires.tier).await;
    rows.extend(reads::of_misses(&measured, &other, &wires.tier).await);
    rows.extend(reads::of_waiting(&measured, &other, &wires.tier).await);
    rows.extend(changes::of_keys(&measured, &wires.tier).await);
    rows
}

/// Measures `operation` some times; it is told which time it is.
async fn cost(name: &'static str, wire: &Wire, mut operation: impl AsyncFnMut(u64)) -> Row {
    let mut least: Option<Cost> = None;
    let mut before = wire.quiet().await;
    for time in 0..TRIES {
        operation(time).await;
        let after = wire.quiet().await;
        let cost = Cost::between(&before, &after);
        least = Some(least.map_or(cost, |least| least.min(cost)));
        before = after;
    }
    Row { name, cost: least.unwrap() }
}

/// A hundred keys, different ones for each number.
fn hundred(number: u64) -> Vec<u64> {
    (10_000 + number * 100..10_100 + number * 100).collect()
}
