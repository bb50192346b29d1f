//! Reads: from memory, from the tier, through to the source, and while another process loads.

use larder::{Fill, Lookup, Tier};

use crate::page::{Cost, Row};
use crate::site::{POLL_MAX, Process, Wire, until};
use crate::{TRIES, cost, hundred};

/// The other process has filled what is read.
pub(crate) async fn of_hits(measured: &Process, other: &Process, wire: &Wire) -> Vec<Row> {
    let (held, ours) = (1000, &measured.cache);
    measured.get(&[held]).await;
    let memory = cost("a hit in memory", wire, async |_| {
        assert_eq!(ours.ask(&held).await.unwrap().tier, Tier::Memory);
    });
    let memory = memory.await;
    assert_eq!(memory.cost, Cost::default());

    for time in 0..TRIES {
        other.get(&[2000 + time]).await;
        other.get(&hundred(time)).await;
    }
    let hit = cost("a hit in the tier, one key", wire, async |time| {
        assert_eq!(ours.ask(&(2000 + time)).await.unwrap().tier, Tier::Shared);
    });
    let hit = hit.await;
    let batches = measured.source.batches().len();
    let hits = cost("hits in the tier, 100 keys with one `get_many`", wire, async |time| {
        ours.get_many(&hundred(time)).await.unwrap();
    });
    let hits = hits.await;
    assert_eq!(measured.source.batches().len(), batches, "what the tier has was loaded");
    vec![memory, hit, hits]
}

/// Nobody has filled what is read, or only half of it.
pub(crate) async fn of_misses(measured: &Process, other: &Process, wire: &Wire) -> Vec<Row> {
    let miss = cost("a miss with its load, one key", wire, async |time| {
        measured.get(&[3000 + time]).await;
    });
    let miss = miss.await;
    let misses = cost("misses with their load, 100 keys with one `get_many`", wire, async |time| {
        measured.get(&hundred(10 + time)).await;
    });
    let misses = misses.await;
    for time in 0..TRIES {
        other.get(&hundred(20 + time)[..50]).await;
    }
    let both = cost("50 hits and 50 misses with one `get_many`", wire, async |time| {
        let keys = hundred(20 + time);
        measured.get(&keys).await;
        let loads: usize = keys.iter().map(|key| measured.source.loads_of(key)).sum();
        assert_eq!(loads, 100, "each was loaded once, by the one or the other");
    });
    let both = both.await;
    let aside = cost("`lookup` that misses, and `fill` of its ticket", wire, async |time| {
        let Lookup::Miss(ticket) = measured.cache.lookup(&(3500 + time)).await else {
            panic!("nobody has filled it")
        };
        assert_eq!(ticket.fill_everywhere(Some(crate::site::row())).await, Fill::Stored);
    });
    vec![miss, misses, both, aside.await]
}

/// One process loads, and the measured one waits for what it fills.
pub(crate) async fn of_waiting(measured: &Process, other: &Process, wire: &Wire) -> Vec<Row> {
    measured.source.close();
    let loading = tokio::spawn({
        let cache = other.cache.clone();
        async move { cache.get(&4000).await.unwrap() }
    });
    until("the other one loads", || measured.source.waiting() == 1).await;
    let waiting = tokio::spawn({
        let cache = measured.cache.clone();
        async move { cache.ask(&4000).await.unwrap().tier }
    });
    until("the key is busy", || measured.cache.stats().shared_busy == 1).await;
    let poll = cost("waiting for another's load, each time it is asked for", wire, async |_| {
        let asked = measured.cache.stats().shared_busy;
        let is_asked = || measured.cache.stats().shared_busy > asked;
        measured.turn_until(POLL_MAX, "it is asked for again", is_asked).await;
    });
    let poll = poll.await;
    measured.source.open();
    loading.await.unwrap();
    measured.turn_until(POLL_MAX, "the wait is over", || waiting.is_finished()).await;
    assert_eq!(waiting.await.unwrap(), Tier::Shared);
    vec![poll]
}
