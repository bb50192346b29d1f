//! SQL databases as sources: SQLite and Postgres.
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
//! A parameter is bound and never pasted. A load reads: sessions are read-only, and whatever is
//! not a query is refused. Nothing here caches, coalesces or limits how often it is asked; the
//! engine does.
//!
//! | module | idea |
//! |---|---|
//! | `database` | one system of record, by its URL |
//! | `load` | what a cache asks, and what is known about the question |
//! | `source` | the two together, as the engine's contract |
//! | `keys` | all keys that a query names, as a list |
//! | `loads` | plan once, fetch often; the same for every database |
//! | `pool`, `reach` | connections, and how a database that is down fails fast |
//! | `statement` | `{id}` in SQL |
//! | `tags` | what an entry depends on, from its key and its rows |
//! | `postgres`, `sqlite` | one dialect each, of the same shape |
//! | `rows`, `answer`, `json` | rows to a value |
//! | `error` | the table from a driver's error to what a caller can do |

mod answer;
mod answers;
mod database;
mod error;
mod json;
mod keys;
mod load;
mod loads;
mod pool;
mod postgres;
mod reach;
mod rows;
mod source;
mod sqlite;
mod statement;
mod tags;

pub use answer::RESULT_BYTES_MAX;
pub use database::{Database, Options};
pub use keys::{SqlKeyPages, SqlKeys};
pub use load::{Binding, Column, Format, Load, Report, Rows, Warning};
pub use source::SqlSource;
