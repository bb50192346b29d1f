//! The HTTP listener: the declared caches as resources of HTTP.
//!
//! | resource | what it is |
//! |---|---|
//! | `/cache/NAME/KEY` | a row of a cache, read, replaced, patched and deleted |
//! | `/invalidate` | what was changed behind larder's back is told here |
//! | `/openapi.json` | all of this, as OpenAPI describes it |
//!
//! It is an origin in the words of HTTP: each answer says for how long others may keep it, which is
//! what is left of the cache's window. Rows are read and written as by the RESP listener
//! ([`larder_resp::Row`]); what HTTP asks of conditions, ranges and caches is [`larder_http`]'s.

mod body;
mod connections;
mod counts;
mod entry;
mod guard;
mod invalidate;
mod merge_patch;
mod openapi;
mod place;
mod problem;
mod requests;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use futures_util::FutureExt as _;
use larder_core::{Error, ErrorKind, Media, Result};
use larder_resp::Service;
use larder_sql::{Format, SqlTerms};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::connections::Bounded;
use self::problem::Problem;
use self::requests::Requests;
use crate::config::{CacheConfig, Config, HttpReads, Secret};

pub use self::counts::{HttpCounts, Operation, Outcome};

/// What the HTTP listener serves, and to whom.
#[derive(Debug)]
pub struct Api {
    service: Arc<Service>,
    /// Of each cache by its name, what its values are.
    values: Vec<(String, Values)>,
    token: Option<Box<[u8]>>,
    reads: HttpReads,
    hosts: Vec<String>,
    counts: Arc<HttpCounts>,
}

impl Api {
    /// The caches of `service`, which this configuration describes.
    #[must_use]
    pub fn new(config: &Config, service: &Arc<Service>) -> Self {
        let values = config.caches.iter().map(|cache| (cache.name.clone(), Values::of(cache)));
        let token = config.listen.token.as_ref().map(Secret::expose);
        Self {
            service: Arc::clone(service),
            values: values.collect(),
            token: token.map(|token| token.as_bytes().into()),
            reads: config.listen.http_reads,
            hosts: config.listen.hosts.clone(),
            counts: Arc::default(),
        }
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<HttpCounts> {
        &self.counts
    }

    /// What the values of a cache are.
    fn values(&self, cache: &str) -> Option<&Values> {
        self.values.iter().find(|(name, _)| name == cache).map(|(_, values)| values)
    }

    /// The same, whoever stored them.
    fn media(&self, cache: &str) -> Media {
        self.values(cache).map_or(Media::Raw, |values| values.media)
    }
}

/// What the values of a cache are.
#[derive(Debug)]
struct Values {
    media: Media,
    /// What they depend on.
    terms: SqlTerms,
}

impl Values {
    fn of(cache: &CacheConfig) -> Self {
        let media = match cache.format {
            Format::Json => Media::Json,
            Format::Raw => Media::Raw,
        };
        Self { media, terms: SqlTerms::of_load(&cache.load()) }
    }
}

/// The content type of values.
fn content_type(media: Media) -> &'static str {
    match media {
        Media::Json => "application/json",
        Media::Raw => "application/octet-stream",
    }
}

/// A listener whose socket is open.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    clients_max: usize,
    head_timeout: Duration,
}

impl HttpListener {
    /// Opens the socket. Beyond `clients_max` connections further ones wait to be accepted, and who
    /// takes longer than `head_timeout` to send the head of a request is disconnected.
    ///
    /// # Errors
    ///
    /// `Config` when the address can't be listened on.
    pub async fn bind(
        address: SocketAddr,
        clients_max: usize,
        head_timeout: Duration,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let message = format!("can't listen for HTTP on {address}");
            Error::new(ErrorKind::Config, message).caused_by(error)
        })?;
        Ok(Self { listener, clients_max, head_timeout })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// `Internal` when the system can't tell.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| {
            Error::new(ErrorKind::Internal, "the HTTP listener has no address").caused_by(error)
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
        api: Arc<Api>,
        stop: watch::Receiver<bool>,
        stop_within: Duration,
    ) -> Result<()> {
        let late = stopped(stop.clone()).then(|()| tokio::time::sleep(stop_within));
        let Self { listener, clients_max, head_timeout } = self;
        let listener = Bounded::new(listener, clients_max, head_timeout, api.counts());
        let router = router(api).into_make_service_with_connect_info::<Requests>();
        let served = axum::serve(listener, router).with_graceful_shutdown(stopped(stop));
        tokio::select! {
            served = served.into_future() => served.map_err(|error| {
                Error::new(ErrorKind::Internal, "the HTTP listener broke").caused_by(error)
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

fn router(api: Arc<Api>) -> Router {
    let row = get(entry::get).put(write::put).patch(write::patch).delete(write::delete);
    Router::new()
        .route("/cache/{name}/{*key}", row)
        .route("/invalidate", post(invalidate::post))
        .route("/openapi.json", get(openapi::get))
        .fallback(|| async {
            let what = "there is nothing here: /openapi.json says what there is";
            Problem::new(StatusCode::NOT_FOUND, what)
        })
        .method_not_allowed_fallback(|| async {
            let what = "this resource doesn't know the method: `Allow` names those that it knows";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, what)
        })
        .layer(from_fn_with_state(Arc::clone(&api), guard::admit))
        .with_state(api)
}
