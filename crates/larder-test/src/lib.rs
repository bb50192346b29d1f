//! The test kit: a clock that tests turn, a source that counts, waits and fails, and real
//! servers, started on free ports and killed at will.
//!
//! It stands beside the floors: any crate may use it in its tests, none may ship it. It knows
//! nothing of any crate's insides. Nothing in it needs a runtime: futures work under any
//! executor, servers are started and stopped by blocking calls, and every wait has a deadline
//! after which it panics with what it was waiting for.
//!
//! Servers need Linux: processes are found in `/proc`, and `setpriv` makes them die with the
//! test.
//!
//! | module | idea |
//! |---|---|
//! | [`clock`] | [`ManualClock`]: it moves when the test turns it |
//! | [`source`] | [`TestSource`]: it counts, waits, fails and panics as told |
//! | [`sink`] | [`TestSink`]: it commits into that source, and waits and fails as told |
//! | [`feed`] | [`TestFeed`]: a log in memory, which stands still and forgets as told |
//! | [`journal`] | [`TestJournal`]: it forgets what wasn't durable, and fails as told |
//! | [`contract`] | how every shared tier, bus and journal behaves, checked |
//! | [`shared`] | [`SimShared`]: a shared tier and bus for many processes in one test, and their faults |
//! | [`history`] | [`History`]: what threads wrote and read, and whether that keeps the promise |
//! | [`checker`] | [`Checker`]: what processes wrote and read, by the clock, and how stale that was |
//! | [`accounts`] | a workload on Postgres whose commits are numbered |
//! | [`concurrency`] | how many queries run in Postgres at the same time |
//! | [`fleet`] | several larders over one Redis and one Postgres, under faults, and while Redis is [away](fleet::outage) |
//! | [`server`] | real servers: [`Postgres`], [`Mariadb`], [`Redis`], its [cluster](RedisCluster) and [sentinels](RedisSentinel), [`Nats`], [`Nginx`], [`Varnish`], [`Chromium`], [`Larder`], and the base for more |
//! | [`client`] | [`RespClient`]: a blocking client of the Redis protocol |
//! | [`proxy`] | [`Proxy`]: the network's faults, in front of any server |
//! | [`origin`] | [`Origin`]: an HTTP server that counts, waits and breaks off as told |
//! | [`patience`] | [`until`]: waits for what is expected, and not for ever |
//! | [`clients`] | redis-py and node-redis, as people use them |

pub mod accounts;
pub mod checker;
pub mod client;
pub mod clients;
pub mod clock;
pub mod concurrency;
pub mod contract;
pub mod feed;
pub mod fleet;
pub mod history;
pub mod journal;
mod missing;
pub mod origin;
mod page;
pub mod patience;
pub mod proxy;
pub mod server;
pub mod shared;
pub mod sink;
pub mod source;
mod watched;

pub use checker::Checker;
pub use client::{Reply, RespClient};
pub use clock::ManualClock;
pub use feed::TestFeed;
pub use history::History;
pub use journal::TestJournal;
pub use missing::{missing, skipped};
pub use origin::Origin;
pub use page::assert_page;
pub use patience::{PATIENCE, until};
pub use proxy::Proxy;
pub use server::{
    Chromium, Larder, Mariadb, Memcached, Nats, Nginx, Postgres, Redis, RedisCluster,
    RedisSentinel, Server, Varnish,
};
pub use shared::{SimClient, SimShared};
pub use sink::TestSink;
pub use source::TestSource;
