//! NATS `JetStream` as a bus.
//!
//! [`NatsBus`] is a [`Bus`](larder_core::Bus): it carries invalidations between processes whose
//! shared tier has no bus of its own, such as Memcached, or that have a NATS anyway.
//!
//! ```no_run
//! use larder_core::Bus;
//! use larder_nats::{NatsBus, NatsOptions};
//!
//! # async fn example() -> larder_core::Result<()> {
//! let bus = NatsBus::connect(NatsOptions::new("nats://localhost"))?;
//! let (position, subscription) = bus.subscribe().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Plain NATS forgets a message that nobody hears, and nobody knows. A stream of `JetStream` keeps
//! and numbers them, so a reader that was away reads on where it stood, and one that missed
//! something sees a number that doesn't follow.
//!
//! It knows nothing of tiers, caches or keys, and doesn't look into what it carries.
//!
//! | module | idea |
//! |---|---|
//! | `options`, `address` | what a user says, and what the URL means |
//! | `link` | the connection |
//! | `stream` | the stream: its name, its bounds, and which run of the bus it is |
//! | `message` | an announcement as the bytes of a message |
//! | `bus` | publishing, and where to begin to read |
//! | `subscription` | reading without a gap |
//! | `errors` | from what NATS says to what a caller can do |

mod address;
mod bus;
mod errors;
mod link;
mod message;
mod options;
mod stream;
mod subscription;

pub use bus::NatsBus;
pub use options::NatsOptions;
