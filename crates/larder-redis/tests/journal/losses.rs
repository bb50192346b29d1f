//! What Redis loses, and what becomes of it.

use std::time::Duration;

use larder_core::sink::{WriteError, WriteFault};
use larder_core::{ErrorKind, Journal};
use larder_redis::{RecordsLost, RedisOptions};
use larder_test::{Proxy, Redis, RedisSentinel};

use crate::support::eventually;
use crate::{append, behind, count, open, options, texts};

#[tokio::test]
async fn a_redis_that_comes_back_with_nothing_gets_all_of_it_again() {
    let redis = Redis::start();
    let journal = open(redis.url()).await;
    append(&journal, &["a", "b", "c"]).await;
    journal.truncate_below(2).unwrap();
    redis.kill();
    let number = journal.append(b"d").unwrap();
    redis.restart();
    // Whoever waits may be told that it takes long, and asks again.
    eventually(async || journal.durable(number).await.is_ok()).await;
    assert_eq!(count(&redis), 3);
    let id = journal.id().to_owned();
    journal.close().await.unwrap();
    let next = open(redis.url()).await;
    assert_eq!((texts(&next), next.id()), (["b", "c", "d"].map(String::from).to_vec(), &*id));
    assert_eq!((next.recovery().records, next.recovery().may_lack_from), (3, None));
    assert_eq!(next.standing().next, 5);
}

#[tokio::test]
async fn what_is_emptied_while_nothing_is_appended_is_noticed_as_well() {
    let redis = Redis::start();
    let journal = options(redis.url()).silence(Duration::from_millis(400)).open().await.unwrap();
    append(&journal, &["a", "b"]).await;
    redis.flushall();
    eventually(async || count(&redis) == 2).await;
    append(&journal, &["c"]).await;
    assert_eq!(count(&redis), 3);
}

#[tokio::test]
async fn what_was_on_redis_disk_is_read_after_both_were_killed_and_the_doubt_is_told() {
    let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let journal = behind(&proxy).open().await.unwrap();
    append(&journal, &["a", "b", "c"]).await;
    journal.truncate_below(2).unwrap();
    append(&journal, &["d"]).await;
    // From here on it is dead to everybody.
    proxy.cut();
    redis.kill();
    redis.restart();
    let next = open(redis.url()).await;
    assert_eq!((texts(&next).concat(), next.id()), ("bcd".to_owned(), journal.id()));
    let recovery = next.recovery();
    assert_eq!((recovery.is_new, recovery.may_lack_from), (false, Some(5)));
    assert!(recovery.doubt().unwrap().contains("records from 5 on"));
    // Asked once more, and in the same run: there is no doubt about what came after it.
    append(&next, &["e"]).await;
    drop(next);
    assert_eq!(open(redis.url()).await.recovery().may_lack_from, None);
}

#[tokio::test]
async fn where_both_lost_everything_the_journal_is_another_one() {
    let redis = Redis::start();
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let journal = behind(&proxy).open().await.unwrap();
    append(&journal, &["a"]).await;
    proxy.cut();
    redis.kill();
    redis.restart();
    let next = open(redis.url()).await;
    assert!(next.recovery().is_new);
    // What it owned in a database isn't owned by this one: the sink says so.
    assert_ne!(next.id(), journal.id());
    assert!(next.id().starts_with("j-"));
}

