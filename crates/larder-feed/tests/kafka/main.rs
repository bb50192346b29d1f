//! A cluster of brokers that speak Kafka's protocol over TCP, and readers of it.
//!
//! Nearly all of the time is waited: brokers leave a new group three seconds for further members.
//! So the tests run at once, however few processors there are, which the usual harness doesn't do.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod begins;
mod faults;
mod lead;
#[path = "../common/reader.rs"]
mod reader;
mod told;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use larder_feed::debezium::kafka::{KafkaOptions, KafkaRecords};
use libtest_mimic::{Arguments, Trial};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub(crate) use reader::{LONG, Reader, open, text};

pub(crate) const TOPIC: &str = "shop";
/// So many tests run at once, unless it is said (`--test-threads`).
const AT_ONCE: usize = 12;

/// Each of these, under its path.
macro_rules! trials {
    ($($module:ident::$name:ident,)*) => {
        vec![$(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            run($module::$name());
            Ok(())
        })),*]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let trials = trials![
        begins::the_first_reading_begins_at_the_end_and_at_no_known_place,
        begins::what_was_not_acknowledged_comes_again_and_what_was_does_not,
        begins::what_retention_took_while_nobody_read_is_lost,
        begins::a_place_beyond_the_end_is_lost_as_the_topic_was_made_anew,
        begins::a_place_that_another_program_has_set_is_read_from_and_is_no_known_one,
        begins::a_partition_that_nobody_has_a_place_in_is_lost,
        begins::places_of_a_reading_that_acknowledged_nothing_are_not_given_out_again,
        begins::a_kafka_that_is_not_there_or_has_no_such_topic_is_said_to_be_down,
        faults::brokers_that_vanish_and_come_back_lose_nothing,
        faults::fetches_that_fail_lose_nothing,
        faults::a_place_that_goes_while_it_is_read_is_lost_and_read_on_behind,
        faults::what_was_acknowledged_is_committed_in_spite_of_errors,
        faults::who_can_never_acknowledge_does_not_read_for_ever,
        faults::the_groups_coordinator_may_move,
        lead::a_second_reader_is_refused_until_the_first_is_gone,
        lead::reads_for_a_test_that_kills_it,
        lead::a_killed_reader_is_followed_by_another_that_loses_nothing,
        lead::a_group_that_is_formed_anew_loses_nothing,
        lead::who_leaves_lets_the_other_read_at_once,
        told::one_reader_has_all_partitions_each_in_its_order,
        told::a_batch_has_bounds,
        told::one_partition_has_one_order_so_nothing_is_waited_for,
        told::several_partitions_prove_nothing_unless_they_are_written_in_transactions,
        told::it_is_caught_up_when_all_that_was_there_has_come_and_not_before,
        told::a_topic_that_comes_up_later_is_read_from_its_start,
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

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

/// One that stands at the end of the topic, as it has acknowledged a first record.
pub(crate) async fn settled(cluster: &Cluster, records: &KafkaRecords) -> Reader {
    let mut reader = Reader::open(records).await;
    cluster.produce(TOPIC, 0, &["first"]);
    assert_eq!(reader.read(1).await, ["first"]);
    reader.acknowledge();
    cluster.wait_for_places();
    reader.lanes.clear();
    reader
}
