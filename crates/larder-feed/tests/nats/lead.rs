//! Who reads: one at a time, another one after it, and nobody acknowledges what isn't his.

use std::time::Duration;

use larder_core::ErrorKind;
use larder_feed::debezium::nats::{NatsOptions, NatsRecords};
use larder_feed::debezium::records::Records as _;
use larder_feed::debezium::{DebeziumFeed, DebeziumOptions};

use crate::reader::{kill_who_reads, reads_until_it_is_killed, told_to_read};
use crate::{BEATS, Broker, Follower, KEPT, Reader, USERS, word};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_reader_is_refused_until_the_first_is_gone() {
    let broker = Broker::start().await;
    let (one, other) = (broker.records(), broker.records());
    let (mut reader, place) = broker.settled(&one).await;
    // For longer than a lead lasts without being kept.
    for at in 0..15 {
        for records in [&one, &other] {
            assert_eq!(records.open().await.err().unwrap().kind(), ErrorKind::Refused);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        broker.publish(USERS, &[&at.to_string()]).await;
    }
    reader.read(15).await;
    drop(reader);
    let mut reader = Reader::open(&other).await;
    assert_eq!(reader.reading.begins(), Some(place));
    reader.read(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_lead_acknowledges_nothing_and_reads_no_more() {
    let broker = Broker::start().await;
    let mut options = broker.options();
    options.lead_for = Duration::from_secs(60);
    let records = NatsRecords::new(options).unwrap();
    let (mut first, place) = broker.settled(&records).await;
    broker.publish(USERS, &["a"]).await;
    assert_eq!(first.read(1).await, ["a"]);
    // As if it had been paused for so long that another one leads.
    let text = broker.kept(|_| true).await;
    let free = text.replace(&word(&text, 7), "-");
    broker.publish(KEPT, &[&free]).await;
    let mut second = Reader::open(&broker.records()).await;
    assert_eq!(second.reading.begins(), Some(place));
    first.acknowledge();
    assert_eq!(first.ended().await.kind(), ErrorKind::Refused);
    drop(first);
    assert_eq!(second.read(1).await, ["a"]);
    second.acknowledge();
    broker.kept(|text| word(text, 2) == second.number.to_string()).await;
}

/// What is run in a process of its own, and killed.
#[tokio::test]
async fn reads_for_a_test_that_kills_it() {
    let Some(url) = told_to_read() else { return };
    let mut options = NatsOptions::new(url, [USERS, BEATS]);
    options.lead_for = Duration::from_secs(1);
    reads_until_it_is_killed(&NatsRecords::new(options).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_reader_is_followed_by_another_that_loses_nothing() {
    let broker = Broker::start().await;
    let (reader, place) = broker.settled(&broker.records()).await;
    drop(reader);
    broker.kept(|text| word(text, 7) == "-").await;
    kill_who_reads("lead::reads_for_a_test_that_kills_it", &broker.nats.url());
    assert_ne!(word(&broker.kept(|_| true).await, 7), "-", "it gave nothing back");
    broker.publish(USERS, &["a", "b"]).await;
    let records = broker.records();
    assert_eq!(records.open().await.err().unwrap().kind(), ErrorKind::Refused);
    let mut reader = Reader::open(&records).await;
    assert_eq!(reader.reading.begins(), Some(place));
    assert_eq!(reader.read(2).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_goes_on_without_a_gap_and_misses_no_change() {
    let broker = Broker::start().await;
    let feed = || DebeziumFeed::new("shop", broker.records(), DebeziumOptions::new(["users"]));
    let (one, other) = (feed(), feed());
    let change = |id: u32| {
        format!(
            r#"{{"before":null,"after":{{"id":{id}}},"op":"c","ts_ms":1,"source":{{"connector":
                "postgresql","name":"shop","ts_ms":1,"schema":"public","table":"users"}}}}"#
        )
    };
    let mut follower = Follower::follow(&one, None).await.unwrap();
    broker.publish(USERS, &[&change(1)]).await;
    assert_eq!(follower.hear(1).await, ["+1 ?"]);
    assert_eq!(follower.gaps, ["nobody knows what was applied before"]);
    follower.acknowledge();
    let applied = follower.position;
    drop(follower);
    broker.publish(USERS, &[&change(2)]).await;
    let mut follower = Follower::follow_soon(&other, Some(applied)).await;
    // The last one may be told again: nobody could acknowledge it any more.
    while follower.hear(1).await.last().is_none_or(|last| last != "+2 ?") {}
    assert!(follower.gaps.is_empty(), "{:?}", follower.gaps);
}
