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
//!
//! A response that answers other queries of its path is stored in the same way under the list of
//! its path, which what strikes any of its URIs strikes too. Where other processes share lists, one
//! more thing could go wrong:
//!
//! 1. this process fetches, and another one strikes the URI or the path,
//! 2. a list that was made after that is in the shared tier, and this process reads it,
//! 3. the fetch is stored under that list, and only now the strike is heard of here,
//! 4. the list is read from the tier once more, and leads to what was fetched before the strike.
//!
//! Which lists a response is stored under says [`stamp`](super::stamp).

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderName};
use larder_core::{Key, Moment, Terms};
use larder_engine::{Fill, Invalidation, Lookup, Ticket};
use sha2::{Digest, Sha256};

use super::berth::{Berth, Equal};
use super::builder::Etags;
use super::entry::{Entry, Kept, KeptBody, ResponseEntry};
use super::find::Found;
use super::key;
use super::searches::{Searches, counting};
use super::stamp::{Known, Stamp};
use super::store::Store;
use super::tags::{self, Tags};
use super::variants::Variants;
use crate::{SearchVariance, Stored, Vary};

/// How long a list is held, if memory has room: longer than what it leads to is asked for.
const LIST_LASTS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The same of a path's list that other processes don't know of, although they share theirs.
const LIST_ALONE_LASTS: Duration = Duration::from_secs(60);
/// How often a list is read again because another one was filled meanwhile.
const ATTEMPTS: usize = 4;

