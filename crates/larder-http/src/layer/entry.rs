//! A stored response, and what of it is known in advance so that a hit computes little.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue};
use http::{HeaderMap, StatusCode};
use larder_core::Moment;
use sha2::{Digest, Sha256};

use super::body_store::{BodyReader, StoredBody};
use super::searches::Searches;
use super::variants::Variants;
use crate::{Fields, Partial, Pieces, Requests, Rules, Stored, lifetime, validates_with};

/// What a response cache holds under a key: a response, the list of those that are stored for the
/// variants of a URI, or what the responses of a path say of queries. Cloning it copies nothing.
#[derive(Clone, Debug)]
pub struct ResponseEntry(pub(super) Entry);

#[derive(Clone, Debug)]
pub(super) enum Entry {
    Response(Arc<Kept>),
    Variants(Arc<Variants>),
    Searches(Arc<Searches>),
}

/// What a body apart takes in memory: its handle, what its store knows of it, and what is told when
/// it is evicted.
const APART_BYTES: usize = 256;

/// A response, whole or in parts. The times of its head count from the beginning of its load.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) stored: Stored,
    /// Its tag was made here, and means nothing to the origin.
    pub(super) etag_made: bool,
    pub(super) body: KeptBody,
    /// Of the whole body, in bytes.
    pub(super) length: u64,
    /// How old it was when its load began.
    age_at_load: Duration,
    /// For how long it is fresh, from the beginning of its load; zero where it never is.
    fresh_for: Duration,
}

#[derive(Clone)]
pub(super) enum KeptBody {
    Memory(Bytes),
    Apart(Arc<dyn StoredBody>),
    /// Not all of it.
    Parts(Pieces),
}

impl std::fmt::Debug for KeptBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Apart(_) => f.write_str("apart"),
            Self::Parts(pieces) => write!(f, "{} bytes in parts", pieces.held()),
        }
    }
}

impl KeptBody {
    /// Whether there is nothing any more that could be sent.
    pub(super) fn is_evicted(&self) -> bool {
        matches!(self, Self::Apart(body) if body.is_evicted())
    }

    /// Keeps one that is apart from being evicted, until it is dropped.
    pub(super) fn reader(&self) -> Option<Arc<dyn BodyReader>> {
        match self {
            Self::Apart(body) => body.reader(),
            Self::Memory(_) | Self::Parts(_) => None,
        }
    }
}

