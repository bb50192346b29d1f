//! The admin listener: `/metrics`, `/health`, `/ready`, `/purge` for what an edge holds, and
//! `/feed/NAME` for what Debezium posts.
//!
//! `/health` says that the process answers. `/ready` says that every cache's load has been
//! accepted by its database since the start; a database that is lost later doesn't undo it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::FutureExt as _;
use larder_core::{Error, ErrorKind, Result};
use larder_engine::Invalidation;
use larder_feed::debezium::http::{BODY_BYTES_MAX, HttpIntake};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::edge::{Edge, PurgeOrder};
use crate::metrics::Metrics;
use crate::ready::Readiness;

/// The longest order to purge, in bytes.
const PURGE_BYTES_MAX: usize = 64 << 10;

/// What the admin listener shows, and to whom.
#[derive(Debug)]
pub struct Admin {
    metrics: Metrics,
    readiness: Readiness,
    token: Option<Box<[u8]>>,
    /// Where what is posted goes, by the names of the sources.
    intakes: Vec<(String, HttpIntake)>,
    edges: Vec<Arc<Edge>>,
}

impl Admin {
    /// With a `token`, only who sends it as a bearer token is answered. What is posted for a source
    /// goes to its intake.
    pub fn new(
        metrics: Metrics,
        readiness: Readiness,
        token: Option<&str>,
        intakes: Vec<(String, HttpIntake)>,
    ) -> Self {
        let token = token.map(|token| token.as_bytes().into());
        Self { metrics, readiness, token, intakes, edges: Vec::new() }
    }

    /// What is to be purged goes to these.
    #[must_use]
    pub fn purging(mut self, edges: Vec<Arc<Edge>>) -> Self {
        self.edges = edges;
        self
    }
}

/// A listener whose socket is open.
#[derive(Debug)]
pub struct AdminListener {
    listener: TcpListener,
}

impl AdminListener {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// `Config` when the address can't be listened on.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let message = format!("can't listen for admin requests on {address}");
            Error::new(ErrorKind::Config, message).caused_by(error)
        })?;
        Ok(Self { listener })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// `Internal` when the system can't tell.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| {
            Error::new(ErrorKind::Internal, "the admin listener has no address").caused_by(error)
        })
    }

    /// Answers until `stop` becomes true; then accepts nothing more and waits for the
    /// connections, at most `stop_within`.
    ///
    /// # Errors
    ///
    /// `Internal` when the socket breaks.
    pub async fn serve(
        self,
        admin: Arc<Admin>,
        stop: watch::Receiver<bool>,
        stop_within: Duration,
    ) -> Result<()> {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/health", get(|| async { "ok\n" }))
            .route("/ready", get(ready))
            .route("/purge", post(purge).layer(DefaultBodyLimit::max(PURGE_BYTES_MAX)))
            .route("/feed/{source}", post(feed).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
            .layer(from_fn_with_state(Arc::clone(&admin), authorised))
            .with_state(admin);
        let late = stopped(stop.clone()).then(|()| tokio::time::sleep(stop_within));
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stopped(stop));
        tokio::select! {
            served = served.into_future() => served.map_err(|error| {
                Error::new(ErrorKind::Internal, "the admin listener broke").caused_by(error)
            }),
            // Somebody who never ends a request would be waited for until they do.
            () = late => Ok(()),
        }
    }
}

/// Waits for the end. A sender that is gone is one too.
async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// Lets only those through who know the token, if there is one.
async fn authorised(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    // A page from anywhere may have a browser on this machine post here. Browsers say whose page it
    // is, and nobody else does; a token no page knows.
    let is_page = request.headers().contains_key(header::ORIGIN);
    if admin.token.is_none() && is_page && *request.method() != Method::GET {
        let what = "no page may do this: leave `Origin` out, or set the `token` of [listen]\n";
        return (StatusCode::FORBIDDEN, what).into_response();
    }
    let granted = admin
        .token
        .as_ref()
        .is_none_or(|token| given.is_some_and(|given| bool::from(token.as_ref().ct_eq(given))));
    if granted {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "send the token of [listen] as a bearer token\n")
        .into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match admin.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match admin.readiness.missing() {
        None => "ready\n".into_response(),
        Some(missing) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")).into_response()
        }
    }
}

