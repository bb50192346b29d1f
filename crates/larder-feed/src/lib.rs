//! Change feeds: what a database says was changed, whoever changed it.
//!
//! A feed reads the database's own log, or what triggers write down, so it hears of writers that
//! never heard of larder. It implements [`Feed`](larder_core::Feed), and knows no cache, no key and
//! no window.
//!
//! | module | idea |
//! |---|---|
//! | [`postgres`] | Postgres, followed over logical replication |
//! | [`pgoutput`] | the messages of its log, decoded |
//! | [`postgres_triggers`] | Postgres without the right to replicate: by triggers |
//! | `sqlite` | SQLite, by triggers; behind the feature `sqlite` |
//! | `mysql` | MySQL and MariaDB, followed over their binary log; behind the feature `mysql` |
//! | `binlog` | the events of that log, decoded; behind the same feature |
//! | [`debezium`] | what Debezium tells, over whatever carries it |

#[cfg(feature = "mysql")]
pub mod binlog;
pub mod debezium;
mod gathered;
#[cfg(feature = "mysql")]
pub mod mysql;
mod name;
mod outbox;
pub mod pgoutput;
pub mod postgres;
mod shown;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use outbox::OutboxStanding;
pub use postgres::triggers as postgres_triggers;
