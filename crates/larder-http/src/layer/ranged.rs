//! A range of what isn't held, or not all of it.
//!
//! 1. **Nothing is held**: the request goes to the origin as it is, and what comes is stored on its
//!    way: a part, or the whole from an origin that knows no ranges.
//! 2. **Something is missing**: that is asked for, if it is still the same representation, and the
//!    answer is made of both. This validates what is held, too.
//! 3. **All is held, but stale**: the request is sent with the validator of what is held. A 304
//!    freshens it, and it is the answer; else what comes is, as in 1.
//!
//! Nobody waits for another one's range, and no range waits for a whole. Where something comes that
//! is of no use, the client's own request is sent by itself.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{DATE, IF_RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use larder_core::LoadError;
use tower_service::Service;

use super::answer::{self, answer, respond};
use super::berth::Berth;
use super::body::CacheBody;
use super::exchange::Wanted;
use super::fetch::{Ask, length_of};
use super::find::Found;
use super::flight::Landed;
use super::parts::NewPart;
use super::store::Store;
use super::taking::{self, Taking};
use crate::{
    Failure, Forwarded, Freshened, Held, Outcome, Partial, Received, Stored, condition, freshen,
    strip_hop_by_hop,
};

/// See the module's documentation.
#[derive(Clone, Copy)]
pub(super) struct Ranged<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) store: &'a Arc<Store>,
    /// What is held, in parts.
    pub(super) found: Option<&'a Found>,
    pub(super) why: Forwarded,
}

/// What the origin is asked for.
enum Asks {
    AsItIs,
    /// What is missing of this.
    Rest(Box<Partial>),
    /// Whether this is still good.
    Validation,
}

