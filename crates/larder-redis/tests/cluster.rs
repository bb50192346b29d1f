//! A cluster of real nodes: slots that move, and nodes that die.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::shared::{Invalidation, Mark, SharedFill, SharedRead};
use larder_core::{Bus, ErrorKind, SharedTier};
use larder_redis::RedisTier;
use larder_test::RedisCluster;

use support::{
    LEASE, LIFETIME, ask, envelope, eventually, fill, gap, get, lease, message, put, tier_at, told,
};

fn keys(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("k{number}{{x")).collect()
}

/// A key whose entry lives on that node.
fn key_on(cluster: &RedisCluster, node: usize) -> String {
    let name = |key: &str| format!("larder:{{{key}}}");
    let mut keys = (0..).map(|number| format!("on{number}"));
    keys.find(|key| cluster.owner_of(&name(key)) == node).unwrap()
}

async fn texts(tier: &RedisTier, keys: &[String]) -> Vec<Option<String>> {
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let entries = tier.get_many(&keys).await.into_iter();
    entries.map(|entry| entry.unwrap().map(|entry| told(&entry).1)).collect()
}

#[tokio::test]
async fn keys_live_where_they_belong_and_answers_stand_in_their_order() {
    let cluster = RedisCluster::start(3, 0);
    let (one, other) = (tier_at(cluster.url()), tier_at(cluster.url()));
    assert!(!one.abilities().announces);
    let keys = keys(40);
    for (stamp, key) in (1..).zip(&keys) {
        put(&one, key, stamp, key).await;
    }
    let all: Vec<_> = keys.iter().cloned().map(Some).collect();
    assert_eq!(texts(&other, &keys).await, all);
    for node in cluster.nodes() {
        assert_ne!(node.cli(&["DBSIZE"]), "0");
    }
    // Each node is a run of its own.
    let mut runs: Vec<u32> = Vec::new();
    for key in &keys {
        runs.push(get(&one, key).await.unwrap().incarnation.0);
    }
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), 3);
    let struck: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let announcement = Some("announced by the caller".into());
    assert_eq!(
        one.invalidate(&struck[..20], Invalidation::Drop, announcement).await.unwrap(),
        None
    );
    assert_eq!(one.invalidate(&struck[20..], Invalidation::MarkStale, None).await.unwrap(), None);
    assert_eq!(texts(&one, &keys[..20]).await, vec![None; 20]);
    for key in &keys[20..] {
        assert!(told(&get(&other, key).await.unwrap()).0);
    }
    one.probe().await.unwrap();
}

#[tokio::test]
async fn the_worst_eviction_policy_of_all_nodes_with_keys_is_told() {
    let cluster = RedisCluster::start(3, 0);
    let tier = tier_at(cluster.url());
    for node in cluster.nodes() {
        node.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
        node.cli(&["CONFIG", "SET", "maxmemory", "64mb"]);
    }
    assert_eq!(tier.eviction_policy().await.unwrap().name(), "volatile-lru");
    // Whichever it is that differs.
    for node in cluster.nodes() {
        node.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        assert_eq!(tier.eviction_policy().await.unwrap().name(), "allkeys-lru");
        node.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    }
}

#[tokio::test]
async fn marks_and_bus_live_on_one_node() {
    let cluster = RedisCluster::start(3, 0);
    let (one, other) = (tier_at(cluster.url()), tier_at(cluster.url()));
    let marked = one.mark(&[Mark::All], Invalidation::Drop, Some("not here".into())).await.unwrap();
    assert_eq!(marked.position, None);
    assert_eq!(other.marks().await.unwrap().clock, marked.clock);
    let (end, mut subscription) = other.bus().subscribe().await.unwrap();
    assert_eq!(end.number, 0);
    let marks = Some((marked.clock, marked.incarnation));
    let position = one.bus().publish("mark".into(), marks).await.unwrap();
    let read = message(&mut subscription).await;
    assert_eq!((read.position, read.marks), (position, marks));
    // Its slot moves to another node. Nothing is missed, which who reads there now can't know.
    let slot = cluster.slot_of("{bus}");
    let to = (cluster.owner_of_slot(slot) + 1) % 3;
    cluster.migrate_slot(slot, to).finish();
    let after = one.bus().publish("moved".into(), None).await.unwrap();
    assert!(position.is_followed_by(after));
    assert_eq!(gap(&mut subscription).await, after);
    let last = one.bus().publish("goes on".into(), None).await.unwrap();
    assert_eq!(message(&mut subscription).await.position, last);
    assert_eq!(other.marks().await.unwrap().clock, marked.clock);
}

