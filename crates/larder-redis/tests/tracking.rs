//! The tracking bus: what Redis itself says of entries that change, beside what is announced.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::bus::{Announcement, BusEvent, Message, Position, ProcessId, Subscription};
use larder_core::shared::{Invalidation, SharedFill, SharedRead};
use larder_core::{Bus, Changes, LoadContext, SharedTier, State, Tier};
use larder_engine::{Cache, Engine, MessagePack, Sharing};
use larder_redis::RedisTier;
use larder_test::{Redis, RedisCluster, TestSource};

use support::{LEASE, envelope, eventually, gap, lease, message, next, put, tier, tier_at};

/// Which keys of which cache are told to have changed, by nobody in particular.
fn changed(message: &Message) -> (String, Vec<String>) {
    match Announcement::decode(&message.announcement) {
        Some((
            ProcessId::NOBODY,
            Announcement::Keys { strike: Invalidation::Drop, cache, keys },
        )) => (cache.into(), keys.into_iter().map(String::from).collect()),
        other => panic!("{other:?}"),
    }
}

fn of(cache: &str, keys: &[&str]) -> (String, Vec<String>) {
    (cache.to_owned(), keys.iter().map(ToString::to_string).collect())
}

/// What is published now is read, right after `position`.
async fn goes_on(bus: &dyn Bus, subscription: &mut Subscription, position: Position) {
    let published = bus.publish("goes on".into(), None).await.unwrap();
    assert!(position.is_followed_by(published), "{position} {published}");
    let read = message(subscription).await;
    assert_eq!((read.position, &read.announcement[..]), (published, &b"goes on"[..]));
}

#[tokio::test]
async fn whatever_changes_an_entry_is_heard_of_by_whomever_and_leases_are_not() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let (end, mut subscription) = tier.tracking_bus().subscribe().await.unwrap();
    // A lease is nothing to hear of; a fill can't be told from an invalidation.
    let held = lease(&tier, "user/7").await;
    let (entry, hour) = (envelope(1, "a"), Duration::from_secs(3_600));
    assert_eq!(tier.fill(b"user/7", &held, entry, hour).await.unwrap(), SharedFill::Stored);
    let read = message(&mut subscription).await;
    assert_eq!((changed(&read), read.position), (of("user", &["7"]), end));
    // By hand, with an odd key, and twice over.
    put(&tier, "user/{8}%/x", 2, "b").await;
    assert_eq!(changed(&message(&mut subscription).await), of("user", &["{8}%/x"]));
    redis.cli(&["DEL", "larder:{user/7}"]);
    assert_eq!(changed(&message(&mut subscription).await), of("user", &["7"]));
    redis.cli(&["DEL", "larder:{user/7}"]);
    redis.cli(&["UNLINK", "larder:{user/%7B8%7D%25/x}"]);
    assert_eq!(changed(&message(&mut subscription).await), of("user", &["{8}%/x"]));
    // By a script, many at a time, of several caches, and what is none of ours.
    redis.cli(&[
        "EVAL",
        "for i, key in ipairs(KEYS) do redis.call('SETRANGE', key, 1, 'x') end",
        "4",
        "larder:{page//a}",
        "larder:{user/7}",
        "larder:{user/8}",
        "larder:{stranger}",
    ]);
    assert_eq!(changed(&message(&mut subscription).await), of("page", &["/a"]));
    assert_eq!(changed(&message(&mut subscription).await), of("user", &["7", "8"]));
    // By its time.
    redis.cli(&["PEXPIRE", "larder:{user/8}", "1"]);
    for _ in 0..2 {
        assert_eq!(changed(&message(&mut subscription).await), of("user", &["8"]));
    }
    // Another application's entries are not ours.
    redis.cli(&["SET", "larder2:{user/7}", "x"]);
    goes_on(&tier.tracking_bus(), &mut subscription, end).await;
}

