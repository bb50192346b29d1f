//! The origin as a service: requests in, its answers out.
//!
//! A request goes to it over a pooled connection with the fields that it was prepared with
//! ([`fields`](super::fields)), and its answer comes back with what the rules say of it
//! ([`rules`](super::rules)). What is stored is not known here.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::{Parts, PathAndQuery};
use http::{Method, Request, Response, Uri, Version};
use http_body::Body as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use larder_core::sync::Mutex;
use larder_core::{Clock, Error, ErrorKind, LoadError, Moment, Result};
use larder_http::{Date, Received, Rules};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::body::{Broken, EdgeBody};
use super::cache_tags::CacheTags;
use super::dial::Dial;
use super::fields;
use super::interim::Interim;
use super::rules::{EdgeRules, instruct};
use super::stats::EdgeStats;
use crate::config::EdgeConfig;

/// How long a connection to the origin is kept without a request. Shorter than what web servers
/// do: who keeps it longer than its server does loses requests on it.
const KEPT_FOR: std::time::Duration = std::time::Duration::from_secs(4);
/// How many such connections are kept.
const KEPT_MAX: usize = 256;
/// How often a failure is said in the log; those between are counted.
const SAID_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// The origin of an edge. Clones share their connections.
#[derive(Clone)]
pub(super) struct Origin(Arc<Shared>);

struct Shared {
    client: Client<Dial, EdgeBody>,
    places: Arc<Semaphore>,
    config: Arc<EdgeConfig>,
    says: Says,
    clock: Arc<dyn Clock>,
    stats: Arc<EdgeStats>,
    complaints: Mutex<Complaints>,
}

/// What was said of failures.
#[derive(Debug, Default)]
struct Complaints {
    said_at: Option<Moment>,
    /// So many since then weren't.
    unsaid: u64,
}

/// What an answer is read by before the cache sees it.
pub(super) struct Says {
    pub(super) caching: Rules,
    pub(super) caches: CacheTags,
}

/// Why the origin has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It can't be reached, or broke off.
    Unreached(hyper_util::client::legacy::Error),
    /// It took too long.
    Silent,
    /// So many requests are with it already that this one isn't sent.
    Busy,
    /// The body of the request broke off.
    Request,
}

/// Runs what keeps connections on the runtime that they belong to.
#[derive(Clone)]
struct AtHome(Handle);

impl<F> hyper::rt::Executor<F> for AtHome
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

impl Origin {
    /// The origin that `config` names, whose certificate the PEM text `authorities` vouches for.
    ///
    /// # Errors
    ///
    /// `Config` when it can't be trusted.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    pub(super) fn new(
        config: &Arc<EdgeConfig>,
        authorities: Option<&[u8]>,
        says: Says,
        clock: Arc<dyn Clock>,
        stats: &Arc<EdgeStats>,
    ) -> Result<Self> {
        let dial = Dial::new(&config.origin, authorities, config.bounds.connect_timeout)?;
        let client = Client::builder(AtHome(Handle::current()))
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT_FOR)
            .pool_max_idle_per_host(KEPT_MAX)
            .set_host(false)
            .build(dial);
        Ok(Self(Arc::new(Shared {
            client,
            places: Arc::new(Semaphore::new(config.bounds.requests_max)),
            config: Arc::clone(config),
            says,
            clock,
            stats: Arc::clone(stats),
            complaints: Mutex::default(),
        })))
    }
}

impl tower_service::Service<Request<EdgeBody>> for Origin {
    type Response = Response<EdgeBody>;
    type Error = LoadError;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Response<EdgeBody>, LoadError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), LoadError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<EdgeBody>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.ask(request).await.map_err(Fault::told) })
    }
}