pub(super) type ResponseTicket = Ticket<Key, ResponseEntry>;

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

    /// A ticket to store what was found for a URI under a head that is yet to come, and what is
    /// found now; `None` where that is something else, or nothing: the ticket doesn't notice what
    /// was purged before it was given.
    pub(super) fn ticket_to_freshen(
        &self,
        uri: &[u8],
        headers: &HeaderMap,
        found: &Found,
    ) -> Option<(ResponseTicket, Found)> {
        let ticket = self.ticket_here(&found.key)?;
        let held = self.find(uri, headers, self.now()).found?;
        Arc::ptr_eq(&held.kept, &found.kept).then_some((ticket, held))
    }

    /// Stores a response to a request with these fields.
    pub(super) async fn keep(
        &self,
        berth: Berth,
        kept: &Arc<Kept>,
        headers: &HeaderMap,
        tags: Tags,
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
        tags: Tags,
    ) -> Fill {
        let fence = after.beside(after.key());
        // Its own strike left no list that was known.
        let known = Known { stamp: None, at: before.taken_at() };
        let fill = match self.place(after, &fence, known, &fields_of(kept), headers).await {
            Some(own) => {
                let entry = ResponseEntry(Entry::Response(Arc::clone(kept)));
                before.beside(&own).fill_on(Some(entry), &self.terms(kept, &tags))
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

    async fn fill(&self, berth: Berth, kept: &Arc<Kept>, headers: &HeaderMap, tags: Tags) -> Fill {
        let Berth { uri, place, known, equal } = berth;
        let said = counting(kept.stored.headers());
        match (equal, said) {
            (Some(equal), Some(said)) => {
                if let Some(place) = place {
                    place.give_back();
                }
                self.fill_equal(uri, *equal, said, kept, headers, tags).await
            }
            (equal, _) => {
                if let Some(equal) = equal {
                    equal.give_back();
                }
                self.fill_own(uri, place, known, kept, headers, tags).await
            }
        }
    }

    /// Stores a response under the key that other queries of its path lead to as well.
    async fn fill_equal(
        &self,
        uri: ResponseTicket,
        equal: Equal,
        said: SearchVariance,
        kept: &Arc<Kept>,
        headers: &HeaderMap,
        tags: Tags,
    ) -> Fill {
        let Equal { list, known, expected } = equal;
        let own = match uri.holds() {
            true => self.key_for_equal(&uri, list, known, said).await,
            false => {
                list.give_back();
                None
            }
        };
        let (ticket, place) = match (expected, &own) {
            (Some(Berth { uri, place, .. }), Some(own)) if uri.key() == own => (uri, place),
            (expected, own) => {
                if let Some(expected) = expected {
                    expected.give_back();
                }
                let Some(own) = own else {
                    uri.give_back();
                    return Fill::Refused;
                };
                (uri.beside(own), None)
            }
        };
        // The list of the path has said that it may stand behind it.
        let known = self.known_variants(ticket.key());
        let fill = self.fill_own(ticket, place, known, kept, headers, tags).await;
        let older = self.find_own(uri.key().as_bytes(), headers, self.now()).found;
        if let Some(older) = older.filter(|_| fill == Fill::Stored) {
            // It would be found before this.
            self.forget(&older.key);
        }
        uri.give_back();
        fill
    }

    /// The key under which a response is stored that says this of queries, and was asked for with
    /// the ticket `uri`; `None` where it isn't. `first` and `known` are what its fetch began with.
    async fn key_for_equal(
        &self,
        uri: &ResponseTicket,
        first: ResponseTicket,
        known: Known,
        said: SearchVariance,
    ) -> Option<Key> {
        let known = || self.known_for_equal(uri, &first, known, &said);
        let older = || {
            let list = self.searches(uri.key().as_bytes(), self.now());
            list.filter(|(.., marked)| !marked)
        };
        // A list that is to be shared needs a lease. One from behind the fetch wouldn't notice what
        // was struck during it, so the list that is made under it, or found by asking for it, isn't
        // for this response.
        let lacks_lease = self.share_max.is_some() && !first.is_leased() && known().is_none();
        let late = match lacks_lease {
            true => self.ticket(first.key(), older().map(|(_, at, _)| at)).await,
            false => None,
        };
        let late = late.filter(ResponseTicket::is_leased);
        let _listing = self.listing.lock();
        if let Some(own) = known() {
            first.give_back();
            if let Some(late) = late {
                late.give_back();
            }
            return own;
        }
        let is_late = late.is_some();
        let ticket = late.unwrap_or(first);
        let (stamp, older) = (Stamp::made(&ticket), older());
        let list = Searches::with(older.as_ref().map(|(list, ..)| &**list), said.clone(), stamp);
        let own = list.key(uri.key().as_bytes(), &said).filter(|_| !is_late);
        let mut terms = Terms::default();
        terms.fresh_for(match lacks_lease && !is_late {
            true => LIST_ALONE_LASTS,
            false => LIST_LASTS,
        });
        let entry = ResponseEntry(Entry::Searches(Arc::new(list)));
        let filled = ticket.fill_on(Some(entry), &terms);
        own.filter(|_| filled == Fill::Stored)
    }

    /// The same by the list that is there: `None` where none says this, and nothing in it where the
    /// list isn't for this response.
    fn known_for_equal(
        &self,
        uri: &ResponseTicket,
        first: &ResponseTicket,
        known: Known,
        said: &SearchVariance,
    ) -> Option<Option<Key>> {
        let key = uri.key().as_bytes();
        let (list, _, marked) = self.searches(key, self.now())?;
        let own = list.key(key, said).filter(|_| !marked)?;
        Some((first.holds() && list.stamp().takes(known)).then_some(own))
    }

    /// Stores a response under its own key, or in a place of the list that stands there.
    async fn fill_own(
        &self,
        uri: ResponseTicket,
        place: Option<ResponseTicket>,
        known: Known,
        kept: &Arc<Kept>,
        headers: &HeaderMap,
        tags: Tags,
    ) -> Fill {
        let entry = ResponseEntry(Entry::Response(Arc::clone(kept)));
        let terms = self.terms(kept, &tags);
        let set = fields_of(kept);
        let key = uri.key().clone();
        if set.is_empty() && self.list(key.as_bytes(), self.now()).is_none() {
            if let Some(place) = place {
                place.give_back();
            }
            return self.filled(uri.fill_on(Some(entry), &terms), kept, key);
        }
        let fence = uri.beside(&key);
        let Some(own) = self.place(uri, &fence, known, &set, headers).await else {
            if let Some(place) = place {
                place.give_back();
            }
            return Fill::Refused;
        };
        let fill = match place {
            Some(place) if *place.key() == own => place.fill_on(Some(entry), &terms),
            other => {
                if let Some(place) = other {
                    place.give_back();
                }
                fence.beside(&own).fill_on(Some(entry), &terms)
            }
        };
        self.filled(fill, kept, own)
    }

    /// What was stored under `key` is evicted with its body.
    fn filled(&self, fill: Fill, kept: &Kept, key: Key) -> Fill {
        let (Fill::Stored, KeptBody::Apart(body)) = (fill, &kept.body) else { return fill };
        let own = Weak::clone(&self.own);
        body.when_evicted(Box::new(move || {
            let Some(store) = own.upgrade() else { return };
            // By now it may have another one.
            let is_evicted = |held: &ResponseEntry| match &held.0 {
                Entry::Response(kept) => kept.body.is_evicted(),
                Entry::Variants(_) | Entry::Searches(_) => false,
            };
            store.cache.evict_if(&key, is_evicted);
        }));
        fill
    }

    /// The key of the place for these values, in a list that nothing struck since the fence was
    /// captured, and that takes what was asked for when so much was known.
    async fn place(
        &self,
        first: ResponseTicket,
        fence: &ResponseTicket,
        known: Known,
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
                let takes = fence.holds() && list.stamp().takes(known);
                return takes.then(|| list.key_of(uri, place));
            }
            // A list that was filled since the first ticket was given needs a later one.
            let is_late = first.is_none();
            let ticket = match first.take() {
                Some(first) => first,
                None => self.ticket(key, Some(Moment::MAX)).await?,
            };
            let _listing = self.listing.lock();
            let list = match self.list(uri, self.now()) {
                Some(list) if !list.stamp().takes(known) => {
                    ticket.give_back();
                    return None;
                }
                Some(list) if may_grow(&list, &ticket) => list,
                // One with a later lease wouldn't notice what was struck during the fetch.
                _ if is_late && ticket.is_leased() => {
                    ticket.give_back();
                    return None;
                }
                _ => Arc::new(Variants::new(Stamp::made(&ticket))),
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
        if counting(stored.headers()) != counting(found.kept.stored.headers()) {
            // It would have to stand elsewhere.
            return self.outdate(&found.key);
        }
        let kept = Arc::new(found.kept.freshened(stored, &self.rules));
        let terms = self.terms(&kept, &tags);
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

    /// On which terms a response is kept.
    fn terms(&self, kept: &Kept, tags: &Tags) -> Terms {
        let mut terms = Terms::default();
        terms.fresh_for(kept.lasts(&self.rules, self.bounds.validated_for));
        for tag in tags.iter() {
            terms.tag(tag.clone());
        }
        terms
    }
}

/// Whether what is filled with this ticket may have the stamp of a list: other processes don't see
/// it, or the tier holds that list, and nobody has struck it.
fn may_grow(list: &Variants, ticket: &ResponseTicket) -> bool {
    let held = ticket.replaces().map(|held| &held.0);
    let same = |held: &Variants| held.stamp().number() == list.stamp().number();
    !ticket.is_leased() || matches!(held, Some(Entry::Variants(held)) if same(held))
}

/// The fields by which a response is selected, in order.
fn fields_of(kept: &Kept) -> Vec<HeaderName> {
    let mut set: Vec<HeaderName> =
        kept.stored.vary().fields().map(|(name, _)| name.clone()).collect();
    set.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    set
}
