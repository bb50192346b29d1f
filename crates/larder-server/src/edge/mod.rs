//! An edge: a caching reverse proxy in front of a web server.
//!
//! The life of a request, from the listener on:
//!
//! 1. [`fields`] turns its head into that of a request to the origin, or says why it is refused.
//! 2. [`rules`] says whether the cache is passed by, and which parameters of the query count.
//! 3. The cache answers from memory, or asks the [`origin`] through [`dial`]. What comes back has
//!    the rules' word in it before the cache sees it.
//! 4. [`rules`] tells the browser what it may keep, and [`answer`] sends the body while
//!    [`progress`] looks whether the client takes it.
//!
//! | module | idea |
//! |---|---|
//! | [`access`] | a line of the log for each request |
//! | [`answer`] | what is sent to a client |
//! | [`body`] | bodies whose sender may not be silent for ever |
//! | [`cache_tags`] | the tag of a whole cache |
//! | [`dial`] | connections to the origin |
//! | [`fields`] | what the origin is told of a request |
//! | [`interim`] | interim answers of the origin |
//! | [`origin`] | the origin as a service |
//! | [`progress`] | who keeps us waiting |
//! | [`purge`] | what is to go, by whose permission |
//! | [`rules`] | what the configuration says of paths and types |
//! | [`stats`] | what is counted |
//! | [`store`] | bodies in files |
//! | [`tls`] | the certificate |
//! | [`webhook`] | who else is told of purges |
//!
//! What may be stored and reused is `larder-http`'s to know.

mod access;
mod answer;
mod body;
mod cache_tags;
mod dial;
mod fields;
mod front;
mod interim;
mod origin;
mod progress;
mod purge;
mod rules;
mod stats;
mod store;
mod tls;
mod webhook;

pub use front::Edge;
pub use purge::PurgeOrder;
pub use stats::{EdgeCounts, EdgeStats};
pub use store::{FileStore, StoreCounts};

pub(crate) use cache_tags::{tag_of_cache, tag_of_keys};
pub(crate) use fields::Sender;
pub(crate) use interim::{Interims, Relayed};
pub(crate) use progress::{Found, Noted, Patience, Progress};
