//! What landed, as the answer to a request: to the one who led, and to those who joined.

use http::header::AGE;
use http::{HeaderMap, Method, Response, StatusCode};
use larder_core::Moment;

use super::answer::{Held, answer, own, respond};
use super::asked::Asked;
use super::body::CacheBody;
use super::exchange::{Joined, Step, Wanted};
use super::find::Found;
use super::flight::{CameFrom, Coming, Landed, Leader, Own};
use super::searches::counting;
use super::store::Store;
use crate::{
    AGE_MAX, Evaluated, Failure, Fields, Forwarded, Outcome, Reuse, Stored, Vary, age_value,
    evaluate, lifetime, not_modified, reuse, reuse_after,
};

impl Wanted {
    /// What landed, for the one who led.
    pub(super) fn led(
        &self,
        store: &Store,
        landed: Landed,
        leader: &Leader,
        found: Option<&Found>,
        why: Forwarded,
    ) -> Step {
        let outcome = |status, stored| Outcome::Forwarded { why, status, stored, collapsed: false };
        match landed {
            Landed::Whole { kept, loaded_at, from, stored } => {
                let held = Held { kept, since: store.now() - loaded_at };
                let outcome = match from.status() {
                    Some(status) => outcome(Some(status), stored),
                    None => Outcome::Hit,
                };
                match answer(store, &held, self.asked, &self.headers, outcome) {
                    Some(response) => Step::Answer(response),
                    None => Step::Pass(why),
                }
            }
            Landed::Coming(coming) => match leader.own() {
                Some(Own::Head(fields, reader)) => {
                    let body = CacheBody::arriving(reader, coming.length);
                    let response = respond(coming.stored.status(), fields, body);
                    Step::Answer(self.finish(store, response, &coming.stored, outcome(None, true)))
                }
                _ => Step::Pass(why),
            },
            Landed::Apart { status } => {
                if let Some(response) = self.after(store, found, Failure::Status(status), why) {
                    return Step::Answer(response);
                }
                match leader.own() {
                    Some(Own::Response(mut response)) => {
                        store.say(response.headers_mut(), outcome(None, false), None);
                        Step::Answer(response)
                    }
                    _ => Step::Pass(why),
                }
            }
            Landed::Failed { status } => Step::Answer(self.failed(store, found, status, why)),
        }
    }

    /// What landed, for one who joined.
    pub(super) fn joined(
        &self,
        store: &Store,
        landed: Landed,
        joined: Joined,
        found: Option<&Found>,
        why: Forwarded,
    ) -> Step {
        let outcome = |status| Outcome::Forwarded { why, status, stored: false, collapsed: true };
        let response = match landed {
            Landed::Whole { kept, loaded_at, from, .. } => {
                match &from {
                    CameFrom::Origin(_, Some(tags)) if joined.flight.stands_with(tags) => {}
                    CameFrom::Origin(_, None) => return Step::Pass(why),
                    // It is found where it is held, if nothing has struck it.
                    CameFrom::Origin(..) | CameFrom::Held => return Step::Again(joined.key),
                }
                if let Some(step) = self.isnt_for_this(store, &kept.stored, loaded_at, joined, why)
                {
                    return step;
                }
                let held = Held { kept, since: store.now() - loaded_at };
                answer(store, &held, self.asked, &self.headers, outcome(from.status()))
            }
            Landed::Coming(coming) => {
                if !joined.flight.stands_with(&coming.tags) {
                    return Step::Again(joined.key);
                }
                let (stored, loaded_at) = (&coming.stored, coming.loaded_at);
                if let Some(step) = self.isnt_for_this(store, stored, loaded_at, joined, why) {
                    return step;
                }
                self.coming(store, &coming, outcome(None))
            }
            Landed::Apart { status } => self.after(store, found, Failure::Status(status), why),
            Landed::Failed { status } => Some(self.failed(store, found, status, why)),
        };
        match response {
            Some(response) => {
                store.counters.joined.add(1);
                Step::Answer(response)
            }
            None => Step::Pass(why),
        }
    }

