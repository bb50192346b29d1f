//! The life of a request that isn't answered at once.
//!
//! 1. **What isn't for a cache** is sent on: other methods, another protocol, a body, conditions
//!    that the origin judges. What it changed is struck before its client hears of it.
//! 2. **What is held** is judged. Fresh: it is the answer. Stale, and it may be used while it is
//!    validated: it is the answer, and one fetch runs in the background.
//! 3. **A range** of what isn't held, or not all of it, is asked for by itself (see `ranged`).
//!    **A flight** is joined or led for everything else (see `flight` and `fetch`).
//! 4. **What landed** is the answer if it may be. If the origin failed, what is held may be after
//!    all. Else the request is sent on by itself.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, IF_MATCH, IF_UNMODIFIED_SINCE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use larder_core::{Key, LoadError, Moment};
use tower_service::Service;

use super::answer::{answer, own};
use super::asked::Asked;
use super::body::CacheBody;
use super::fetch::Fetch;
use super::find::{Found, Look};
use super::flight::{Boarded, Flight, FlightKey, Leader};
use super::key;
use super::passing::Passing;
use super::ranged::Ranged;
use super::selection::Selection;
use super::store::{Bypass, Store};
use super::waiting::within;
use crate::{
    CacheStatus, Forwarded, Outcome, RequestControl, Requests, Reuse, SearchVariance, Why, reuse,
};

/// How many flights a request joins before it goes to the origin by itself.
const ROUNDS: usize = 3;

/// A request on its way.
pub(super) struct Exchange<S, B> {
    store: Arc<Store>,
    service: S,
    request: Request<B>,
}

/// A request that a stored response may answer.
pub(super) struct Wanted {
    parts: Parts,
    pub(super) asked: Asked,
    pub(super) key: Key,
    pub(super) selection: Arc<Selection>,
    /// Its fields as they select a response.
    pub(super) headers: HeaderMap,
    pub(super) begun: Moment,
}

/// What is to be done.
pub(super) enum Step {
    Answer(Response<CacheBody>),
    /// Send it on by itself, for this reason.
    Pass(Forwarded),
    /// Look again, and join nothing but this.
    Again(FlightKey),
}

impl<S, B, RB> Exchange<S, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Error: Into<LoadError>,
    S::Future: Send + 'static,
    B: Body + Default + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<LoadError>,
{
    pub(super) fn new(store: &Arc<Store>, service: S, request: Request<B>) -> Self {
        Self { store: Arc::clone(store), service, request }
    }

    /// The response.
    pub(super) async fn run(self) -> Response<CacheBody> {
        let Self { store, mut service, request } = self;
        let bypass = request.extensions().get::<Bypass>().is_some();
        let asked = Asked::read(request.method(), request.headers());
        let selection = Arc::clone(store.selection_of(&request));
        let (parts, body) = request.into_parts();
        let mut key = Vec::with_capacity(128);
        let (uri, scheme) = (&parts.uri, &store.scheme);
        let keyed = key::write(uri, &parts.headers, scheme, &selection.query, &mut key);
        let usual = asked.filter(|asked| !bypass && !asked.upgrade && body.is_end_stream());
        let (Some(asked), true) = (usual, keyed) else {
            let method = if asked.is_none() { Forwarded::Method } else { Forwarded::Bypass };
            let passing = Passing { store: &store, service, why: method };
            let struck = keyed.then_some(&key[..]);
            return passing.send(Request::from_parts(parts, body), struck, None).await;
        };
        let mut headers = parts.headers.clone();
        selection.normalise(&mut headers);
        let begun = store.now();
        let wanted = Wanted { parts, asked, key: Key::new(&key), selection, headers, begun };
        let (why, found) = match wanted.answered(&store, &mut service).await {
            Ok(response) => return response,
            Err(passed) => passed,
        };
        let passing = Passing { store: &store, service, why };
        let key = wanted.key.clone();
        let request = Request::from_parts(wanted.parts, body);
        let found = found.map(|found| (found, wanted.headers));
        passing.send(request, Some(key.as_bytes()), found).await
    }
}

