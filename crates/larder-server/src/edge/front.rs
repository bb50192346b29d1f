//! One request: from its head to the answer that is sent; and what an edge consists of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use larder_core::{Error, ErrorKind, Result};
use larder_engine::observe::Struck;
use larder_engine::{Engine, Invalidation};
use larder_http::{
    Bypass, CacheBody, CacheLayer, CacheService, Etags, Purge, Requests, ResponseCache,
    ResponseStats, Rules, SetCookie,
};
use tokio_rustls::TlsAcceptor;
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::access::Line;
use super::answer::{AnswerBody, own};
use super::body::EdgeBody;
use super::cache_tags::{CacheTags, RESPONSES};
use super::fields::{self, Refused, Sender};
use super::origin::{Origin, Says};
use super::progress::Answering;
use super::purge::{self, PurgeOrder};
use super::rules::{EdgeRules, OWN_CONTROL, Selections, tell_browser};
use super::stats::EdgeStats;
use super::store::FileStore;
use super::tls;
use super::webhook::Webhook;
use crate::config::{CacheConfig, EdgeBounds, EdgeConfig, Profile, StoreConfig};

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// A caching reverse proxy.
pub struct Edge {
    config: Arc<EdgeConfig>,
    responses: ResponseCache,
    cached: CacheService<Origin>,
    selections: Selections,
    store: Option<FileStore>,
    tls: Option<TlsAcceptor>,
    webhook: Option<Webhook>,
    stats: Arc<EdgeStats>,
}

impl Edge {
    /// What `config` describes, with a cache of `engine`. A response that names a key of one of
    /// `caches` as its tag goes with that cache, too. Files are read, and what is in the store
    /// is removed; nothing listens yet, and nothing is connected.
    ///
    /// # Errors
    ///
    /// `Config` when a file can't be read or doesn't say what it should, or when the store is
    /// another process's.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    pub fn open(config: &EdgeConfig, caches: &[CacheConfig], engine: &Engine) -> Result<Self> {
        let config = Arc::new(config.clone());
        let stats = Arc::new(EdgeStats::default());
        let rules = rules(&config);
        let store = config.store.as_ref().map(FileStore::open).transpose()?;
        let responses = responses(&config, &rules, store.as_ref(), engine)?;
        let authorities = config.origin_authority.as_deref().map(tls::read).transpose()?;
        let clock = Arc::clone(engine.clock());
        let authorities = authorities.as_deref();
        let says = Says { caching: rules, caches: CacheTags::of(caches) };
        let origin = Origin::new(&config, authorities, says, clock, &stats)?;
        let webhook = config.webhook.as_ref();
        let webhook = webhook.map(|webhook| Webhook::start(&config.name, webhook, &stats));
        Ok(Self {
            cached: CacheLayer::new(responses.clone()).layer(origin),
            tls: config.tls.as_ref().map(tls::acceptor).transpose()?,
            webhook: webhook.transpose()?,
            selections: Selections::of(&config),
            config,
            responses,
            store,
            stats,
        })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What it has counted itself.
    #[must_use]
    pub fn stats(&self) -> &EdgeStats {
        &self.stats
    }

    /// What its cache has counted.
    #[must_use]
    pub fn response_stats(&self) -> ResponseStats {
        self.responses.stats()
    }

    /// Where its long bodies are, if they are stored.
    #[must_use]
    pub fn store(&self) -> Option<&FileStore> {
        self.store.as_ref()
    }

    pub(crate) fn bounds(&self) -> &EdgeBounds {
        &self.config.bounds
    }

    /// Whether interim answers of the origin are passed on.
    pub(crate) fn relays_hints(&self) -> bool {
        self.config.early_hints
    }

    pub(crate) fn tls(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref()
    }

