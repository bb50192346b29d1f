//! The admin listener: `/metrics`, `/health`, `/ready`.
//!
//! `/health` says that the process answers. `/ready` says that every cache's load has been
//! accepted by its database since the start; a database that is lost later doesn't undo it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::FutureExt as _;
use larder_core::{Error, ErrorKind, Result};
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
}

impl Admin {
    /// With a `token`, only who sends it as a bearer token is answered.
    pub fn new(metrics: Metrics, readiness: Readiness, token: Option<&str>) -> Self {
        Self { metrics, readiness, token: token.map(|token| token.as_bytes().into()) }
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
