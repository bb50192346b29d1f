//! What is held for a request, in this process.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use http_body::Body;
use larder_core::{Key, Moment, State};

use super::answer::{Held, answer};
use super::asked::Asked;
use super::body::CacheBody;
use super::entry::{Entry, Kept};
use super::key;
use super::searches::{Expected, Searches};
use super::selection::Selection;
use super::store::{Bypass, Store};
use super::variants::Variants;
use crate::{Outcome, Requests, age::date_value};

/// What is held for a request.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The response that it selects.
    pub(super) found: Option<Found>,
    /// When the URI's own entry was loaded, if there is one.
    pub(super) loaded_at: Option<Moment>,
    /// The list of its variants, if it isn't marked stale.
    pub(super) list: Option<Arc<Variants>>,
    /// Where a response to several queries is expected, if its path has a list of what they said
    /// that isn't marked stale. Not looked for where the URI's own response is fresh.
    pub(super) expected: Option<Expected>,
}

/// A stored response.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) kept: Arc<Kept>,
    pub(super) loaded_at: Moment,
    /// Somebody marked it stale: it is validated before it is used.
    pub(super) marked: bool,
}

impl Found {
    /// The same as it is at `now`.
    pub(super) fn at(&self, now: Moment) -> Held {
        Held { kept: Arc::clone(&self.kept), since: now - self.loaded_at }
    }

    /// The time by which its response is judged: since its load began.
    pub(super) fn own_time(&self, now: Moment) -> Moment {
        Moment::ZERO + (now - self.loaded_at)
    }
}

/// What an entry is, copied out of the tier.
pub(super) enum Seen {
    Response(Arc<Kept>),
    Variants(Arc<Variants>),
    Searches(Arc<Searches>),
}

impl Store {
    /// The selection that holds for a request.
    pub(super) fn selection_of<'a, B>(&'a self, request: &'a Request<B>) -> &'a Arc<Selection> {
        // Most requests carry no extension at all.
        request.extensions().get::<Arc<Selection>>().unwrap_or(&self.selection)
    }

    /// The response to a request for which one is held and fresh; `None` where more is to be done
    /// or decided.
    pub(super) fn at_once<B: Body>(&self, request: &Request<B>) -> Option<Response<CacheBody>> {
        let headers = request.headers();
        let asked = Asked::read(request.method(), headers)?;
        let obeyed = self.rules.requests == Requests::Obeyed;
        let special = asked.upgrade || (asked.directives && obeyed);
        let bypass = request.extensions().get::<Bypass>().is_some();
        if special || bypass || !request.body().is_end_stream() {
            return None;
        }
        let selection = self.selection_of(request);
        let headers = if selection.leaves_fields() {
            Cow::Borrowed(headers)
        } else {
            let mut normalised = headers.clone();
            selection.normalise(&mut normalised);
            Cow::Owned(normalised)
        };
        let mut key = Vec::with_capacity(128);
        if !key::write(request.uri(), &headers, &self.scheme, &selection.query, &mut key) {
            return None;
        }
        let now = self.clock().about_now();
        let held = self.fresh(&key, &headers, now);
        let held = held.or_else(|| self.fresh_for_equal(&key, &headers, now))?;
        let response = answer(self, &held, asked, &headers, Outcome::Hit)?;
        self.counters.hits.add(1);
        Some(response)
    }

