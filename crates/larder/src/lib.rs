//! larder: the cache whose staleness is a promise.
//!
//! You name the window that you accept, and every answer keeps to it: it is fresh, or it is
//! served under a rule that you wrote, or it is an error that says what to do.
//!
//! ```
//! use larder::{Cache, LoadContext, LoadError, Source};
//! use std::time::Duration;
//!
//! struct Users;
//!
//! impl Source<u64, String> for Users {
//!     async fn load(&self, id: &u64, _: &mut LoadContext) -> Result<Option<String>, LoadError> {
//!         Ok(Some(format!("user {id}"))) // ask your database here
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> larder::Result<()> {
//! let users = Cache::builder("user").max_staleness(Duration::from_secs(2)).source(Users).build()?;
//! assert_eq!(users.get(&42).await?.as_deref(), Some("user 42")); // loaded once,
//! assert_eq!(users.get(&42).await?.as_deref(), Some("user 42")); // then held
//!
//! users.invalidate(&42).await?; // after a commit: nothing loaded before comes back
//! # Ok(()) }
//! ```
//!
//! # What to reach for
//!
//! | you want | call |
//! |---|---|
//! | the value | [`Cache::get`], [`Cache::get_many`] |
//! | the value with its age, tier, state and reason | [`Cache::ask`], [`Cache::ask_many`] |
//! | a function that remembers what it returned | [`macro@cached`] |
//! | a key of your own | [`macro@CacheKey`] |
//! | to load with a closure instead of a source | [`Cache::get_or_load`] |
//! | cache-aside without the race | [`Cache::lookup`], which gives a [`Ticket`] |
//! | to say that the data changed | [`Cache::invalidate`], [`Cache::mark_stale`]; by tag [`Engine::invalidate_tags`]; all of it [`Cache::invalidate_all`] |
//! | to hear of changes that anybody makes | [`CacheBuilder::feed`] |
//! | to write, and the cache to know | [`CacheBuilder::sink`], [`Cache::put`], [`Cache::update`] |
//! | to write more often than the database likes | [`CacheBuilder::behind`] |
//! | one read that waits less, or takes nothing older | [`Cache::read`] |
//! | the same where nothing can be awaited | [`Cache::blocking`] |
//! | to bound what a database is asked at a time, and leave it alone when it fails | [`Guard`] |
//! | to keep reads of keys that don't exist from the database | [`CacheBuilder::filter`] |
//! | caches that share memory, of whatever types | [`Budget`] |
//! | processes that share what they loaded, and hear of each other's invalidations | [`Engine::share`] |
//! | to know whether a cache is worth it | [`Cache::verdict`] |
//!
//! # Functions
//!
//! [`macro@cached`] puts a function behind a cache of its own, in one line:
//!
//! ```
//! # #[derive(Clone)] struct Pool;
//! #[larder::cached(max_staleness = "2s", stale_for = "1s", skip(pool))]
//! async fn user(id: u64, pool: &Pool) -> larder::Result<Option<String>> {
//!     Ok(Some(format!("user {id}"))) // ask your database here
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> larder::Result<()> {
//! # let pool = Pool;
//! assert_eq!(user(42, &pool).await?.as_deref(), Some("user 42")); // however many call at once
//! user_cache().invalidate(&42).await?; // after a commit
//! # Ok(()) }
//! ```
//!
//! # Cancel safety
//!
//! Dropping any future of this crate is safe. A load belongs to the engine and not to its caller:
//! it runs to its own timeout, and its result is kept.
//!
//! # Features
//!
//! All off by default. `sql`: SQLite and Postgres as sources and sinks, in the module `sql`;
//! `mysql`: MySQL and MariaDB, too.
//! `feed`: what the database says was changed, in the module `feed`, for caches that are
//! [covered](engine::feeding) by it; with `sql`, `mysql` and `redis` of their databases, too, with
//! `nats` from Debezium over NATS, and with `kafka`, which compiles librdkafka, over Kafka. `http`:
//! HTTP caching, in the module `http`: a layer of tower for the responses of an application.
//! `journal`: a durable journal, in the module `journal`, for caches that are written
//! [behind](engine::behind); with `redis` there is one in a stream, too. `tracing` and
//! `metrics`: [observers](observe) for the crates of these names. `redis` and `memcached`: the
//! shared tiers, in the modules of these names, and `nats`: another bus. `redis-tls`: `redis`, and
//! `rediss://` as the scheme of its URLs, which is an error that says so without it. What they are
//! given to is
//! [`Engine::share`], and [`engine::Sharing`] says how:
//!
//! ```no_run
//! # #[cfg(feature = "redis")]
//! # async fn example() -> larder::Result<()> {
//! use larder::engine::{MessagePack, Sharing};
//! use larder::redis::{RedisOptions, RedisTier};
//! use larder::{Cache, Changes, Engine};
//! use std::{sync::Arc, time::Duration};
//!
//! let tier = RedisTier::connect(RedisOptions::new("redis://localhost"))?;
//! let bus = Arc::new(tier.bus());
//! let engine = Engine::on_tokio()?;
//! engine.share(Sharing::over(Arc::new(tier)).own_bus(bus)).await?;
//! let names: Cache<u64, String> = Cache::builder("name")
//!     .engine(&engine)
//!     .max_staleness(Duration::from_secs(2))
//!     .changes(Changes::Announced) // every writer invalidates
//!     .shared(MessagePack)
//!     .build()?;
//! # Ok(()) }
//! ```

mod function;
pub mod observe;

pub use larder_core as core;
pub use larder_engine as engine;
#[cfg(feature = "feed")]
pub use larder_feed as feed;
#[cfg(feature = "http")]
pub use larder_http as http;
#[cfg(feature = "journal")]
pub use larder_journal as journal;
#[cfg(feature = "memcached")]
pub use larder_memcached as memcached;
pub use larder_memory as memory;
#[cfg(feature = "nats")]
pub use larder_nats as nats;
#[cfg(feature = "redis")]
pub use larder_redis as redis;
#[cfg(feature = "sql")]
pub use larder_sql as sql;

pub use larder_core::{
    Answer, CacheKey, Changes, Error, ErrorKind, KeyText, LoadContext, LoadError, Reason, Result,
    Source, State, Terms, Tier, Write, Written, keys_of,
};
pub use larder_engine::{
    BreakerBounds, Budget, Cache, CacheBuilder, CacheStats, Engine, Fill, Guard, GuardBounds,
    Lookup, Ticket, WriteMode, Wrote,
};
pub use larder_macros::{CacheKey, cached};

/// What the macros expand to, and no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::function::*;
}

/// The examples of the project's README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
