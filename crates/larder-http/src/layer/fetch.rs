//! The request to the origin whose response may be stored: in a task of the engine, so that no
//! client that goes away ends it for others.
//!
//! 1. Capture the fence, and look once more: another process may have stored it meanwhile, or be
//!    fetching it (see `berth`), and what is stored here may have been purged.
//! 2. Ask the origin: with the conditions of what is stored, if something is, and never with the
//!    client's own conditions or range.
//! 3. A 304 freshens what is stored. Another response is published to all who wait as soon as its
//!    head has come, if it is one to be stored; else it is its own client's alone.
//! 4. Read the body, and store the whole when all of it has come.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use larder_core::{Error, Key, LoadError, Moment};
use larder_engine::Fill;
use tower_service::Service;

use super::answer::respond;
use super::arriving::Arriving;
use super::berth::Berth;
use super::body::CacheBody;
use super::builder::Etags;
use super::entry::{Kept, KeptBody};
use super::find::Found;
use super::flight::{CameFrom, Coming, Flight, FlightKey, Landed, Own};
use super::key;
use super::pump::{Landing, Pump};
use super::selection::Selection;
use super::store::Store;
use super::tags::{self, Tags};
use super::waiting::within;
use crate::fields::digits;
use crate::{
    Date, Freshened, NotStored, Partial, Received, Stored, condition, freshen, storable,
    strip_hop_by_hop,
};

/// Other processes wait so long for the end of a body whose head has come, and then ask for
/// themselves.
const SHARED_WITHIN: Duration = Duration::from_secs(1);

/// A fetch that is about to begin.
pub(super) struct Fetch<S> {
    pub(super) store: Arc<Store>,
    pub(super) service: S,
    /// The request, as it selects a response.
    pub(super) parts: Parts,
    pub(super) key: Key,
    pub(super) selection: Arc<Selection>,
    /// What is stored and can't be used as it is.
    pub(super) found: Option<Found>,
    /// When the URI's own entry was loaded, if there is one.
    pub(super) loaded_at: Option<Moment>,
    pub(super) authorization: bool,
    /// How long it waits for another process's fetch.
    pub(super) until: Moment,
    pub(super) flight: Arc<Flight>,
    /// Under what others may join it, if they may.
    pub(super) joined_by: Option<FlightKey>,
}

