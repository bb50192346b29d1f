//! The admin listener: `/metrics`, `/health`, `/ready`, and `/feed/NAME` for what Debezium posts.
//!
//! `/health` says that the process answers. `/ready` says that every cache's load has been
//! accepted by its database since the start; a database that is lost later doesn't undo it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::FutureExt as _;
use larder_core::{Error, ErrorKind, Result};
use larder_feed::debezium::http::{BODY_BYTES_MAX, HttpIntake};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::ready::Readiness;

/// What the admin listener shows, and to whom.
#[derive(Debug)]
pub struct Admin {
    metrics: Metrics,
    readiness: Readiness,
    token: Option<Box<[u8]>>,
    /// Where what is posted goes, by the names of the sources.
    intakes: Vec<(String, HttpIntake)>,
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
        Self { metrics, readiness, token: token.map(|token| token.as_bytes().into()), intakes }
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
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
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
