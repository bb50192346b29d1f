//! An origin that a test scripts, and a client that reads what comes through the layer.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use larder_core::LoadError;
use larder_engine::Engine;
use larder_http::{
    CacheBody, CacheLayer, CacheService, ResponseCache, ResponseCacheBuilder, Rules,
};
use larder_test::ManualClock;
use tokio::sync::{mpsc, oneshot};
use tower::{Layer, Service, ServiceExt};

/// What a script says to a request.
pub(crate) enum Said {
    /// A response, at once.
    Response(Response<OriginBody>),
    /// A response as soon as the test gives it.
    Later(oneshot::Receiver<Response<OriginBody>>),
    /// It isn't reached.
    Unreached,
}

impl From<Response<OriginBody>> for Said {
    fn from(response: Response<OriginBody>) -> Self {
        Self::Response(response)
    }
}

/// A body whose chunks a test sends, or one that is there.
pub(crate) enum OriginBody {
    Whole(Option<Bytes>),
    Sent(mpsc::UnboundedReceiver<Result<Bytes, LoadError>>),
    /// So many times the same, and how many were taken.
    Counted(usize, Bytes, Arc<AtomicUsize>),
}

impl OriginBody {
    pub(crate) fn sent() -> (mpsc::UnboundedSender<Result<Bytes, LoadError>>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self::Sent(receiver))
    }

    /// A body of so many chunks, and how many of them were taken.
    pub(crate) fn counted(chunks: usize, chunk: Bytes) -> (Arc<AtomicUsize>, Self) {
        let taken = Arc::new(AtomicUsize::new(0));
        (Arc::clone(&taken), Self::Counted(chunks, chunk, taken))
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = LoadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LoadError>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Sent(receiver) => {
                receiver.poll_recv(context).map(|sent| sent.map(|sent| sent.map(Frame::data)))
            }
            Self::Counted(0, ..) => Poll::Ready(None),
            Self::Counted(left, chunk, taken) => {
                *left -= 1;
                taken.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(chunk.clone()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }
}

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Script = dyn FnMut(&Got) -> Said + Send;

/// A service that answers as its script says, and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Origin(Arc<Mutex<Inner>>);

struct Inner {
    script: Box<Script>,
    got: Vec<Got>,
}

impl Origin {
    pub(crate) fn new<R: Into<Said>>(mut script: impl FnMut(&Got) -> R + Send + 'static) -> Self {
        let script = Box::new(move |got: &Got| script(got).into());
        Self(Arc::new(Mutex::new(Inner { script, got: Vec::new() })))
    }

    /// Answers with these, in turn; the last one again and again.
    pub(crate) fn of(heads: &[&str]) -> Self {
        let mut heads: VecDeque<String> = heads.iter().map(|head| (*head).to_owned()).collect();
        Self::new(move |_| {
            let head = heads[0].clone();
            if heads.len() > 1 {
                heads.pop_front();
            }
            response(&head)
        })
    }

    /// What it was asked so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.0.lock().unwrap().got.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().got.len()
    }

    pub(crate) fn last(&self) -> Got {
        self.got().pop().unwrap()
    }
}

impl Service<Request<Full<Bytes>>> for Origin {
    type Response = Response<OriginBody>;
    type Error = LoadError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, LoadError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LoadError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let (method, uri) = (parts.method, parts.uri.to_string());
            let got = Got { method, uri, headers: parts.headers, body };
            let said = {
                let mut inner = inner.lock().unwrap();
                inner.got.push(got.clone());
                (inner.script)(&got)
            };
            match said {
                Said::Response(response) => Ok(response),
                Said::Later(response) => Ok(response.await?),
                Said::Unreached => Err("the origin isn't reached".into()),
            }
        })
    }
}

/// A response from a text: a status, lines of fields, an empty line and the body.
pub(crate) fn response(text: &str) -> Response<OriginBody> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines().map(str::trim);
    let status: u16 = lines.next().unwrap().parse().unwrap();
    let mut response = Response::builder().status(status);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        response = response.header(name, value);
    }
    let body = (!body.is_empty()).then(|| Bytes::copy_from_slice(body.as_bytes()));
    response.body(OriginBody::Whole(body)).unwrap()
}

/// What a client gets.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The value of a field; "" without one.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |line| line.to_str().unwrap())
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<&[u8]> {
        self.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// What became of the request, without the cache's name.
    pub(crate) fn cache(&self) -> &str {
        self.field("cache-status").strip_prefix("test; ").unwrap()
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.cache().starts_with("hit")
    }
}

/// A response cache in front of an origin, and its clock.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) clock: ManualClock,
    pub(crate) cache: ResponseCache,
    pub(crate) service: CacheService<Origin>,
}

impl App {
    pub(crate) fn new(origin: &Origin) -> Self {
        Self::with(origin, |builder| builder)
    }

    pub(crate) fn of(origin: &Origin, rules: Rules) -> Self {
        Self::with(origin, |builder| builder.rules(rules))
    }

    pub(crate) fn with(
        origin: &Origin,
        tell: impl FnOnce(ResponseCacheBuilder) -> ResponseCacheBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let engine = Engine::with_clock(clock.clone()).unwrap();
        Self::on(&engine, clock, origin, tell)
    }

    pub(crate) fn on(
        engine: &Engine,
        clock: ManualClock,
        origin: &Origin,
        tell: impl FnOnce(ResponseCacheBuilder) -> ResponseCacheBuilder,
    ) -> Self {
        let builder = tell(ResponseCache::builder("test").engine(engine));
        let cache = builder.build().unwrap();
        let service = CacheLayer::new(cache.clone()).layer(origin.clone());
        Self { clock, cache, service }
    }

    pub(crate) fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Sends a request and returns what came before its body.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<CacheBody> {
        self.service.clone().oneshot(request).await.unwrap()
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Reply {
        read(self.send(request).await).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_with(path, "").await
    }

    /// The same with fields: one in each line.
    pub(crate) async fn get_with(&self, path: &str, fields: &str) -> Reply {
        self.ask(request(Method::GET, path, fields)).await
    }
}

/// Reads the whole response.
pub(crate) async fn read(response: Response<CacheBody>) -> Result<Reply, LoadError> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Reply { status: parts.status, headers: parts.headers, body })
}

/// A request for a path of `x.example`, with fields: one in each line.
pub(crate) fn request(method: Method, path: &str, fields: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "x.example");
    for line in fields.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(Full::default()).unwrap()
}

/// Lets other tasks run until `ready`.
pub(crate) async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

/// An IMF-fixdate, so many seconds after the calendar's beginning in tests.
pub(crate) fn date(seconds: i64) -> String {
    let start = i64::try_from(ManualClock::WALL_START.as_secs()).unwrap();
    larder_http::Date::from_unix(start + seconds).to_string()
}

/// Counts what is there under each name.
pub(crate) fn counted<'a>(names: impl IntoIterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    let mut counted = HashMap::new();
    names.into_iter().for_each(|name| *counted.entry(name).or_default() += 1);
    counted
}
