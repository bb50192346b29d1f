//! The access log: a line for each request, when its answer has ended.
//!
//! It holds neither the query of a URL nor any field but what the cache says of itself: a token
//! or a session may stand in either.

use std::net::IpAddr;

use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::time::Instant;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What is told of one request. It is written when it is dropped.
#[derive(Debug)]
pub(super) struct Line {
    edge: Box<str>,
    client: IpAddr,
    method: Method,
    uri: Uri,
    begun: Instant,
    status: StatusCode,
    cache: Box<str>,
    bytes: u64,
}

impl Line {
    pub(super) fn new(edge: &str, client: IpAddr, method: Method, uri: Uri) -> Box<Self> {
        Box::new(Self {
            edge: edge.into(),
            client,
            method,
            uri,
            begun: Instant::now(),
            status: StatusCode::OK,
            cache: "".into(),
            bytes: 0,
        })
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = status;
        let own = headers.get_all(CACHE_STATUS).iter().next_back();
        let own = own.and_then(|own| own.to_str().ok()).and_then(|own| own.rsplit(", ").next());
        self.cache = own.unwrap_or("-").into();
    }

    /// So much of its body was handed over.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let milliseconds = self.begun.elapsed().as_secs_f64() * 1e3;
        tracing::info!(
            target: "larder_server::access",
            edge = %self.edge,
            client = %self.client,
            method = %self.method,
            host = self.uri.authority().map_or("", |authority| authority.as_str()),
            path = self.uri.path(),
            status = self.status.as_u16(),
            bytes = self.bytes,
            milliseconds = (milliseconds * 1e3).round() / 1e3,
            cache = %self.cache,
        );
    }
}