impl Wanted {
    /// The answer; or why it is sent on, and what is held of it.
    async fn answered<S, B, RB>(
        &self,
        store: &Arc<Store>,
        service: &mut S,
    ) -> Result<Response<CacheBody>, (Forwarded, Option<Found>)>
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
        S::Error: Into<LoadError>,
        S::Future: Send + 'static,
        B: Body + Default + Send + 'static,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<LoadError>,
    {
        let mut among = None;
        let mut why = Forwarded::UriMiss;
        for _ in 0..ROUNDS {
            let now = store.now();
            let look = store.find(self.key.as_bytes(), &self.headers, now);
            let found = look.found.clone();
            why = match &found {
                Some(found) => match self.judged(store, found, now) {
                    Judged::Answer(response) => return Ok(response),
                    Judged::Refresh(response) => {
                        self.refresh::<S, B, RB>(store, service, look);
                        return Ok(response);
                    }
                    // It was there a moment ago: look again.
                    Judged::Origin if found.kept.body.is_evicted() => continue,
                    Judged::Origin => return Err((Forwarded::Request, Some(found.clone()))),
                    Judged::Validate(why) => why,
                },
                None if self.wants_only_cached() => return Ok(self.unavailable(store)),
                None if look.loaded_at.is_some() => Forwarded::VaryMiss,
                None => Forwarded::UriMiss,
            };
            let (key, authorization) = (self.key.as_bytes(), self.asked.authorization);
            let expected = look.expected.as_ref().map(|expected| expected.key.as_bytes());
            let passed = |key: &[u8]| store.passes.knows(key, authorization, now);
            let noted = found.is_none() && (passed(key) || expected.is_some_and(passed));
            let first = among.is_none();
            if found.is_none() && first && !noted {
                store.counters.misses.add(1);
            }
            if self.asked.head || noted || self.is_for_origin() {
                return Err((why, found));
            }
            if self.asked.range && found.as_ref().is_none_or(|found| found.kept.is_part()) {
                let ranged = Ranged { wanted: self, store, found: found.as_ref(), why };
                let response = ranged.answered::<S, B, RB>(service).await;
                return response.ok_or((why, None));
            }
            let hoped =
                look.expected.as_ref().map(|hoped| (hoped.key.clone(), hoped.variance.clone()));
            let flight = self.board(store, &look, among);
            let step = match flight {
                Boarding::Leads(flight, joined_by) => {
                    let leader = Leader::of(&flight);
                    self.depart::<S, B, RB>(store, service, look, &flight, joined_by);
                    let landed = flight.landed().await;
                    self.led(store, landed, &leader, found.as_ref(), why)
                }
                Boarding::Joins(flight, key) => {
                    let until = self.begun + store.bounds.wait;
                    let hoped = hoped.filter(|(hoped, _)| *hoped == key.0).map(|(_, said)| said);
                    let landed = within(&**store.clock(), until, flight.landed()).await;
                    let joined = Joined { key, flight, hoped };
                    match landed {
                        Some(landed) => self.joined(store, landed, joined, found.as_ref(), why),
                        None => Step::Pass(why),
                    }
                }
                Boarding::Full => Step::Pass(why),
            };
            match step {
                Step::Answer(response) => return Ok(response),
                Step::Pass(why) => return Err((why, found)),
                Step::Again(key) => among = Some(key),
            }
        }
        Err((why, None))
    }

    /// Whether its conditions are not for a cache to judge.
    fn is_for_origin(&self) -> bool {
        let names = [IF_MATCH, IF_UNMODIFIED_SINCE];
        names.iter().any(|name| self.headers.contains_key(name))
    }

    /// A client that wants nothing older than its request joins no fetch that began before it.
    fn is_alone(&self, store: &Store) -> bool {
        self.asked.directives && store.rules.requests == Requests::Obeyed
    }

    fn wants_only_cached(&self) -> bool {
        self.asked.directives && RequestControl::read(&self.headers).only_if_cached
    }

    fn unavailable(&self, store: &Store) -> Response<CacheBody> {
        let mut response = own(StatusCode::GATEWAY_TIMEOUT);
        let why = Forwarded::Miss;
        let outcome = Outcome::Forwarded { why, status: None, stored: false, collapsed: false };
        let text = CacheStatus {
            detail: Some("only-if-cached"),
            ..CacheStatus::new(&store.name, outcome)
        };
        text.append(response.headers_mut());
        response
    }

    /// What is done with what is held.
    fn judged(&self, store: &Store, found: &Found, now: Moment) -> Judged {
        let reuse = if found.marked {
            match self.wants_only_cached() {
                true => Reuse::Unavailable,
                false => Reuse::Validate { why: Why::Stale },
            }
        } else {
            reuse(&found.kept.stored, &self.headers, found.own_time(now), &store.rules)
        };
        let held = found.at(now);
        let serve = || answer(store, &held, self.asked, &self.headers, Outcome::Hit);
        let unserved = match found.kept.is_part() {
            true if self.wants_only_cached() => Judged::Answer(self.unavailable(store)),
            true => Judged::Validate(Forwarded::Partial),
            false => Judged::Origin,
        };
        let counters = &store.counters;
        match reuse {
            Reuse::Fresh => serve().map_or(unserved, |response| {
                counters.hits.add(1);
                Judged::Answer(response)
            }),
            Reuse::WhileRevalidated => serve().map_or(unserved, |response| {
                counters.stale.add(1);
                Judged::Refresh(response)
            }),
            Reuse::Accepted => serve().map_or(unserved, |response| {
                counters.stale.add(1);
                Judged::Answer(response)
            }),
            Reuse::Unavailable => Judged::Answer(self.unavailable(store)),
            Reuse::Validate { why: Why::Request } => Judged::Validate(Forwarded::Request),
            Reuse::Validate { why: Why::Stale | Why::NoCache } => {
                Judged::Validate(Forwarded::Stale)
            }
        }
    }