impl<S> Fetch<S> {
    /// Fetches, lands the flight, and stores.
    pub(super) async fn run<B, RB>(self)
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<LoadError>,
        B: Default,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<LoadError>,
    {
        let Self { store, mut service, mut parts, key, selection, found, flight, .. } = self;
        // A body that is validated isn't evicted meanwhile.
        let found = found.filter(|found| !found.kept.body.is_evicted());
        let waiting = found.as_ref().and_then(|found| found.kept.body.reader());
        let mut landing = Landing {
            store: Arc::clone(&store),
            flight: Arc::clone(&flight),
            joined_by: self.joined_by,
            counts: true,
            body: None,
        };
        let known = found.as_ref().map(|found| (&found.key, found.loaded_at));
        let headers = parts.headers.clone();
        let berth = match store.berth(&key, &headers, self.loaded_at, known, self.until).await {
            Ok(berth) => berth,
            Err(landed) => return flight.land(landed, None),
        };
        // What was found may have been purged before the fence was captured, which then doesn't
        // notice that: only what is still held is validated, and stored again.
        let found = store.find(key.as_bytes(), &headers, store.now()).found;
        let reader = found.as_ref().and_then(|found| found.kept.body.reader());
        drop(waiting);
        store.counters.fetches.add(1);
        parts.headers.remove(RANGE);
        let mut asks = match &found {
            Some(found) => store.asks(found, &headers, &mut parts.headers),
            None => Asks::Whole,
        };
        let ask = Ask { store: &store, berth: &berth };
        let response = loop {
            if matches!(asks, Asks::Whole) {
                parts.headers.remove(RANGE);
                let of_client =
                    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];
                of_client.iter().for_each(|name| drop(parts.headers.remove(name)));
            }
            let response = match ask.send::<S, B, RB>(&mut service, &parts).await {
                Ok(response) => response,
                Err(status) => {
                    berth.give_back();
                    return flight.land(Landed::Failed { status }, None);
                }
            };
            match (&asks, response.0.status()) {
                (Asks::Rest(held), StatusCode::PARTIAL_CONTENT) => {
                    let (head, body) = response.0.into_parts();
                    let sent = &parts.headers;
                    let new = store.new_part(sent, &head.headers, response.1, &selection, &berth);
                    let all = store.completed(held, new, sent, body, &berth).await;
                    let Some((kept, tags)) = all else {
                        asks = Asks::Whole;
                        continue;
                    };
                    let kept = Arc::new(kept);
                    let loaded_at = berth.taken_at();
                    let from =
                        CameFrom::Origin(StatusCode::PARTIAL_CONTENT, Some(Arc::clone(&tags)));
                    let fill = store.keep(berth, &kept, &headers, tags).await;
                    let stored = fill == Fill::Stored;
                    return flight.land(Landed::Whole { kept, loaded_at, from, stored }, None);
                }
                (Asks::Rest(_), StatusCode::RANGE_NOT_SATISFIABLE) => {
                    asks = Asks::Whole;
                    continue;
                }
                (_, StatusCode::NOT_MODIFIED) => {}
                _ => break response,
            }
            let (Some(found), Asks::Validation) = (&found, &asks) else {
                // Nobody asked for it, so it says nothing about anything.
                berth.give_back();
                let status = StatusCode::BAD_GATEWAY;
                return flight.land(Landed::Failed { status }, None);
            };
            let (response, received) = response;
            let fields = response.headers();
            let sent = &parts.headers;
            match freshen(&found.kept.as_sent(), sent, fields, received, &store.rules) {
                Freshened::Updated(stored) => {
                    let kept = Arc::new(found.kept.freshened(*stored, &store.rules));
                    let landed =
                        store.freshened(berth, kept, &found.key, &headers, &selection).await;
                    return flight.land(landed, None);
                }
                // It is about another response: ask for this one.
                Freshened::NotThis | Freshened::Outdated => asks = Asks::Whole,
            }
        };
        drop(reader);
        let (response, received) = response;
        let (mut head, body) = response.into_parts();
        strip_hop_by_hop(&mut head.headers);
        if !head.headers.contains_key(DATE) {
            head.headers.insert(DATE, received.wall.to_value());
        }
        let stored = Stored::new(&headers, head.status, &head.headers, received, &store.rules);
        let length = length_of(&head.headers).or(body.size_hint().exact());
        // Who waits under another key than the URI's own asks for what makes no difference to it.
        let expected = landing.joined_by.as_ref().map(|(expected, _)| expected);
        let expected = expected.filter(|expected| **expected != key);
        let keys: Vec<&[u8]> = [&key].into_iter().chain(expected).map(Key::as_bytes).collect();
        let tags = match store.judge(&headers, &stored, &head.headers, length, &selection, &key) {
            Ok(tags) => tags,
            Err(lasting) => {
                if lasting {
                    let now = store.now();
                    keys.iter().for_each(|key| store.passes.note(key, self.authorization, now));
                }
                berth.give_back();
                let own = respond(head.status, head.headers, CacheBody::passed(body));
                return flight
                    .land(Landed::Apart { status: head.status }, Some(Own::Response(own)));
            }
        };
        keys.iter().for_each(|key| store.passes.forget(key, self.authorization));
        let arriving = Arriving::new();
        landing.body = Some(Arc::clone(&arriving));
        let Some(reader) = arriving.reader() else { return };
        let coming = Coming {
            stored: Arc::new(stored.clone()),
            loaded_at: berth.taken_at(),
            body: Arc::clone(&arriving),
            length,
            tags: Arc::clone(&tags),
        };
        flight.land(Landed::Coming(coming), Some(Own::Head(head.headers, reader)));
        let makes_etag = store.etags == Etags::Made && !stored.headers().contains_key(ETAG);
        let pump = Pump { store: &store, body: &arriving, key: &key, declared: length };
        let mut pumped = pin!(pump.run(body, makes_etag, &mut landing));
        let shared =
            store.share_max.filter(|max| length.is_none_or(|length| length <= *max as u64));
        let until = store.now() + shared.map_or(Duration::ZERO, |_| SHARED_WITHIN);
        let came = match store.share_max {
            Some(_) => within(&**store.clock(), until, pumped.as_mut()).await,
            None => Some(pumped.as_mut().await),
        };
        let (came, berth) = match came {
            Some(came) => (came, berth),
            // Other processes can read it sooner by themselves.
            None => {
                let berth = berth.alone();
                (pumped.await, berth)
            }
        };
        let Some((body, length, hash)) = came else {
            let came = arriving.beginning();
            let began = came.and_then(|came| store.beginning_of(stored, &came));
            let Some(kept) = began.map(Arc::new) else {
                store.counters.refused.add(1);
                return berth.give_back();
            };
            store.keep(berth, &kept, &headers, tags).await;
            return;
        };
        let kept = Kept::new(stored, body, length, &store.rules);
        let kept = Arc::new(match hash {
            Some(hash) => kept.with_etag(hash),
            None => kept,
        });
        store.keep(berth, &kept, &headers, tags).await;
        arriving.complete();
    }
}

/// What the origin is asked for.
enum Asks {
    Whole,
    /// Whether what is held is still good.
    Validation,
    /// What is missing of this.
    Rest(Box<Partial>),
}

impl Store {
    /// What is asked for where something is held, with the fields of the request that asks.
    fn asks(&self, found: &Found, request: &HeaderMap, headers: &mut HeaderMap) -> Asks {
        // A range is validated beside its answer; all others want what is missing, too.
        if let Some(held) = found.kept.partial()
            && !request.contains_key(RANGE)
        {
            return match self.rest_of(&held, &HeaderMap::new()) {
                Some(gap) => {
                    held.ask(gap, headers);
                    Asks::Rest(Box::new(held))
                }
                None => Asks::Whole,
            };
        }
        match condition(headers, &found.kept.as_sent(), []) {
            true => Asks::Validation,
            false => Asks::Whole,
        }
    }