    /// What to do where another one's response can't be this one's; `None` where it can.
    fn isnt_for_this(
        &self,
        store: &Store,
        stored: &Stored,
        loaded_at: Moment,
        joined: Joined,
        why: Forwarded,
    ) -> Option<Step> {
        // It was joined in the hope that its response says of queries what others said.
        let Joined { key: (key, _), flight, hoped } = joined;
        if *flight.uri() != self.key
            && hoped.is_none_or(|hoped| counting(stored.headers()) != Some(hoped))
        {
            return Some(Step::Again((self.key.clone(), 0)));
        }
        if !stored.vary().matches(&self.headers) {
            let mut set: Vec<_> = stored.vary().fields().map(|(name, _)| name.clone()).collect();
            set.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            let hash = Vary::fingerprint(&set, &self.headers);
            return Some(hash.map_or(Step::Pass(why), |hash| Step::Again((key, hash))));
        }
        if stored.control().no_cache == Fields::All {
            return Some(Step::Pass(why));
        }
        let own = |moment: Moment| Moment::ZERO + (moment - loaded_at);
        let now = own(store.now());
        if reuse(stored, &self.headers, now, &store.rules) == Reuse::Fresh {
            return None;
        }
        // It took its time, and was asked for no longer ago than it is fresh.
        let age = age_value(stored.headers()).saturating_add(self.begun - loaded_at);
        let fresh = lifetime(stored, &store.rules) > age.min(AGE_MAX);
        (!fresh).then_some(Step::Pass(why))
    }

    /// The answer from a response whose body is on its way.
    fn coming(
        &self,
        store: &Store,
        coming: &Coming,
        outcome: Outcome,
    ) -> Option<Response<CacheBody>> {
        let stored = &*coming.stored;
        let reader = coming.body.reader()?;
        let fields = stored.headers().clone();
        let body = CacheBody::arriving(reader, coming.length);
        let mut response = respond(stored.status(), fields, body);
        let now = Moment::ZERO + (store.now() - coming.loaded_at);
        response.headers_mut().insert(AGE, stored.age(now).as_secs().into());
        Some(self.finish(store, response, stored, outcome))
    }

    /// The response as it is on its way, or a 304 where the client has it.
    fn finish(
        &self,
        store: &Store,
        mut response: Response<CacheBody>,
        stored: &Stored,
        outcome: Outcome,
    ) -> Response<CacheBody> {
        let unchanged = self.asked.conditions
            && evaluate(&Method::GET, &self.headers, stored) == Evaluated::NotModified;
        if unchanged {
            let mut fields = not_modified(stored);
            if let Some(age) = response.headers_mut().remove(AGE) {
                fields.insert(AGE, age);
            }
            response = respond(StatusCode::NOT_MODIFIED, fields, CacheBody::empty());
        }
        store.say(response.headers_mut(), outcome, None);
        response
    }

    /// What is held, if it may be used now that the origin failed.
    pub(super) fn after(
        &self,
        store: &Store,
        found: Option<&Found>,
        failure: Failure,
        why: Forwarded,
    ) -> Option<Response<CacheBody>> {
        store.stand_in(found?, self.asked, &self.headers, failure, why)
    }

    /// The answer when the origin wasn't reached.
    pub(super) fn failed(
        &self,
        store: &Store,
        found: Option<&Found>,
        status: StatusCode,
        why: Forwarded,
    ) -> Response<CacheBody> {
        if let Some(response) = self.after(store, found, Failure::Unreached, why) {
            return response;
        }
        // What must be validated and can't be (RFC 9111 section 5.2.2.2).
        let forbidden = found.is_some_and(|found| found.kept.stored.control().must_revalidate);
        let status = if forbidden { StatusCode::GATEWAY_TIMEOUT } else { status };
        let mut response = own(status);
        let outcome = Outcome::Forwarded { why, status: None, stored: false, collapsed: false };
        store.say(response.headers_mut(), outcome, None);
        response
    }
}

impl Store {
    /// The answer to a request from what is held, if it may be used now that the origin failed.
    pub(super) fn stand_in(
        &self,
        found: &Found,
        asked: Asked,
        headers: &HeaderMap,
        failure: Failure,
        why: Forwarded,
    ) -> Option<Response<CacheBody>> {
        let now = self.now();
        if !reuse_after(failure, &found.kept.stored, headers, found.own_time(now), &self.rules) {
            return None;
        }
        let status = match failure {
            Failure::Status(status) => Some(status),
            Failure::Unreached => None,
        };
        let outcome = Outcome::Forwarded { why, status, stored: false, collapsed: false };
        let response = answer(self, &found.at(now), asked, headers, outcome)?;
        self.counters.stale.add(1);
        Some(response)
    }
}