    /// The fresh response that is held for a request.
    pub(super) fn fresh(&self, key: &[u8], headers: &HeaderMap, now: Moment) -> Option<Held> {
        let mut list = None;
        let fresh = |held: larder_engine::Servable<'_, super::ResponseEntry>| {
            if held.state != State::Fresh {
                return None;
            }
            match &held.value?.0 {
                Entry::Response(kept) => {
                    let since = now - held.loaded_at;
                    kept.is_fresh(since).then(|| Held { kept: Arc::clone(kept), since })
                }
                Entry::Variants(variants) => {
                    list = Some(Arc::clone(variants));
                    None
                }
                Entry::Searches(_) => None,
            }
        };
        if let Some(held) = self.cache.servable(key, now, fresh) {
            return Some(held);
        }
        let list = list?;
        let mut best: Option<Held> = None;
        for key in list.candidates(key, headers) {
            let held = self.cache.servable(&key[..], now, |held| match &held.value?.0 {
                Entry::Response(kept) if held.state == State::Fresh => {
                    let since = now - held.loaded_at;
                    let serves = kept.is_fresh(since) && kept.stored.vary().matches(headers);
                    serves.then(|| Held { kept: Arc::clone(kept), since })
                }
                _ => None,
            });
            let Some(held) = held else { continue };
            // Of several the one with the latest Date, then the one that came last.
            if best.as_ref().is_none_or(|best| is_later(&held.kept, &best.kept)) {
                best = Some(held);
            }
        }
        best
    }

    /// What is held for a request, fresh or stale. It counts as no use.
    pub(super) fn find(&self, key: &[u8], headers: &HeaderMap, now: Moment) -> Look {
        let mut look = self.find_own(key, headers, now);
        let usable = look
            .found
            .as_ref()
            .is_some_and(|found| !found.marked && found.kept.is_fresh(now - found.loaded_at));
        if !usable {
            self.find_equal(key, headers, now, &mut look);
        }
        look
    }

    /// The same under this key alone.
    pub(super) fn find_own(&self, key: &[u8], headers: &HeaderMap, now: Moment) -> Look {
        let Some((seen, loaded_at, marked)) = self.see(key, now) else { return Look::default() };
        let loaded = Some(loaded_at);
        let list = match seen {
            Seen::Response(kept) => {
                let found = Found { key: Key::new(key), kept, loaded_at, marked };
                return Look { found: Some(found), loaded_at: loaded, ..Look::default() };
            }
            Seen::Variants(list) => list,
            Seen::Searches(_) => return Look::default(),
        };
        let mut best: Option<Found> = None;
        for key in list.candidates(key, headers) {
            let Some((Seen::Response(kept), loaded_at, own)) = self.see(&key, now) else {
                continue;
            };
            if !kept.stored.vary().matches(headers) {
                continue;
            }
            if best.as_ref().is_none_or(|best| is_later(&kept, &best.kept)) {
                best = Some(Found { key: Key::new(&key), kept, loaded_at, marked: marked || own });
            }
        }
        let list = (!marked).then_some(list);
        Look { found: best, loaded_at: loaded, list, expected: None }
    }

    /// The list of a URI's variants that is held and not marked stale.
    pub(super) fn list(&self, key: &[u8], now: Moment) -> Option<Arc<Variants>> {
        match self.see(key, now)? {
            (Seen::Variants(list), _, false) => Some(list),
            _ => None,
        }
    }

    /// An entry, when it was loaded, and whether it is marked stale.
    pub(super) fn see(&self, key: &[u8], now: Moment) -> Option<(Seen, Moment, bool)> {
        let mut seen = None;
        // What it is of use for is decided elsewhere, so it counts as nothing here.
        self.cache.servable(key, now, |held| {
            let what = match &held.value?.0 {
                // It goes in a moment.
                Entry::Response(kept) if kept.body.is_evicted() => return None,
                Entry::Response(kept) => Seen::Response(Arc::clone(kept)),
                Entry::Variants(list) => Seen::Variants(Arc::clone(list)),
                Entry::Searches(list) => Seen::Searches(Arc::clone(list)),
            };
            seen = Some((what, held.loaded_at, held.state != State::Fresh));
            None::<()>
        });
        seen
    }
}

/// Whether the one response was made later than the other.
pub(super) fn is_later(one: &Kept, other: &Kept) -> bool {
    let made = |kept: &Kept| date_value(kept.stored.headers(), kept.stored.received().wall);
    made(one) >= made(other)
}