#[tokio::test]
async fn a_redis_that_stands_still_lets_nobody_wait_for_ever_and_loses_nothing() {
    let redis = Redis::start();
    let journal = open(redis.url()).await;
    append(&journal, &["a"]).await;
    redis.pause();
    let number = journal.append(b"b").unwrap();
    let error = journal.durable(number).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{}", error.chain());
    assert_eq!(error.downcast_ref::<WriteError>().unwrap().fault, WriteFault::Unknown);
    let shed = journal.append(b"c").unwrap_err();
    assert_eq!(shed.kind(), ErrorKind::Shed);
    assert!(shed.retry_delay().is_some());
    redis.resume();
    eventually(async || journal.durable(number).await.is_ok()).await;
    append(&journal, &["d"]).await;
    assert_eq!(count(&redis), 3);
    drop(journal);
    assert_eq!(texts(&open(redis.url()).await), ["a", "b", "d"]);
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_appended_once() {
    let redis = Redis::start();
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let journal = behind(&proxy).answer_within(Duration::from_secs(20)).open().await.unwrap();
    append(&journal, &["a"]).await;
    proxy.stall_replies();
    let numbers = ["b", "c"].map(|text| journal.append(text.as_bytes()).unwrap());
    eventually(async || count(&redis) >= 2).await;
    let more = journal.append(b"d").unwrap();
    proxy.cut();
    proxy.heal();
    journal.durable(more).await.unwrap();
    assert!(journal.durable_below() > numbers[1]);
    assert_eq!(count(&redis), 4);
    drop(journal);
    assert_eq!(texts(&open(redis.url()).await), ["a", "b", "c", "d"]);
}

/// The replica is told nothing any more.
fn cut_off_replicas(primary: &Redis) {
    primary.cli(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
    primary.cli(&["CLIENT", "KILL", "TYPE", "replica"]);
}

#[tokio::test]
async fn the_tail_that_a_fail_over_loses_is_sent_again_by_who_wrote_it() {
    let redis = RedisSentinel::start();
    let journal = options(redis.url()).answer_within(Duration::from_secs(30)).open().await.unwrap();
    append(&journal, &["a", "b"]).await;
    redis.primary().cli(&["WAIT", "1", "30000"]);
    let old = redis.primary();
    eventually(async || count(redis.replica()) == 2).await;
    cut_off_replicas(old);
    append(&journal, &["c", "d"]).await;
    assert_eq!(count(redis.replica()), 2);
    let port = old.port();
    redis.kill_primary();
    redis.wait_until_promoted(port);
    append(&journal, &["e"]).await;
    assert_eq!(count(redis.primary()), 5);
    let id = journal.id().to_owned();
    drop(journal);
    let next = open(redis.url()).await;
    assert_eq!((texts(&next).concat(), next.id()), ("abcde".to_owned(), &*id));
}

#[tokio::test]
async fn the_tail_that_is_lost_with_who_wrote_it_is_told_as_a_doubt() {
    let (primary, replica) = (Redis::start(), Redis::start());
    let port = primary.port().to_string();
    assert_eq!(replica.cli(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    let proxy = Proxy::to(("127.0.0.1", primary.port()));
    let journal = behind(&proxy).open().await.unwrap();
    append(&journal, &["a", "b"]).await;
    eventually(async || replica.cli(&["XLEN", "larder.j:{j}:log"]) == "2").await;
    cut_off_replicas(&primary);
    append(&journal, &["lost"]).await;
    proxy.cut();
    primary.kill();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    let next = open(replica.url()).await;
    assert_eq!((texts(&next).concat(), next.id()), ("ab".to_owned(), journal.id()));
    assert_eq!(next.recovery().may_lack_from, Some(3));
}

#[tokio::test]
async fn with_replicas_a_record_counts_when_they_have_it() {
    let (primary, replica) = (Redis::start(), Redis::start());
    let journal = options(primary.url()).replicas(1).open().await.unwrap();
    let number = journal.append(b"a").unwrap();
    let error = journal.durable(number).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.chain().contains("0 replicas"), "{}", error.chain());
    // It is there, and doesn't count.
    assert_eq!((count(&primary), journal.durable_below()), (1, 1));
    let port = primary.port().to_string();
    assert_eq!(replica.cli(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    eventually(async || journal.durable(number).await.is_ok()).await;
    assert_eq!(count(&replica), 1);
    append(&journal, &["b"]).await;
    replica.pause();
    let number = journal.append(b"c").unwrap();
    assert_eq!(journal.durable(number).await.unwrap_err().kind(), ErrorKind::Timeout);
    replica.resume();
    eventually(async || journal.durable(number).await.is_ok()).await;
    assert_eq!(journal.durable_below(), 4);
}

#[tokio::test]
async fn records_that_somebody_removed_are_named_and_gone_on_without_when_told_so() {
    let redis = Redis::start();
    let journal = open(redis.url()).await;
    append(&journal, &["a", "b", "c", "d", "e"]).await;
    journal.close().await.unwrap();
    redis.cli(&["XDEL", "larder.j:{j}:log", "2", "5"]);
    let error = options(redis.url()).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.downcast_ref::<RecordsLost>().unwrap().lost, [2..3, 5..6]);
    let journal = options(redis.url()).accept_loss(true).open().await.unwrap();
    assert_eq!(texts(&journal).concat(), "acd");
    assert_eq!(journal.recovery().lost.as_ref().unwrap().lost, [2..3, 5..6]);
    append(&journal, &["f"]).await;
    drop(journal);
    // It needn't be said again, and a hole stays one when everything is sent again.
    let journal = open(redis.url()).await;
    assert_eq!((texts(&journal).concat(), &journal.recovery().lost), ("acdf".to_owned(), &None));
    redis.flushall();
    append(&journal, &["g"]).await;
    journal.close().await.unwrap();
    let journal = open(redis.url()).await;
    let numbers: Vec<u64> =
        journal.read_from(0).unwrap().map(|record| record.unwrap().number).collect();
    assert_eq!(numbers, [1, 3, 4, 6, 7]);
}

#[tokio::test]
async fn who_writes_hears_that_records_were_removed() {
    for change in [
        &["XDEL", "larder.j:{j}:log", "1"][..],
        &["DEL", "larder.j:{j}:log"],
        &["DEL", "larder.j:{j}:head"],
        &["XADD", "larder.j:{j}:log", "70", "r", "x"],
    ] {
        let redis = Redis::start();
        let journal = open(redis.url()).await;
        append(&journal, &["a", "b"]).await;
        redis.cli(change);
        let number = journal.append(b"c").unwrap();
        let error = journal.durable(number).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{change:?}: {}", error.chain());
        assert!(error.to_string().contains("larder.j:{j}:log"), "{error}");
        assert_eq!(journal.append(b"d").unwrap_err().kind(), ErrorKind::Refused);
    }
}

#[tokio::test]
async fn a_server_that_evicts_what_has_no_end_is_refused() {
    let redis = Redis::start_limited(100 << 20, "allkeys-lru");
    let error = options(redis.url()).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("allkeys-lru"), "{error}");
    for policy in ["volatile-lru", "noeviction"] {
        let redis = Redis::start_limited(100 << 20, policy);
        append(&open(redis.url()).await, &["a"]).await;
    }
}

#[tokio::test]
async fn a_redis_that_is_down_is_an_error_at_the_start() {
    let redis = Redis::start();
    let url = redis.url();
    redis.kill();
    let error = options(&url).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    let error = larder_redis::RedisJournalOptions::new(RedisOptions::new("http://a"), "j");
    assert_eq!(error.open().await.unwrap_err().kind(), ErrorKind::Config);
}