#[tokio::test]
async fn what_was_pushed_before_an_announcement_is_told_before_it() {
    let redis = Redis::start();
    let (one, other) = (tier(&redis), tier(&redis));
    let (mut last, mut subscription) = other.tracking_bus().subscribe().await.unwrap();
    put(&one, "user/7", 1, "a").await;
    assert_eq!(changed(&message(&mut subscription).await), of("user", &["7"]));
    // Dropped and announced in one step, of which the announcement leaves the server first.
    let announced = Some(Bytes::from_static(b"announced"));
    let position = one.invalidate(&[b"user/7"], Invalidation::Drop, announced).await.unwrap();
    let pushed = message(&mut subscription).await;
    assert_eq!((changed(&pushed), pushed.position), (of("user", &["7"]), last));
    let read = message(&mut subscription).await;
    assert_eq!((Some(read.position), &read.announcement[..]), (position, &b"announced"[..]));
    last = read.position;
    // And a push that is much longer than the announcement behind it.
    for _ in 0..3 {
        redis.cli(&[
            "EVAL",
            "for i = 1, 20000 do redis.call('SET', 'larder:{user/' .. i .. '}', 'x') end \
             redis.call('XADD', KEYS[2], '*', 'a', 'x', 'n', redis.call('HINCRBY', KEYS[1], 'n', 1), \
               'r', redis.call('HGET', KEYS[1], 'run'))",
            "2",
            "larder.b:{bus}:head",
            "larder.b:{bus}:stream",
        ]);
        let mut keys = 0;
        loop {
            let read = message(&mut subscription).await;
            if last.is_followed_by(read.position) {
                last = read.position;
                break;
            }
            keys += changed(&read).1.len();
        }
        assert_eq!(keys, 20_000);
    }
}

/// The connections that Redis pushes to, by their ids.
fn ears(redis: &Redis) -> Vec<String> {
    let list = redis.cli(&["CLIENT", "LIST"]);
    let is_ear = |line: &&str| {
        let flags = line.split(' ').find_map(|field| field.strip_prefix("flags="));
        flags.is_some_and(|flags| flags.contains('B'))
    };
    let id = |line: &str| {
        line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap_or("").to_owned()
    };
    list.lines().filter(is_ear).map(id).collect()
}

#[tokio::test]
async fn a_lost_connection_is_a_gap_told_when_its_successor_listens() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let bus = tier.tracking_bus();
    put(&tier, "user/7", 1, "a").await;
    let (end, mut subscription) = bus.subscribe().await.unwrap();
    for round in 0..3 {
        let [ear] = &ears(&redis)[..] else { panic!("one connection is pushed to") };
        redis.cli(&["CLIENT", "KILL", "ID", ear]);
        // Nobody hears of this.
        redis.cli(&["SETRANGE", "larder:{user/7}", "1", &round.to_string()]);
        assert_eq!(gap(&mut subscription).await, end);
        assert_eq!(ears(&redis).len(), 1);
        redis.cli(&["SETRANGE", "larder:{user/7}", "1", "x"]);
        assert_eq!(changed(&message(&mut subscription).await), of("user", &["7"]));
    }
    // What was announced meanwhile comes behind the gap.
    redis.cli(&["CLIENT", "KILL", "ID", &ears(&redis)[0]]);
    let published = bus.publish("meanwhile".into(), None).await.unwrap();
    assert_eq!(gap(&mut subscription).await, end);
    assert_eq!(message(&mut subscription).await.position, published);
    goes_on(&bus, &mut subscription, published).await;
}

#[tokio::test]
async fn a_server_that_is_flushed_or_starts_again_is_a_gap() {
    let redis = Redis::start();
    let bus = tier(&redis).tracking_bus();
    let (end, mut subscription) = bus.subscribe().await.unwrap();
    redis.flushall();
    let mut position = gap(&mut subscription).await;
    assert_eq!(position, end);
    redis.kill();
    redis.restart();
    let bus = tier(&redis).tracking_bus();
    let published = bus.publish("x".into(), None).await.unwrap();
    let mut has_gap = false;
    while !position.reaches(published) {
        match next(&mut subscription).await {
            BusEvent::Message(message) => position = message.position,
            BusEvent::Gap(at) => (position, has_gap) = (at.unwrap(), true),
        }
    }
    assert!(has_gap);
    // The stream's own gap and that of the connection may both come.
    loop {
        let published = bus.publish("again".into(), None).await.unwrap();
        match next(&mut subscription).await {
            BusEvent::Message(message) => break assert_eq!(message.position, published),
            BusEvent::Gap(_) => {}
        }
    }
}

