//! Leases, fills and invalidations.

use std::time::Duration;

use larder_core::shared::{Invalidation, Lease, SharedFill, SharedRead};
use larder_core::{ErrorKind, SharedTier};
use larder_test::{Redis, RespClient};

use crate::support::{LEASE, LIFETIME, ask, envelope, fill, get, lease, put, tier, told};

#[tokio::test]
async fn what_was_filled_under_a_lease_is_a_hit_for_everybody() {
    let redis = Redis::start();
    let (one, other) = (tier(&redis), tier(&redis));
    put(&one, "user:1", 1, "ann").await;
    let entry = get(&other, "user:1").await.unwrap();
    assert_eq!(told(&entry), (false, "ann".into()));
    assert!(entry.remaining <= LIFETIME && entry.remaining > LIFETIME - Duration::from_secs(20));
    let name = |section: &str, field: &str| {
        let info = redis.cli(&["INFO", section]);
        let name = info.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        u32::from_str_radix(&name[..8], 16).unwrap()
    };
    let run = name("server", "run_id:") ^ name("replication", "master_replid:");
    assert_eq!(entry.incarnation.0, run);
    assert!(
        matches!(ask(&other, "user:1", None).await, SharedRead::Hit(hit) if told(&hit).1 == "ann")
    );
    assert_eq!(get(&other, "user:2").await, None);
    // The lease ended with the fill.
    assert_eq!(redis.cli(&["KEYS", "*"]), "larder:{user:1}");
}

#[tokio::test]
async fn answers_stand_in_the_order_of_the_keys() {
    let redis = Redis::start();
    let tier = tier(&redis);
    for (stamp, key) in (1..).zip(["a", "b{c}", "%", ""]) {
        put(&tier, key, stamp, key).await;
    }
    let keys: [&[u8]; 6] = [b"", b"none", b"%", b"b{c}", b"{}", b"a"];
    let entries = tier.get_many(&keys).await.into_iter().map(|entry| entry.unwrap());
    let texts: Vec<_> = entries.map(|entry| entry.map(|entry| told(&entry).1)).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts, [some(""), None, some("%"), some("b{c}"), None, some("a")]);
}

#[tokio::test]
async fn one_has_the_lease_and_the_others_are_told_for_how_long() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let held = lease(&tier, "k").await;
    match ask(&tier, "k", None).await {
        SharedRead::Busy { retry_after, stale: None } => {
            assert!(retry_after <= LEASE && retry_after > LEASE - Duration::from_secs(20));
        }
        other => panic!("{other:?}"),
    }
    tier.release(b"k", &held).await.unwrap();
    let again = lease(&tier, "k").await;
    assert_ne!(held.token, again.token);
    // Who gave it back has it no more, and can't give back the other one's.
    tier.release(b"k", &held).await.unwrap();
    assert!(!tier.extend(b"k", &held, LEASE).await.unwrap());
    assert_eq!(fill(&tier, "k", &held, envelope(1, "old")).await, SharedFill::Refused);
    assert_eq!(fill(&tier, "k", &again, envelope(2, "new")).await, SharedFill::Stored);
}

#[tokio::test]
async fn an_invalidation_voids_the_lease() {
    let redis = Redis::start();
    let tier = tier(&redis);
    for strike in [Invalidation::Drop, Invalidation::MarkStale] {
        let reader = lease(&tier, "k").await;
        tier.invalidate(&[b"k"], strike, None).await.unwrap();
        assert_eq!(fill(&tier, "k", &reader, envelope(1, "old")).await, SharedFill::Refused);
        assert_eq!(get(&tier, "k").await, None);
        assert!(!tier.extend(b"k", &reader, LEASE).await.unwrap());
    }
}

