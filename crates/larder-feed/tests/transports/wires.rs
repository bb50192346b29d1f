//! Transports that Debezium's records go over, with a Debezium that is this test.

use std::fmt;
use std::sync::Arc;

use larder_core::{BoxFuture, Result};
use larder_feed::debezium::http::{HttpIntake, HttpIntakeOptions};
use larder_feed::debezium::{BEAT_PREFIX, Beat};
use tokio::sync::mpsc;

use crate::changes::{Produced, message};

/// A transport that is produced into.
pub(crate) trait Wire: Send + Sync {
    /// Produces a record, behind all that was produced before.
    fn produce(&self, produced: &Produced);
}

/// A database whose beats Debezium produces at once.
pub(crate) struct WireBeat(pub(crate) Arc<dyn Wire>);

impl Beat for WireBeat {
    fn beat<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<()>> {
        self.0.produce(&message(BEAT_PREFIX, text));
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for WireBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireBeat")
    }
}

/// Debezium Server's HTTP sink: it posts one record after the other, each until it is accepted, and
/// no tombstones.
pub(crate) struct HttpWire(mpsc::UnboundedSender<String>);

impl HttpWire {
    pub(crate) fn new() -> (Self, HttpIntake) {
        let intake = HttpIntake::new(HttpIntakeOptions::default());
        let (sender, mut produced) = mpsc::unbounded_channel::<String>();
        let sink = intake.clone();
        tokio::spawn(async move {
            while let Some(value) = produced.recv().await {
                let headers = [("content-type", "application/json")];
                while sink.accept(headers, value.clone().into()).await.is_err() {}
            }
        });
        (Self(sender), intake)
    }
}

impl Wire for HttpWire {
    fn produce(&self, produced: &Produced) {
        if let Some(value) = &produced.value {
            self.0.send(value.clone()).unwrap();
        }
    }
}

/// Debezium Server's Redis sink.
#[cfg(feature = "redis")]
pub(crate) struct RedisWire {
    pub(crate) redis: Arc<larder_test::Redis>,
    /// `message.format` is `extended`, and otherwise `compact`.
    pub(crate) is_extended: bool,
}

#[cfg(feature = "redis")]
impl Wire for RedisWire {
    fn produce(&self, produced: &Produced) {
        let key = produced.key.as_deref().unwrap_or("default");
        let value = produced.value.as_deref().unwrap_or("default");
        let add = ["XADD", &produced.topic, "*"];
        let fields = match self.is_extended {
            true => vec!["key", key, "value", value],
            false => vec![key, value],
        };
        self.redis.cli(&[&add[..], &fields].concat());
    }
}

/// Debezium over Kafka, with one topic of one partition for all tables.
#[cfg(feature = "kafka")]
pub(crate) struct KafkaWire(pub(crate) rdkafka::producer::BaseProducer);

#[cfg(feature = "kafka")]
impl KafkaWire {
    pub(crate) const TOPIC: &str = "shop.changes";

    pub(crate) fn new(servers: &str) -> Self {
        let mut settings = rdkafka::ClientConfig::new();
        settings.set("bootstrap.servers", servers).set("linger.ms", "0");
        Self(settings.create().unwrap())
    }
}

#[cfg(feature = "kafka")]
impl Wire for KafkaWire {
    fn produce(&self, produced: &Produced) {
        use rdkafka::producer::{BaseRecord, Producer as _};

        let mut record = BaseRecord::<str, str>::to(Self::TOPIC).partition(0);
        record.key = produced.key.as_deref();
        record.payload = produced.value.as_deref();
        self.0.send(record).map_err(|(error, _)| error).unwrap();
        self.0.flush(crate::same::LONG).unwrap();
    }
}

/// Debezium Server's NATS sink: one subject for each table, no keys and no tombstones.
#[cfg(feature = "nats")]
pub(crate) struct NatsWire(mpsc::UnboundedSender<(String, String)>);

#[cfg(feature = "nats")]
impl NatsWire {
    pub(crate) fn new(context: async_nats::jetstream::Context) -> Self {
        let (sender, mut produced) = mpsc::unbounded_channel::<(String, String)>();
        tokio::spawn(async move {
            while let Some((subject, value)) = produced.recv().await {
                context.publish(subject, value.into()).await.unwrap().await.unwrap();
            }
        });
        Self(sender)
    }
}

#[cfg(feature = "nats")]
impl Wire for NatsWire {
    fn produce(&self, produced: &Produced) {
        if let Some(value) = &produced.value {
            self.0.send((produced.topic.clone(), value.clone())).unwrap();
        }
    }
}
