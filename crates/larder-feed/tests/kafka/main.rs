//! A cluster of brokers that speak Kafka's protocol over TCP, and readers of it.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod begins;
mod faults;
mod lead;
mod told;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::{ErrorKind, Result};
use larder_feed::debezium::kafka::{KafkaOptions, KafkaRecords};
use larder_feed::debezium::records::{Batch, Reading, Record, Records as _};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::timeout;

/// Whatever is waited for comes much earlier; nothing waits for all of it.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const TOPIC: &str = "shop";

pub(crate) struct Cluster {
    pub(crate) mock: MockCluster<'static, DefaultProducerContext>,
    pub(crate) servers: String,
    producer: BaseProducer,
}

impl Cluster {
    /// Three brokers, and a topic of so many partitions.
    pub(crate) fn start(partitions: i32) -> Self {
        let mock = MockCluster::new(3).unwrap();
        mock.create_topic(TOPIC, partitions, 3).unwrap();
        let servers = mock.bootstrap_servers();
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &servers).set("linger.ms", "0");
        settings.set("topic.metadata.refresh.fast.interval.ms", "20");
        Self { mock, producer: settings.create().unwrap(), servers }
    }

    pub(crate) fn options(&self) -> KafkaOptions {
        let mut options = KafkaOptions::new(&self.servers, [TOPIC]);
        options.session_timeout = Duration::from_secs(4);
        options.join_within = Duration::from_secs(20);
        for setting in ["reconnect.backoff.max.ms", "retry.backoff.max.ms"] {
            options.settings.push((setting.to_owned(), "200".to_owned()));
        }
        options
    }

    pub(crate) fn records(&self) -> KafkaRecords {
        KafkaRecords::new(self.options()).unwrap()
    }

    /// Waits until the group has a place in each partition: what is acknowledged is committed soon
    /// after.
    fn wait_for_places(&self) {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.servers).set("group.id", "larder");
        let looker: BaseConsumer = settings.create().unwrap();
        let metadata = looker.fetch_metadata(Some(TOPIC), LONG).unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..metadata.topics()[0].partitions().len() {
            partitions.add_partition(TOPIC, i32::try_from(partition).unwrap());
        }
        let is_placed = || {
            let places = looker.committed_offsets(partitions.clone(), LONG).unwrap();
            let placed = |of: &TopicPartitionListElem<'_>| matches!(of.offset(), Offset::Offset(_));
            places.elements().iter().all(placed)
        };
        let until = Instant::now() + LONG;
        while !is_placed() {
            assert!(Instant::now() < until, "what was acknowledged isn't committed");
        }
    }

    /// Writes these into a partition, and returns when they are there.
    pub(crate) fn produce(&self, topic: &str, partition: i32, texts: &[&str]) {
        for text in texts {
            let record = BaseRecord::to(topic).partition(partition).key("key").payload(*text);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(LONG).unwrap();
    }

    /// The same without a value.
    pub(crate) fn tombstone(&self, partition: i32) {
        let record = BaseRecord::<str, [u8]>::to(TOPIC).partition(partition).key("key");
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        self.producer.flush(LONG).unwrap();
    }
}

/// Opens them as often as it is refused.
pub(crate) async fn open(records: &KafkaRecords) -> Box<dyn Reading> {
    let mut refused = String::new();
    let opening = async {
        loop {
            match records.open().await {
                Ok(reading) => return reading,
                Err(error) => {
                    let is_passing =
                        matches!(error.kind(), ErrorKind::Refused | ErrorKind::SourceDown);
                    assert!(is_passing, "{}", error.chain());
                    refused = error.chain();
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(LONG, opening).await {
        Ok(reading) => reading,
        Err(_) => panic!("it isn't opened: {refused}"),
    }
}

/// Who reads, and what was read.
pub(crate) struct Reader {
    pub(crate) reading: Box<dyn Reading>,
    /// The number of the last batch.
    pub(crate) number: u64,
    pub(crate) batches: usize,
    pub(crate) lost: Vec<String>,
    pub(crate) lanes: BTreeMap<u32, Vec<String>>,
}

impl Reader {
    pub(crate) async fn open(records: &KafkaRecords) -> Self {
        let reading = open(records).await;
        Self { reading, number: 0, batches: 0, lost: Vec::new(), lanes: BTreeMap::new() }
    }

    /// One that stands at the end of the topic, as it has acknowledged a first record.
    pub(crate) async fn settled(cluster: &Cluster, records: &KafkaRecords) -> Self {
        let mut reader = Self::open(records).await;
        cluster.produce(TOPIC, 0, &["first"]);
        assert_eq!(reader.read(1).await, ["first"]);
        reader.acknowledge();
        cluster.wait_for_places();
        reader.lanes.clear();
        reader
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Record>>> {
        match timeout(LONG, self.reading.next()).await.expect("it always says something")? {
            Batch::Records { number, records } => {
                assert!(number > self.number && number < 1 << 56 && !records.is_empty());
                self.number = number;
                self.batches += 1;
                for record in &records {
                    let text = record.value.as_ref().map_or("-".to_owned(), text);
                    self.lanes.entry(record.lane).or_default().push(text);
                }
                Ok(Some(records))
            }
            Batch::Lost { reason } => {
                self.lost.push(reason);
                Ok(None)
            }
            Batch::Nothing => Ok(None),
        }
    }

    /// Reads until so many records have come, and returns them.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        let reading = async {
            while texts.len() < count {
                let records = self.next().await.unwrap().unwrap_or_default();
                let values = records.iter().map(|record| record.value.as_ref());
                texts.extend(values.map(|value| value.map_or("-".to_owned(), text)));
            }
        };
        timeout(LONG, reading).await.expect("all of them come");
        assert_eq!(texts.len(), count, "{texts:?}");
        texts
    }

    /// Reads until something is lost, and says why.
    pub(crate) async fn lost(&mut self) -> String {
        let losing = async {
            while self.lost.is_empty() {
                self.next().await.unwrap();
            }
        };
        timeout(LONG, losing).await.expect("it is lost");
        self.lost.remove(0)
    }

    /// Nothing more comes.
    pub(crate) async fn silence(&mut self) {
        for _ in 0..5 {
            assert_eq!(self.next().await.unwrap(), None);
        }
        assert!(self.lost.is_empty(), "{:?}", self.lost);
    }

    pub(crate) fn acknowledge(&mut self) {
        self.reading.acknowledge(self.number);
    }

    pub(crate) async fn catch_up(&mut self) {
        let catching = async {
            while !self.reading.caught_up().await.unwrap() {
                self.next().await.unwrap();
            }
        };
        timeout(LONG, catching).await.expect("it catches up");
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
