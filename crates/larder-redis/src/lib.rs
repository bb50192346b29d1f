//! Redis as shared tier, bus and journal.
//!
//! [`RedisTier`] is a [`SharedTier`](larder_core::SharedTier), [`RedisBus`] the
//! [`Bus`](larder_core::Bus) beside it and [`TrackingBus`] another one, on one server, on the
//! master that Sentinels name, or on a cluster. [`RedisJournal`] is a
//! [`Journal`](larder_core::Journal) on the same.
//!
//! ```no_run
//! use larder_core::SharedTier;
//! use larder_redis::{RedisOptions, RedisTier};
//!
//! # async fn example() -> larder_core::Result<()> {
//! let tier = RedisTier::connect(RedisOptions::new("redis://localhost"))?;
//! let bus = tier.bus();
//! tier.probe().await?;
//! println!("{}", tier.eviction_policy().await?);
//! # Ok(())
//! # }
//! ```
//!
//! Hits are plain reads. Whatever must happen in one step (leases, fills, invalidations with their
//! announcement) is a script of a few lines in `scripts/`, and by the server's clock alone.
//!
//! It knows nothing of values, caches or windows, and of an envelope only its state and its stamp.
//! It sets no deadlines but those without which a dead connection would never be noticed, and it
//! decides nothing: whether a tier that is down is asked again, its caller decides.
//!
//! | module | idea |
//! |---|---|
//! | `options`, `address` | what a user says, and what the URL means |
//! | `names` | what our things are called there |
//! | `connection` | one connection: greeted, with the run of the server that it leads to |
//! | `dial` | bytes to a server: TCP, TLS, a socket file |
//! | `node` | one server: its connection, replaced when it is lost |
//! | `topology` | which server a key lives on: one, a master behind Sentinels, a cluster's |
//! | `request` | what is asked, so that it can be asked again elsewhere |
//! | `script`, `reply` | scripts and how to call them; replies and how to take them apart |
//! | `servers` | where they are and bytes to them, for who speaks to them in another way |
//! | `client` | asking the servers: what tier and bus have in common |
//! | `tier` | the shared tier |
//! | `entries`, `invalidation`, `marks`, `writing` | its parts |
//! | `bus`, `subscription` | the bus: publishing, and reading without a gap |
//! | `journal` | a journal in a stream, for writers without a disk that lasts |
//! | `tracking` | the bus that also hears of every change of an entry from Redis itself |
//! | `policy` | what the server's eviction policy means for us |
//! | `errors` | the table from what Redis says to what a caller can do |

mod address;
mod bus;
mod client;
mod connection;
mod dial;
mod entries;
mod errors;
mod invalidation;
mod journal;
mod marks;
mod names;
mod node;
mod options;
mod policy;
mod random;
mod reply;
mod request;
mod script;
mod servers;
mod subscription;
mod tier;
mod topology;
mod tracking;
mod writing;

pub use address::Address;
pub use bus::RedisBus;
pub use dial::Wire;
pub use journal::{RecordsLost, RedisJournal, RedisJournalOptions, RedisRecovery};
pub use options::RedisOptions;
pub use policy::EvictionPolicy;
pub use servers::Servers;
pub use tier::RedisTier;
pub use topology::{SlotMap, SlotRange, slot};
pub use tracking::TrackingBus;
