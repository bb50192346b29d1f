//! Each bound, at the bound.

use std::time::Duration;

use larder_core::{ErrorKind, Journal};
use larder_test::Redis;

use crate::support::eventually;
use crate::{append, count, open, options, texts};

#[tokio::test]
async fn a_full_journal_sheds_until_something_is_needed_no_more() {
    let redis = Redis::start();
    let options = options(redis.url()).record_bytes_max(1_000).waiting_bytes_max(5_000);
    let journal = options.bytes_max(10 * 164).open().await;
    assert_eq!(journal.unwrap_err().kind(), ErrorKind::Config);
    let options = crate::options(redis.url()).record_bytes_max(1_000).waiting_bytes_max(1_100);
    let journal = options.bytes_max(10 * 164).open().await.unwrap();
    for _ in 0..10 {
        append(&journal, &[&"x".repeat(100)]).await;
    }
    let error = journal.append(&[7; 100]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shed);
    assert_eq!(error.to_string(), "the journal is full: 1640 bytes");
    journal.truncate_below(3).unwrap();
    append(&journal, &[&"x".repeat(100), &"x".repeat(100)]).await;
    assert!(journal.append(&[7; 100]).is_err());
    assert_eq!(journal.standing().bytes, 1640);
    eventually(async || count(&redis) == 10).await;
}

#[tokio::test]
async fn too_much_that_waits_is_shed() {
    let redis = Redis::start();
    let options = options(redis.url()).record_bytes_max(36).waiting_bytes_max(1_000);
    let journal = options.answer_within(Duration::from_secs(60)).open().await.unwrap();
    append(&journal, &["x"]).await;
    redis.pause();
    let taken = (0..11).take_while(|_| journal.append(&[7; 36]).is_ok()).count();
    assert_eq!(taken, 10);
    let error = journal.append(&[7; 36]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shed);
    assert!(error.retry_delay().is_some());
    redis.resume();
    journal.durable(11).await.unwrap();
    append(&journal, &["x"]).await;
    assert_eq!(count(&redis), 12);
}

#[tokio::test]
async fn a_redis_that_is_full_takes_nothing_more_and_lets_go_of_what_is_needed_no_more() {
    let redis = Redis::start_limited(100 << 20, "noeviction");
    let journal = open(redis.url()).await;
    append(&journal, &["a", "b", "c"]).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let number = journal.append(b"d").unwrap();
    let error = journal.durable(number).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.chain().contains("is full"), "{}", error.chain());
    journal.truncate_below(3).unwrap();
    eventually(async || count(&redis) == 1).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    eventually(async || journal.durable(number).await.is_ok()).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    drop(journal);
    // What a full one holds can be read.
    assert_eq!(texts(&open(redis.url()).await), ["c", "d"]);
}

#[tokio::test]
async fn a_redis_that_is_full_still_hears_that_we_live() {
    let redis = Redis::start_limited(100 << 20, "noeviction");
    let journal = options(redis.url()).silence(Duration::from_millis(400)).open().await.unwrap();
    append(&journal, &["a"]).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let beat = || redis.cli(&["HGET", "larder.j:{j}:head", "beat"]);
    let before = beat();
    eventually(async || beat() != before).await;
}

#[tokio::test]
async fn long_records_and_many_come_in_several_batches() {
    let redis = Redis::start();
    let journal = open(redis.url()).await;
    let long = "x".repeat(700_000);
    append(&journal, &[&long, "a", &long, &long, "b"]).await;
    let many: Vec<String> = (0..5_000).map(|number: u32| number.to_string()).collect();
    append(&journal, &many.iter().map(|text| &**text).collect::<Vec<_>>()).await;
    drop(journal);
    let read = texts(&open(redis.url()).await);
    assert_eq!((read.len(), &read[5..]), (5_005, &many[..]));
    assert_eq!(
        read[..5].iter().map(String::len).collect::<Vec<_>>(),
        [700_000, 1, 700_000, 700_000, 1]
    );
}

#[tokio::test]
async fn options_that_contradict_each_other_are_refused() {
    let options = || options("redis://127.0.0.1:1");
    let redis = || larder_redis::RedisOptions::new("redis://127.0.0.1:1");
    let named = |name: &str| larder_redis::RedisJournalOptions::new(redis(), name);
    for refused in [
        named(""),
        named("a b"),
        named("a}"),
        named(&"a".repeat(65)),
        options().record_bytes_max((8 << 20) + 1),
        options().waiting_bytes_max(8 << 20),
        options().bytes_max(16 << 20),
        options().answer_within(Duration::ZERO),
    ] {
        let words = format!("{refused:?}");
        assert_eq!(refused.open().await.unwrap_err().kind(), ErrorKind::Config, "{words}");
    }
}
