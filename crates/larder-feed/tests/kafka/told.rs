//! What is read, in which order, and how much at once.

use larder_core::ErrorKind;
use larder_feed::debezium::kafka::KafkaRecords;
use larder_feed::debezium::records::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use rdkafka::producer::Producer as _;

use crate::{Cluster, LONG, Reader, TOPIC, settled};

pub(crate) async fn one_reader_has_all_partitions_each_in_its_order() {
    let cluster = Cluster::start(4);
    let mut reader = Reader::open(&cluster.records()).await;
    for round in 0..10 {
        for partition in 0..4 {
            cluster.produce(TOPIC, partition, &[&format!("{partition}.{round}")]);
        }
    }
    cluster.tombstone(2);
    reader.read(41).await;
    assert_eq!(reader.lanes.len(), 4);
    for texts in reader.lanes.values() {
        let partition = &texts[0][..1];
        let mut expected: Vec<String> = (0..10).map(|at| format!("{partition}.{at}")).collect();
        expected.extend((partition == "2").then(|| "-".to_owned()));
        assert_eq!(*texts, expected);
    }
}

pub(crate) async fn a_batch_has_bounds() {
    let cluster = Cluster::start(1);
    let mut reader = settled(&cluster, &cluster.records()).await;
    let texts: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
    cluster.produce(TOPIC, 0, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut read = Vec::new();
    while read.len() < 3_000 {
        let records = reader.next().await.unwrap().unwrap_or_default();
        assert!(records.len() <= BATCH_RECORDS_MAX);
        read.extend(records.into_iter().map(|record| crate::text(&record.value.unwrap())));
    }
    assert_eq!(read, texts);
    let long = "x".repeat(900_000);
    cluster.produce(TOPIC, 0, &[&*long; 5]);
    let mut count = 0;
    while count < 5 {
        let records = reader.next().await.unwrap().unwrap_or_default();
        let bytes: usize = records.iter().map(|one| one.value.as_ref().unwrap().len()).sum();
        assert!(bytes < BATCH_BYTES_MAX + long.len(), "{bytes}");
        count += records.len();
    }
}

pub(crate) async fn one_partition_has_one_order_so_nothing_is_waited_for() {
    let cluster = Cluster::start(1);
    let mut reader = Reader::open(&cluster.records()).await;
    cluster.produce(TOPIC, 0, &["a", "b"]);
    assert!(reader.reading.caught_up().await.unwrap());
}

pub(crate) async fn several_partitions_prove_nothing_unless_they_are_written_in_transactions() {
    let cluster = Cluster::start(2);
    let mut reader = Reader::open(&cluster.records()).await;
    let error = reader.reading.caught_up().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("in transactions"), "{error}");
    // They are read all the same.
    cluster.produce(TOPIC, 1, &["a"]);
    assert_eq!(reader.read(1).await, ["a"]);
}

pub(crate) async fn it_is_caught_up_when_all_that_was_there_has_come_and_not_before() {
    let cluster = Cluster::start(3);
    let mut options = cluster.options();
    options.in_transactions = true;
    let mut reader = Reader::open(&KafkaRecords::new(options).unwrap()).await;
    assert!(reader.reading.caught_up().await.unwrap());
    for partition in 0..3 {
        cluster.produce(TOPIC, partition, &["a", "b"]);
    }
    assert!(!reader.reading.caught_up().await.unwrap());
    // What is produced from now on isn't waited for.
    cluster.produce(TOPIC, 0, &["later"; 2_000]);
    let mut read = 0;
    while !reader.reading.caught_up().await.unwrap() {
        read += reader.next().await.unwrap().map_or(0, |records| records.len());
    }
    assert!(read >= 6, "{read}");
    for texts in reader.lanes.values() {
        assert_eq!(texts[..2], ["a", "b"]);
    }
    assert_eq!(reader.lanes.len(), 3);
}

pub(crate) async fn a_topic_that_comes_up_later_is_read_from_its_start() {
    let cluster = Cluster::start(1);
    let mut options = cluster.options();
    options.topics.push("later".to_owned());
    options.in_transactions = true;
    let mut reader = Reader::open(&KafkaRecords::new(options).unwrap()).await;
    cluster.produce(TOPIC, 0, &["a"]);
    reader.read(1).await;
    cluster.mock.create_topic("later", 2, 3).unwrap();
    cluster.produce("later", 1, &["b", "c"]);
    // Where it ends is known before it is read.
    reader.catch_up().await;
    assert!(reader.lanes.values().any(|texts| *texts == ["b", "c"]), "{:?}", reader.lanes);
    assert!(reader.lost.is_empty());
    cluster.producer.flush(LONG).unwrap();
}
