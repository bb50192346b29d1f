//! From a stored response to the one that is sent: conditions, ranges, HEAD, Age and Cache-Status.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};

use super::asked::Asked;
use super::body::{CacheBody, Piece, Pieces};
use super::body_store::BodyReader;
use super::entry::{Kept, KeptBody};
use super::store::Store;
use crate::{
    Evaluated, Outcome, Part, Partial, Ranges, evaluate, not_modified, partial_content, ranges,
    unsatisfied,
};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A stored response, so long after its load began.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) kept: Arc<Kept>,
    pub(super) since: Duration,
}

/// A stored body that is about to be sent.
enum Opened<'a> {
    Memory(&'a Bytes),
    Apart(Arc<dyn BodyReader>),
    Parts(&'a crate::Pieces),
}

impl<'a> Opened<'a> {
    /// `None` where it was evicted.
    fn of(kept: &'a Kept) -> Option<Self> {
        Some(match &kept.body {
            KeptBody::Memory(bytes) => Self::Memory(bytes),
            KeptBody::Apart(body) => Self::Apart(body.reader()?),
            KeptBody::Parts(held) => Self::Parts(held),
        })
    }

    /// So many bytes of it from there on.
    fn pieces(&self, at: u64, left: u64) -> VecDeque<Piece> {
        match self {
            Self::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                [Piece::Bytes(bytes.slice(place(at)..place(at.saturating_add(left))))].into()
            }
            Self::Apart(body) => [Piece::Apart { body: Arc::clone(body), at, left }].into(),
            Self::Parts(held) => {
                let slices = Part::of(at, left).and_then(|part| held.slices(part));
                slices.unwrap_or_default().into_iter().map(Piece::Bytes).collect()
            }
        }
    }
}

/// The response to a request from a stored one; `None` where its conditions are for the origin to
/// judge, or where its body was evicted.
pub(super) fn answer(
    store: &Store,
    held: &Held,
    asked: Asked,
    headers: &HeaderMap,
    outcome: Outcome,
) -> Option<Response<CacheBody>> {
    let kept = &*held.kept;
    let mut response = match kept.partial() {
        Some(partial) => of_parts(kept, &partial, asked, headers)?,
        None => of_whole(kept, asked, headers)?,
    };
    let fields = response.headers_mut();
    fields.insert(AGE, HeaderValue::from(kept.age(held.since).as_secs()));
    store.say(fields, outcome, Some(kept.ttl(held.since)));
    Some(response)
}

/// The same from a response of which something is missing; `None` where that is asked for.
fn of_parts(
    kept: &Kept,
    parts: &Partial,
    asked: Asked,
    headers: &HeaderMap,
) -> Option<Response<CacheBody>> {
    let method = if asked.head { &Method::HEAD } else { &Method::GET };
    match parts.answers(method, headers) {
        crate::Held::Parts(parts) => Some(partial(kept, &Opened::of(kept)?, headers, &parts)),
        crate::Held::NotModified => Some(unchanged(kept)),
        // What is whole isn't kept in parts.
        crate::Held::Whole | crate::Held::Missing(_) | crate::Held::Forward => None,
    }
}

fn of_whole(kept: &Kept, asked: Asked, headers: &HeaderMap) -> Option<Response<CacheBody>> {
    let method = if asked.head { &Method::HEAD } else { &Method::GET };
    let evaluated = match asked.conditions {
        true => evaluate(method, headers, &kept.stored),
        false => Evaluated::Send,
    };
    let status = kept.stored.status();
    let body = Opened::of(kept)?;
    Some(match evaluated {
        Evaluated::Forward => return None,
        Evaluated::NotModified => unchanged(kept),
        Evaluated::Send if asked.range && !asked.head && status == StatusCode::OK => {
            match ranges(headers, kept.length) {
                Ranges::Whole => whole(kept, &body, asked),
                Ranges::Parts(parts) => partial(kept, &body, headers, &parts),
                Ranges::Unsatisfiable => {
                    let mut fields = not_modified(&kept.stored);
                    fields.insert(CONTENT_RANGE, unsatisfied(kept.length));
                    fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
                    respond(StatusCode::RANGE_NOT_SATISFIABLE, fields, CacheBody::empty())
                }
            }
        }
        Evaluated::Send | Evaluated::SendWhole => whole(kept, &body, asked),
    })
}

fn unchanged(kept: &Kept) -> Response<CacheBody> {
    respond(StatusCode::NOT_MODIFIED, not_modified(&kept.stored), CacheBody::empty())
}

fn whole(kept: &Kept, body: &Opened<'_>, asked: Asked) -> Response<CacheBody> {
    let body = match body {
        _ if asked.head => CacheBody::empty(),
        Opened::Memory(bytes) => CacheBody::whole(Bytes::clone(bytes)),
        Opened::Apart(_) | Opened::Parts(_) => {
            CacheBody::pieces(Pieces::new(body.pieces(0, kept.length)))
        }
    };
    respond(kept.stored.status(), kept.stored.headers().clone(), body)
}

fn partial(
    kept: &Kept,
    body: &Opened<'_>,
    request: &HeaderMap,
    parts: &[Part],
) -> Response<CacheBody> {
    let content = partial_content(&kept.stored, request, parts, kept.length, boundary());
    let mut sent: VecDeque<Piece> = VecDeque::new();
    let mut frames = content.frames.into_iter();
    for part in parts {
        sent.extend(frames.next().map(Piece::Bytes));
        sent.extend(body.pieces(part.first, part.bytes()));
    }
    sent.extend(frames.next().map(Piece::Bytes));
    let body = CacheBody::pieces(Pieces::new(sent));
    respond(StatusCode::PARTIAL_CONTENT, content.headers, body)
}

/// A boundary for [`partial_content`](crate::partial_content): a random number, by the keys that
/// a process draws for its hash maps.
#[must_use]
pub fn boundary() -> u128 {
    let draw = || u128::from(RandomState::new().hash_one(0));
    draw() << 64 | draw()
}

/// A response that no origin sent.
pub(super) fn own(status: StatusCode) -> Response<CacheBody> {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
    respond(status, fields, CacheBody::empty())
}

pub(super) fn respond(
    status: StatusCode,
    fields: HeaderMap,
    body: CacheBody,
) -> Response<CacheBody> {
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, fields);
    response
}

impl Store {
    /// Says in Cache-Status what became of a request.
    pub(super) fn say(&self, fields: &mut HeaderMap, outcome: Outcome, ttl: Option<i64>) {
        if let (Outcome::Hit, Some(ttl)) = (outcome, ttl) {
            let text = Bytes::from(format!("{}{ttl}", self.hit));
            if let Ok(value) = HeaderValue::from_maybe_shared(text) {
                fields.append(CACHE_STATUS, value);
            }
            return;
        }
        crate::CacheStatus { ttl, ..crate::CacheStatus::new(&self.name, outcome) }.append(fields);
    }
}
