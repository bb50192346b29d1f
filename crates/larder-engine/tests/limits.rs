//! Limits: nothing grows without one, nothing hangs, and what has expired leaves memory.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Bench, Numbers, S, asking, settle};
use larder_core::{ErrorKind, LoadContext, LoadError, Source};
use larder_engine::{Cache, Guard, GuardBounds, Lookup, MemoryTier, Token, memory_tier};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;

fn over(bench: &Bench, memory: &Arc<MemoryTier<u64, u64>>) -> Numbers {
    let builder = bench.tagging().max_staleness(10 * S).memory(Arc::clone(memory));
    builder.build().unwrap()
}

fn memory(entries: usize) -> Arc<MemoryTier<u64, u64>> {
    Arc::new(memory_tier(Bounds::entries(entries), PolicyKind::Lru, None))
}

/// A tier without a bound is what ends in FusionCache#179 and #532.
#[tokio::test]
async fn a_cache_nobody_bounded_has_a_bound() {
    let bench = Bench::new();
    let cache = bench.builder().max_staleness(3600 * S).build().unwrap();
    for key in 0..12_000 {
        cache.get(&key).await.unwrap();
    }
    let held = (0..12_000).filter(|key| cache.peek(key).is_some()).count();
    assert!((9_000..=10_000).contains(&held), "{held} are held");
}

/// In moka nothing is freed while the cache isn't used (moka#345), elsewhere not until the expired
/// key itself is read (kubewarden/adm-controller#1952). Here any write frees what expired.
#[tokio::test]
async fn expired_entries_leave_memory_though_nobody_reads_them_again() {
    let bench = Bench::new();
    let memory = memory(10_000);
    let cache = over(&bench, &memory);
    for key in 0..1000 {
        cache.get(&key).await.unwrap();
    }
    let full = memory.bytes();
    bench.clock.advance(3600 * S);
    for key in 10_000..11_000 {
        cache.get(&key).await.unwrap();
    }
    assert!(memory.entries() <= 1100, "{} entries are held", memory.entries());
    assert!(memory.bytes() <= full + full / 10, "{} bytes after {full}", memory.bytes());
    bench.clock.advance(3600 * S);
    while memory.expire(bench.engine.clock().now(), 100).more {}
    assert_eq!(memory.entries(), 0);
}

/// What a tag or a generation struck is dead weight: it must make room when room is needed.
#[tokio::test]
async fn what_an_event_struck_never_keeps_the_living_out() {
    let bench = Bench::new();
    let memory = memory(100);
    let cache = over(&bench, &memory);
    for round in 0..10 {
        for key in 0..100 {
            cache.get(&(round * 100 + key)).await.unwrap();
        }
        cache.invalidate_all().await.unwrap();
        cache.invalidate_tags(&["numbers"]).await.unwrap();
    }
    for key in 0..100 {
        cache.get(&key).await.unwrap();
    }
    assert!(memory.entries() <= 100);
    assert!((0..100).all(|key| cache.peek(&key).is_some()));
}

/// Tag markers pile up in other caches, one per tag (symfony#57189, laravel#43850). Here a tag
/// leaves nothing behind, in the entries or beside them.
#[tokio::test]
async fn a_hundred_thousand_tags_leave_nothing_behind() {
    let bench = Bench::new();
    let memory = memory(10);
    let cache = over(&bench, &memory);
    cache.get(&1).await.unwrap();
    let before = memory.bytes();
    for tag in 0..100_000_u32 {
        bench
            .engine
            .invalidate_tags_here(&[tag.to_string()], larder_engine::Invalidation::MarkStale);
    }
    cache.get(&1).await.unwrap();
    settle().await;
    assert_eq!((memory.bytes(), cache.get(&1).await.unwrap()), (before, Some(1)));
}

/// Beyond what is remembered a failing key is tried again at once, and nothing grows.
#[tokio::test]
async fn many_failing_keys_are_all_answered() {
    let bench = Bench::new();
    // Without a breaker, which would keep them all from the source.
    let guard = Guard::new(GuardBounds { breaker: None, ..GuardBounds::default() }).unwrap();
    let builder = bench.builder().max_staleness(10 * S).stale_on_error(1000 * S).guard(guard);
    let cache = builder.entries_max(100_000).bytes_max(64 << 20).build().unwrap();
    for key in 0..20_000 {
        cache.get(&key).await.unwrap();
    }
    bench.clock.advance(20 * S);
    bench.source.fail(ErrorKind::SourceDown);
    for _ in 0..2 {
        for key in 0..20_000_u64 {
            assert!(cache.get(&key).await.unwrap().is_some());
        }
    }
    // Sixteen shards remember 1024 keys each at most: the others are asked for both times.
    let asked = bench.source.loads() - 20_000;
    assert!((40_000 - 16 * 1024..40_000).contains(&asked), "{asked} questions");
}

