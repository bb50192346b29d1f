//! Write-behind on real parts: journals of files and in Redis, SQLite and Postgres; processes that
//! are killed, a database that goes away, and a journal that is longer than what memory may hold.
#![allow(clippy::unwrap_used)]

mod child;
mod killed;
mod outage;
mod poison;
mod replay;
