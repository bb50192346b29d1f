//! What a user says about a Kafka. It opens nothing.

use std::fmt;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;

/// So many topics may be named.
const TOPICS_MAX: usize = 4_096;

/// What is ours to set: another value would lose records, or share them out.
const OURS: [&str; 18] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "client.rack",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "fetch.max.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
    "socket.timeout.ms",
    "topic.metadata.refresh.interval.ms",
];

/// Which Kafka, which topics, and how they are read.
#[derive(Clone)]
pub struct KafkaOptions {
    /// Some of its brokers: `host:port,host:port`.
    pub servers: String,
    /// The consumer group, under which offsets are kept; `larder` by default. One for each group of
    /// processes that share a bus.
    pub group: String,
    /// The topics, by their names. Debezium has one for each table unless it is told otherwise
    /// (`ByLogicalTableRouter`). One that doesn't exist yet is read as soon as it does.
    pub topics: Vec<String>,
    /// The producer writes in transactions (Kafka Connect's `exactly.once.source.support`). Only
    /// then is a horizon known where there are several partitions. No by default.
    pub in_transactions: bool,
    /// A process that the brokers haven't heard of for so long doesn't read any more; 6 s by
    /// default, which is the least that brokers allow by default.
    pub session_timeout: Duration,
    /// So long it may take until the group says who reads; 10 s by default.
    pub join_within: Duration,
    /// So long an answer of the brokers may take; 5 s by default.
    pub answer_timeout: Duration,
    /// Further settings of librdkafka, such as `security.protocol` and `sasl.password`. They may
    /// hold secrets, and are therefore no part of `Debug` or of any error.
    pub settings: Vec<(String, String)>,
}

impl KafkaOptions {
    /// These topics, and the defaults.
    pub fn new(
        servers: impl Into<String>,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            servers: servers.into(),
            group: "larder".to_owned(),
            topics: topics.into_iter().map(Into::into).collect(),
            in_transactions: false,
            session_timeout: Duration::from_secs(6),
            join_within: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(5),
            settings: Vec::new(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.servers.is_empty() || self.group.is_empty() {
            return Err(config("name its servers and a group"));
        }
        if !(1..=TOPICS_MAX).contains(&self.topics.len()) {
            return Err(config("name at least one topic, and at most 4,096"));
        }
        if let Some(odd) = self.topics.iter().find(|topic| topic.starts_with('^')) {
            return Err(config(format!("`{odd}` is a pattern: name each topic")));
        }
        let durations = [self.session_timeout, self.join_within, self.answer_timeout];
        if durations.iter().any(|one| one.as_millis() == 0 || one.as_secs() > 3_600) {
            return Err(config("a timeout is of 1 ms to an hour"));
        }
        let is_ours = |(key, _): &&(String, String)| OURS.contains(&key.as_str());
        if let Some((key, _)) = self.settings.iter().find(is_ours) {
            return Err(config(format!("`{key}` isn't yours to set")));
        }
        Ok(())
    }

    /// What both clients are made with.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (key, value) in &self.settings {
            client.set(key, value);
        }
        client
            .set("bootstrap.servers", &self.servers)
            .set("group.id", &self.group)
            .set("auto.offset.reset", "error")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            .set("socket.timeout.ms", self.answer_timeout.as_millis().max(1_000).to_string())
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set("topic.metadata.refresh.interval.ms", "10000");
        let beats = self.session_timeout.as_millis().div_ceil(4).clamp(1, 3_000);
        client.set("heartbeat.interval.ms", beats.to_string());
        client
    }
}

impl fmt::Debug for KafkaOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KafkaOptions")
            .field("servers", &self.servers)
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("in_transactions", &self.in_transactions)
            .field("session_timeout", &self.session_timeout)
            .field("join_within", &self.join_within)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}

pub(super) fn config(message: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("records from Kafka: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_would_lose_records_or_bounds_are_refused() {
        let good = KafkaOptions::new("localhost:9092", ["shop"]);
        assert!(good.check().is_ok());
        let reset = ("auto.offset.reset".to_owned(), "latest".to_owned());
        for options in [
            KafkaOptions { servers: String::new(), ..good.clone() },
            KafkaOptions { group: String::new(), ..good.clone() },
            KafkaOptions { topics: Vec::new(), ..good.clone() },
            KafkaOptions { topics: vec!["^shop".to_owned()], ..good.clone() },
            KafkaOptions { session_timeout: Duration::ZERO, ..good.clone() },
            KafkaOptions { answer_timeout: Duration::MAX, ..good.clone() },
            KafkaOptions { settings: vec![reset], ..good.clone() },
        ] {
            assert_eq!(options.check().unwrap_err().kind(), ErrorKind::Config, "{options:?}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let mut options = KafkaOptions::new("localhost:9092", ["shop"]);
        options.settings.push(("sasl.password".to_owned(), "s3cret".to_owned()));
        assert!(!format!("{options:?}").contains("s3cret"));
    }
}