impl Ranged<'_> {
    /// The answer; `None` where the request is to be sent on by itself.
    pub(super) async fn answered<S, B, RB>(&self, service: &mut S) -> Option<Response<CacheBody>>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<LoadError>,
        B: Default,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<LoadError>,
    {
        let Self { wanted, store, .. } = self;
        let berth = store.berth_here(&wanted.key)?;
        // As in `fetch`: only what is still held, now that the fence is captured, is stored again.
        let held = store.find(wanted.key.as_bytes(), &wanted.headers, store.now()).found;
        let held = held.filter(|held| held.kept.is_part());
        let still = Ranged { found: held.as_ref(), ..*self };
        still.asked::<S, B, RB>(service, berth).await
    }

    async fn asked<S, B, RB>(&self, service: &mut S, berth: Berth) -> Option<Response<CacheBody>>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<LoadError>,
        B: Default,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<LoadError>,
    {
        let Self { wanted, store, found, why } = self;
        let mut parts = wanted.selected();
        let asks = self.asks(&mut parts.headers);
        store.counters.passed.add(1);
        let ask = Ask { store, berth: &berth };
        let (response, received) = match ask.send::<S, B, RB>(service, &parts).await {
            Ok(response) => response,
            Err(status) => return Some(wanted.failed(store, *found, status, *why)),
        };
        let (mut head, body) = response.into_parts();
        strip_hop_by_hop(&mut head.headers);
        if !head.headers.contains_key(DATE) {
            head.headers.insert(DATE, received.wall.to_value());
        }
        let status = head.status;
        match (&asks, status) {
            (Asks::Validation, StatusCode::NOT_MODIFIED) => {
                return self.validated(berth, &parts.headers, &head.headers, received).await;
            }
            (Asks::Rest(held), StatusCode::PARTIAL_CONTENT) => {
                let new = self.new_part(&parts.headers, &head.headers, received, &berth)?;
                return self.completed(held, berth, new, body).await;
            }
            (Asks::Rest(_), StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE) => {
                return None;
            }
            (Asks::Validation, _) => {
                let failure = Failure::Status(status);
                if let Some(response) = wanted.after(store, *found, failure, *why) {
                    return Some(response);
                }
            }
            _ => {}
        }
        let taken = match status {
            StatusCode::PARTIAL_CONTENT => {
                self.part(berth, &parts.headers, &head.headers, received)
            }
            StatusCode::OK => self.whole(berth, &head.headers, received),
            _ => None,
        };
        let stored = taken.is_some();
        let body = match taken {
            Some((length, fill)) => {
                CacheBody::passed(Taking::new(body, length, store.bounds.object_max, fill))
            }
            None => CacheBody::passed(body),
        };
        let mut response = respond(status, head.headers, body);
        store.say(response.headers_mut(), self.outcome(None, stored), None);
        Some(response)
    }

    fn outcome(&self, status: Option<StatusCode>, stored: bool) -> Outcome {
        Outcome::Forwarded { why: self.why, status, stored, collapsed: false }
    }

    /// What is asked for, with the fields of the request that asks.
    fn asks(&self, headers: &mut HeaderMap) -> Asks {
        let Some(found) = self.found else { return Asks::AsItIs };
        let Some(held) = found.kept.partial() else { return Asks::AsItIs };
        if let Some(gap) = self.store.rest_of(&held, &self.wanted.headers) {
            held.ask(gap, headers);
            return Asks::Rest(Box::new(held));
        }
        if !matches!(held.answers(&Method::GET, &self.wanted.headers), Held::Parts(_)) {
            return Asks::AsItIs;
        }
        let conditional = condition(headers, &found.kept.stored, []);
        if !conditional {
            headers.clone_from(&self.wanted.headers);
            return Asks::AsItIs;
        }
        // If it is another one now, the client wants a part of what it has, or the whole.
        for line in self.wanted.headers.get_all(IF_RANGE) {
            headers.append(IF_RANGE, line.clone());
        }
        Asks::Validation
    }

    /// What is held is still good.
    async fn validated(
        &self,
        berth: Berth,
        sent: &HeaderMap,
        fields: &HeaderMap,
        received: Received,
    ) -> Option<Response<CacheBody>> {
        let Self { wanted, store, found, .. } = self;
        let found = (*found)?;
        let rules = &store.rules;
        let freshened = freshen(&found.kept.as_sent(), sent, fields, received, rules);
        let Freshened::Updated(stored) = freshened else { return None };
        let kept = Arc::new(found.kept.freshened(*stored, rules));
        let (headers, selection) = (&wanted.headers, &wanted.selection);
        let landed = store.freshened(berth, kept, &found.key, headers, selection).await;
        let Landed::Whole { kept, loaded_at, from, stored } = landed else { return None };
        let held = answer::Held { kept, since: store.now() - loaded_at };
        answer(store, &held, wanted.asked, headers, self.outcome(from.status(), stored))
    }

    /// What was missing has come.
    async fn completed<RB>(
        &self,
        held: &Partial,
        berth: Berth,
        new: NewPart,
        body: RB,
    ) -> Option<Response<CacheBody>>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<LoadError>,
    {
        let Self { wanted, store, .. } = self;
        let headers = &wanted.headers;
        let loaded_at = berth.taken_at();
        let (all, bytes) = store.combined(held, &new, headers, body).await?;
        let stored = store.keep_part(berth, new, headers, &bytes).await;
        let held =
            answer::Held { kept: Arc::new(store.kept_of(&all)), since: store.now() - loaded_at };
        let stored = stored == larder_engine::Fill::Stored;
        let outcome = self.outcome(Some(StatusCode::PARTIAL_CONTENT), stored);
        answer(store, &held, wanted.asked, headers, outcome)
    }

    fn new_part(
        &self,
        sent: &HeaderMap,
        fields: &HeaderMap,
        received: Received,
        berth: &Berth,
    ) -> Option<NewPart> {
        self.store.new_part(sent, fields, received, &self.wanted.selection, berth)
    }

    /// How a 206 is stored on its way, and how long its body is.
    fn part(
        &self,
        berth: Berth,
        sent: &HeaderMap,
        fields: &HeaderMap,
        received: Received,
    ) -> Option<(Option<u64>, taking::Store)> {
        let new = self.new_part(sent, fields, received, &berth)?;
        let length = new.range.part.bytes();
        let (store, headers) = (Arc::clone(self.store), self.wanted.headers.clone());
        let fill: taking::Store = Box::new(move |chunks| {
            Box::pin(async move {
                let bytes = Bytes::from(chunks.concat());
                store.keep_part(berth, new, &headers, &bytes).await;
            })
        });
        Some((Some(length), fill))
    }

    /// The same of a 200.
    fn whole(
        &self,
        berth: Berth,
        fields: &HeaderMap,
        received: Received,
    ) -> Option<(Option<u64>, taking::Store)> {
        let Self { wanted, store, .. } = self;
        let Wanted { headers, selection, key, .. } = wanted;
        let stored = Stored::new(headers, StatusCode::OK, fields, received, &store.rules);
        let length = length_of(fields);
        if length.is_some_and(|length| length > store.bounds.object_max as u64) {
            return None;
        }
        let tags = store.judge(headers, &stored, fields, length, selection, key).ok()?;
        let (store, headers) = (Arc::clone(store), headers.clone());
        let fill: taking::Store = Box::new(move |chunks| {
            Box::pin(async move {
                let kept = Arc::new(store.kept(stored, chunks));
                store.keep(berth, &kept, &headers, tags).await;
            })
        });
        Some((length, fill))
    }
}