    /// What the responses in memory take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.responses.cache().worth().bytes
    }

    /// What they may take, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.config.memory
    }

    /// Whether somebody else is to be told of purges.
    #[must_use]
    pub fn has_webhook(&self) -> bool {
        self.webhook.is_some()
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        sender: Sender,
        answering: Answering,
    ) -> Response<AnswerBody> {
        let (mut head, body) = request.into_parts();
        let in_chunks = head.headers.contains_key(TRANSFER_ENCODING);
        let logged = self.config.access_log;
        let client = logged.then(|| fields::client(&head.headers, sender, &self.config));
        let prepared = fields::prepare(&mut head, sender, &self.config);
        let mut line = client.map(|client| {
            Line::new(&self.config.name, client, head.method.clone(), head.uri.clone())
        });
        let body = EdgeBody::new(body, self.config.bounds.body_timeout);
        let mut answer = match prepared {
            Err(Refused { status, why }) => self.refuse(status, why),
            Ok(()) => self.handle(Request::from_parts(head, body), sender).await,
        };
        if in_chunks {
            // Whoever passed it on may have gone by a Content-Length that stood beside it, and take
            // what follows for another's (RFC 9112 section 6.1).
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.stats.answered(answer.status());
        if let Some(line) = &mut line {
            line.answered(answer.status(), answer.headers());
        }
        answer.map(|body| AnswerBody::new(body, answering, line))
    }

    async fn handle(&self, request: Request<EdgeBody>, sender: Sender) -> Response<CacheBody> {
        let conforms = self.config.profile == Profile::Conformance;
        if request.method().as_str() == "PURGE" && (!conforms || self.purges()) {
            return self.purge_by_method(request, sender).await;
        }
        if request.method() == Method::TRACE && !conforms {
            // It would show what was added on the way.
            return self.refuse(StatusCode::METHOD_NOT_ALLOWED, "TRACE isn't answered");
        }
        self.ask(request).await
    }

    /// Asks the cache, which asks the origin.
    async fn ask(&self, mut request: Request<EdgeBody>) -> Response<CacheBody> {
        let rules = EdgeRules::of(&self.config);
        let path = (!self.config.rules.is_empty()).then(|| request.uri().clone());
        if let Some((at, rule)) = path.as_ref().and_then(|uri| rules.of_request(uri.path())) {
            if rule.bypass {
                request.extensions_mut().insert(Bypass);
            }
            if let Some(selection) = self.selections.of_rule(at) {
                request.extensions_mut().insert(selection);
            }
        }
        // The body isn't part of what a response is stored under.
        let has_body = !http_body::Body::is_end_stream(request.body());
        if has_body && request.method().is_safe() {
            request.extensions_mut().insert(Bypass);
        }
        let Ok(mut answer) = self.cached.clone().call(request).await;
        let status = answer.status();
        let headers = answer.headers_mut();
        match path {
            Some(uri) => tell_browser(rules, uri.path(), status, headers),
            None => drop(headers.remove(OWN_CONTROL)),
        }
        answer
    }

    fn refuse(&self, status: StatusCode, why: &str) -> Response<CacheBody> {
        self.stats.refused();
        own(status, why)
    }

    fn purges(&self) -> bool {
        self.config.purge_token.is_some() || !self.config.purge_from.is_empty()
    }

    async fn purge_by_method(
        &self,
        request: Request<EdgeBody>,
        sender: Sender,
    ) -> Response<CacheBody> {
        if !self.purges() {
            let why = "PURGE isn't permitted to anybody: set `purge_token` or `purge_from`";
            let mut answer = self.refuse(StatusCode::METHOD_NOT_ALLOWED, why);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        if !purge::is_permitted(request.headers(), sender.address, &self.config) {
            self.stats.purge_refused();
            let mut answer = own(StatusCode::UNAUTHORIZED, "send the `purge_token` of this edge");
            let challenge = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return answer;
        }
        let orders = match purge::orders(request.uri(), request.headers()) {
            Ok(orders) => orders,
            Err(why) => return self.refuse(StatusCode::BAD_REQUEST, why),
        };
        let how = match purge::is_soft(request.headers()) {
            true => Invalidation::MarkStale,
            false => Invalidation::Drop,
        };
        let mut done = Ok(());
        for order in &orders {
            done = done.and(self.purge(order, how).await);
        }
        match done {
            Ok(()) => own(StatusCode::OK, "purged"),
            Err(error) => {
                let status = StatusCode::from_u16(error.kind().http_status());
                own(status.unwrap_or(StatusCode::BAD_GATEWAY), &error.chain())
            }
        }
    }

    /// Purges what `order` names: here, and in every process that hears of it.
    ///
    /// # Errors
    ///
    /// `BadKey` when it names nothing that can be stored. `SharedDown` when the others can't be
    /// told yet: it is done here, and they are as soon as they can be.
    ///
    /// # Cancel safety
    ///
    /// What was begun is done, in this process at once.
    pub async fn purge(&self, order: &PurgeOrder, how: Invalidation) -> Result<()> {
        self.stats.purged();
        let named = match order {
            PurgeOrder::Url(uri) => {
                let urls = purge::schemes(&self.counting(uri).to_string());
                let named = urls.iter().map(|url| {
                    let uri = Uri::try_from(url).map_err(|error| {
                        let message = format!("{url} is no URL that could be purged");
                        Error::new(ErrorKind::BadKey, message).caused_by(error)
                    })?;
                    Ok(Purge::Url(uri))
                });
                named.collect::<Result<Vec<_>>>()?
            }
            PurgeOrder::Prefix(prefix) => {
                purge::schemes(prefix).map(|prefix| Purge::Prefix(prefix.into())).into()
            }
            PurgeOrder::All => vec![Purge::All],
            PurgeOrder::Tag(tag) => vec![Purge::tag(tag.as_str())],
        };
        let mut done = Ok(());
        for what in &named {
            // Where the others can't be told of one, the next is done here all the same.
            done = done.and(self.responses.purge(what, how).await.map(drop));
        }
        let is_purged = done.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::BadKey);
        // Whoever else is to be told hears of tags by the engine.
        if is_purged && !matches!(order, PurgeOrder::Tag(_)) {
            self.tell(order.clone(), how);
        }
        done
    }

    /// Tells the webhook, if there is one, of what was struck by its tags.
    pub(crate) fn tell_struck(&self, struck: Struck<'_>, how: Invalidation) {
        match struck {
            Struck::Tags(tags) => {
                tags.iter().for_each(|tag| self.tell(PurgeOrder::Tag((*tag).to_owned()), how));
            }
            Struck::Everything => self.tell(PurgeOrder::All, how),
        }
    }

    /// Tells the webhook, if there is one.
    fn tell(&self, order: PurgeOrder, how: Invalidation) {
        if let Some(webhook) = &self.webhook {
            webhook.tell(order, how);
        }
    }

    /// Waits until the webhook has been told of every purge, no longer than `within`.
    pub(crate) async fn finish_telling(&self, within: Duration) {
        let Some(webhook) = &self.webhook else { return };
        let left = webhook.finish(within).await;
        if left > 0 {
            let edge = self.name();
            tracing::error!(edge, "{left} purges weren't told to the webhook before the end");
        }
    }

    /// The URL with the parameters that count where it is stored.
    fn counting(&self, uri: &Uri) -> Uri {
        let rule = EdgeRules::of(&self.config).of_request(uri.path());
        let Some(query) = rule.and_then(|(at, _)| self.selections.query_of(at)) else {
            return uri.clone();
        };
        let path = match query.apply(uri.query()) {
            Some(query) => format!("{}?{query}", uri.path()),
            None => uri.path().to_owned(),
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(path).ok().or(parts.path_and_query);
        Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
    }
}

/// What the profile says of what the RFCs leave open.
fn rules(config: &EdgeConfig) -> Rules {
    let targets = vec![OWN_CONTROL, CDN_CACHE_CONTROL];
    let common = Rules { targets, stale_unreached: config.stale_on_error, ..Rules::shared() };
    match config.profile {
        Profile::Safe => Rules { heuristic_percent: 0, ..common },
        Profile::Conformance => {
            Rules { requests: Requests::Obeyed, set_cookie: SetCookie::Stored, ..common }
        }
    }
}

fn responses(
    config: &EdgeConfig,
    rules: &Rules,
    store: Option<&FileStore>,
    engine: &Engine,
) -> Result<ResponseCache> {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let bounds = &config.bounds;
    let in_memory =
        config.store.as_ref().map_or(config.object_max, |StoreConfig { from, .. }| {
            config.object_max.min(from.saturating_sub(1))
        });
    let etags = match config.profile {
        Profile::Safe => Etags::Made,
        Profile::Conformance => Etags::AsSent,
    };
    let answer_within = bounds.connect_timeout.saturating_add(bounds.answer_timeout);
    // The origin's own timeouts come first, and say what happened.
    let answer_within = answer_within.saturating_add(Duration::from_secs(5));
    let builder = ResponseCache::builder(format!("{RESPONSES}{}", config.name))
        .engine(engine)
        .bytes_max(bytes(config.memory))
        .object_max(bytes(in_memory))
        .rules(rules.clone())
        .etags(etags)
        .flights_max(bounds.requests_max)
        .answer_within(answer_within)
        .wait(answer_within);
    let builder = match store {
        Some(store) => builder.bodies(Arc::new(store.clone()), config.object_max),
        None => builder,
    };
    builder.build()
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("name", &self.config.name).finish_non_exhaustive()
    }
}
