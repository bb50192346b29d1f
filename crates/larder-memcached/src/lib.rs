//! Memcached as a shared tier, over its META commands.
//!
//! Leases are Memcached's own: `mg … N` leaves a *stub* for who misses first and tells it so, and
//! the number that every change of an item gets (its CAS) is the lease. A fill names that number;
//! an invalidation deletes the item or gives it another one.
//!
//! | idea of the contract | command | answer |
//! |---|---|---|
//! | plain read | `mg k v c t f` | the item; `EN`: none |
//! | ask for a lease | `mg k v c t f N<s>` | won, no data: missed · taken, no data: busy · stale and won: stale · stale and taken: busy · data: a hit |
//! | … with an entry that was seen | the same, then `mg k v c t f N<s> R<max>` | won: stale, and who asks for less still hits |
//! | fill | `ms k <n> C<cas> T<at> F1 c` | `HD` · `EX`, `NF`: void |
//! | drop, mark stale | `md k`, `md k I` | `HD` · `NF` is as good |
//! | give a lease back | `md k C<cas>`; over what is stale `md k C<cas> I`, over what was seen `ms k 0 C<cas> MA`: the item as it is, and nobody has won it | |
//! | make a lease longer | `ms k 0 C<cas> T<s> F0 c`: a new stub in place of the own one | `HD` with its new CAS |
//! | take over from a dead winner | give back, then ask | |
//!
//! Four properties of the server decide how this crate is made:
//!
//! 1. **CAS numbers begin again at 1 after a restart**, so a lease from before could fill what
//!    another one guards now. Leases are bound to the connection that granted them, which no
//!    restart outlives. So a server must be reached directly: a proxy's connection does outlive
//!    its server.
//! 2. **Any `mg` of a stale item takes its win**, even one that asks for no lease. The win of a
//!    plain read is given back at once, and so is one whose asker has gone.
//! 3. **It counts in whole seconds, and a lifetime sent as a number of seconds begins when the
//!    server gets to it**: after a pause of the server an entry would look younger than it is. A
//!    lifetime is therefore sent as a moment of the server's own clock, which was read before the
//!    lease was granted. An entry looks between nothing and four seconds older than it is, never
//!    younger; but a server that stood still takes the moment before for the present until it looks
//!    at its clock again, within a second.
//! 4. **`md … I T<s>` makes what is nearly over live longer**, and look younger. Marking stale
//!    leaves the lifetime as it is.
//!
//! ```no_run
//! use larder_core::SharedTier;
//! use larder_memcached::{MemcachedOptions, MemcachedTier};
//!
//! # async fn example() -> larder_core::Result<()> {
//! let tier = MemcachedTier::connect(MemcachedOptions::new("memcached://localhost")?)?;
//! tier.probe().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It doesn't know envelopes beyond their state and their fill stamp, nor caches, values or
//! windows. It speaks neither TLS nor any of Memcached's ways to authenticate: the servers belong
//! into a network that nobody else is in.
//!
//! | module | idea |
//! |---|---|
//! | `options` | what a user says |
//! | `name`, `route` | what a key is called, and which server has it |
//! | `codec` | requests and replies, as pure functions over bytes |
//! | `connection`, `call` | one connection: what is asked over it, and by whom |
//! | `server` | one server: its connection, opened anew when it was lost |
//! | `judge` | what an answer to a question for a lease means |
//! | `token`, `renewals`, `watch` | what a lease's token says; leases that were made longer; winners that may have died |
//! | `tier`, `reads`, `writes` | the shared tier |
//! | `abilities` | what it can and can't do |
//! | `error` | from what a server says to what a caller can do |

mod abilities;
mod call;
mod codec;
mod connection;
mod error;
mod judge;
mod name;
mod options;
mod reads;
mod renewals;
mod route;
mod server;
mod tier;
mod token;
mod watch;
mod writes;

pub use abilities::explain;
pub use options::MemcachedOptions;
pub use tier::MemcachedTier;
