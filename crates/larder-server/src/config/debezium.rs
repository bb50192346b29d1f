//! `[source.NAME.debezium]` resolved: where Debezium's records come from.

use super::document::Written;
use super::findings::{Findings, Reported};
use super::options::debezium as options;
use super::scope::Scope;
use super::secret::Secret;
use super::value::{Fault, OptionValue};

/// Where Debezium's records come from.
#[derive(Clone, Debug)]
pub struct DebeziumConfig {
    /// What carries them.
    pub from: RecordsUrl,
    /// The topics, streams or subjects; none over HTTP.
    pub topics: Vec<String>,
    /// What is committed to see how far they are.
    pub heartbeat: Beats,
    /// Whether they are written to Kafka in transactions.
    pub in_transactions: bool,
}

/// What carries Debezium's records.
#[derive(Clone, Debug)]
pub enum RecordsUrl {
    /// The brokers of a Kafka: `host:port,host:port`.
    Kafka(String),
    /// A NATS, by its URL.
    Nats(Secret),
    /// A Redis, by its URL.
    Redis(Secret),
    /// Requests that are posted here.
    Http,
}

/// What larder commits to see how far Debezium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beats {
    /// Logical messages of Postgres.
    Messages,
    /// The one row of a table of a Postgres.
    Table,
    /// Nothing.
    None,
}

impl RecordsUrl {
    /// As a report shows it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Kafka(servers) => format!("Kafka at {servers}"),
            Self::Nats(_) => "a stream of a NATS".to_owned(),
            Self::Redis(_) => "the streams of a Redis".to_owned(),
            Self::Http => "what is posted to the admin listener".to_owned(),
        }
    }
}

impl OptionValue for RecordsUrl {
    const WHAT: &'static str = "`\"kafka://…\"`, `\"nats://…\"`, `\"redis://…\"` or `\"http\"`";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Fault> {
        const KNOWN: &str = "write kafka://HOST:PORT, nats://HOST:PORT, redis://HOST:PORT or http";
        match text.split_once("://") {
            None if text == "http" => Ok(Self::Http),
            Some(("kafka", _)) if cfg!(not(feature = "kafka")) => Err(Fault::new(
                "names a Kafka, which was left out of this build",
                "build larder with the feature `kafka`",
            )),
            Some(("kafka", servers)) if !servers.is_empty() => Ok(Self::Kafka(servers.to_owned())),
            Some(("nats" | "tls", _)) if cfg!(not(feature = "nats")) => Err(Fault::new(
                "names a NATS, which was left out of this build",
                "build larder with the feature `nats`",
            )),
            Some(("nats" | "tls", rest)) if !rest.is_empty() => Ok(Self::Nats(Secret::new(text))),
            Some(("redis", rest)) if !rest.is_empty() => Ok(Self::Redis(Secret::new(text))),
            _ => Err(Fault::new("names nothing that carries Debezium's records", KNOWN)),
        }
    }
}

impl OptionValue for Beats {
    const WHAT: &'static str = "`\"messages\"`, `\"table\"` or `\"none\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "messages" => Ok(Self::Messages),
            "table" => Ok(Self::Table),
            "none" => Ok(Self::None),
            _ => Err(Fault::new(
                "must be \"messages\", \"table\" or \"none\"",
                "leave it out for what fits the database",
            )),
        }
    }
}

/// What a section says, before it is held against its source.
pub(super) struct Given {
    from: RecordsUrl,
    topics: Vec<String>,
    heartbeat: Option<Beats>,
    in_transactions: bool,
}

impl Given {
    pub(super) fn read(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let from = scope.required(written, &options::FROM);
        let topics = scope.list(written, &options::TOPICS);
        let heartbeat = scope.get(written, &options::HEARTBEAT);
        let in_transactions = scope.or_default(written, &options::IN_TRANSACTIONS);
        Ok(Self {
            from: from?,
            topics: topics?.into_iter().map(|(topic, _)| topic.0).collect(),
            heartbeat: heartbeat?,
            in_transactions: in_transactions?,
        })
    }

    /// For a database of this kind.
    pub(super) fn resolve(
        self,
        written: &Written,
        kind: &str,
        findings: &mut Findings<'_>,
    ) -> Result<DebeziumConfig, Reported> {
        let Self { from, topics, heartbeat, in_transactions } = self;
        if topics.is_empty() && !matches!(from, RecordsUrl::Http) {
            return Err(findings.error(
                &written.at,
                "nobody says which topics, streams or subjects are read",
                "for instance `topics = [\"shop.public.users\", \"shop.message\"]`",
            ));
        }
        let is_postgres = kind == "postgres";
        let by_default = if is_postgres { Beats::Messages } else { Beats::None };
        let heartbeat = heartbeat.unwrap_or(by_default);
        if !is_postgres && heartbeat != Beats::None {
            return Err(findings.error(
                &written.value(&options::HEARTBEAT.about),
                "larder's heartbeat needs a Postgres",
                "leave it out: `max_staleness` then bounds the age of what is held",
            ));
        }
        Ok(DebeziumConfig { from, topics, heartbeat, in_transactions })
    }
}
