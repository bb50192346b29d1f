//! What is lost, while it is read and while nobody reads.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use larder_core::ErrorKind;

use crate::{Broker, Reader, STREAM, USERS, config, connect};

/// More than is read ahead.
fn many() -> Vec<String> {
    (0..3_000).map(|number| number.to_string()).collect()
}

/// So many are left. What is published later removes nothing more.
async fn limit(broker: &Broker, max_messages: i64) {
    let limited = Config { max_messages, ..config() };
    broker.context.update_stream(limited).await.unwrap();
    broker.context.update_stream(config()).await.unwrap();
}

async fn purge(broker: &Broker) {
    broker.stream().await.purge().await.unwrap();
}

/// Somebody does this to the stream while nobody reads, of which three messages weren't read.
async fn is_another_log(what: &str, does: impl AsyncFn(&Broker)) {
    let broker = Broker::start().await;
    let records = broker.records();
    let (reader, before) = broker.settled(&records).await;
    drop(reader);
    broker.publish(USERS, &["a", "b", "c"]).await;
    does(&broker).await;
    let mut reader = Reader::open(&records).await;
    assert_ne!(reader.reading.begins().unwrap().log, before.log, "{what}");
    broker.publish(USERS, &["after"]).await;
    reader.read_until("after").await;
    assert!(reader.lost.is_empty(), "{what}: {:?}", reader.lost);
    // It is told once.
    reader.acknowledge();
    broker.kept(|text| crate::word(text, 2) == reader.number.to_string()).await;
    let now = reader.reading.begins().unwrap();
    drop(reader);
    let mut reader = Reader::open(&records).await;
    assert_eq!(reader.reading.begins().unwrap().log, now.log, "{what}");
    reader.silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_the_stream_while_nobody_reads_is_another_log() {
    let deleted = async |broker: &Broker| {
        broker.context.delete_stream(STREAM).await.unwrap();
        broker.context.create_stream(config()).await.unwrap();
    };
    let deleted_and_filled = async |broker: &Broker| {
        deleted(broker).await;
        broker.publish(USERS, &["x"; 10]).await;
    };
    is_another_log("purged", purge).await;
    is_another_log("its limits were reached", async |broker| limit(broker, 2).await).await;
    is_another_log("made anew", deleted).await;
    is_another_log("made anew, with more in it", deleted_and_filled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lost_only_what_was_read_is_the_same_log() {
    let broker = Broker::start().await;
    let records = broker.records();
    let (reader, before) = broker.settled(&records).await;
    drop(reader);
    broker.stream().await.purge().await.unwrap();
    let mut reader = Reader::open(&records).await;
    assert_eq!(reader.reading.begins(), Some(before));
    broker.publish(USERS, &["a"]).await;
    assert_eq!(reader.read(1).await, ["a"]);
    assert!(reader.lost.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn single_messages_that_were_deleted_before_they_were_read_are_lost() {
    let broker = Broker::start().await;
    let records = broker.records();
    let (reader, before) = broker.settled(&records).await;
    drop(reader);
    broker.publish(USERS, &["a", "b", "c"]).await;
    broker.stream().await.delete_message(3).await.unwrap();
    let mut reader = Reader::open(&records).await;
    assert_eq!(reader.reading.begins(), Some(before));
    assert_eq!(reader.read(1).await, ["a"]);
    assert!(reader.lost().await.contains("gone"));
    assert_eq!(reader.read(1).await, ["c"]);
    reader.silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_before_a_slow_reader_has_read_it_is_lost() {
    for is_limited in [false, true] {
        let broker = Broker::start().await;
        let (mut reader, _) = broker.settled(&broker.records()).await;
        for text in many() {
            let publishing = broker.context.publish(USERS, text.into()).await.unwrap();
            drop(publishing);
        }
        broker.publish(USERS, &["last"]).await;
        if is_limited {
            limit(&broker, 10).await;
        } else {
            purge(&broker).await;
        }
        // Also where nothing more comes.
        let reason = reader.lost().await;
        assert!(reason.contains("gone"), "{reason}");
        broker.publish(USERS, &["after"]).await;
        reader.read_until("after").await;
        assert!(reader.lost.is_empty(), "once: {:?}", reader.lost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_made_anew_while_it_is_read_ends_the_reading() {
    let broker = Broker::start().await;
    let records = broker.records();
    let (mut reader, before) = broker.settled(&records).await;
    broker.context.delete_stream(STREAM).await.unwrap();
    broker.context.create_stream(config()).await.unwrap();
    broker.publish(USERS, &["x"; 10]).await;
    assert_eq!(reader.ended().await.kind(), ErrorKind::SourceDown);
    drop(reader);
    let mut reader = Reader::open(&records).await;
    assert_ne!(reader.reading.begins().unwrap().log, before.log);
    broker.publish(USERS, &["a"]).await;
    assert_eq!(reader.read(1).await, ["a"]);
}

/// It may have forgotten what it had accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_started_anew_is_another_log() {
    for is_killed in [true, false] {
        let mut broker = Broker::start().await;
        let records = broker.records();
        let (mut reader, before) = broker.settled(&records).await;
        broker.publish(USERS, &["a"]).await;
        if is_killed {
            broker.nats.kill();
        } else {
            broker.nats.stop();
        }
        assert_eq!(reader.ended().await.kind(), ErrorKind::SourceDown);
        drop(reader);
        let error = larder_feed::debezium::records::Records::open(&records).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::SourceDown, "{}", error.chain());
        broker.nats.restart();
        broker.context = connect(&broker.nats).await;
        let mut reader = Reader::open(&records).await;
        assert_ne!(reader.reading.begins().unwrap().log, before.log);
        broker.publish(USERS, &["after"]).await;
        let read = reader.read_until("after").await;
        // What it has kept is told all the same.
        assert!(is_killed || read == ["a", "after"], "{read:?}");
    }
}

/// So quickly that the connection is there again before anybody looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_started_anew_while_it_is_read_ends_the_reading() {
    let broker = Broker::start().await;
    let (mut reader, _) = broker.settled(&broker.records()).await;
    broker.nats.stop();
    broker.nats.restart();
    let context = connect(&broker.nats).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    context.publish(USERS, "a".into()).await.unwrap().await.unwrap();
    let error = reader.ended().await;
    assert_eq!(error.kind(), ErrorKind::SourceDown, "{}", error.chain());
    assert!(!reader.lanes.values().flatten().any(|text| text == "a"));
}
