//! Processes that write behind and are killed: a program of writes, the steps at which it ends, and
//! what must be in the database afterwards.
//!
//! It stands beside the floors: tests and benchmarks use it, nobody ships it. What panics here is a
//! test that failed. It uses larder as any program does, and knows the database and the journal
//! from outside.
//!
//! A [`Driver`] is a process that [writes](child::Asked::write) unique values and differences
//! through a cache, and says what it sends and what was acknowledged. It is killed at any
//! moment, or at a [step](Step) that it reaches, and started again; [`Rounds`] does that again and
//! again, and [compares](Rounds::compare) what everybody said with what the database holds.
//!
//! | module | idea |
//! |---|---|
//! | [`shop`] | the caches that are written |
//! | [`database`] | their database, and what is asked beside larder |
//! | [`child`] | the process that is killed |
//! | [`said`] | what all of them said, and what must be there then |
//! | [`rounds`] | killing them again and again |
// Whatever fails here fails a test.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod child;
pub mod database;
pub mod rounds;
pub mod said;
pub mod shop;

pub use child::{Driver, open_journal};
pub use database::TestDatabase;
pub use larder_core::steps::Step;
pub use rounds::{End, Rounds};
pub use said::Said;
pub use shop::Shop;
