//! A request that is sent on by itself, as it is.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use larder_core::{LoadError, Moment};
use tower_service::Service;

use super::answer::own;
use super::asked::Asked;
use super::body::CacheBody;
use super::fetch::status_of;
use super::find::Found;
use super::posted::{Posted, Taken};
use super::store::Store;
use super::taking::Taking;
use crate::{
    Failure, Forwarded, Freshened, Outcome, Received, freshen_by_head, freshen_by_part,
    strip_hop_by_hop,
};

/// A request that is sent on by itself.
pub(super) struct Passing<'a, S> {
    pub(super) store: &'a Arc<Store>,
    pub(super) service: S,
    pub(super) why: Forwarded,
}

/// Whether a response says by a validator which representation it is about.
fn validates(fields: &HeaderMap) -> bool {
    fields.contains_key(ETAG) || fields.contains_key(LAST_MODIFIED)
}

impl<S> Passing<'_, S> {
    /// Sends it, strikes what its response invalidates under `key`, stores that of a POST if it is
    /// one to be stored, and freshens what is `found` by the response to a HEAD, or by a part. If
    /// the origin fails, what is `found` is the answer where it may be.
    pub(super) async fn send<B, RB>(
        mut self,
        request: Request<B>,
        key: Option<&[u8]>,
        found: Option<(Found, HeaderMap)>,
    ) -> Response<CacheBody>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<LoadError>,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<LoadError>,
    {
        let store = self.store;
        store.counters.passed.add(1);
        let method = request.method().clone();
        let freshens = found.as_ref().zip(key);
        let freshens = freshens.and_then(|((found, headers), key)| {
            let (ticket, held) = store.ticket_to_freshen(key, headers, found)?;
            Some((ticket, held, headers.clone()))
        });
        let posted = key.and_then(|key| Posted::of(store, &request, key));
        let asked = store.now();
        let service = &mut self.service;
        let answer = async {
            poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        };
        let response = match answer.await {
            Ok(response) => response,
            Err(error) => {
                store.counters.failed.add(1);
                if let Some(response) = self.instead(&method, found.as_ref(), Failure::Unreached) {
                    return response;
                }
                let outcome = Outcome::Forwarded {
                    why: self.why,
                    status: None,
                    stored: false,
                    collapsed: false,
                };
                let mut response = own(status_of(&error.into()));
                store.say(response.headers_mut(), outcome, None);
                return response;
            }
        };
        let failure = Failure::Status(response.status());
        if let Some(response) = self.instead(&method, found.as_ref(), failure) {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let taken = match (posted, key) {
            (Some(posted), _) => posted.strike(store, parts.status, &parts.headers),
            (None, Some(key)) => {
                store.strike(&method, key, parts.status, &parts.headers);
                None
            }
            (None, None) => None,
        };
        if let Some((ticket, found, headers)) = freshens {
            let own = |moment: Moment| Moment::ZERO + (moment - ticket.taken_at());
            let received =
                Received { asked: own(asked), came: own(store.now()), wall: store.wall() };
            let stored = found.kept.as_sent();
            let (status, fields) = (parts.status, &parts.headers);
            let rules = &store.rules;
            let freshened = match (&method, status) {
                (&Method::HEAD, _) => {
                    let by_head =
                        freshen_by_head(&stored, &headers, status, fields, received, rules);
                    // What was marked stale needs a validation (RFC 9111 section 4.4), and a HEAD
                    // without a validator is none.
                    match by_head {
                        Freshened::Updated(_) if found.marked && !validates(fields) => {
                            Freshened::NotThis
                        }
                        by_head => by_head,
                    }
                }
                (_, StatusCode::PARTIAL_CONTENT) => {
                    freshen_by_part(&stored, &headers, fields, received, rules)
                }
                _ => Freshened::NotThis,
            };
            match freshened {
                Freshened::Updated(stored) => {
                    store.update(ticket, &found, *stored);
                }
                Freshened::Outdated => store.outdate(&found.key),
                Freshened::NotThis => {}
            }
        }
        if parts.status != StatusCode::SWITCHING_PROTOCOLS {
            strip_hop_by_hop(&mut parts.headers);
        }
        if !parts.headers.contains_key(DATE) && !parts.status.is_informational() {
            parts.headers.insert(DATE, store.wall().to_value());
        }
        let stored = taken.is_some();
        let outcome = Outcome::Forwarded { why: self.why, status: None, stored, collapsed: false };
        store.say(&mut parts.headers, outcome, None);
        let body = match taken {
            Some(Taken { length, store: fill }) => {
                CacheBody::passed(Taking::new(body, length, store.bounds.object_max, fill))
            }
            None => CacheBody::passed(body),
        };
        Response::from_parts(parts, body)
    }

    /// What is held, if it may be the answer now that the origin failed.
    fn instead(
        &self,
        method: &Method,
        found: Option<&(Found, HeaderMap)>,
        failure: Failure,
    ) -> Option<Response<CacheBody>> {
        let (found, headers) = found?;
        let asked = Asked::read(method, headers)?;
        self.store.stand_in(found, asked, headers, failure, self.why)
    }
}
