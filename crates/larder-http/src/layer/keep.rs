//! What was fetched is stored, if its fence holds.
//!
//! A response that depends on the request's fields is stored in a place of its URI's list. What
//! invalidates a URI strikes its list alone, so
//!
//! 1. a fetch captures the fence of the URI's own key, and asks the origin,
//! 2. it reads the list, or makes a new one with a new stamp,
//! 3. it looks whether the fence of 1 still holds: nothing struck the list of 2 since 1,
//! 4. it stores the response under the stamp of that list.
//!
//! A strike between 3 and 4 finds the list, and nobody comes to what 4 stores any more, or only
//! through a list that is marked stale. What strikes tags, a prefix or all is noticed by the
//! engine: the entry remembers the count of events at 1.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderName};
use larder_core::{Key, Moment, Terms};
use larder_engine::{Fill, Invalidation, Lookup, Ticket};
use sha2::{Digest, Sha256};

use super::builder::Etags;
use super::entry::{Entry, Kept, KeptBody, ResponseEntry};
use super::find::Found;
use super::store::Store;
use super::variants::Variants;
use super::{key, tags};
use crate::{Stored, Vary};

/// How long a list is held, if memory has room: longer than what it leads to is asked for.
const LIST_LASTS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often a list is read again because another one was filled meanwhile.
const ATTEMPTS: usize = 4;

pub(super) type ResponseTicket = Ticket<Key, ResponseEntry>;

/// The permission to store what is about to be fetched.
pub(super) struct Berth {
    /// That of the URI's own key.
    pub(super) uri: ResponseTicket,
    /// That of the place which is known to be the response's, if its Vary stays the same.
    pub(super) place: Option<ResponseTicket>,
}

impl Berth {
    /// When it was given: what is stored with it was fetched no earlier.
    pub(super) fn taken_at(&self) -> Moment {
        self.uri.taken_at()
    }

    /// Gives it back, so that in other processes nobody waits for it.
    pub(super) fn give_back(self) {
        self.uri.give_back();
        if let Some(place) = self.place {
            place.give_back();
        }
    }
}

impl Store {
    /// A ticket for `key` that replaces what was loaded at `than`. If something newer is held, it
    /// is in memory when this returns.
    pub(super) async fn ticket(&self, key: &Key, than: Option<Moment>) -> Option<ResponseTicket> {
        let looked = match than {
            None => self.cache.lookup(key).await,
            Some(than) => self.cache.lookup_newer(key, than).await,
        };
        match looked {
            Lookup::Miss(ticket) => Some(ticket),
            Lookup::Hit(_) => self.ticket_here(key),
        }
    }

    /// A ticket for `key` whatever is held, for this process's memory.
    pub(super) fn ticket_here(&self, key: &Key) -> Option<ResponseTicket> {
        match self.cache.lookup_newer_here(key, Moment::MAX) {
            Lookup::Miss(ticket) => Some(ticket),
            Lookup::Hit(_) => None,
        }
    }

    /// Stores a response to a request with these fields.
    pub(super) async fn keep(
        &self,
        berth: Berth,
        kept: &Arc<Kept>,
        headers: &HeaderMap,
        tags: Vec<Box<str>>,
    ) -> Fill {
        let fill = self.fill(berth, kept, headers, tags).await;
        self.count(fill)
    }

    fn count(&self, fill: Fill) -> Fill {
        let counted = match fill {
            Fill::Stored => &self.counters.stored,
            Fill::Refused | Fill::NotKept => &self.counters.refused,
        };
        counted.add(1);
        fill
    }

    /// Stores the response to a request that struck its own URI, asked for with the ticket
    /// `before`: in a place of a list that was made under the ticket `after` that strike. The place
    /// has what was struck by tag or prefix since `before` in its own fence.
    pub(super) async fn keep_posted(
        &self,
        before: ResponseTicket,
        after: ResponseTicket,
        kept: &Arc<Kept>,
        headers: &HeaderMap,
        tags: Vec<Box<str>>,
    ) -> Fill {
        let fence = after.beside(after.key());
        let fill = match self.place(after, &fence, &fields_of(kept), headers).await {
            Some(own) => {
                let entry = ResponseEntry(Entry::Response(Arc::clone(kept)));
                before.beside(&own).fill_on(Some(entry), &self.terms(kept, tags))
            }
            None => Fill::Refused,
        };
        self.count(fill)
    }

    /// A response that came in these chunks, as it is stored.
    pub(super) fn kept(&self, stored: Stored, chunks: Vec<Bytes>) -> Kept {
        let body = match <[Bytes; 1]>::try_from(chunks) {
            Ok([chunk]) => chunk,
            Err(chunks) => chunks.concat().into(),
        };
        let makes_etag = self.etags == Etags::Made && !stored.headers().contains_key(ETAG);
        let hash = makes_etag.then(|| Sha256::new_with_prefix(&body));
        let length = body.len() as u64;
        let kept = Kept::new(stored, KeptBody::Memory(body), length, &self.rules);
        match hash {
            Some(hash) => kept.with_etag(hash),
            None => kept,
        }
    }

