//! A feed over Debezium, as a configuration says it.

use larder_core::change::Table;
use larder_core::{Error, ErrorKind, Result};
use larder_feed::debezium::http::HttpIntake;
#[cfg(feature = "kafka")]
use larder_feed::debezium::kafka::{KafkaOptions, KafkaRecords};
#[cfg(feature = "nats")]
use larder_feed::debezium::nats::{NatsOptions, NatsRecords};
use larder_feed::debezium::redis::{RedisStreams, RedisStreamsOptions};
use larder_feed::debezium::{DebeziumFeed, DebeziumOptions, Heartbeat, PostgresBeat};
use larder_sql::Database;

use super::followed::Standing;
use crate::config::{Beats, DebeziumConfig, FeedConfig, RecordsUrl};

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct Debezium {
    pub(super) feed: DebeziumFeed,
    /// For who watches beside who follows; otherwise why nobody can.
    pub(super) observer: Result<DebeziumFeed>,
    database: Database,
    tables: Vec<Table>,
}

impl Debezium {
    pub(super) fn new(
        config: &FeedConfig,
        url: &str,
        database: &Database,
        tables: &[String],
        intake: &HttpIntake,
    ) -> Result<Self> {
        let debezium = config.debezium.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Config, "nobody says where Debezium's records come from")
        })?;
        let named = tables.iter().map(|name| table(name)).collect::<Result<Vec<_>>>()?;
        let options = || options(debezium, url, tables.to_vec());
        let feed = follow(&config.name, debezium, intake, options()?)?;
        let observer = match (&debezium.from, debezium.heartbeat) {
            (RecordsUrl::Http, _) => Err(unwatchable(
                "Debezium posts its records to one larder, and nobody else hears of them: let it \
                 write into Kafka, NATS or the streams of a Redis, or compare by hand",
            )),
            (_, Beats::None) => Err(unwatchable(
                "without a heartbeat nobody knows how far Debezium is, and so whether what differs \
                 is wrong or merely late: set `heartbeat`",
            )),
            // Places of its own, which whoever follows doesn't know.
            _ => follow(&format!("{}_watch", config.name), debezium, intake, options()?),
        };
        Ok(Self { feed, observer, database: database.clone(), tables: named })
    }

    /// What the database tells Debezium of old rows.
    pub(super) async fn standing(&self) -> Result<Vec<Standing>> {
        let mut all = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let told = self.database.identity(table).await?;
            let identity = Some(told.into_iter().map(String::from).collect());
            all.push(Standing { table: table.clone(), identity, folded: Vec::new() });
        }
        Ok(all)
    }

    pub(super) fn cure(&self, table: &Table) -> String {
        match self.database.kind() {
            "mysql" => "SET GLOBAL binlog_row_image = FULL".to_owned(),
            _ => format!("ALTER TABLE {table} REPLICA IDENTITY FULL"),
        }
    }
}

/// What it is told to follow.
fn options(config: &DebeziumConfig, url: &str, tables: Vec<String>) -> Result<DebeziumOptions> {
    let mut options = DebeziumOptions::new(tables);
    options.heartbeat = match config.heartbeat {
        Beats::Messages => Some(Heartbeat::by(PostgresBeat::by_messages(url)?)),
        Beats::Table => Some(Heartbeat::by(PostgresBeat::by_table(url)?)),
        Beats::None => None,
    };
    Ok(options)
}

/// Its records, whose places are kept under this name.
fn follow(
    name: &str,
    config: &DebeziumConfig,
    intake: &HttpIntake,
    options: DebeziumOptions,
) -> Result<DebeziumFeed> {
    let topics = config.topics.iter().cloned();
    Ok(match &config.from {
        #[cfg(feature = "kafka")]
        RecordsUrl::Kafka(servers) => {
            let mut kafka = KafkaOptions::new(servers, topics);
            kafka.group = name.to_owned();
            kafka.in_transactions = config.in_transactions;
            DebeziumFeed::new(name, KafkaRecords::new(kafka)?, options)
        }
        #[cfg(not(feature = "kafka"))]
        RecordsUrl::Kafka(_) => {
            return Err(Error::new(ErrorKind::Config, "this larder was built without Kafka"));
        }
        #[cfg(feature = "nats")]
        RecordsUrl::Nats(url) => {
            let mut nats = NatsOptions::new(url.expose(), topics);
            nats.name = name.to_owned();
            DebeziumFeed::new(name, NatsRecords::new(nats)?, options)
        }
        #[cfg(not(feature = "nats"))]
        RecordsUrl::Nats(_) => {
            return Err(Error::new(ErrorKind::Config, "this larder was built without NATS"));
        }
        RecordsUrl::Redis(url) => {
            let mut redis = RedisStreamsOptions::new(url.expose(), topics);
            redis.name = name.to_owned();
            DebeziumFeed::new(name, RedisStreams::new(redis)?, options)
        }
        RecordsUrl::Http => DebeziumFeed::new(name, intake.clone(), options),
    })
}

fn unwatchable(why: &'static str) -> Error {
    Error::new(ErrorKind::Config, why)
}

/// Debezium's records name a table with its schema, or with its database.
fn table(name: &str) -> Result<Table> {
    let (schema, name) = name.split_once('.').ok_or_else(|| {
        let message = format!("write the table {name} with its schema, as Debezium names it");
        Error::new(ErrorKind::Config, message)
    })?;
    Ok(Table { schema: schema.into(), name: name.into() })
}