    /// Joins or begins the flight for what it asks for. `among` are those who found that an earlier
    /// one isn't for them.
    fn board(&self, store: &Arc<Store>, look: &Look, among: Option<FlightKey>) -> Boarding {
        let max = store.bounds.flights_max;
        if self.is_alone(store) {
            return match store.flights.begin_alone(max, Flight::new(&self.key, Vec::new())) {
                Boarded::Leads(flight) => Boarding::Leads(flight, None),
                Boarded::Joins(_) | Boarded::Full => Boarding::Full,
            };
        }
        let known = || {
            let (key, list) = match &look.expected {
                Some(expected) => (&expected.key, &expected.variants),
                None => (&self.key, &look.list),
            };
            let hash = list.as_ref().and_then(|list| list.newest(&self.headers));
            (key.clone(), hash.unwrap_or(0))
        };
        let key = among.unwrap_or_else(known);
        let begin = || Flight::new(&self.key, store.fences(&self.key));
        match store.flights.board(&key, self.begun, max, begin) {
            Boarded::Leads(flight) => Boarding::Leads(flight, Some(key)),
            Boarded::Joins(flight) => Boarding::Joins(flight, key),
            Boarded::Full => Boarding::Full,
        }
    }

    /// Validates in the background, if nobody does.
    fn refresh<S, B, RB>(&self, store: &Arc<Store>, service: &mut S, look: Look)
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
        S::Error: Into<LoadError>,
        S::Future: Send + 'static,
        B: Default + Send + 'static,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<LoadError>,
    {
        if self.is_alone(store) {
            return;
        }
        if let Boarding::Leads(flight, joined_by) = self.board(store, &look, None) {
            store.counters.refreshed.add(1);
            drop(Leader::of(&flight));
            self.depart::<S, B, RB>(store, service, look, &flight, joined_by);
        }
    }

    /// Begins a fetch in a task of the engine.
    fn depart<S, B, RB>(
        &self,
        store: &Arc<Store>,
        service: &mut S,
        look: Look,
        flight: &Arc<Flight>,
        joined_by: Option<FlightKey>,
    ) where
        S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
        S::Error: Into<LoadError>,
        S::Future: Send + 'static,
        B: Default + Send + 'static,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<LoadError>,
    {
        let parts = self.selected();
        let fetch = Fetch {
            store: Arc::clone(store),
            service: service.clone(),
            parts,
            key: self.key.clone(),
            selection: Arc::clone(&self.selection),
            found: look.found,
            loaded_at: look.loaded_at,
            authorization: self.asked.authorization,
            // Who isn't to be joined asks for himself.
            until: match joined_by {
                Some(_) => self.begun + store.bounds.wait,
                None => self.begun,
            },
            flight: Arc::clone(flight),
            joined_by,
        };
        store.cache.engine().spawn(fetch.run::<B, RB>());
    }

    /// The request as it selects a response, which is how the origin is asked for what is stored.
    pub(super) fn selected(&self) -> Parts {
        let mut parts = self.parts.clone();
        parts.method = Method::GET;
        parts.headers.clone_from(&self.headers);
        parts.headers.remove(CONTENT_LENGTH);
        if let Some(uri) = self.normalised_uri() {
            parts.uri = uri;
        }
        parts
    }

    /// The URI with the part of its query that counts, if that is another one.
    fn normalised_uri(&self) -> Option<Uri> {
        let query = &self.selection.query;
        if query.is_as_sent() {
            return None;
        }
        let uri = &self.parts.uri;
        let path = match query.apply(uri.query()) {
            Some(query) => format!("{}?{query}", uri.path()),
            None => uri.path().to_owned(),
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path.parse().ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// What a request does about a flight.
enum Boarding {
    /// Leads it; nobody joins one without a key.
    Leads(Arc<Flight>, Option<FlightKey>),
    Joins(Arc<Flight>, FlightKey),
    Full,
}

/// A flight that was joined.
pub(super) struct Joined {
    pub(super) key: FlightKey,
    pub(super) flight: Arc<Flight>,
    /// What its response must say of queries to be for this one too, if it doesn't.
    pub(super) hoped: Option<SearchVariance>,
}

/// What is done with what is held.
enum Judged {
    Answer(Response<CacheBody>),
    /// It is the answer, and validated beside that.
    Refresh(Response<CacheBody>),
    /// The request's conditions are for the origin.
    Origin,
    Validate(Forwarded),
}
