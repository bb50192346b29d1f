//! The vocabulary and the contracts of larder: what a key is, what an error says, what a moment
//! is, when an entry is fresh, and what a source must do.
//!
//! Every other crate stands on this one, so it stays small, and there is much that it does not
//! know: no runtime, no socket, no driver, no file. Where waiting is unavoidable it says so with
//! a [`BoxFuture`], and somebody above decides how to wait.
//!
//! | module | idea |
//! |---|---|
//! | [`key`] | [`CacheKey`]: a key is a value in memory and a text everywhere else |
//! | [`keys`] | [`KeyList`]: all keys of a source, page by page |
//! | [`template`] | [`KeyTemplate`]: `user:{id:int}`, what a declared key looks like |
//! | [`value`] | [`Value`]: bytes and what they are, the server's type of value |
//! | [`error`] | [`Error`]: one type, whose kind says what the caller can do |
//! | [`time`] | [`Moment`] and [`Clock`]: time is an argument, never fetched from the air |
//! | [`freshness`] | [`Window`] and [`Times`]: fresh, stale or gone, as arithmetic |
//! | [`answer`] | [`Answer`]: a value with its tier, age, state and reason |
//! | [`source`] | [`Source`]: the system of record, asked one key or many |
//! | [`context`] | [`LoadContext`]: what the engine and a loader tell each other |
//! | [`terms`] | [`Terms`]: on what terms a loaded value is kept |
//! | [`shared`] | [`SharedTier`]: entries that other processes see too, and their leases |
//! | [`envelope`] | what such an entry looks like, byte by byte |
//! | [`bus`] | [`Bus`]: invalidations, from one process to all others |
//! | [`feed`] | [`Feed`]: changes in the order of their commits |
//! | [`change`] | [`Change`](change::Change): what a database says was changed |
//! | [`mod@write`] | [`Write`]: what is to become of a row |
//! | [`sink`] | [`Sink`]: the system of record, written at once or behind |
//! | [`journal`] | [`Journal`]: acknowledged writes, until they are applied |
//! | [`spawn`] | [`Spawn`]: who runs the engine's own tasks |
//! | [`steps`] | the steps of a write behind, by name, for tests that end the process there |
//! | [`sync`] | the locks and atomics of engine and memory tier, exchangeable for a checker's |

pub mod answer;
pub mod bus;
pub mod change;
pub mod context;
mod counter;
pub mod envelope;
pub mod error;
pub mod feed;
pub mod freshness;
pub mod journal;
pub mod key;
pub mod keys;
mod percent;
pub mod shared;
pub mod sink;
pub mod source;
pub mod spawn;
#[doc(hidden)]
pub mod steps;
pub mod sync;
pub mod template;
pub mod terms;
pub mod time;
pub mod value;
pub mod write;

use std::future::Future;
use std::pin::Pin;

pub use answer::{Answer, Reason, State, Tier};
pub use bus::Bus;
pub use context::LoadContext;
pub use error::{Error, ErrorKind, Result};
pub use feed::Feed;
pub use freshness::{Times, Window};
pub use journal::Journal;
pub use key::{CacheKey, Key, KeyText};
pub use keys::{KeyList, KeyPages, keys_of};
pub use percent::percent_decode;
pub use shared::SharedTier;
pub use sink::Sink;
pub use source::{Changes, LoadError, Source};
pub use spawn::Spawn;
pub use template::KeyTemplate;
pub use terms::Terms;
pub use time::{Clock, Moment};
pub use value::{Media, Value};
pub use write::{Write, Written};

/// A future in a box: what a contract returns when it must be an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
