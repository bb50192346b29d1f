//! The responses of an axum application, cached by the RFCs, and purged by the tags of its data.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::{Router, extract::State, response::IntoResponse, routing::get};
use larder::engine::Invalidation;
use larder::http::{CacheLayer, Purge, ResponseCache};
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed};

type Shop = State<(Arc<AtomicU64>, ResponseCache)>;

async fn read(State((price, _)): Shop) -> impl IntoResponse {
    let tag = (HeaderName::from_static("cache-tag"), "product:7");
    ([(CACHE_CONTROL, "max-age=60"), tag], price.load(Relaxed).to_string())
}

async fn raise(State((price, cache)): Shop) -> Result<StatusCode, StatusCode> {
    price.fetch_add(1, Relaxed);
    let purged = cache.purge(&Purge::tag("product:7"), Invalidation::MarkStale).await;
    purged.map(|_| StatusCode::NO_CONTENT).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

pub(crate) fn app(cache: &ResponseCache) -> Router {
    let prices = Router::new().route("/price", get(read).post(raise)).route("/list", get(read));
    let shop = (Arc::new(AtomicU64::new(100)), cache.clone());
    prices.with_state(shop).layer(CacheLayer::new(cache.clone()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = ResponseCache::builder("shop").bytes_max(64 << 20).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&cache)).await?)
}
