//! Who reads: one at a time, another one after it, and nobody acknowledges what isn't his.

use std::time::Duration;

use larder_core::ErrorKind;
use larder_feed::debezium::kafka::{KafkaOptions, KafkaRecords};
use larder_feed::debezium::records::{Record, Records as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::time::timeout;

use crate::reader::{kill_who_reads, reads_until_it_is_killed, told_to_read};
use crate::{Cluster, LONG, Reader, TOPIC, settled};

pub(crate) async fn a_second_reader_is_refused_until_the_first_is_gone() {
    let cluster = Cluster::start(3);
    let (one, other) = (cluster.records(), cluster.records());
    let mut reader = settled(&cluster, &one).await;
    // Whoever the group gives the lead to: there is one reader.
    for _ in 0..3 {
        for records in [&one, &other] {
            let refused = records.open().await;
            if let Ok(reading) = refused {
                // The group was formed anew, and gave the lead to the other one.
                assert_eq!(reader.ended().await.kind(), ErrorKind::Refused);
                reader.reading = reading;
                reader.number = 0;
            }
        }
    }
    let acknowledged = ["a", "b", "c"];
    for (partition, text) in (0..).zip(acknowledged) {
        cluster.produce(TOPIC, partition, &[text]);
    }
    let mut texts = reader.read(3).await;
    texts.sort();
    assert_eq!(texts, acknowledged);
    reader.acknowledge();
    drop((reader, one));
    let mut reader = Reader::open(&other).await;
    assert!(reader.reading.begins().is_some());
    reader.silence().await;
}

/// What is run in a process of its own, and killed.
pub(crate) async fn reads_for_a_test_that_kills_it() {
    let Some(servers) = told_to_read() else { return };
    let mut options = KafkaOptions::new(servers, [TOPIC]);
    options.session_timeout = Duration::from_secs(4);
    reads_until_it_is_killed(&KafkaRecords::new(options).unwrap()).await;
}

pub(crate) async fn a_killed_reader_is_followed_by_another_that_loses_nothing() {
    let cluster = Cluster::start(2);
    drop(settled(&cluster, &cluster.records()).await);
    kill_who_reads("lead::reads_for_a_test_that_kills_it", &cluster.servers);
    cluster.produce(TOPIC, 1, &["a", "b"]);
    let mut reader = Reader::open(&cluster.records()).await;
    assert!(reader.reading.begins().is_some());
    assert_eq!(reader.read(2).await, ["a", "b"]);
}

/// A reading may end by it; the next one goes on where it was acknowledged.
pub(crate) async fn a_group_that_is_formed_anew_loses_nothing() {
    let cluster = Cluster::start(3);
    let records = cluster.records();
    let mut reader = settled(&cluster, &records).await;
    let forgotten = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID];
    cluster.mock.request_errors(RDKafkaApiKey::Heartbeat, &forgotten);
    for round in 0..20 {
        let expected = round.to_string();
        cluster.produce(TOPIC, round % 3, &[&expected]);
        let mut has_come = false;
        while !has_come {
            match reader.next().await {
                Ok(came) => {
                    let came = came.unwrap_or_default();
                    let is_expected =
                        |record: &Record| record.value.as_deref() == Some(expected.as_bytes());
                    has_come = came.iter().any(is_expected);
                    reader.acknowledge();
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
                    drop(reader);
                    reader = Reader::open(&records).await;
                    assert!(reader.reading.begins().is_some());
                }
            }
        }
        assert!(reader.lost.is_empty(), "{:?}", reader.lost);
    }
}

pub(crate) async fn who_leaves_lets_the_other_read_at_once() {
    let cluster = Cluster::start(1);
    let (one, other) = (cluster.records(), cluster.records());
    let reader = settled(&cluster, &one).await;
    drop(reader);
    drop(one);
    // Well before a session ends.
    drop(timeout(LONG, Reader::open(&other)).await.unwrap());
}
