//! SQL databases as sources and sinks: SQLite, Postgres, and with the feature `mysql` MySQL and
//! MariaDB.
//!
//! A [`Database`] is the connection to one system of record. A [`Load`] is one cache's question
//! to it: a query with the parameters of the cache's key template in braces. The two together
//! make a [`SqlSource`], which implements [`Source`](larder_core::Source).
//!
//! ```no_run
//! use larder_core::KeyTemplate;
//! use larder_sql::{Database, Format, Load, Options, Rows, SqlSource};
//!
//! # async fn example() -> larder_core::Result<()> {
//! let shop = Database::open("postgres://localhost/shop", &Options::new("shop"))?;
//! let users = SqlSource::new(&shop, Load {
//!     key: KeyTemplate::parse("user:{id:int}")?,
//!     sql: "SELECT id, name, email FROM users WHERE id = {id}".to_owned(),
//!     rows: Rows::One,
//!     format: Format::Json,
//!     tags: Vec::new(),
//! })?;
//! for warning in users.prepare().await?.warnings {
//!     eprintln!("{warning}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Writes`] are the statements with which a cache is written. With a database they make a
//! [`SqlSink`], which implements [`Sink`](larder_core::Sink); [`WriteTables`] are what it keeps in
//! the database beside the data, so that what was acknowledged before is applied once.
//!
//! A parameter is bound and never pasted. A load reads: its sessions are read-only, and whatever
//! is not a query is refused. Writes have sessions of their own. Nothing here caches, coalesces or
//! limits how often it is asked; the engine does.
//!
//! | module | idea |
//! |---|---|
//! | `database` | one system of record, by its URL |
//! | `load` | what a cache asks, and what is known about the question |
//! | `source` | the two together, as the engine's contract |
//! | `keys` | all keys that a query names, as a list |
//! | `loads` | plan once, fetch often; the same for every database |
//! | `writes` | what a cache writes |
//! | `sink` | the two together, as the engine's contract |
//! | `changes` | plan once, write in transactions that are tried once; the same for every database |
//! | `document` | a value as its fields |
//! | `fold` | what an `add` makes of a value |
//! | `guard` | larder's own tables |
//! | `letters` | what was refused for good, from outside |
//! | `reads` | what a load reads, so that a feed can say when it changes |
//! | `pool`, `reach` | connections, and how a database that is down fails fast |
//! | `statement` | `{id}` in SQL |
//! | `tags` | what an entry depends on, from its key and its rows |
//! | `terms` | the same of a value that was written |
//! | `postgres`, `sqlite`, `mysql` | one dialect each, of the same shape |
//! | `rows`, `answer`, `json` | rows to a value |
//! | `error`, `fault` | the tables from a driver's error to what a caller, or a writer, can do |

mod answer;
mod answers;
mod changes;
mod database;
mod document;
mod error;
mod fault;
mod fold;
mod guard;
mod json;
mod keys;
mod letters;
mod load;
mod loads;
#[cfg(feature = "mysql")]
mod mysql;
mod pool;
mod postgres;
mod reach;
mod reads;
mod rows;
mod sink;
mod source;
mod sqlite;
mod statement;
mod tags;
mod terms;
mod writes;

pub use answer::RESULT_BYTES_MAX;
pub use database::{Database, Options};
pub use fold::SqlFold;
pub use guard::{CacheStatus, TablesStatus, WriteTables};
pub use keys::{SqlKeyPages, SqlKeys};
pub use letters::{DeadLetters, LETTERS_MAX, LetterPage, ShownLetter, ShownValue};
pub use load::{Binding, Column, Format, Load, Report, Rows, Warning};
pub use reads::{ReadRow, Reads};
pub use sink::{SqlSink, WRITES_BYTES_MAX, WRITES_MAX};
pub use source::SqlSource;
pub use terms::SqlTerms;
pub use writes::{SinkReport, StatementReport, Writes};
