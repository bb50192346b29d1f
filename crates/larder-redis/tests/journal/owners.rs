//! Processes that want the same journal.

use std::time::Duration;

use larder_core::{ErrorKind, Journal};
use larder_test::{Proxy, Redis};
use tokio::time::timeout;

use crate::{append, behind, count, open, options, texts};

#[tokio::test]
async fn who_lives_keeps_its_journal() {
    let redis = Redis::start();
    let first = options(redis.url()).silence(Duration::from_secs(1)).known_as("web-1");
    let first = first.open().await.unwrap();
    append(&first, &["a"]).await;
    let error = options(redis.url()).silence(Duration::from_secs(1)).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("belongs to web-1, which lives"), "{error}");
    append(&first, &["b"]).await;
    // It was given back, so nobody waits.
    first.close().await.unwrap();
    let next = options(redis.url()).silence(Duration::from_secs(3_600)).open();
    let next = timeout(Duration::from_secs(30), next).await.unwrap().unwrap();
    assert_eq!(texts(&next), ["a", "b"]);
}

#[tokio::test]
async fn who_is_silent_loses_it_and_what_it_appends_later_is_refused() {
    let redis = Redis::start();
    let proxy = Proxy::to(("127.0.0.1", redis.port()));
    let first = behind(&proxy).answer_within(Duration::from_secs(60)).open().await.unwrap();
    append(&first, &["a", "b"]).await;
    // A process that is merely stopped: what it sends is on its way until it goes on.
    proxy.stall();
    let late = first.append(b"late").unwrap();
    let second = options(redis.url()).silence(Duration::from_millis(500)).open().await.unwrap();
    assert_eq!((texts(&second).concat(), second.id()), ("ab".to_owned(), first.id()));
    append(&second, &["c"]).await;
    proxy.heal();
    let error = first.durable(late).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
    assert!(error.to_string().contains("was taken over by process"), "{error}");
    assert_eq!(first.append(b"d").unwrap_err().kind(), ErrorKind::Refused);
    assert!(first.truncate_below(3).is_err());
    // What it has can still be read, and its end doesn't give back what it hasn't.
    assert_eq!(texts(&first).concat(), "ab");
    assert_eq!(first.close().await.unwrap_err().kind(), ErrorKind::Refused);
    append(&second, &["e"]).await;
    assert_eq!((texts(&second).concat(), count(&redis)), ("abce".to_owned(), 4));
}

#[tokio::test]
async fn who_hears_nothing_and_appends_nothing_learns_it_as_well() {
    let redis = Redis::start();
    let first = options(redis.url()).silence(Duration::from_millis(400)).open().await.unwrap();
    let _second = open(redis.url()).await;
    crate::support::eventually(async || {
        first.append(b"x").is_err_and(|error| error.kind() == ErrorKind::Refused)
    })
    .await;
}

#[tokio::test]
async fn who_doesnt_know_yet_that_it_lost_it_gives_nothing_back() {
    let redis = Redis::start();
    let first = open(redis.url()).await;
    let second = open(redis.url()).await;
    let owner = || redis.cli(&["HGET", "larder.j:{j}:head", "owner"]);
    let before = owner();
    first.close().await.unwrap();
    assert_eq!(owner(), before);
    append(&second, &["a"]).await;
}

#[tokio::test]
async fn many_that_open_it_at_once_have_it_one_after_the_other() {
    let redis = Redis::start();
    append(&open(redis.url()).await, &["a"]).await;
    let opening = (0..8).map(|_| options(redis.url()).open());
    let all = futures_util::future::join_all(opening).await;
    // Those who were overtaken while they read are told so.
    let open: Vec<_> = all.into_iter().filter_map(Result::ok).collect();
    let mut durable = 0;
    for (at, journal) in open.iter().enumerate() {
        let number = journal.append(at.to_string().as_bytes()).unwrap();
        match journal.durable(number).await {
            Ok(()) => durable += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain()),
        }
    }
    assert_eq!((durable, count(&redis)), (1, 2));
}

#[tokio::test]
async fn journals_of_different_names_know_nothing_of_each_other() {
    let redis = Redis::start();
    let options = |name: &str| {
        let redis = larder_redis::RedisOptions::new(redis.url());
        larder_redis::RedisJournalOptions::new(redis, name)
    };
    let (a, b) = (options("a").open().await.unwrap(), options("b").open().await.unwrap());
    append(&a, &["a1", "a2"]).await;
    append(&b, &["b1"]).await;
    assert_ne!(a.id(), b.id());
    assert_eq!((texts(&a), texts(&b)), (vec!["a1".into(), "a2".into()], vec!["b1".into()]));
}