    async fn fill(
        &self,
        berth: Berth,
        kept: &Arc<Kept>,
        headers: &HeaderMap,
        tags: Vec<Box<str>>,
    ) -> Fill {
        let Berth { uri, place } = berth;
        let entry = ResponseEntry(Entry::Response(Arc::clone(kept)));
        let terms = self.terms(kept, tags);
        let set = fields_of(kept);
        let key = uri.key().clone();
        if set.is_empty() && self.list(key.as_bytes(), self.now()).is_none() {
            if let Some(place) = place {
                place.give_back();
            }
            return uri.fill_on(Some(entry), &terms);
        }
        let fence = uri.beside(&key);
        let Some(own) = self.place(uri, &fence, &set, headers).await else {
            if let Some(place) = place {
                place.give_back();
            }
            return Fill::Refused;
        };
        match place {
            Some(place) if *place.key() == own => place.fill_on(Some(entry), &terms),
            other => {
                if let Some(place) = other {
                    place.give_back();
                }
                fence.beside(&own).fill_on(Some(entry), &terms)
            }
        }
    }

    /// The key of the place for these values, in a list that nothing struck since the fence was
    /// captured.
    async fn place(
        &self,
        first: ResponseTicket,
        fence: &ResponseTicket,
        set: &[HeaderName],
        headers: &HeaderMap,
    ) -> Option<Key> {
        let hash = Vary::fingerprint(set, headers)?;
        let key = fence.key();
        let uri = key.as_bytes();
        let mut first = Some(first);
        for _ in 0..ATTEMPTS {
            if let Some(list) = self.list(uri, self.now())
                && let Some(place) = list.says(set, hash)
            {
                if let Some(first) = first {
                    first.give_back();
                }
                return fence.holds().then(|| list.key_of(uri, place));
            }
            // A list that was filled since the first ticket was given needs a later one.
            let ticket = match first.take() {
                Some(first) => first,
                None => self.ticket(key, Some(Moment::MAX)).await?,
            };
            let _listing = self.listing.lock();
            let list = match self.list(uri, self.now()) {
                Some(list) => list,
                None => Arc::new(Variants::new(self.stamp(key, ticket.taken_at()))),
            };
            let (list, place) = list.with(set, hash, self.bounds.variants_max);
            if !fence.holds() {
                return None;
            }
            let own = list.key_of(uri, place);
            let mut terms = Terms::default();
            terms.fresh_for(LIST_LASTS);
            let entry = ResponseEntry(Entry::Variants(Arc::new(list)));
            match ticket.fill_on(Some(entry), &terms) {
                Fill::Stored => return Some(own),
                Fill::NotKept => return None,
                // Struck, which the fence says next time, or filled by a later ticket.
                Fill::Refused => {}
            }
        }
        None
    }

    /// Stores the head that a HEAD freshened, over the same body.
    pub(super) fn update(&self, ticket: ResponseTicket, found: &Found, stored: Stored) {
        let origin = key::origin(found.key.as_bytes());
        let Ok(tags) = tags::of(stored.headers(), origin) else { return };
        let kept = Arc::new(found.kept.freshened(stored, &self.rules));
        let terms = self.terms(&kept, tags);
        let entry = ResponseEntry(Entry::Response(kept));
        if ticket.fill_on(Some(entry), &terms) == Fill::Stored {
            self.counters.stored.add(1);
        }
    }

    /// One response is known not to be current any more.
    pub(super) fn outdate(&self, key: &Key) {
        self.strike_one(key, Invalidation::MarkStale);
    }

    /// One response isn't to be stored any more.
    pub(super) fn forget(&self, key: &Key) {
        self.strike_one(key, Invalidation::Drop);
    }

    fn strike_one(&self, key: &Key, what: Invalidation) {
        let keys = std::slice::from_ref(key);
        // A key that has no text is in no tier.
        let _ = self.cache.invalidate_here(keys, what);
    }

    /// A number that no other list of this URI has, in whatever process, for all that is likely.
    fn stamp(&self, key: &Key, at: Moment) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one((key, at))
    }

    /// On which terms a response is kept.
    fn terms(&self, kept: &Kept, tags: Vec<Box<str>>) -> Terms {
        let mut terms = Terms::default();
        terms.fresh_for(kept.lasts(&self.rules, self.bounds.validated_for));
        for tag in tags {
            terms.tag(tag);
        }
        terms
    }
}

/// The fields by which a response is selected, in order.
fn fields_of(kept: &Kept) -> Vec<HeaderName> {
    let mut set: Vec<HeaderName> =
        kept.stored.vary().fields().map(|(name, _)| name.clone()).collect();
    set.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    set
}
