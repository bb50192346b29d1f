//! HTTP caching semantics as pure functions: no I/O, and the time is an argument.
//!
//! What a cache may store (RFC 9111 section 3), for how long it is fresh (4.2), which stored
//! response answers a request (4.1), how one is validated and freshened (4.3), and what an unsafe
//! request invalidates (4.4); with RFC 5861, 8246, 9211, 9213 and 9875, No-Vary-Search, and the
//! conditional and range requests of RFC 9110 as far as they concern a cache. It knows no
//! connection, tier or key, and of bodies only the bytes of parts.
//!
//! It works on bytes: field values needn't be text, and a field's repeated lines all count. Every
//! parser has a bound, and what lies beyond it is read in the way that stores and reuses less.
//!
//! ```
//! use http::{HeaderMap, Method, Response};
//! use larder_core::Moment;
//! use larder_http::{Date, Received, Reuse, Rules, Stored, reuse, storable};
//! use std::time::Duration;
//!
//! let rules = Rules::shared();
//! let response = Response::builder().header("cache-control", "max-age=60").body(()).unwrap();
//! let asked = HeaderMap::new();
//! storable(&Method::GET, &asked, response.status(), response.headers(), &rules).unwrap();
//!
//! let begun = Moment::from_nanos(1_000);
//! let received = Received { asked: begun, came: begun, wall: Date::from_unix(784_111_777) };
//! let stored = Stored::new(&asked, response.status(), response.headers(), received, &rules);
//! let later = begun + Duration::from_secs(59);
//! assert_eq!(reuse(&stored, &HeaderMap::new(), later, &rules), Reuse::Fresh);
//! let later = begun + Duration::from_secs(60);
//! assert!(matches!(reuse(&stored, &HeaderMap::new(), later, &rules), Reuse::Validate { .. }));
//! ```

mod age;
mod cache_status;
mod conditional;
mod content_range;
mod control;
mod date;
mod fields;
mod freshness;
mod groups;
mod hop;
mod invalidation;
mod layer;
mod partial;
mod partial_content;
mod pieces;
mod policy;
mod precondition;
mod range;
mod reference;
mod reuse;
mod rules;
mod search_variance;
mod storable;
mod stored;
mod structured;
mod targeted;
mod update;
mod validator;
mod vary;

pub use age::{AGE_MAX, age_value, current_age};
pub use cache_status::{CacheStatus, Forwarded, Outcome, ttl};
pub use conditional::{condition, validates_with};
pub use content_range::ContentRange;
pub use control::{Fields, Lifetime, RequestControl, ResponseControl};
pub use date::{Date, date_field};
pub use freshness::lifetime;
pub use groups::{GROUP_BYTES_MAX, GROUPS_MAX, TooManyGroups, groups, invalidated_groups};
pub use hop::{storable_fields, strip_hop_by_hop};
pub use invalidation::invalidated;
pub use layer::{
    BodyReader, BodyStore, BodyWriter, Bypass, CacheBody, CacheFuture, CacheLayer, CacheService,
    Etags, Purge, Query, RESPONSE_ENCODING, ResponseCache, ResponseCacheBuilder, ResponseCodec,
    ResponseEntry, ResponseStats, Selection, StoredBody, boundary,
};
pub use partial::{Held, Partial};
pub use partial_content::{PartialContent, partial_content};
pub use pieces::Pieces;
pub use policy::{CachePolicy, left};
pub use precondition::{Evaluated, evaluate, not_modified, permits};
pub use range::{Part, Ranges, ranges, unsatisfied};
pub use reuse::{Failure, Reuse, Why, reuse, reuse_after};
pub use rules::{Requests, Rules, SetCookie, Sharing};
pub use search_variance::SearchVariance;
pub use storable::{NotStored, storable, storable_by_post, storable_part};
pub use stored::{Received, Stored};
pub use targeted::{Origin, effective};
pub use update::{Freshened, freshen, freshen_by_head, freshen_by_part};
pub use validator::{EntityTag, Validator, last_modified};
pub use vary::{Vary, select};