#[tokio::test]
async fn a_slot_that_moves_is_followed_and_its_leases_are_void() {
    let cluster = RedisCluster::start(3, 0);
    let tier = tier_at(cluster.url());
    let key = key_on(&cluster, 0);
    put(&tier, &key, 1, "a").await;
    let before = get(&tier, &key).await.unwrap().incarnation;
    let SharedRead::Stale { lease: refresh, .. } = ask(&tier, &key, Some(1)).await else {
        panic!()
    };
    let slot = cluster.slot_of(&format!("larder:{{{key}}}"));
    cluster.migrate_slot(slot, 1).finish();
    let moved = get(&tier, &key).await.unwrap();
    assert_eq!(told(&moved).1, "a");
    // It came from another run: the engine takes it for no hit.
    assert_ne!(moved.incarnation, before);
    assert_eq!(fill(&tier, &key, &refresh, envelope(2, "b")).await, SharedFill::Refused);
    tier.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
    put(&tier, &key, 3, "c").await;
    assert_eq!(cluster.node(1).cli(&["EXISTS", &format!("larder:{{{key}}}")]), "1");
}

#[tokio::test]
async fn while_a_slot_moves_entries_are_read_and_invalidated_wherever_they_are() {
    let cluster = RedisCluster::start(2, 0);
    let tier = tier_at(cluster.url());
    let key = key_on(&cluster, 0);
    let name = format!("larder:{{{key}}}");
    let slot = cluster.slot_of(&name);
    for moved in [false, true] {
        for strike in [Invalidation::Drop, Invalidation::MarkStale] {
            put(&tier, &key, 1, "a").await;
            let SharedRead::Stale { lease: old, .. } = ask(&tier, &key, Some(1)).await else {
                panic!()
            };
            let from = cluster.owner_of_slot(slot);
            let migration = cluster.migrate_slot(slot, 1 - from);
            if moved {
                assert!(migration.move_key(&name));
            }
            assert_eq!(told(&get(&tier, &key).await.unwrap()), (false, "a".into()));
            tier.invalidate(&[key.as_bytes()], strike, None).await.unwrap();
            match strike {
                Invalidation::Drop => assert_eq!(get(&tier, &key).await, None),
                Invalidation::MarkStale => assert!(told(&get(&tier, &key).await.unwrap()).0),
            }
            // A lease may be given, and is void: the tier is not down.
            let void = match ask(&tier, &key, None).await {
                SharedRead::Miss(lease) | SharedRead::Stale { lease, .. } => lease,
                other => panic!("{other:?}"),
            };
            for lease in [&old, &void] {
                let late = envelope(2, "late");
                let filled = tier.fill(key.as_bytes(), lease, late, LIFETIME).await.unwrap();
                let entry = get(&tier, &key).await;
                if filled == SharedFill::Stored {
                    assert_eq!(lease, &void);
                } else {
                    assert!(entry.is_none_or(|entry| told(&entry).0));
                }
            }
            migration.finish();
            tier.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_lease_is_voided_even_if_its_slot_stays_in_the_end() {
    let cluster = RedisCluster::start(2, 0);
    let tier = tier_at(cluster.url());
    let key = key_on(&cluster, 0);
    put(&tier, &key, 1, "a").await;
    let SharedRead::Stale { lease: old, .. } = ask(&tier, &key, Some(1)).await else { panic!() };
    let migration = cluster.migrate_slot(cluster.slot_of(&format!("larder:{{{key}}}")), 1);
    tier.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
    let slot = migration.slot().to_string();
    for node in cluster.nodes() {
        assert_eq!(node.cli(&["CLUSTER", "SETSLOT", &slot, "STABLE"]), "OK");
    }
    assert_eq!(fill(&tier, &key, &old, envelope(2, "late")).await, SharedFill::Refused);
    assert_eq!(get(&tier, &key).await, None);
    put(&tier, &key, 3, "b").await;
}

#[tokio::test]
async fn traffic_goes_on_while_slots_move() {
    let cluster = RedisCluster::start(3, 0);
    let tier = tier_at(cluster.url());
    let keys = keys(30);
    let done = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let (tier, keys, done) = (tier.clone(), keys.clone(), done.clone());
        async move {
            let mut stamp = 0;
            let mut stored = 0;
            while !done.load(Ordering::Relaxed) {
                for key in &keys {
                    stamp += 1;
                    // What is invalidated is gone, whatever moves meanwhile.
                    tier.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
                    assert_eq!(get(&tier, key).await, None);
                    let lease = match ask(&tier, key, None).await {
                        SharedRead::Miss(lease) => lease,
                        other => panic!("{other:?}"),
                    };
                    let text = stamp.to_string();
                    if fill(&tier, key, &lease, envelope(stamp, &text)).await == SharedFill::Stored
                    {
                        stored += 1;
                        assert_eq!(told(&get(&tier, key).await.unwrap()).1, text);
                    }
                }
            }
            stored
        }
    });
    let moving = tokio::task::spawn_blocking(move || {
        for key in keys.iter().take(6) {
            let slot = cluster.slot_of(&format!("larder:{{{}}}", key.replace('{', "%7B")));
            let to = (cluster.owner_of_slot(slot) + 1) % 3;
            cluster.migrate_slot(slot, to).finish();
        }
        cluster
    });
    let _cluster = moving.await.unwrap();
    done.store(true, Ordering::Relaxed);
    assert!(traffic.await.unwrap() > 0);
}

#[tokio::test]
async fn a_replica_takes_over_and_nothing_of_the_dead_node_is_trusted() {
    let cluster = RedisCluster::start(3, 1);
    let tier = tier_at(cluster.url());
    let (key, other) = (key_on(&cluster, 0), key_on(&cluster, 1));
    put(&tier, &key, 1, "a").await;
    put(&tier, &other, 2, "b").await;
    let before = get(&tier, &key).await.unwrap().incarnation;
    let reader = match ask(&tier, &key, Some(1)).await {
        SharedRead::Stale { lease, .. } => lease,
        other => panic!("{other:?}"),
    };
    cluster.node(0).kill();
    // The others are not touched by that.
    eventually(async || tier.get_many(&[key.as_bytes()]).await.pop().unwrap().is_err()).await;
    assert_eq!(told(&get(&tier, &other).await.unwrap()).1, "b");
    tier.probe().await.unwrap();
    cluster.failover(0);
    eventually(async || tier.get_many(&[key.as_bytes()]).await.pop().unwrap().is_ok()).await;
    assert!(get(&tier, &key).await.is_none_or(|entry| entry.incarnation != before));
    assert_eq!(fill(&tier, &key, &reader, envelope(3, "c")).await, SharedFill::Refused);
    tier.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
    put(&tier, &key, 4, "d").await;
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_not_asked() {
    let cluster = RedisCluster::start(1, 1);
    let tier = tier_at(cluster.url());
    put(&tier, "k", 1, "a").await;
    let before = get(&tier, "k").await.unwrap().incarnation;
    assert_eq!(cluster.failover(0), 1);
    // Whichever comes first: it says where the key is, or that it is a replica.
    tier.invalidate(&[b"k"], Invalidation::Drop, None).await.unwrap();
    put(&tier, "k", 2, "b").await;
    assert_ne!(get(&tier, "k").await.unwrap().incarnation, before);
}

#[tokio::test]
async fn a_cluster_that_is_down_is_an_error_for_each_key() {
    let cluster = RedisCluster::start(1, 0);
    let url = cluster.url();
    cluster.node(0).kill();
    let tier = tier_at(url);
    for result in tier.get_many(&[b"a", b"b"]).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::SharedDown);
    }
    assert_eq!(tier.probe().await.unwrap_err().kind(), ErrorKind::SharedDown);
    assert!(tier.bus().subscribe().await.is_err());
    cluster.node(0).restart();
    eventually(async || tier.get_many(&[b"a"]).await.pop().unwrap().is_ok()).await;
    let held = lease(&tier, "a").await;
    assert!(tier.extend(b"a", &held, LEASE).await.unwrap());
    tier.release(b"a", &held).await.unwrap();
    put(&tier, "a", 1, "x").await;
}

#[tokio::test]
async fn a_node_of_a_cluster_that_is_named_as_a_single_server_says_so() {
    let cluster = RedisCluster::start(2, 0);
    let tier = tier_at(cluster.node(0).url());
    let key = key_on(&cluster, 1);
    let error = tier.get_many(&[key.as_bytes()]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert!(error.chain().contains("lives elsewhere"), "{}", error.chain());
}
