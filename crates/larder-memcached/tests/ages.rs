//! How old entries look on a real Memcached, whose clock shows whole seconds: never too young.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use larder_core::SharedTier;
use larder_core::shared::{Invalidation, SharedFill, SharedRead};
use larder_test::Memcached;

const KEY: &[u8] = b"user:42";

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[tokio::test]
async fn an_entry_looks_up_to_four_seconds_older_than_it_is_and_never_younger() {
    let server = Memcached::start();
    let tier = tier(&server);
    // Wherever within a second it falls.
    for round in 0..20_u64 {
        let key = round.to_be_bytes();
        let before = Instant::now();
        let lease = miss(&tier, &key).await;
        let after = Instant::now();
        let lifetime = Duration::from_millis(20_000 + 49 * round);
        let stored = tier.fill(&key, &lease, envelope(1, ""), lifetime).await.unwrap();
        assert_eq!(stored, SharedFill::Stored);
        tokio::time::sleep(Duration::from_millis(57)).await;
        let age_min = after.elapsed();
        let entry = get(&tier, &key).await.unwrap();
        let age_max = before.elapsed();
        let looks = lifetime - entry.remaining;
        assert!(looks >= age_min, "looks {looks:?} old, and is {age_min:?} at least");
        assert!(looks <= age_max + seconds(4), "looks {looks:?} old, and is {age_max:?} at most");
    }
}

#[tokio::test]
async fn a_lifetime_counts_from_the_grant_of_the_lease() {
    let server = Memcached::start();
    let tier = tier(&server);
    let granted = Instant::now();
    let lease = miss(&tier, KEY).await;
    pass(&server, 3).await;
    let waited = granted.elapsed() - Duration::from_millis(100);
    tier.fill(KEY, &lease, envelope(1, ""), seconds(100)).await.unwrap();
    let remaining = get(&tier, KEY).await.unwrap().remaining;
    assert!(remaining <= seconds(100) - waited, "{remaining:?} after {waited:?}");
    assert!(remaining >= seconds(92));
}

/// While the server stands still, what it was sent waits; the entry grows old meanwhile.
#[tokio::test]
async fn a_fill_that_was_long_on_its_way_does_not_look_younger() {
    let server = Memcached::start();
    let tier = tier_with(&server, |options| options.answer_timeout = seconds(30));
    let tier = Arc::new(tier);
    let granted = Instant::now();
    let lease = miss(&tier, KEY).await;
    let began = clock(&server);
    server.pause();
    let filling = tokio::spawn({
        let tier = Arc::clone(&tier);
        async move { tier.fill(KEY, &lease, envelope(1, ""), seconds(100)).await }
    });
    tokio::time::sleep(seconds(3)).await;
    assert!(!filling.is_finished());
    let waited = granted.elapsed();
    server.resume();
    assert_eq!(filling.await.unwrap().unwrap(), SharedFill::Stored);
    // Until the next time at which it looks at the clock it takes the moment before for the present.
    eventually("it looks at the clock", async || (clock(&server) >= began + 3).then_some(())).await;
    let remaining = get(&tier, KEY).await.unwrap().remaining;
    assert!(remaining <= seconds(100) - waited, "{remaining:?} after {waited:?}");
}

#[tokio::test]
async fn an_entry_ends_with_its_lifetime() {
    let server = Memcached::start();
    let tier = tier(&server);
    let lease = miss(&tier, KEY).await;
    let granted = Instant::now();
    tier.fill(KEY, &lease, envelope(1, ""), seconds(2)).await.unwrap();
    eventually("it has ended", async || get(&tier, KEY).await.is_none().then_some(())).await;
    assert!(granted.elapsed() < seconds(3));
}

#[tokio::test]
async fn a_lifetime_that_is_used_up_or_too_short_stores_nothing_and_ends_the_lease() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    let lease = miss(&one, KEY).await;
    let short = Duration::from_millis(999);
    let refused = one.fill(KEY, &lease, envelope(1, ""), short).await.unwrap();
    assert_eq!(refused, SharedFill::Refused);
    let lease = miss(&other, KEY).await;
    pass(&server, 3).await;
    let refused = other.fill(KEY, &lease, envelope(1, ""), seconds(2)).await.unwrap();
    assert_eq!(refused, SharedFill::Refused);
    assert_eq!(get(&one, KEY).await, None);
    assert!(matches!(ask(&one, KEY).await, SharedRead::Miss(_)));
}

/// Thirty days and a second would be a moment in 1970 to the server.
#[tokio::test]
async fn a_lifetime_may_be_longer_than_the_server_counts() {
    let server = Memcached::start();
    let tier = tier(&server);
    for (lifetime, least) in [(31 * 86_400, 31 * 86_400 - 5), (u64::MAX, 300 * 86_400)] {
        let lease = miss(&tier, KEY).await;
        tier.fill(KEY, &lease, envelope(1, ""), seconds(lifetime)).await.unwrap();
        let remaining = get(&tier, KEY).await.unwrap().remaining;
        assert!(remaining >= seconds(least) && remaining < seconds(lifetime), "{remaining:?}");
        // Such an entry may be refreshed like any other.
        let SharedRead::Stale { .. } = ask_seen(&tier, KEY, 1).await else { panic!("no lease") };
        invalidate(&tier, KEY, Invalidation::Drop).await;
    }
}
