//! The layer and the service of tower.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use larder_core::{BoxFuture, LoadError};
use tower_layer::Layer;
use tower_service::Service;

use super::body::CacheBody;
use super::exchange::Exchange;
use super::store::ResponseCache;

/// Puts a response cache in front of a service.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use larder_http::{CacheLayer, ResponseCache};
/// use std::convert::Infallible;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
/// let origin = service_fn(|_: Request<Full<Bytes>>| async {
///     let response = Response::builder().header("cache-control", "max-age=60");
///     Ok::<_, Infallible>(response.body(Full::from("hello")).unwrap())
/// });
/// let cache = ResponseCache::builder("app").build()?;
/// let app = ServiceBuilder::new().layer(CacheLayer::new(cache.clone())).service(origin);
/// for hits in [0, 1] {
///     let request = Request::get("http://example.org/").body(Full::default()).unwrap();
///     let response = app.clone().oneshot(request).await.unwrap();
///     http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
///     assert_eq!(cache.stats().hits, hits);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CacheLayer(ResponseCache);

impl CacheLayer {
    /// A layer over this cache, whose clones share it. Services behind it must be the same origin:
    /// responses are told apart by the URI alone.
    #[must_use]
    pub fn new(cache: ResponseCache) -> Self {
        Self(cache)
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService { cache: self.0.clone(), inner }
    }
}

/// A service with a response cache in front of it.
///
/// It is always ready: the inner service is asked whether it is when something is sent to it. A
/// request that the inner service fails is answered with 502, or with the status that its error
/// stands for if that is a [`larder_core::Error`]; never with an error.
///
/// What is fetched to be stored is fetched in a task of the engine, without the client's own
/// conditions and range, with an empty body, and with a copy of the request's extensions.
#[derive(Clone)]
pub struct CacheService<S> {
    cache: ResponseCache,
    inner: S,
}

impl<S> CacheService<S> {
    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &ResponseCache {
        &self.cache
    }
}

impl<S> fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl<S, B, RB> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Error: Into<LoadError>,
    S::Future: Send + 'static,
    B: Body + Default + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<LoadError>,
{
    type Response = Response<CacheBody>;
    type Error = Infallible;
    type Future = CacheFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> CacheFuture {
        let store = &self.cache.0;
        if let Some(response) = store.at_once(&request) {
            return CacheFuture(Kind::Ready(ready(Ok(response))));
        }
        let exchange = Exchange::new(store, self.inner.clone(), request);
        CacheFuture(Kind::Waits(Box::pin(async { Ok(exchange.run().await) })))
    }
}

/// The response of a [`CacheService`]. A hit is ready at once.
///
/// # Cancel safety
///
/// Dropping it drops the request, unless what it asked for is being stored: that goes on.
pub struct CacheFuture(Kind);

enum Kind {
    Ready(Ready<Result<Response<CacheBody>, Infallible>>),
    Waits(BoxFuture<'static, Result<Response<CacheBody>, Infallible>>),
}

impl Future for CacheFuture {
    type Output = Result<Response<CacheBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Kind::Ready(response) => Pin::new(response).poll(context),
            Kind::Waits(response) => response.as_mut().poll(context),
        }
    }
}

impl fmt::Debug for CacheFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFuture").finish_non_exhaustive()
    }
}