#[tokio::test]
async fn a_dropped_entry_is_gone_and_a_stale_one_is_held_until_it_is_filled_anew() {
    let redis = Redis::start();
    let tier = tier(&redis);
    put(&tier, "dropped", 1, "a").await;
    put(&tier, "stale", 2, "b").await;
    assert_eq!(tier.invalidate(&[b"dropped"], Invalidation::Drop, None).await.unwrap(), None);
    assert_eq!(
        tier.invalidate(&[b"stale", b"x"], Invalidation::MarkStale, None).await.unwrap(),
        None
    );
    assert_eq!(get(&tier, "dropped").await, None);
    assert_eq!(redis.cli(&["EXISTS", "larder:{x}"]), "0");
    let entry = get(&tier, "stale").await.unwrap();
    assert_eq!(told(&entry), (true, "b".into()));
    assert!(entry.remaining > LIFETIME - Duration::from_secs(20));
    let SharedRead::Stale { entry, lease } = ask(&tier, "stale", None).await else { panic!() };
    assert_eq!(told(&entry), (true, "b".into()));
    let SharedRead::Busy { stale: Some(entry), .. } = ask(&tier, "stale", None).await else {
        panic!()
    };
    assert_eq!(told(&entry), (true, "b".into()));
    assert_eq!(fill(&tier, "stale", &lease, envelope(3, "c")).await, SharedFill::Stored);
    assert_eq!(told(&get(&tier, "stale").await.unwrap()), (false, "c".into()));
}

#[tokio::test]
async fn an_entry_that_was_seen_is_no_hit_and_any_other_is() {
    let redis = Redis::start();
    let tier = tier(&redis);
    put(&tier, "k", u64::MAX - 1, "a").await;
    assert!(matches!(ask(&tier, "k", Some(u64::MAX)).await, SharedRead::Hit(_)));
    let SharedRead::Stale { entry, .. } = ask(&tier, "k", Some(u64::MAX - 1)).await else {
        panic!()
    };
    assert_eq!(told(&entry), (false, "a".into()));
}

#[tokio::test]
async fn a_writer_that_announced_its_change_keeps_fills_away_until_it_ends_or_its_time_is_over() {
    let redis = Redis::start();
    let tier = tier(&redis);
    put(&tier, "k", 1, "a").await;
    let reader = lease(&tier, "other").await;
    let time = redis.cli(&["TIME"]);
    let seconds: u64 = time.lines().next().unwrap().parse().unwrap();
    let intend = |key: &str, until: u64| {
        redis.cli(&["ZADD", &format!("larder.l:{{{key}}}:W"), &format!("{until}000"), "w"])
    };
    intend("other", seconds + 60);
    intend("k", seconds + 60);
    assert_eq!(fill(&tier, "other", &reader, envelope(2, "b")).await, SharedFill::Refused);
    assert_eq!(ask(&tier, "other", None).await, SharedRead::WriterPending { stale: None });
    let pending = ask(&tier, "k", Some(1)).await;
    assert!(matches!(pending, SharedRead::WriterPending { stale: Some(_) }), "{pending:?}");
    // A writer whose time is over is forgotten.
    intend("k", seconds - 1);
    assert!(matches!(ask(&tier, "k", Some(1)).await, SharedRead::Stale { .. }));
}

#[tokio::test]
async fn an_entry_is_as_old_as_its_lease() {
    let redis = Redis::start();
    let tier = tier(&redis);
    // As if it had been granted half an hour ago, and an hour and a second ago.
    for (ago, stored) in [(1_800, SharedFill::Stored), (3_601, SharedFill::Refused)] {
        let held = lease(&tier, "k").await;
        let name = "larder.l:{k}:L";
        let script = "local l = redis.call('GET', KEYS[1]) \
             local at = string.format('%.0f', string.sub(l, 25) - ARGV[1]) \
             return redis.call('SET', KEYS[1], string.sub(l, 1, 24) .. at, 'KEEPTTL')";
        redis.cli(&["EVAL", script, "1", name, &format!("{ago}000")]);
        // Extending it makes it no younger.
        assert!(tier.extend(b"k", &held, 2 * LEASE).await.unwrap());
        let left: u64 = redis.cli(&["PTTL", name]).parse().unwrap();
        assert!(left > 60_000 && left <= 120_000, "{left}");
        assert_eq!(fill(&tier, "k", &held, envelope(1, "a")).await, stored);
        if stored == SharedFill::Stored {
            let remaining = get(&tier, "k").await.unwrap().remaining;
            let half = Duration::from_secs(1_800);
            assert!(remaining <= half && remaining > half - Duration::from_secs(20));
            tier.invalidate(&[b"k"], Invalidation::Drop, None).await.unwrap();
        }
    }
    assert_eq!(redis.cli(&["KEYS", "*"]), "");
}

