//! What is touched, over each of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use larder_core::Feed;
use larder_core::feed::{FeedEvent, FeedPosition, Following};
use larder_feed::debezium::{DebeziumFeed, DebeziumOptions, Heartbeat, Records};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;
use tokio::time::timeout;

use crate::changes::{Produced, TABLES, touched, transactions};
use crate::wires::{HttpWire, Wire, WireBeat};

/// Whatever is waited for comes much earlier; nothing waits for all of it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Who follows, and what was touched since it was last asked.
struct Follower<'a> {
    feed: &'a dyn Feed,
    following: Box<dyn Following>,
    position: FeedPosition,
    gaps: usize,
}

impl<'a> Follower<'a> {
    async fn follow(feed: &'a dyn Feed) -> Self {
        let following = feed.follow(None).await.unwrap();
        let mut follower = Self { feed, following, position: FeedPosition::default(), gaps: 0 };
        assert!(follower.touched().await.is_empty());
        follower
    }

    /// What was touched by everything that is committed by now.
    async fn touched(&mut self) -> BTreeSet<String> {
        let end = self.feed.end().await.unwrap();
        let mut all = BTreeSet::new();
        while self.position < end {
            match timeout(LONG, self.following.next()).await.unwrap().unwrap() {
                FeedEvent::Notices { notices, position, .. } => {
                    all.extend(notices.iter().flat_map(touched));
                    self.position = position;
                }
                FeedEvent::Passed(position) => self.position = position,
                FeedEvent::Gap { position, .. } => {
                    self.gaps += 1;
                    self.position = position;
                }
            }
            self.following.acknowledge(self.position);
        }
        assert_eq!(self.gaps, 1, "the first, and no other");
        all
    }
}

fn expected(touches: &[&str]) -> BTreeSet<String> {
    touches.iter().map(|&touched| touched.to_owned()).collect()
}

fn debezium(records: impl Records, wire: &Arc<dyn Wire>) -> DebeziumFeed {
    let mut options = DebeziumOptions::new(["users", "codes", "seats"]);
    options.heartbeat = Some(Heartbeat::by(WireBeat(Arc::clone(wire))));
    DebeziumFeed::new("shop", records, options)
}

/// The changes touch what they should, one by one; told twice, again from the beginning, and in
/// another order of the keys, they touch no more and no less.
async fn check(records: impl Records, wire: impl Wire + 'static) {
    let wire: Arc<dyn Wire> = Arc::new(wire);
    let feed = debezium(records, &wire);
    let mut follower = Follower::follow(&feed).await;
    for transaction in transactions() {
        transaction.produced.iter().for_each(|record| wire.produce(record));
        assert_eq!(follower.touched().await, expected(transaction.touches), "{}", transaction.sql);
    }
    let all: BTreeSet<String> =
        transactions().iter().flat_map(|transaction| expected(transaction.touches)).collect();
    let produced: Vec<Produced> =
        transactions().into_iter().flat_map(|transaction| transaction.produced).collect();
    for record in &produced {
        wire.produce(record);
        wire.produce(record);
    }
    assert_eq!(follower.touched().await, all, "each twice, and all of it again");
    let keys: BTreeSet<_> = produced.iter().map(|record| &record.key).collect();
    for key in keys.into_iter().rev() {
        produced.iter().filter(|record| &record.key == key).for_each(|record| wire.produce(record));
    }
    assert_eq!(follower.touched().await, all, "key by key");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tells_of_each_change_what_it_touches() {
    let postgres = Postgres::start_with(&[("wal_level", "logical")]);
    postgres.psql(TABLES);
    let options = PostgresFeedOptions::new(["users", "codes", "seats"]);
    let feed = PostgresFeed::new(&postgres.url(), options).unwrap();
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed).await;
    for transaction in transactions() {
        postgres.psql(transaction.sql);
        assert_eq!(follower.touched().await, expected(transaction.touches), "{}", transaction.sql);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn debezium_over_http_tells_the_same() {
    let (wire, intake) = HttpWire::new();
    check(intake, wire).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn debezium_over_streams_of_redis_tells_the_same() {
    use larder_feed::debezium::redis::{RedisStreams, RedisStreamsOptions};

    for is_extended in [false, true] {
        let redis = Arc::new(larder_test::Redis::start());
        let streams =
            ["shop.public.users", "shop.public.codes", "shop.public.seats", "shop.message"];
        let records = RedisStreams::new(RedisStreamsOptions::new(&redis.url(), streams)).unwrap();
        check(records, crate::wires::RedisWire { redis, is_extended }).await;
    }
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread")]
async fn debezium_over_kafka_tells_the_same() {
    use larder_feed::debezium::kafka::{KafkaOptions, KafkaRecords};

    use crate::wires::KafkaWire;

    let cluster = rdkafka::mocking::MockCluster::new(1).unwrap();
    cluster.create_topic(KafkaWire::TOPIC, 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let mut options = KafkaOptions::new(&servers, [KafkaWire::TOPIC]);
    options.join_within = LONG;
    check(KafkaRecords::new(options).unwrap(), KafkaWire::new(&servers)).await;
}

#[cfg(feature = "nats")]
#[tokio::test(flavor = "multi_thread")]
async fn debezium_over_nats_tells_the_same() {
    use async_nats::jetstream::stream::Config;
    use larder_feed::debezium::nats::{NatsOptions, NatsRecords};

    let nats = larder_test::Nats::start();
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let subjects = vec!["shop.>".to_owned()];
    let stream = Config { name: "DebeziumStream".to_owned(), subjects, ..Config::default() };
    context.create_stream(stream).await.unwrap();
    let subjects = ["shop.public.users", "shop.public.codes", "shop.public.seats", "shop.message"];
    let records = NatsRecords::new(NatsOptions::new(nats.url(), subjects)).unwrap();
    check(records, crate::wires::NatsWire::new(context)).await;
}