#[tokio::test]
async fn on_a_cluster_every_node_is_heard_wherever_its_slots_go() {
    let cluster = RedisCluster::start(3, 0);
    let (one, other) = (tier_at(cluster.url()), tier_at(cluster.url()));
    let name = |key: &str| format!("larder:{{{key}}}");
    let key_on = |node: usize| {
        let mut keys = (0..).map(|number| format!("user/{number}"));
        keys.find(|key| cluster.owner_of(&name(key)) == node).unwrap()
    };
    let (end, mut subscription) = other.tracking_bus().subscribe().await.unwrap();
    for node in 0..3 {
        let key = key_on(node);
        put(&one, &key, 1, "a").await;
        let text = &key["user/".len()..];
        assert_eq!(changed(&message(&mut subscription).await), of("user", &[text]));
        // Invalidated by a writer that dies before it announces it.
        one.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
        assert_eq!(changed(&message(&mut subscription).await), of("user", &[text]));
    }
    let key = key_on(0);
    put(&one, &key, 2, "b").await;
    message(&mut subscription).await;
    cluster.migrate_slot(cluster.slot_of(&name(&key)), 1).finish();
    one.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
    let published = one.tracking_bus().publish("moved".into(), None).await.unwrap();
    assert!(end.is_followed_by(published));
    // Both the move and the invalidation are heard of, and before the announcement.
    let mut times = 0;
    loop {
        let read = message(&mut subscription).await;
        if read.position == published {
            break;
        }
        assert_eq!(changed(&read), of("user", &[&key["user/".len()..]]));
        times += 1;
    }
    assert!(times >= 2, "{times}");
}

#[tokio::test]
async fn a_failover_is_a_gap_and_the_new_server_is_heard() {
    let cluster = RedisCluster::start(3, 1);
    let (one, other) = (tier_at(cluster.url()), tier_at(cluster.url()));
    let name = |key: &str| format!("larder:{{{key}}}");
    let (_, mut subscription) = other.tracking_bus().subscribe().await.unwrap();
    // Not the node that has the bus: its stream goes on.
    let bus_on = cluster.owner_of("{bus}");
    let node = (0..3).find(|&node| node != bus_on).unwrap();
    let mut keys = (0..).map(|number| format!("user/{number}"));
    let key = keys.find(|key| cluster.owner_of(&name(key)) == node).unwrap();
    cluster.failover(node);
    gap(&mut subscription).await;
    let text = &key["user/".len()..];
    eventually(async || {
        one.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.is_ok()
            && matches!(ask(&one, &key).await, Some(SharedRead::Miss(_)))
    })
    .await;
    eventually(async || {
        let SharedRead::Miss(lease) = ask(&one, &key).await.unwrap() else {
            one.invalidate(&[key.as_bytes()], Invalidation::Drop, None).await.unwrap();
            return false;
        };
        let hour = Duration::from_secs(3_600);
        let filled = one.fill(key.as_bytes(), &lease, envelope(3, "c"), hour).await;
        filled.is_ok_and(|filled| filled == SharedFill::Stored)
    })
    .await;
    loop {
        match next(&mut subscription).await {
            BusEvent::Message(message) => break assert_eq!(changed(&message), of("user", &[text])),
            BusEvent::Gap(_) => {}
        }
    }
}

async fn ask(tier: &RedisTier, key: &str) -> Option<SharedRead> {
    let asks = [larder_core::shared::LeaseAsk { key: key.as_bytes(), seen: None }];
    tier.lease_many(&asks, LEASE).await.pop()?.ok()
}