/// Answers when what was posted has been applied everywhere: Debezium posts again what failed.
async fn feed(
    State(admin): State<Arc<Admin>>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some((_, intake)) = admin.intakes.iter().find(|(name, _)| *name == source) else {
        let what = "no source of this name has a feed that is posted here\n";
        return (StatusCode::NOT_FOUND, what).into_response();
    };
    let headers =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    match intake.accept(headers, body).await {
        Ok(()) => "applied\n".into_response(),
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::Refused => StatusCode::BAD_REQUEST,
                ErrorKind::Shed => StatusCode::TOO_MANY_REQUESTS,
                ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{}\n", error.chain())).into_response()
        }
    }
}

/// Purges what the body names, of one edge or of all: see [`purge_order`].
async fn purge(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let bad = |why: String| (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
    let (edge, order, how) = match purge_order(&body) {
        Ok(read) => read,
        Err(why) => return bad(why),
    };
    let named = |one: &&Arc<Edge>| edge.as_ref().is_none_or(|name| one.name() == name);
    let edges: Vec<_> = admin.edges.iter().filter(named).collect();
    if edges.is_empty() {
        let what = "there is no edge of this name to purge\n";
        return (StatusCode::NOT_FOUND, what).into_response();
    }
    // A tag strikes wherever it stands, so telling one is enough.
    let many = if matches!(order, PurgeOrder::Tag(_)) { 1 } else { edges.len() };
    let mut done = Ok(());
    for edge in &edges[..many] {
        done = done.and(edge.purge(&order, how).await);
    }
    match done {
        Ok(()) => "purged\n".into_response(),
        Err(error) => {
            let status = StatusCode::from_u16(error.kind().http_status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, format!("{}\n", error.chain())).into_response()
        }
    }
}

/// What a purge asks for: `{"url": …}`, `{"prefix": …}`, `{"tag": …}` or `{"all": true}`, beside it
/// `"how": "hard"` or `"soft"`, and `"edge"` for one of several.
fn purge_order(
    body: &[u8],
) -> std::result::Result<(Option<String>, PurgeOrder, Invalidation), String> {
    const KNOWN: &str = "send one of {\"url\": …}, {\"prefix\": …}, {\"tag\": …}, {\"all\": \
                         true} as JSON, beside it \"how\": \"hard\" or \"soft\", and \"edge\" \
                         for one of several";
    let known = || KNOWN.to_owned();
    let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| known())?;
    let edge = text(&mut fields, "edge").map_err(|()| known())?;
    let how = match text(&mut fields, "how").map_err(|()| known())?.as_deref() {
        None | Some("hard") => Invalidation::Drop,
        Some("soft") => Invalidation::MarkStale,
        Some(_) => return Err(known()),
    };
    let mut fields = fields.into_iter();
    let (Some((name, value)), None) = (fields.next(), fields.next()) else { return Err(known()) };
    let order = match (name.as_str(), value) {
        ("url", Value::String(url)) => {
            let uri: http::Uri = url.parse().map_err(|_| format!("{url:?} is no URL"))?;
            if uri.scheme().is_none() || uri.authority().is_none() {
                return Err(format!("{url:?} has no scheme and host: write all of it"));
            }
            PurgeOrder::Url(uri)
        }
        ("prefix", Value::String(prefix)) if prefix.contains("://") => PurgeOrder::Prefix(prefix),
        ("prefix", Value::String(prefix)) => {
            return Err(format!("{prefix:?} has no scheme and host: write all of it"));
        }
        ("tag", Value::String(tag)) if !tag.is_empty() => PurgeOrder::Tag(tag),
        ("all", Value::Bool(true)) => PurgeOrder::All,
        _ => return Err(known()),
    };
    Ok((edge, order, how))
}

/// The text of a field, taken out.
fn text(fields: &mut Map<String, Value>, name: &str) -> std::result::Result<Option<String>, ()> {
    match fields.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(()),
    }
}

#[cfg(test)]
mod fuzz;
