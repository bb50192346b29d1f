//! A cache of HTTP responses over one cache of the engine, and a layer of tower in front of any
//! service that answers HTTP.
//!
//! What may be stored, what is fresh and what answers is decided by the pure functions of this
//! crate; which entries are held, for how long at most, and what an invalidation strikes is the
//! engine's. What stands here is what lies between: the key of a request, the variants of a URI,
//! bodies on their way, and requests that wait for one another.
//!
//! | file | idea |
//! |---|---|
//! | `exchange` | the life of a request, on one page |
//! | `builder` | what a response cache can be told |
//! | `store` | the handle, and what its clones share |
//! | `service` | the layer and the service of tower |
//! | `key` | under what a request's response is stored |
//! | `query` | which parameters of a query count |
//! | `selection` | which fields of a request may select a response |
//! | `asked` | what of a request's fields concerns a hit |
//! | `entry` | a stored response, and what of it is known in advance |
//! | `variants` | the responses that are stored for one URI |
//! | `searches` | the responses of a path that answer for several queries |
//! | `stamp` | what tells a list from later ones, and which responses may stand under it |
//! | `find` | what is held for a request |
//! | `berth` | the permission to store what is about to be fetched |
//! | `keep` | what was fetched is stored, if its fence holds |
//! | `landed` | what came of a fetch, as an answer to each who waits |
//! | `passing` | a request that is sent on by itself |
//! | `posted` | the response to a POST that answers later GETs |
//! | `taking` | a body on its way to one client that is stored if all of it comes |
//! | `ranged` | a range of what isn't held, or not all of it |
//! | `parts` | parts of responses are stored, combined and completed |
//! | `fetch` | the request to the origin, in the engine's own task |
//! | `pump` | its body, to everybody and to where it is stored |
//! | `flight` | one fetch and everyone who waits for it |
//! | `arriving` | a body on its way, read by many |
//! | `passes` | what was found not to be stored, so that nobody waits for it |
//! | `answer` | from a stored response to the one that is sent |
//! | `body` | the body that is sent |
//! | `body_store` | where bodies go that are too large for memory |
//! | `tags` | the tags of a response |
//! | `purge` | what is invalidated, by whom |
//! | `codec` | a stored response as bytes, for the shared tier |
//! | `waiting` | wakers, and waits with an end |
//!
//! A stored response is one object that never changes: head and whole body. It is published when
//! the body is complete; until then it is read from the one fetch that brings it. What is held in
//! parts is such an object too, which a further part replaces by another one.
//!
//! Times in an entry count from the beginning of its own load, which the engine knows: so an entry
//! of another process, read from the shared tier, needs no clock that two machines share.

mod answer;
mod arriving;
mod asked;
mod berth;
mod body;
mod body_store;
mod builder;
mod codec;
mod entry;
mod exchange;
mod fetch;
mod find;
mod flight;
mod keep;
mod key;
mod landed;
mod parts;
mod passes;
mod passing;
mod posted;
mod pump;
mod purge;
mod query;
mod ranged;
mod searches;
mod selection;
mod service;
mod stamp;
mod store;
mod tags;
mod taking;
mod variants;
mod waiting;

pub use answer::boundary;
pub use body::CacheBody;
pub use body_store::{BodyReader, BodyStore, BodyWriter, StoredBody};
pub use builder::{Etags, ResponseCacheBuilder};
pub use codec::{RESPONSE_ENCODING, ResponseCodec};
pub use entry::ResponseEntry;
pub use purge::Purge;
pub use query::Query;
pub use selection::Selection;
pub use service::{CacheFuture, CacheLayer, CacheService};
pub use store::{Bypass, ResponseCache, ResponseStats};
