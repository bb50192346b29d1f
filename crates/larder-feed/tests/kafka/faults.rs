//! Brokers that fail, vanish and come back.

use larder_core::ErrorKind;
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::{Cluster, Reader, TOPIC, settled};

pub(crate) async fn brokers_that_vanish_and_come_back_lose_nothing() {
    let cluster = Cluster::start(3);
    let mut reader = settled(&cluster, &cluster.records()).await;
    for broker in 1..=3 {
        cluster.mock.broker_down(broker).unwrap();
    }
    reader.silence().await;
    for broker in 1..=3 {
        cluster.mock.broker_up(broker).unwrap();
    }
    for partition in 0..3 {
        cluster.produce(TOPIC, partition, &["a", "b"]);
    }
    reader.read(6).await;
    assert!(reader.lanes.values().all(|texts| *texts == ["a", "b"]), "{:?}", reader.lanes);
    assert!(reader.lost.is_empty());
}

pub(crate) async fn fetches_that_fail_lose_nothing() {
    let cluster = Cluster::start(1);
    let mut reader = settled(&cluster, &cluster.records()).await;
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
    ];
    cluster.mock.request_errors(RDKafkaApiKey::Fetch, &errors);
    cluster.produce(TOPIC, 0, &["a", "b", "c"]);
    assert_eq!(reader.read(3).await, ["a", "b", "c"]);
    assert!(reader.lost.is_empty());
}

pub(crate) async fn a_place_that_goes_while_it_is_read_is_lost_and_read_on_behind() {
    let cluster = Cluster::start(1);
    let mut reader = settled(&cluster, &cluster.records()).await;
    // It can't fetch for a while, and the brokers keep five MiB of each partition.
    let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR; 6];
    cluster.mock.request_errors(RDKafkaApiKey::Fetch, &errors);
    cluster.produce(TOPIC, 0, &[&*"x".repeat(900_000); 10]);
    reader.lost().await;
    cluster.produce(TOPIC, 0, &["after"]);
    assert_eq!(reader.read(1).await, ["after"]);
}

pub(crate) async fn what_was_acknowledged_is_committed_in_spite_of_errors() {
    let cluster = Cluster::start(1);
    let records = cluster.records();
    let mut reader = settled(&cluster, &records).await;
    reader.silence().await;
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    ];
    cluster.mock.request_errors(RDKafkaApiKey::OffsetCommit, &errors);
    cluster.produce(TOPIC, 0, &["a"]);
    reader.read(1).await;
    reader.acknowledge();
    for _ in 0..10 {
        reader.silence().await;
    }
    let acknowledged = reader.number;
    drop(reader);
    let mut reader = Reader::open(&records).await;
    assert_eq!(reader.reading.begins().unwrap().number, acknowledged);
    reader.silence().await;
}

pub(crate) async fn who_can_never_acknowledge_does_not_read_for_ever() {
    let cluster = Cluster::start(1);
    let mut reader = settled(&cluster, &cluster.records()).await;
    reader.silence().await;
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 100];
    cluster.mock.request_errors(RDKafkaApiKey::OffsetCommit, &refused);
    cluster.produce(TOPIC, 0, &["a"]);
    reader.read(1).await;
    reader.acknowledge();
    let error = reader.ended().await;
    assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
}

pub(crate) async fn the_groups_coordinator_may_move() {
    let cluster = Cluster::start(1);
    let group = || MockCoordinator::Group("larder".to_owned());
    cluster.mock.coordinator(group(), 1).unwrap();
    let records = cluster.records();
    let mut reader = settled(&cluster, &records).await;
    cluster.mock.coordinator(group(), 2).unwrap();
    cluster.mock.broker_down(1).unwrap();
    cluster.mock.partition_leader(TOPIC, 0, Some(2)).unwrap();
    for text in ["a", "b", "c"] {
        cluster.produce(TOPIC, 0, &[text]);
        assert_eq!(reader.read(1).await, [text]);
        reader.acknowledge();
        reader.silence().await;
    }
    drop(reader);
    let mut reader = Reader::open(&records).await;
    assert!(reader.reading.begins().is_some());
    reader.silence().await;
}