#[tokio::test]
async fn a_lease_from_before_the_clock_was_stepped_back_is_void() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let held = lease(&tier, "k").await;
    let script = "local l = redis.call('GET', KEYS[1]) \
         return redis.call('SET', KEYS[1], string.sub(l, 1, 24) .. '99999999999999', 'KEEPTTL')";
    redis.cli(&["EVAL", script, "1", "larder.l:{k}:L"]);
    assert_eq!(fill(&tier, "k", &held, envelope(1, "a")).await, SharedFill::Refused);
}

#[tokio::test]
async fn what_is_not_ours_is_a_miss_or_an_error_and_never_an_entry() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let mut client = RespClient::connect(("127.0.0.1", redis.port()));
    client.command(&[b"SET".as_slice(), b"larder:{endless}", &envelope(9, "x")]);
    assert_eq!(get(&tier, "endless").await, None);
    let held = lease(&tier, "endless").await;
    assert_eq!(fill(&tier, "endless", &held, envelope(1, "a")).await, SharedFill::Stored);
    redis.cli(&["RPUSH", "larder:{list}", "x"]);
    let error = tier.get_many(&[b"list"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.chain().contains("namespace"), "{}", error.chain());
    // A lease of another driver, or one that somebody made up.
    for token in [&b""[..], b"x", &[0; 32]] {
        let held = lease(&tier, "k").await;
        let odd = Lease { token: token.to_vec().into(), ..held.clone() };
        assert_eq!(fill(&tier, "k", &odd, envelope(1, "a")).await, SharedFill::Refused);
        tier.release(b"k", &odd).await.unwrap();
        assert!(tier.extend(b"k", &held, LEASE).await.unwrap());
        tier.release(b"k", &held).await.unwrap();
    }
    // A lease without an end keeps nobody away for ever, and what is none keeps nobody away.
    lease(&tier, "k").await;
    redis.cli(&["PERSIST", "larder.l:{k}:L"]);
    assert!(matches!(ask(&tier, "k", None).await, SharedRead::Busy { retry_after, .. }
        if retry_after == LEASE));
    assert_ne!(redis.cli(&["PTTL", "larder.l:{k}:L"]), "-1");
    redis.cli(&["SET", "larder.l:{k}:L", "x"]);
    let held = lease(&tier, "k").await;
    assert_eq!(fill(&tier, "k", &held, envelope(2, "b")).await, SharedFill::Stored);
}

#[tokio::test]
async fn a_thousand_keys_are_invalidated_with_one_call() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let keys: Vec<String> = (0..1_000).map(|number| format!("k{number}")).collect();
    let mut client = RespClient::connect(("127.0.0.1", redis.port()));
    client.pipeline(keys.iter().map(|key| {
        let name = format!("larder:{{{key}}}").into_bytes();
        [b"SET".to_vec(), name, envelope(1, "a").to_vec(), b"PX".to_vec(), b"600000".to_vec()]
    }));
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let filled = tier.get_many(&keys).await.into_iter().filter(|got| matches!(got, Ok(Some(_))));
    assert_eq!(filled.count(), 1_000);
    let announcement = bytes::Bytes::from_static(b"all of them");
    let position = tier.invalidate(&keys, Invalidation::Drop, Some(announcement)).await.unwrap();
    assert_eq!(position.unwrap().number, 1);
    assert_eq!(redis.cli(&["DBSIZE"]), "2");
}