#[tokio::test]
async fn what_is_not_read_for_idle_for_is_forgotten_and_reads_keep_it() {
    let bench = Bench::new();
    let builder = bench.builder().max_staleness(3600 * S).refresh_at(1.0).xfetch(0.0);
    let cache = builder.idle_for(60 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    cache.get(&2).await.unwrap();
    for _ in 0..10 {
        bench.clock.advance(30 * S);
        cache.get(&1).await.unwrap();
    }
    assert_eq!((cache.peek(&2), bench.source.loads()), (None, 2));
    assert!(cache.peek(&1).is_some());
    bench.clock.advance(120 * S);
    assert_eq!(cache.peek(&1), None);
}

#[tokio::test]
async fn idle_for_with_a_memory_tier_of_others_is_refused() {
    let bench = Bench::new();
    let builder = bench.builder().max_staleness(S).memory(memory(10)).idle_for(S);
    assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Config);
}

/// A leader, a joiner or both go away at any point (moka#240): nothing stays behind.
#[tokio::test]
async fn readers_that_go_away_leave_no_flight_and_no_sleeper() {
    let bench = Bench::new();
    let builder = bench.builder().max_staleness(10 * S).stale_on_error(100 * S);
    let cache = builder.build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(20 * S);
    bench.source.close();
    for _ in 0..100 {
        let readers = [asking(&cache, 1), asking(&cache, 1)];
        settle().await;
        readers.iter().for_each(tokio::task::JoinHandle::abort);
        settle().await;
    }
    // The load's own timeout is all that is left.
    assert_eq!((cache.flights(), bench.source.running(), bench.clock.sleepers()), (1, 1, 1));
    bench.source.open();
    settle().await;
    assert_eq!((cache.flights(), bench.clock.sleepers()), (0, 0));
}

#[tokio::test]
async fn tickets_that_are_never_used_keep_nobody_from_loading() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let tickets: Vec<Lookup<u64, u64>> = vec![cache.lookup(&1).await, cache.lookup(&1).await];
    assert_eq!(cache.get(&1).await.unwrap(), Some(1));
    drop(tickets);
    assert_eq!(cache.flights(), 0);
}

/// A loader whose code panics before there is a future to poll.
struct Abrupt;

impl Source<u64, u64> for Abrupt {
    #[allow(clippy::manual_async_fn, reason = "what comes before the block is the subject")]
    fn load(
        &self,
        key: &u64,
        _: &mut LoadContext,
    ) -> impl Future<Output = Result<Option<u64>, LoadError>> + Send {
        assert!(*key != 13, "thirteen");
        async { Ok(Some(1)) }
    }
}

#[tokio::test]
async fn a_panic_before_the_first_poll_reaches_the_caller_as_what_it_is() {
    let bench = Bench::new();
    let builder = Cache::builder("abrupt").engine(&bench.engine).source(Abrupt);
    let cache: Numbers = builder.max_staleness(10 * S).build().unwrap();
    let errors = [
        cache.get(&13).await.unwrap_err(),
        cache.get_many(&[13]).await.unwrap_err(),
        cache.get_or_load(&14, |_| panicking()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Loader, "{error}");
        assert!(error.to_string().contains("panicked: thirteen"), "{error}");
    }
    assert_eq!(cache.flights(), 0);
}

fn panicking() -> std::future::Ready<Result<Option<u64>, LoadError>> {
    panic!("thirteen")
}

#[tokio::test]
async fn a_value_that_took_longer_to_load_than_it_lasts_is_given_and_not_kept() {
    let bench = Bench::new();
    let cache = bench.builder().max_staleness(2 * S).load_timeout(60 * S).build().unwrap();
    bench.source.close();
    let reader = asking(&cache, 7);
    bench.source.until_waiting(1).await;
    bench.clock.advance(2 * S + Duration::from_nanos(1));
    bench.source.open();
    let answer = reader.await.unwrap().unwrap();
    assert_eq!((answer.value, cache.peek(&7)), (Some(49), None));
}

/// A token is 16 digits each of nonce, hash, epoch, events and time. One that claims events which
/// haven't been yet would fill an entry that none of them strikes.
#[tokio::test]
async fn a_token_from_the_future_is_not_taken() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let Lookup::Miss(ticket) = cache.lookup(&1).await else { panic!("nothing is held") };
    let text = ticket.token().to_string();
    let with = |at: usize, part: &str| -> Token {
        format!("{}{part}{}", &text[..at * 16], &text[(at + 1) * 16..]).parse().unwrap()
    };
    for at in [3, 4] {
        assert!(cache.redeem(&1, with(at, &"f".repeat(16))).is_none(), "part {at}");
    }
    assert!(cache.redeem(&1, with(3, &text[48..64])).is_some());
}
