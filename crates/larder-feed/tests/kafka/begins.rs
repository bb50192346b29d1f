//! Where a reading begins, and what is lost.

use larder_core::ErrorKind;
use larder_feed::debezium::kafka::KafkaRecords;
use larder_feed::debezium::records::Records as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::{Cluster, Reader, TOPIC, open, settled};

/// Another program commits this offset for the group.
fn commit(cluster: &Cluster, partition: i32, offset: i64) {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &cluster.servers).set("group.id", "larder");
    let consumer: BaseConsumer = settings.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, partition, Offset::Offset(offset)).unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

pub(crate) async fn the_first_reading_begins_at_the_end_and_at_no_known_place() {
    let cluster = Cluster::start(2);
    cluster.produce(TOPIC, 0, &["before"]);
    let mut reader = Reader::open(&cluster.records()).await;
    assert_eq!(reader.reading.begins(), None);
    reader.silence().await;
    cluster.produce(TOPIC, 0, &["after"]);
    assert_eq!(reader.read(1).await, ["after"]);
    assert!(reader.lost.is_empty());
}

pub(crate) async fn what_was_not_acknowledged_comes_again_and_what_was_does_not() {
    let cluster = Cluster::start(2);
    let records = cluster.records();
    let mut reader = settled(&cluster, &records).await;
    cluster.produce(TOPIC, 1, &["a"]);
    reader.read(1).await;
    reader.acknowledge();
    let acknowledged = reader.number;
    cluster.produce(TOPIC, 0, &["b"]);
    cluster.produce(TOPIC, 1, &["c"]);
    reader.read(2).await;
    drop(reader);
    // By the same process, and by another one.
    for records in [records, cluster.records()] {
        let mut reader = Reader::open(&records).await;
        let begins = reader.reading.begins().unwrap();
        assert_eq!(begins.number, acknowledged);
        let mut again = reader.read(2).await;
        again.sort();
        assert_eq!(again, ["b", "c"]);
        reader.silence().await;
        assert!(reader.number > begins.number);
    }
}

pub(crate) async fn what_retention_took_while_nobody_read_is_lost() {
    let cluster = Cluster::start(2);
    let records = cluster.records();
    drop(settled(&cluster, &records).await);
    drop(records);
    // The brokers keep five MiB of each partition.
    cluster.produce(TOPIC, 0, &[&*"x".repeat(900_000); 10]);
    let records = cluster.records();
    let mut reader = Reader::open(&records).await;
    assert_eq!(reader.reading.begins(), None);
    let reason = reader.lost().await;
    assert!(reason.contains("partition 0 of shop"), "{reason}");
    // It goes on at the end; what comes from now on isn't lost.
    cluster.produce(TOPIC, 0, &["after"]);
    assert_eq!(reader.read(1).await, ["after"]);
    reader.silence().await;
    // Lost once: who acknowledges it has a place again.
    reader.acknowledge();
    drop(reader);
    let mut reader = Reader::open(&records).await;
    assert!(reader.reading.begins().is_some());
    reader.silence().await;
}

pub(crate) async fn a_place_beyond_the_end_is_lost_as_the_topic_was_made_anew() {
    let cluster = Cluster::start(1);
    cluster.produce(TOPIC, 0, &["a"]);
    commit(&cluster, 0, 1_000);
    let mut reader = Reader::open(&cluster.records()).await;
    assert_eq!(reader.reading.begins(), None);
    reader.lost().await;
    cluster.produce(TOPIC, 0, &["b"]);
    assert_eq!(reader.read(1).await, ["b"]);
}

pub(crate) async fn a_place_that_another_program_has_set_is_read_from_and_is_no_known_one() {
    let cluster = Cluster::start(1);
    cluster.produce(TOPIC, 0, &["a", "b", "c"]);
    commit(&cluster, 0, 1);
    let mut reader = Reader::open(&cluster.records()).await;
    assert_eq!(reader.reading.begins(), None);
    assert_eq!(reader.read(2).await, ["b", "c"]);
    assert!(reader.lost.is_empty());
}

pub(crate) async fn a_partition_that_nobody_has_a_place_in_is_lost() {
    let cluster = Cluster::start(2);
    cluster.produce(TOPIC, 1, &["a"]);
    commit(&cluster, 0, 0);
    let mut reader = Reader::open(&cluster.records()).await;
    let reason = reader.lost().await;
    assert!(reason.contains("partition 1 of shop"), "{reason}");
    reader.silence().await;
}

pub(crate) async fn places_of_a_reading_that_acknowledged_nothing_are_not_given_out_again() {
    let cluster = Cluster::start(1);
    let records = cluster.records();
    drop(settled(&cluster, &records).await);
    cluster.produce(TOPIC, 0, &["a"]);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let mut reader = Reader::open(&records).await;
        reader.read(1).await;
        numbers.push(reader.number);
    }
    assert!(numbers.is_sorted() && numbers[0] < numbers[1] && numbers[1] < numbers[2]);
}

pub(crate) async fn a_kafka_that_is_not_there_or_has_no_such_topic_is_said_to_be_down() {
    let cluster = Cluster::start(1);
    let mut options = cluster.options();
    options.topics = vec!["none".to_owned()];
    options.join_within = std::time::Duration::from_secs(1);
    let error = KafkaRecords::new(options.clone()).unwrap().open().await.err().unwrap();
    assert!(error.to_string().contains("none of the topics exists"), "{error}");
    options.servers = "127.0.0.1:1".to_owned();
    let error = KafkaRecords::new(options).unwrap().open().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceDown);
    drop(open(&cluster.records()).await);
}
