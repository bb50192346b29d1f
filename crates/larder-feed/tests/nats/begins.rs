//! Where a reading begins.

use crate::{Broker, OTHERS, Reader, USERS, word};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_reading_begins_at_the_end() {
    let broker = Broker::start().await;
    broker.publish(USERS, &["before"]).await;
    let mut reader = Reader::open(&broker.records()).await;
    reader.silence().await;
    broker.publish(USERS, &["after"]).await;
    assert_eq!(reader.read(1).await, ["after"]);
    assert_eq!(reader.number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_and_what_was_does_not() {
    let broker = Broker::start().await;
    let records = broker.records();
    let (mut reader, acknowledged) = broker.settled(&records).await;
    broker.publish(USERS, &["a", "b"]).await;
    reader.read(2).await;
    drop(reader);
    // By the same process, and by another one.
    for records in [records, broker.records()] {
        let mut reader = Reader::open(&records).await;
        assert_eq!(reader.reading.begins(), Some(acknowledged));
        assert_eq!(reader.read(2).await, ["a", "b"]);
        reader.silence().await;
    }
}

/// They may be removed, and nothing that is read is missed.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_publish_is_passed_and_remembered_as_read() {
    let broker = Broker::start().await;
    let records = broker.records();
    let (mut reader, acknowledged) = broker.settled(&records).await;
    broker.publish(OTHERS, &["x"; 5]).await;
    reader.silence().await;
    broker.kept(|text| word(text, 3) == "6").await;
    // The place that processes tell each other is where it was.
    assert_eq!(word(&broker.kept(|_| true).await, 2), acknowledged.number.to_string());
    broker.stream().await.purge().await.unwrap();
    drop(reader);
    let mut reader = Reader::open(&records).await;
    assert_eq!(reader.reading.begins(), Some(acknowledged));
    broker.publish(OTHERS, &["x"]).await;
    broker.publish(USERS, &["a"]).await;
    broker.publish(OTHERS, &["x"]).await;
    assert_eq!(reader.read(1).await, ["a"]);
    reader.silence().await;
    // Not before what is read among them was acknowledged.
    let at: u64 = word(&broker.kept(|_| true).await, 3).parse().unwrap();
    assert!(at < 8, "{at}");
    reader.acknowledge();
    let number = reader.number.to_string();
    broker.kept(|text| word(text, 2) == number && word(text, 3) == "9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_and_is_not_larders_is_another_log() {
    let broker = Broker::start().await;
    let records = broker.records();
    let (reader, before) = broker.settled(&records).await;
    drop(reader);
    broker.kept(|text| word(text, 7) == "-").await;
    broker.publish(crate::KEPT, &["who knows"]).await;
    let mut reader = Reader::open(&records).await;
    assert_ne!(reader.reading.begins().unwrap().log, before.log);
    broker.publish(USERS, &["a"]).await;
    assert_eq!(reader.read(1).await, ["a"]);
}