async fn process(redis: &Redis, tracks: bool, source: &TestSource<u64, u64>) -> Cache<u64, u64> {
    let tier = tier(redis);
    let bus: Arc<dyn Bus> =
        if tracks { Arc::new(tier.tracking_bus()) } else { Arc::new(tier.bus()) };
    let engine = Engine::on_tokio().unwrap();
    engine.share(Sharing::over(Arc::new(tier)).own_bus(bus)).await.unwrap();
    Cache::builder("user")
        .engine(&engine)
        .max_staleness(Duration::from_secs(2))
        .stale_for(Duration::from_secs(60))
        .changes(Changes::Announced)
        .shared(MessagePack)
        .source(source.clone())
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_deleted_by_hand_leaves_every_memory() {
    let redis = Redis::start();
    let source = TestSource::of([(7, 1)]);
    let caches = [process(&redis, true, &source).await, process(&redis, true, &source).await];
    for cache in &caches {
        assert_eq!(cache.get(&7).await.unwrap(), Some(1));
    }
    source.set(7, 2);
    redis.cli(&["DEL", "larder:{user/7}"]);
    for cache in &caches {
        eventually(async || cache.get(&7).await.unwrap() == Some(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announced_invalidations_keep_their_promises_over_it() {
    let redis = Redis::start();
    let source = TestSource::of([(7, 1)]);
    let (a, b) = (process(&redis, true, &source).await, process(&redis, true, &source).await);
    for value in 2..50 {
        assert_eq!(a.get(&7).await.unwrap(), Some(value - 1));
        b.get(&7).await.unwrap();
        source.set(7, value);
        let position = a.invalidate(&7).await.unwrap().position.unwrap();
        let answer = b.read(&7).at(position).ask().await.unwrap();
        assert_eq!(answer.value, Some(value));
    }
    // Marked stale it is still served while it is refreshed, from the tier.
    source.close();
    let position = a.mark_stale(&7).await.unwrap().position.unwrap();
    let answer = b.read(&7).at(position).ask().await.unwrap();
    assert_eq!((answer.value, answer.state), (Some(49), State::Stale));
    source.open();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_keys_are_tags_one_that_is_announced_strikes_and_a_fill_does_not() {
    for tracks in [false, true] {
        let redis = Redis::start();
        let source = TestSource::answering(|key: &u64| Some(*key));
        let (a, b) =
            (process(&redis, tracks, &source).await, process(&redis, tracks, &source).await);
        b.engine().keys_are_tags(|cache| Some(format!("cache.{cache}")));
        let pages = Cache::<u64, u64>::builder("page").engine(b.engine());
        let pages = pages.max_staleness(Duration::from_secs(3_600)).build().unwrap();
        for page in [7, 8_u64] {
            let load = move |context: LoadContext| async move {
                context.tag(page.to_string());
                Ok(Some(page))
            };
            pages.get_or_load(&page, load).await.unwrap();
        }
        assert_eq!(a.get(&7).await.unwrap(), Some(7));
        eventually(async || redis.cli(&["EXISTS", "larder:{user/7}"]) == "1").await;
        // Whoever has heard of this has heard of the fill.
        let position = a.invalidate(&8).await.unwrap().position.unwrap();
        b.read(&8).at(position).get().await.unwrap();
        let held = [7, 8].map(|page| pages.peek(&page).is_some());
        assert_eq!(held, [true, false], "tracks: {tracks}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_costs_each_memory_one_read_of_the_tier_and_no_load() {
    const KEYS: u64 = 200;
    let mut loads = Vec::new();
    let mut shared_hits = Vec::new();
    for tracks in [false, true] {
        let redis = Redis::start();
        let source = TestSource::answering(|key: &u64| Some(*key));
        let (a, b) =
            (process(&redis, tracks, &source).await, process(&redis, tracks, &source).await);
        let mut hits = 0;
        for key in 0..KEYS {
            // Until both have it in memory, and it stays there.
            for cache in [&a, &b, &a, &b] {
                cache.get(&key).await.unwrap();
            }
            for cache in [&a, &b] {
                eventually(async || {
                    let answer = cache.ask(&key).await.unwrap();
                    hits += u64::from(answer.tier == Tier::Shared);
                    answer.tier == Tier::Memory
                })
                .await;
            }
        }
        loads.push(source.loads());
        shared_hits.push(a.stats().shared_hit_age.count() + b.stats().shared_hit_age.count());
    }
    println!("loads {loads:?}, reads of the tier that hit {shared_hits:?}");
    assert_eq!(loads, [200, 200]);
    assert_eq!(shared_hits[0], KEYS);
    // One more for each memory at most.
    assert!((KEYS..=3 * KEYS).contains(&shared_hits[1]));
}
