//! The responses of an axum application, cached by the RFCs, and purged by the tags of its data.

use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::{Router, extract::State, response::IntoResponse, routing::get};
use larder::engine::Invalidation;
use larder::http::{CacheLayer, Purge, ResponseCache};
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed};

type Price = State<Arc<AtomicU64>>;

async fn read(price: Price) -> impl IntoResponse {
    let tag = (HeaderName::from_static("cache-tag"), "product:7");
    ([(CACHE_CONTROL, "max-age=60"), tag], price.load(Relaxed).to_string())
}

async fn raise(price: Price) -> String {
    price.fetch_add(1, Relaxed).to_string() // what changes a URI is seen there at once
}

pub(crate) fn app(cache: &ResponseCache) -> Router {
    let prices = Router::new().route("/price", get(read).post(raise)).route("/list", get(read));
    prices.with_state(Arc::new(AtomicU64::new(100))).layer(CacheLayer::new(cache.clone()))
}

pub(crate) async fn product_changed(cache: &ResponseCache) -> larder::Result<()> {
    cache.purge(&Purge::tag("product:7"), Invalidation::MarkStale).await.map(drop)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = ResponseCache::builder("shop").bytes_max(64 << 20).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&cache)).await?)
}
