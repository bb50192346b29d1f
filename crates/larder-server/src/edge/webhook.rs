//! The webhook: tells somebody else what is purged, until they have taken it.
//!
//! What waits is bounded; with one purge more, all that wait become one of everything, which says
//! no less. A purge is told at least once, in the order of their coming, a hundred at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result};
use larder_engine::Invalidation;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::dial::Dial;
use super::purge::PurgeOrder;
use super::stats::EdgeStats;
use crate::config::WebhookConfig;

/// So many purges are told at once.
const TOLD_AT_ONCE: usize = 100;
/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Somebody who is told what is purged. When it is dropped, what waits isn't told any more: see
/// [`finish`](Self::finish).
#[derive(Debug)]
pub(super) struct Webhook {
    queue: Arc<Queue>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    max: usize,
    came: Notify,
    /// A batch was told, or given up.
    told: Notify,
    stats: Arc<EdgeStats>,
}

/// What isn't told yet.
#[derive(Debug, Default)]
struct Waiting {
    orders: VecDeque<(PurgeOrder, Invalidation)>,
    /// So many more are being told.
    under_way: usize,
}

impl Webhook {
    /// Begins to tell what `config` names of the purges of this edge.
    ///
    /// # Errors
    ///
    /// `Config` when it can't be trusted.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    pub(super) fn start(
        edge: &str,
        config: &WebhookConfig,
        stats: &Arc<EdgeStats>,
    ) -> Result<Self> {
        let dial = Dial::new(config.url.server(), None, config.timeout)?;
        let client = Client::builder(TokioExecutor::new()).set_host(false).build(dial);
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            max: config.queue_max,
            came: Notify::new(),
            told: Notify::new(),
            stats: Arc::clone(stats),
        });
        let post = Post {
            edge: edge.to_owned(),
            target: target(config)?,
            authorization: authorization(config)?,
            config: config.clone(),
            client,
        };
        let task = tokio::spawn(tell_all(post, Arc::clone(&queue)));
        Ok(Self { queue, task })
    }

    /// Tells it of one purge, sooner or later.
    pub(super) fn tell(&self, order: PurgeOrder, how: Invalidation) {
        let mut waiting = self.queue.waiting.lock();
        let orders = &mut waiting.orders;
        if orders.len() < self.queue.max {
            orders.push_back((order, how));
        } else {
            let is_hard = |how: Invalidation| how == Invalidation::Drop;
            let drops = is_hard(how) || orders.iter().any(|(_, how)| is_hard(*how));
            let how = if drops { Invalidation::Drop } else { Invalidation::MarkStale };
            orders.clear();
            orders.push_back((PurgeOrder::All, how));
        }
        self.queue.stats.webhook_waits(orders.len());
        drop(waiting);
        self.queue.came.notify_one();
    }

    /// Waits until all that came is told or given up, no longer than `within`. Returns how many
    /// purges are left.
    pub(super) async fn finish(&self, within: Duration) -> usize {
        let left = || {
            let waiting = self.queue.waiting.lock();
            waiting.orders.len() + waiting.under_way
        };
        let all = async {
            loop {
                // Made before it is looked, so that nothing is missed in between.
                let told = self.queue.told.notified();
                if left() == 0 {
                    return;
                }
                told.await;
            }
        };
        let _ = timeout(within, all).await;
        left()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How it is posted.
struct Post {
    edge: String,
    target: Uri,
    authorization: Option<HeaderValue>,
    config: WebhookConfig,
    client: Client<Dial, Full<Bytes>>,
}

fn target(config: &WebhookConfig) -> Result<Uri> {
    let mut parts = Parts::default();
    parts.scheme = Some(config.url.server().scheme.clone());
    parts.authority = Some(config.url.server().authority.clone());
    parts.path_and_query = Some(config.url.expose_path().clone());
    Uri::from_parts(parts).map_err(|error| {
        Error::new(ErrorKind::Config, "the URL of a webhook is none").caused_by(error)
    })
}

fn authorization(config: &WebhookConfig) -> Result<Option<HeaderValue>> {
    let Some(token) = &config.token else { return Ok(None) };
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|error| {
        let message = "the token of a webhook can't be sent";
        Error::new(ErrorKind::Config, message).caused_by(error)
    })?;
    Ok(Some(value))
}

/// Tells what comes, for ever.
async fn tell_all(post: Post, queue: Arc<Queue>) {
    loop {
        let batch: Vec<_> = {
            let mut waiting = queue.waiting.lock();
            let many = waiting.orders.len().min(TOLD_AT_ONCE);
            let batch = waiting.orders.drain(..many).collect();
            waiting.under_way = many;
            queue.stats.webhook_waits(waiting.orders.len());
            batch
        };
        if batch.is_empty() {
            queue.came.notified().await;
            continue;
        }
        let many = batch.len();
        match post.tell(&batch).await {
            Ok(()) => queue.stats.webhook_posted(many),
            Err(why) => {
                queue.stats.webhook_failed(many);
                tracing::error!(
                    edge = post.edge,
                    webhook = %post.config.url,
                    "{many} purges couldn't be told and are given up: {why}"
                );
            }
        }
        queue.waiting.lock().under_way = 0;
        queue.told.notify_waiters();
    }
}

impl Post {
    /// Tells these, or says why it couldn't be done in all attempts.
    async fn tell(&self, batch: &[(PurgeOrder, Invalidation)]) -> std::result::Result<(), String> {
        let purges: Vec<Value> = batch.iter().map(|(order, how)| told(order, *how)).collect();
        let body = Bytes::from(json!({ "edge": self.edge, "purges": purges }).to_string());
        let mut pause = PAUSE;
        for attempt in 1.. {
            let why = match timeout(self.config.timeout, self.post(&body)).await {
                Ok(Ok(status)) if status.is_success() => return Ok(()),
                Ok(Ok(status)) => format!("it was answered {status}"),
                Ok(Err(error)) => format!("it couldn't be sent: {error}"),
                Err(_) => "it wasn't answered in time".to_owned(),
            };
            if attempt >= self.config.attempts_max {
                return Err(why);
            }
            tracing::warn!(edge = self.edge, webhook = %self.config.url, attempt, "{why}");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    async fn post(
        &self,
        body: &Bytes,
    ) -> std::result::Result<StatusCode, hyper_util::client::legacy::Error> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        let host = self.target.authority().map_or("", |authority| authority.as_str());
        if let Ok(host) = HeaderValue::from_str(host) {
            headers.insert(HOST, host);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(self.client.request(request).await?.status())
    }
}

/// One purge as JSON.
fn told(order: &PurgeOrder, how: Invalidation) -> Value {
    let how = if how == Invalidation::Drop { "hard" } else { "soft" };
    match order {
        PurgeOrder::Url(uri) => json!({ "url": uri.to_string(), "how": how }),
        PurgeOrder::Tag(tag) => json!({ "tag": tag, "how": how }),
        PurgeOrder::Prefix(prefix) => json!({ "prefix": prefix, "how": how }),
        PurgeOrder::All => json!({ "all": true, "how": how }),
    }
}