impl Shared {
    async fn ask(
        &self,
        request: Request<EdgeBody>,
    ) -> std::result::Result<Response<EdgeBody>, Fault> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.stats.busy();
            self.complain(&Fault::Busy);
            return Err(Fault::Busy);
        };
        let asked = self.clock.now();
        let (head, body) = request.into_parts();
        let uri = head.uri.clone();
        let again = may_be_repeated(&head.method, &body).then(|| head.clone());
        let answered = self.send(Request::from_parts(head, body)).await;
        let answered = match (answered, again) {
            (Err(fault), Some(head)) if fault.is_broken_off() => {
                self.stats.retried();
                self.send(Request::from_parts(head, EdgeBody::default())).await
            }
            (answered, _) => answered,
        };
        let answer = answered.inspect_err(|fault| {
            self.stats.origin_failed();
            self.complain(fault);
        })?;
        let (mut head, body) = answer.into_parts();
        fields::received(&mut head.headers);
        self.says.caches.add(&mut head.headers);
        let wall = self.clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let wall = Date::from_unix(i64::try_from(wall.as_secs()).unwrap_or(i64::MAX));
        let received = Received { asked, came: self.clock.now(), wall };
        let rules = EdgeRules::of(&self.config);
        instruct(rules, &uri, head.status, &mut head.headers, (&self.says.caching, received));
        let body = EdgeBody::new(body, self.config.bounds.body_timeout).keeping(place);
        Ok(Response::from_parts(head, body))
    }

    async fn send(
        &self,
        mut request: Request<EdgeBody>,
    ) -> std::result::Result<Response<hyper::body::Incoming>, Fault> {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = self.target(path);
        *request.version_mut() = Version::HTTP_11;
        if let Some(interim) = request.extensions_mut().remove::<Interim>() {
            hyper::ext::on_informational(&mut request, move |said| {
                interim.send(said.status(), said.headers());
            });
        }
        self.stats.asked();
        match timeout(self.config.bounds.answer_timeout, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_of_request(&error) => Err(Fault::Request),
            Ok(Err(error)) => Err(Fault::Unreached(error)),
            Err(_) => Err(Fault::Silent),
        }
    }

    /// Says in the log why the origin has no answer, now and then: whoever asks hears only that it
    /// hasn't.
    fn complain(&self, fault: &Fault) {
        if matches!(fault, Fault::Request) {
            return;
        }
        let now = self.clock.now();
        let unsaid = {
            let mut complaints = self.complaints.lock();
            if complaints.said_at.is_some_and(|said_at| now - said_at < SAID_EVERY) {
                complaints.unsaid += 1;
                return;
            }
            complaints.said_at = Some(now);
            std::mem::take(&mut complaints.unsaid)
        };
        let mut why = fault.to_string();
        let mut cause = fault.source();
        while let Some(error) = cause {
            // Writing into a text doesn't fail.
            let _ = write!(why, ": {error}");
            cause = error.source();
        }
        let (edge, origin) = (&self.config.name, &self.config.origin);
        tracing::warn!(edge, %origin, unsaid, "{why}");
    }

    /// Where this path is at the origin.
    fn target(&self, path: Option<PathAndQuery>) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(self.config.origin.scheme.clone());
        parts.authority = Some(self.config.origin.authority.clone());
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // A scheme, an authority and a path always make one.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// Whether a request may be sent once more when its connection broke before an answer came:
/// sending it twice means the same as sending it once (RFC 9110 section 9.2.2), and nothing of a
/// body was sent.
fn may_be_repeated(method: &Method, body: &EdgeBody) -> bool {
    method.is_idempotent() && body.is_end_stream()
}

/// Whether it was the body of the request that failed.
fn is_of_request(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Broken>() {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Fault {
    /// Whether a connection broke that had been opened before, with nothing of an answer read.
    fn is_broken_off(&self) -> bool {
        let Self::Unreached(error) = self else { return false };
        if error.is_connect() {
            return false;
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<hyper::Error>()
                && (error.is_incomplete_message() || error.is_closed() || error.is_canceled())
            {
                return true;
            }
            if let Some(error) = error.downcast_ref::<std::io::Error>() {
                return matches!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
                );
            }
            cause = error.source();
        }
        false
    }

    /// As an error that says which status it stands for; 502 where it says none.
    fn told(self) -> LoadError {
        let kind = match self {
            Self::Unreached(_) => return Box::new(self),
            Self::Silent => ErrorKind::Timeout,
            Self::Busy => ErrorKind::Shed,
            Self::Request => ErrorKind::BadKey,
        };
        let message = self.to_string();
        Box::new(Error::new(kind, message).caused_by(self))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreached(_) => "the origin can't be reached",
            Self::Silent => "the origin took too long to answer",
            Self::Busy => "the origin is asked by too many already",
            Self::Request => "the body of the request broke off",
        })
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unreached(error) => Some(error),
            Self::Silent | Self::Busy | Self::Request => None,
        }
    }
}
