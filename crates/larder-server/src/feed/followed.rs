//! The feed of a source as its kind has it: what is made, checked, shown and removed.

use std::sync::Arc;

use larder_core::change::Table;
use larder_core::{Error, ErrorKind, Feed, Result};
use larder_feed::OutboxStanding;
use larder_feed::debezium::http::HttpIntake;
#[cfg(feature = "mysql")]
use larder_feed::mysql::{MysqlFeed, MysqlFeedOptions};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_feed::postgres_triggers::{PostgresTriggers, PostgresTriggersOptions};
use larder_feed::sqlite::{SqliteTriggers, SqliteTriggersOptions};
use larder_sql::Database;

use super::debezium::Debezium;
use crate::config::{FeedConfig, FeedKind};

/// A feed of one of the kinds.
#[derive(Clone, Debug)]
pub(super) enum Followed {
    Logical(PostgresFeed),
    PostgresTriggers(PostgresTriggers),
    SqliteTriggers(SqliteTriggers),
    #[cfg(feature = "mysql")]
    Binlog(MysqlFeed),
    Debezium(Debezium),
}

/// A table that is followed.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) table: Table,
    /// The columns whose old values are told; `None`: of all.
    pub(super) identity: Option<Vec<String>>,
    /// Those whose text stands for several keys.
    pub(super) folded: Vec<String>,
}

impl Followed {
    /// Follows these tables, as [`name()`] writes them, in the database at `url`. What Debezium
    /// posts arrives at `intake`.
    pub(super) fn new(
        config: &FeedConfig,
        (url, database): (&str, &Database),
        tables: &[String],
        intake: &HttpIntake,
    ) -> Result<Self> {
        let (name, tables) = (config.name.clone(), tables.iter().cloned());
        match config.kind {
            FeedKind::Logical => {
                let FeedConfig { behind_max, wal_budget, .. } = *config;
                let options = PostgresFeedOptions::new(tables);
                let options = PostgresFeedOptions { name, behind_max, wal_budget, ..options };
                Ok(Self::Logical(PostgresFeed::new(url, options)?))
            }
            FeedKind::Triggers if is_sqlite(url) => {
                let options = SqliteTriggersOptions::new(tables);
                let options =
                    SqliteTriggersOptions { name, rows_max: config.changes_max, ..options };
                Ok(Self::SqliteTriggers(SqliteTriggers::new(url, options)?))
            }
            FeedKind::Triggers => {
                let options = PostgresTriggersOptions::new(tables);
                let options =
                    PostgresTriggersOptions { name, rows_max: config.changes_max, ..options };
                Ok(Self::PostgresTriggers(PostgresTriggers::new(url, options)?))
            }
            #[cfg(feature = "mysql")]
            FeedKind::Binlog => {
                let options = MysqlFeedOptions { name, ..MysqlFeedOptions::new(tables) };
                Ok(Self::Binlog(MysqlFeed::new(url, options)?))
            }
            FeedKind::Debezium => {
                let tables: Vec<String> = tables.collect();
                Ok(Self::Debezium(Debezium::new(config, url, database, &tables, intake)?))
            }
            #[cfg(not(feature = "mysql"))]
            FeedKind::Binlog => {
                Err(Error::new(ErrorKind::Config, "this larder was built without MySQL"))
            }
        }
    }

    pub(super) fn feed(&self) -> Arc<dyn Feed> {
        match self {
            Self::Logical(feed) => Arc::new(feed.clone()),
            Self::PostgresTriggers(feed) => Arc::new(feed.clone()),
            Self::SqliteTriggers(feed) => Arc::new(feed.clone()),
            #[cfg(feature = "mysql")]
            Self::Binlog(feed) => Arc::new(feed.clone()),
            Self::Debezium(debezium) => Arc::new(debezium.feed.clone()),
        }
    }

    /// The same changes for somebody who watches them beside who follows.
    ///
    /// # Errors
    ///
    /// `Config` where nobody can.
    pub(super) fn observer(&self) -> Result<Arc<dyn Feed>> {
        match self {
            Self::Logical(feed) => Ok(Arc::new(feed.observer())),
            Self::PostgresTriggers(feed) => Ok(Arc::new(feed.observer())),
            Self::SqliteTriggers(feed) => Ok(Arc::new(feed.observer())),
            #[cfg(feature = "mysql")]
            Self::Binlog(feed) => Ok(Arc::new(feed.observer())),
            Self::Debezium(debezium) => Ok(Arc::new(debezium.observer.clone()?)),
        }
    }

    /// Takes away what the database keeps for that one.
    pub(super) async fn forget_observer(&self) {
        match self {
            // A slot that can't be dropped is bounded as any other one.
            Self::Logical(feed) => drop(feed.observer().forget().await),
            Self::PostgresTriggers(_) | Self::SqliteTriggers(_) => {}
            #[cfg(feature = "mysql")]
            Self::Binlog(_) => {}
            Self::Debezium(_) => {}
        }
    }