impl Kept {
    /// A whole response. Content-Length says how long it is, whatever it was sent with.
    pub(super) fn new(mut stored: Stored, body: KeptBody, length: u64, rules: &Rules) -> Self {
        // Of these statuses none has a body, and 204 must not have the field.
        if stored.status() != StatusCode::NO_CONTENT {
            stored.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        // Times count from the load, so this is how long the head took to come.
        let came = stored.received().came;
        let age_at_load = stored.age(came).saturating_sub(came - Moment::ZERO);
        let fresh_for = match stored.control().no_cache {
            Fields::All => Duration::ZERO,
            Fields::Absent | Fields::Named(_) => {
                lifetime(&stored, rules).saturating_sub(age_at_load)
            }
        };
        Self { stored, etag_made: false, body, length, age_at_load, fresh_for }
    }

    /// What is held of a response in parts, of which something is missing.
    pub(super) fn of_parts(partial: &Partial, rules: &Rules) -> Self {
        let pieces = partial.pieces().clone();
        let length = pieces.length();
        Self::new(partial.head().clone(), KeptBody::Parts(pieces), length, rules)
    }

    /// What is held, if it isn't all of it.
    pub(super) fn partial(&self) -> Option<Partial> {
        match &self.body {
            KeptBody::Parts(pieces) => Some(Partial::of(self.stored.clone(), pieces.clone())),
            KeptBody::Memory(_) | KeptBody::Apart(_) => None,
        }
    }

    /// Whether something of it is missing.
    pub(super) fn is_part(&self) -> bool {
        matches!(self.body, KeptBody::Parts(_))
    }

    /// How many bytes of its body are held.
    pub(super) fn held(&self) -> u64 {
        match &self.body {
            KeptBody::Parts(pieces) => pieces.held(),
            KeptBody::Memory(_) | KeptBody::Apart(_) => self.length,
        }
    }

    /// The same with a strong tag of its own, if its origin gave it none: a hash of what a client
    /// would get, in this encoding.
    pub(super) fn with_etag(mut self, hash: Sha256) -> Self {
        if self.stored.status() == StatusCode::OK && !self.stored.headers.contains_key(ETAG) {
            let mut hash = hash;
            for name in [CONTENT_TYPE, CONTENT_ENCODING] {
                for line in self.stored.headers.get_all(name) {
                    hash.update(line.as_bytes());
                }
                hash.update(b"\n");
            }
            let digest = hash.finalize();
            let tag: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
            if let Ok(value) = HeaderValue::try_from(format!("\"{tag}\"")) {
                self.stored.headers.insert(ETAG, value);
                self.etag_made = true;
            }
        }
        self
    }

    /// What the origin said, which is what it is asked with.
    pub(super) fn as_sent(&self) -> Stored {
        let mut stored = self.stored.clone();
        if self.etag_made {
            stored.headers.remove(ETAG);
        }
        stored
    }

    /// The same body under a head that a validation freshened.
    pub(super) fn freshened(&self, stored: Stored, rules: &Rules) -> Self {
        let made = self.etag_made.then(|| self.stored.headers.get(ETAG).cloned()).flatten();
        let mut new = Self::new(stored, self.body.clone(), self.length, rules);
        if let Some(made) = made
            && !new.stored.headers.contains_key(ETAG)
        {
            new.stored.headers.insert(ETAG, made);
            new.etag_made = true;
        }
        new
    }

    /// Whether it is fresh so long after its load began.
    pub(super) fn is_fresh(&self, since: Duration) -> bool {
        since < self.fresh_for
    }

    /// How old it is so long after its load began.
    pub(super) fn age(&self, since: Duration) -> Duration {
        self.age_at_load.saturating_add(since).min(crate::AGE_MAX)
    }

    /// The whole seconds for which it is still fresh; negative if it is stale.
    pub(super) fn ttl(&self, since: Duration) -> i64 {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        millis(self.fresh_for).saturating_sub(millis(since)).div_euclid(1000)
    }

    /// How long it is of use from the beginning of its load: while it is fresh, may be used stale,
    /// or can be validated.
    pub(super) fn lasts(&self, rules: &Rules, validated_for: Duration) -> Duration {
        let control = self.stored.control();
        let mut beyond = rules.stale_unreached;
        for window in [control.stale_while_revalidate, control.stale_if_error] {
            beyond = beyond.max(window.valid().unwrap_or_default());
        }
        // A client may accept what is stale, where it is listened to.
        let accepted = rules.requests == Requests::Obeyed && !self.fresh_for.is_zero();
        if accepted || validates_with(&self.as_sent()).is_some() {
            beyond = beyond.max(validated_for);
        }
        self.fresh_for.saturating_add(beyond)
    }

    /// What it takes on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let body = match &self.body {
            KeptBody::Memory(bytes) => bytes.len() + 64,
            KeptBody::Apart(_) => APART_BYTES,
            KeptBody::Parts(pieces) => pieces.heap_bytes(),
        };
        size_of::<Self>() + 16 + body + heap_bytes_of(self.stored.headers()) + self.vary_bytes()
    }

    fn vary_bytes(&self) -> usize {
        self.stored.vary().fields().map(|(_, asked)| 72 + asked.map_or(0, <[u8]>::len)).sum()
    }
}

impl ResponseEntry {
    /// How many bytes it takes beyond its own size.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Entry::Response(kept) => kept.heap_bytes(),
            Entry::Variants(list) => list.heap_bytes(),
            Entry::Searches(list) => list.heap_bytes(),
        }
    }
}

/// About what fields take: their texts, and the map's own places.
fn heap_bytes_of(headers: &HeaderMap) -> usize {
    let texts: usize = headers.iter().map(|(name, line)| name.as_str().len() + line.len()).sum();
    texts + headers.capacity() * 112
}
