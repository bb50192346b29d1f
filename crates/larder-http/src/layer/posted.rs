//! The response to a POST that answers later GETs of the same URI (RFC 9110 section 9.3.3).
//!
//! The POST strikes its own URI, and that voids every ticket which was given before. So it takes
//! two: what is struck while the origin has the POST is noticed by the first, what is struck later
//! by the second, which is given behind the POST's own strike.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use larder_core::{Key, Moment};

use super::fetch::length_of;
use super::keep::ResponseTicket;
use super::searches::counting;
use super::selection::Selection;
use super::store::{Bypass, Store};
use super::taking;
use crate::{Received, Stored, storable_by_post};

/// A POST on its way to the origin.
pub(super) struct Posted {
    before: ResponseTicket,
    headers: HeaderMap,
    selection: Arc<Selection>,
    asked: Moment,
}

/// What is to be done with the body of its response.
pub(super) struct Taken {
    pub(super) length: Option<u64>,
    pub(super) store: taking::Store,
}

impl Posted {
    /// A request that is about to be sent as it is, if its response may be stored at all. The
    /// origin gets all of a POST: one with parameters or fields that don't count for this cache
    /// could have a response that is right for nobody else.
    pub(super) fn of<B>(store: &Store, request: &Request<B>, key: &[u8]) -> Option<Self> {
        let bypass = request.extensions().get::<Bypass>().is_some();
        // A URI that was cut can't be compared with Content-Location.
        if request.method() != Method::POST || bypass || key.contains(&b'#') {
            return None;
        }
        let selection = Arc::clone(store.selection_of(request));
        let mut headers = request.headers().clone();
        selection.normalise(&mut headers);
        let query = request.uri().query();
        if headers != *request.headers() || selection.query.apply(query).as_deref() != query {
            return None;
        }
        let before = store.ticket_here(&Key::new(key))?;
        Some(Self { before, headers, selection, asked: store.now() })
    }

    /// Strikes what the response invalidates, and says how it is stored, if it is.
    pub(super) fn strike(
        self,
        store: &Arc<Store>,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Option<Taken> {
        let Self { before, headers, selection, asked } = self;
        let key = before.key().clone();
        store.strike(&Method::POST, key.as_bytes(), status, fields);
        // One strike lies between the two, and it was this one.
        let after = store.ticket_here(&key).filter(|after| after.is_next_to(&before))?;
        let target = std::str::from_utf8(key.as_bytes()).ok()?.parse().ok()?;
        storable_by_post(&target, &headers, status, fields, &store.rules).ok()?;
        let own = |moment: Moment| Moment::ZERO + (moment - before.taken_at());
        let received = Received { asked: own(asked), came: own(store.now()), wall: store.wall() };
        let mut fields = fields.clone();
        crate::strip_hop_by_hop(&mut fields);
        let stored = Stored::new(&headers, status, &fields, received, &store.rules);
        // What answers other queries as well is struck by their URIs too, which no two tickets of
        // one key tell.
        if counting(&fields).is_some() {
            return None;
        }
        let length = length_of(&fields);
        let tags = store.tags_of(&stored, &fields, &selection, &key).ok()?;
        if length.is_some_and(|length| length > store.bounds.object_max as u64) {
            return None;
        }
        let store = Arc::clone(store);
        let fill: taking::Store = Box::new(move |chunks: Vec<Bytes>| {
            Box::pin(async move {
                let kept = Arc::new(store.kept(stored, chunks));
                store.keep_posted(before, after, &kept, &headers, tags).await;
            })
        });
        Some(Taken { length, store: fill })
    }
}
