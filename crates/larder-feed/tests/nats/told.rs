//! What is read, in which order, and how much at once.

use async_nats::jetstream::stream::Config;
use larder_feed::debezium::records::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};

use crate::{BEATS, Broker, OTHERS, Reader, USERS, config, connect};

#[tokio::test(flavor = "multi_thread")]
async fn subjects_are_read_in_one_order_and_others_are_not() {
    let broker = Broker::start().await;
    let mut reader = Reader::open(&broker.records()).await;
    let mut expected = Vec::new();
    for round in 0..20 {
        for subject in [USERS, OTHERS, BEATS] {
            let text = format!("{subject} {round}");
            broker.publish(subject, &[&text]).await;
            expected.extend((subject != OTHERS).then_some(text));
        }
    }
    let mut records = Vec::new();
    while records.len() < expected.len() {
        records.extend(reader.next().await.unwrap().unwrap_or_default());
    }
    for (record, text) in records.iter().zip(&expected) {
        assert_eq!(record.value.as_deref(), Some(text.as_bytes()));
        assert!(text.starts_with(&*record.topic) && record.lane == 0 && record.key.is_none());
    }
    assert!(reader.reading.caught_up().await.unwrap(), "one order");
    reader.silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_bounds() {
    let broker = Broker::start().await;
    let mut reader = Reader::open(&broker.records()).await;
    let texts: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
    for text in &texts {
        drop(broker.context.publish(USERS, text.clone().into()).await.unwrap());
    }
    let long = "x".repeat(900_000);
    broker.publish(USERS, &[&*long; 12]).await;
    let mut read = Vec::new();
    while read.len() < 3_012 {
        let records = reader.next().await.unwrap().unwrap_or_default();
        assert!(records.len() <= BATCH_RECORDS_MAX);
        let bytes: usize = records.iter().map(|one| one.value.as_ref().unwrap().len()).sum();
        assert!(bytes <= BATCH_BYTES_MAX, "{bytes}");
        read.extend(records.into_iter().map(|one| crate::reader::text(&one.value.unwrap())));
    }
    assert_eq!(read[..3_000], texts);
    assert!(read[3_000..].iter().all(|text| *text == long));
}

/// As Debezium Server makes it by default: with the answers to whoever asks NATS anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_every_subject_of_three_words_is_read_and_not_filled_by_that() {
    let subjects = ["*.*.*", "*.message"].map(str::to_owned).to_vec();
    let broker = Broker::start_with(Config { subjects, ..config() }).await;
    let records = broker.records();
    let mut reader = Reader::open(&records).await;
    let publishes = Broker { context: connect(&broker.nats).await, ..broker };
    publishes.publish(USERS, &["a"]).await;
    publishes.publish(BEATS, &["b"]).await;
    assert_eq!(reader.read(2).await, ["a", "b"]);
    reader.acknowledge();
    drop(reader);
    let mut reader = Reader::open(&records).await;
    reader.silence().await;
    let taken = || async { publishes.stream().await.cached_info().state.last_sequence };
    let before = taken().await;
    for _ in 0..30 {
        reader.next().await.unwrap();
    }
    // The answer that said how many there were is one itself.
    assert!(taken().await <= before + 2);
}