    /// What came of a validation of what is stored under `own`.
    pub(super) async fn freshened(
        &self,
        berth: Berth,
        kept: Arc<Kept>,
        own: &Key,
        headers: &HeaderMap,
        selection: &Selection,
    ) -> Landed {
        self.counters.validated.add(1);
        let loaded_at = berth.taken_at();
        let sent = kept.as_sent();
        let key = berth.uri.key().clone();
        let length = Some(kept.held());
        let judged = self.judge(headers, &sent, sent.headers(), length, selection, &key);
        let (stored, tags) = match judged {
            Ok(tags) => {
                let fill = self.keep(berth, &kept, headers, Arc::clone(&tags)).await;
                (fill == Fill::Stored, Some(tags))
            }
            Err(_) => {
                // Its new fields say that it isn't to be stored: then the old ones aren't either.
                berth.give_back();
                self.forget(own);
                (false, None)
            }
        };
        let from = CameFrom::Origin(StatusCode::NOT_MODIFIED, tags);
        Landed::Whole { kept, loaded_at, from, stored }
    }

    /// The tags with which a response to a request with these fields is stored. If it isn't:
    /// whether the next one won't be either.
    pub(super) fn judge(
        &self,
        request: &HeaderMap,
        stored: &Stored,
        headers: &HeaderMap,
        length: Option<u64>,
        selection: &Selection,
        key: &Key,
    ) -> Result<Tags, bool> {
        let fleeting = stored.status().is_server_error();
        let refused = Err(!fleeting);
        match storable(&Method::GET, request, stored.status(), headers, &self.rules) {
            Ok(()) => {}
            Err(NotStored::RequestNoStore) => return Err(false),
            Err(_) => return refused,
        }
        let bodies = self.bodies.as_ref().map_or(0, |_| self.bounds.stored_max);
        let longest = bodies.max(self.bounds.object_max as u64);
        if length.is_some_and(|length| length > longest) {
            return refused;
        }
        self.tags_of(stored, headers, selection, key).map_err(|_| !fleeting)
    }

    /// The same of a response that RFC 9111 lets be stored, whatever the length of its body.
    pub(super) fn tags_of(
        &self,
        stored: &Stored,
        headers: &HeaderMap,
        selection: &Selection,
        key: &Key,
    ) -> Result<Tags, Unkept> {
        if stored.vary().is_any() || !selection.permits(stored.vary().fields().map(|(n, _)| n)) {
            return Err(Unkept);
        }
        // What could never be used isn't worth its place.
        let probe = Kept::new(stored.clone(), KeptBody::Memory(Bytes::new()), 0, &self.rules);
        if probe.lasts(&self.rules, self.bounds.validated_for).is_zero() {
            return Err(Unkept);
        }
        tags::of(headers, key::origin(key.as_bytes())).map_err(|_| {
            self.counters.refused.add(1);
            Unkept
        })
    }
}

/// This cache has no place for a response, though RFC 9111 has nothing against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unkept;

/// What an attempt to reach the origin needs.
pub(super) struct Ask<'a> {
    pub(super) store: &'a Store,
    pub(super) berth: &'a Berth,
}

impl Ask<'_> {
    /// What the origin answers, and when that came; the status that says why it doesn't.
    pub(super) async fn send<S, B, RB>(
        &self,
        service: &mut S,
        parts: &Parts,
    ) -> Result<(Response<RB>, Received), StatusCode>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<LoadError>,
        B: Default,
    {
        let store = self.store;
        let clock = &**store.clock();
        let asked = store.now();
        let until = asked + store.bounds.answer_within;
        let answer = async {
            poll_fn(|context| service.poll_ready(context)).await?;
            service.call(Request::from_parts(parts.clone(), B::default())).await
        };
        let failed = |status| {
            store.counters.failed.add(1);
            Err(status)
        };
        match within(clock, until, answer).await {
            None => failed(StatusCode::GATEWAY_TIMEOUT),
            Some(Err(error)) => failed(status_of(&error.into())),
            Some(Ok(response)) => {
                let taken_at = self.berth.taken_at();
                let own = |moment: Moment| Moment::ZERO + (moment - taken_at);
                let wall = store.wall();
                let received = Received { asked: own(asked), came: own(store.now()), wall };
                Ok((response, received))
            }
        }
    }
}

impl Store {
    /// The calendar's time.
    pub(super) fn wall(&self) -> Date {
        let since = self.clock().wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        Date::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// The status that an origin's failure stands for.
pub(super) fn status_of(error: &LoadError) -> StatusCode {
    let own = error.downcast_ref::<Error>().map(|error| error.kind().http_status());
    own.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// What Content-Length says.
pub(super) fn length_of(fields: &HeaderMap) -> Option<u64> {
    let mut lines = fields.get_all(CONTENT_LENGTH).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    digits(line.as_bytes(), u64::MAX)
}
