//! Write-behind on real parts: a journal of files, SQLite and Postgres; processes that are killed,
//! a database that goes away, and a journal that is longer than what memory may hold.
#![allow(clippy::unwrap_used)]

mod child;
mod database;
mod killed;
mod outage;
mod replay;
mod shop;