    /// How the tables stand, in the order in which they were given.
    ///
    /// # Errors
    ///
    /// `Config`, with what to do, when the database or a table can't be followed.
    pub(super) async fn standing(&self) -> Result<Vec<Standing>> {
        match self {
            Self::Logical(feed) => each(feed.check().await?, |table| {
                let told = Some(table.identity);
                checked(table.table, table.problems.first(), told, Vec::new())
            }),
            Self::PostgresTriggers(feed) => each(feed.check().await?, |table| {
                checked(table.table, table.problems.first(), None, Vec::new())
            }),
            Self::SqliteTriggers(feed) => each(feed.check().await?, |table| {
                checked(table.table, table.problems.first(), None, Vec::new())
            }),
            #[cfg(feature = "mysql")]
            Self::Binlog(feed) => each(feed.check().await?, |table| {
                let told = Some(table.identity);
                checked(table.table, table.problems.first(), told, table.folded)
            }),
            Self::Debezium(debezium) => debezium.standing().await,
        }
    }

    /// # Errors
    ///
    /// `Config` when the database refuses, with what to do.
    pub(super) async fn install(&self) -> Result<()> {
        match self {
            Self::Logical(feed) => feed.install().await,
            Self::PostgresTriggers(feed) => feed.install().await,
            Self::SqliteTriggers(feed) => feed.install().await,
            // There is nothing to make: what the server needs is said.
            #[cfg(feature = "mysql")]
            Self::Binlog(feed) => feed.check().await.map(drop),
            // Debezium itself is prepared elsewhere.
            Self::Debezium(debezium) => debezium.standing().await.map(drop),
        }
    }

    pub(super) async fn remove(&self) -> Result<()> {
        match self {
            Self::Logical(feed) => feed.remove().await,
            Self::PostgresTriggers(feed) => feed.remove().await,
            Self::SqliteTriggers(feed) => feed.remove().await,
            #[cfg(feature = "mysql")]
            Self::Binlog(_) => Ok(()),
            Self::Debezium(_) => Ok(()),
        }
    }

    /// How it stands in the database, in words.
    pub(super) async fn status(&self) -> Result<String> {
        match self {
            Self::Logical(feed) => Ok(feed.standing().await?.to_string()),
            Self::PostgresTriggers(feed) => Ok(outbox_in_words(feed.status().await?)),
            Self::SqliteTriggers(feed) => Ok(outbox_in_words(feed.status().await?)),
            #[cfg(feature = "mysql")]
            Self::Binlog(feed) => {
                let log = feed.status().await?;
                let followed = followed_in_words(log.is_followed);
                let mebibytes = log.bytes >> 20;
                Ok(format!("{followed}; the log has {} files, {mebibytes} MiB", log.files))
            }
            Self::Debezium(debezium) => Ok(debezium.feed.name().to_owned()),
        }
    }

    /// What should be done about it, each in a sentence.
    pub(super) async fn warnings(&self) -> Result<Vec<String>> {
        match self {
            Self::Logical(feed) => Ok(feed.standing().await?.warnings()),
            Self::PostgresTriggers(_) | Self::SqliteTriggers(_) => Ok(Vec::new()),
            #[cfg(feature = "mysql")]
            Self::Binlog(_) => Ok(Vec::new()),
            Self::Debezium(_) => Ok(Vec::new()),
        }
    }

    /// What the old value of a column of `table` needs to be told.
    pub(super) fn cure(&self, table: &Table) -> String {
        match self {
            Self::Logical(_) => format!("ALTER TABLE {table} REPLICA IDENTITY FULL"),
            // They tell all of it.
            Self::PostgresTriggers(_) | Self::SqliteTriggers(_) => String::new(),
            #[cfg(feature = "mysql")]
            Self::Binlog(_) => "SET GLOBAL binlog_row_image = FULL".to_owned(),
            Self::Debezium(debezium) => debezium.cure(table),
        }
    }
}

/// A table's name as a feed of this kind takes it.
pub(super) fn name(kind: FeedKind, database: &Database, table: &Table) -> String {
    let (mark, twice) = match database.kind() {
        // Debezium's are as they are, too.
        _ if kind == FeedKind::Debezium => return table.to_string(),
        "sqlite" => return table.name.to_string(),
        "mysql" => ("`", "``"),
        _ => ("\"", "\"\""),
    };
    let quoted = |name: &str| format!("{mark}{}{mark}", name.replace(mark, twice));
    match table.schema.is_empty() {
        true => quoted(&table.name),
        false => format!("{}.{}", quoted(&table.schema), quoted(&table.name)),
    }
}

fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

fn each<T>(tables: Vec<T>, standing: impl Fn(T) -> Result<Standing>) -> Result<Vec<Standing>> {
    tables.into_iter().map(standing).collect()
}

fn checked(
    table: Table,
    problem: Option<&impl ToString>,
    identity: Option<Vec<String>>,
    folded: Vec<String>,
) -> Result<Standing> {
    match problem {
        Some(problem) => Err(Error::new(ErrorKind::Config, problem.to_string())),
        None => Ok(Standing { table, identity, folded }),
    }
}

fn outbox_in_words(standing: Option<OutboxStanding>) -> String {
    let Some(outbox) = standing else { return "it isn't installed".to_owned() };
    let full = if outbox.is_full { ", which is all that it keeps: it begins again" } else { "" };
    let followed = followed_in_words(outbox.is_followed);
    format!("{followed}, {} changes behind{full}", outbox.behind)
}

fn followed_in_words(is_followed: bool) -> &'static str {
    if is_followed { "followed" } else { "not followed" }
}
