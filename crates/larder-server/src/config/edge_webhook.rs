//! `[edge.NAME.webhook]` resolved: who else is told of what is purged.

use std::fmt;
use std::time::Duration;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

use super::document::{Document, Written};
use super::edge_value::OriginUrl;
use super::findings::Reported;
use super::inner;
use super::options::edge_webhook as options;
use super::scope::Scope;
use super::secret::Secret;
use super::value::{Fault, OptionValue};

/// Who else is told of what is purged.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where it is posted.
    pub url: WebhookUrl,
    /// What is sent as a bearer token.
    pub token: Option<Secret>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often it is tried.
    pub attempts_max: usize,
    /// How many purges wait.
    pub queue_max: usize,
}

/// Where purges are posted. Its path and query may hold a secret and are never shown.
#[derive(Clone)]
pub struct WebhookUrl {
    server: OriginUrl,
    path: PathAndQuery,
}

impl WebhookUrl {
    /// The server.
    #[must_use]
    pub fn server(&self) -> &OriginUrl {
        &self.server
    }

    /// The path and the query, which may be secret. Never put them where somebody can read them.
    #[must_use]
    pub fn expose_path(&self) -> &PathAndQuery {
        &self.path
    }
}

impl fmt::Display for WebhookUrl {
    /// Without its path and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.server)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl WebhookConfig {
    /// What all of `document` say, each with the place of its edge.
    pub(super) fn resolve_all(
        document: &Document,
        edges: &[&Written],
        scope: &mut Scope<'_, '_>,
    ) -> Result<Vec<(usize, Self)>, Reported> {
        let resolved: Vec<_> = inner::sections(document, &options::SECTION, edges)
            .map(|(written, edge)| Self::resolve(written, scope).map(|webhook| (edge, webhook)))
            .collect();
        resolved.into_iter().collect()
    }

    fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let url = scope.required(written, &options::URL);
        let token = scope.get(written, &options::TOKEN);
        let timeout = scope.or_default(written, &options::TIMEOUT);
        let attempts_max = scope.or_default(written, &options::ATTEMPTS_MAX);
        let queue_max = scope.or_default(written, &options::QUEUE_MAX);
        Ok(Self {
            url: url?,
            token: token?.map(|token| token.0),
            timeout: timeout?.0,
            attempts_max: attempts_max?.0,
            queue_max: queue_max?.0,
        })
    }
}

impl OptionValue for WebhookUrl {
    const WHAT: &'static str = "a URL";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "write http://HOST/PATH or https://HOST/PATH";
        let uri: Uri = text.parse().map_err(|_| Fault::new("is no URL", CURE))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(Fault::new("is no URL: it needs a scheme and a host", CURE));
        };
        let known = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        if !known || authority.as_str().contains('@') {
            return Err(Fault::new("is no URL of a web server", CURE));
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { server: OriginUrl { scheme, authority }, path })
    }
}
