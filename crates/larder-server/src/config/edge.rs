//! `[edge.NAME]` resolved: a caching reverse proxy and its bounds.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};

use super::Listen;
use super::address::Address;
use super::document::{Document, Written};
use super::edge_rule::EdgeRule;
use super::edge_webhook::WebhookConfig;
use super::findings::{Findings, Reported};
use super::inner;
use super::network::Network;
use super::options::edge as options;
use super::options::edge_tls as tls;
use super::options::listen as listen_options;
use super::scope::Scope;
use super::secret::Secret;
use super::value::{Fault, OptionValue, size_text};

/// The longest head that may be allowed, in bytes.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// What the head of a stored response may take.
const HEAD_BYTES_MAX: u64 = 256 << 10;

/// A caching reverse proxy.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// `NAME` of `[edge.NAME]`.
    pub name: String,
    /// Where clients connect.
    pub listen: Address,
    /// Whether listening off loopback without TLS was allowed.
    pub plaintext: bool,
    /// What they are shown; `None`: no TLS.
    pub tls: Option<TlsFiles>,
    /// The web server.
    pub origin: OriginUrl,
    /// What is sent to it as Host; `None`: what the client sent.
    pub origin_host: Option<String>,
    /// A file with what an `https://` origin is trusted by; `None`: what the system trusts.
    pub origin_authority: Option<PathBuf>,
    /// The hosts that are served; all of them when it is empty.
    pub hosts: Vec<HostName>,
    /// What is cached where the RFCs leave a choice.
    pub profile: Profile,
    /// What the responses that it holds may take, in bytes.
    pub memory: u64,
    /// The longest body that is stored, in bytes.
    pub object_max: u64,
    /// Where longer bodies are; `None`: nowhere.
    pub store: Option<StoreConfig>,
    /// How long what is stale may be sent while the origin can't be reached.
    pub stale_on_error: Duration,
    /// How much it takes of its clients and asks of its origin.
    pub bounds: EdgeBounds,
    /// Whose Forwarded fields are believed.
    pub trusted: Vec<Network>,
    /// How the origin is told who asked.
    pub forwarded: Forwarding,
    /// What a PURGE must send.
    pub purge_token: Option<Secret>,
    /// Who may PURGE without it.
    pub purge_from: Vec<Network>,
    /// Whether interim answers of the origin are passed on.
    pub early_hints: bool,
    /// Whether each request is a line of the log.
    pub access_log: bool,
    /// What holds for some paths, the first that fits.
    pub rules: Vec<EdgeRule>,
    /// Who else is told of what is purged.
    pub webhook: Option<WebhookConfig>,
}

/// How much an edge takes of its clients and asks of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeBounds {
    /// How long connecting to the origin may take.
    pub connect_timeout: Duration,
    /// How long the origin may take to the head of its answer.
    pub answer_timeout: Duration,
    /// How long the sender of a body may be silent.
    pub body_timeout: Duration,
    /// How many requests the origin is asked at once.
    pub requests_max: usize,
    /// How many clients are connected at once.
    pub clients_max: usize,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that is ready.
    pub send_timeout: Duration,
    /// The longest head of a request, in bytes.
    pub header_bytes_max: usize,
}

/// Where bodies are that are too long for memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// A folder of its own; relative to where larder is started.
    pub folder: PathBuf,
    /// What they may take, in bytes.
    pub bytes_max: u64,
    /// From which length on a body goes there.
    pub from: u64,
}

/// The files with what clients are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that it depends on.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What is cached where the RFCs leave a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// No cookies, no guessed lifetimes, and no client makes the origin work.
    Safe,
    /// What the RFCs allow and no more.
    Conformance,
}

/// How the origin is told who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// X-Forwarded-For, -Proto and -Host.
    XForwarded,
    /// Forwarded (RFC 7239).
    Forwarded,
    /// It isn't.
    None,
}

/// A web server: its scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUrl {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Its host, and its port if it was written.
    pub authority: Authority,
}

/// The name of a host, or of all below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl OriginUrl {
    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Its host, without the brackets that an IPv6 address has in a URL.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        let usual = if self.is_encrypted() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl HostName {
    /// Whether `host`, without its port, is meant.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            None => host.eq_ignore_ascii_case(&self.0),
            Some(end) => {
                host.len() > end.len()
                    && host.is_char_boundary(host.len() - end.len())
                    && host[host.len() - end.len()..].eq_ignore_ascii_case(end)
            }
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl EdgeConfig {
    /// What all of `document` say. No two of them, and none of the listeners of `listen`, have one
    /// address.
    pub(super) fn resolve_all(
        document: &Document,
        listen: &Result<Listen, Reported>,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Vec<Self>, Reported> {
        let written: Vec<&Written> = document.named(&options::SECTION).collect();
        let resolved: Vec<_> =
            written.iter().map(|written| Self::resolve(written, scope)).collect();
        let rules = EdgeRule::resolve_all(document, &written, scope);
        let webhooks = WebhookConfig::resolve_all(document, &written, scope);
        let shown = inner::sections(document, &tls::SECTION, &written)
            .map(|(written, edge)| (edge, TlsFiles::resolve(written, scope)))
            .collect::<Vec<_>>();

        let mut edges = resolved.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (edge, rule) in rules? {
            edges[edge].rules.push(rule);
        }
        for (edge, webhook) in webhooks? {
            edges[edge].webhook = Some(webhook);
        }
        for (edge, files) in shown {
            edges[edge].tls = Some(files?);
        }
        for (edge, written) in edges.iter().zip(&written) {
            edge.refuse_plaintext(written, scope.findings)?;
        }
        refuse_one_address(&edges, &written, listen, document, scope.findings)?;
        Ok(edges)
    }

    fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let listen = scope.required(written, &options::LISTEN);
        let origin = scope.required(written, &options::ORIGIN);
        let origin_host = scope.get(written, &options::ORIGIN_HOST);
        let origin_authority = scope.get(written, &options::ORIGIN_AUTHORITY);
        let hosts = scope.list(written, &options::HOSTS);
        let profile = scope.or_default(written, &options::PROFILE);
        let plaintext = scope.or_default(written, &options::PLAINTEXT);
        let memory = scope.or_default(written, &options::MEMORY);
        let object_max = scope.get(written, &options::OBJECT_MAX);
        let store = StoreConfig::resolve(written, scope);
        let stale_on_error = scope.or_default(written, &options::STALE_ON_ERROR);
        let bounds = EdgeBounds::resolve(written, scope);
        let trusted = scope.list(written, &options::TRUSTED);
        let forwarded = scope.or_default(written, &options::FORWARDED);
        let purge_token = scope.get(written, &options::PURGE_TOKEN);
        let purge_from = scope.list(written, &options::PURGE_FROM);
        let early_hints = scope.get(written, &options::EARLY_HINTS);
        let access_log = scope.or_default(written, &options::ACCESS_LOG);
        let (origin, store) = (origin?, store?);
        let origin_host = origin_host?.map(|host| host.to_string());
        if origin_host.as_deref().is_some_and(|host| host.contains('*')) {
            return Err(scope.findings.error(
                &written.value(&options::ORIGIN_HOST.about),
                "`origin_host` must be one host",
                "write the name that the origin knows itself by",
            ));
        }
        let origin_authority = origin_authority?;
        if origin_authority.is_some() && !origin.is_encrypted() {
            return Err(scope.findings.error(
                &written.value(&options::ORIGIN_AUTHORITY.about),
                "`origin_authority` never applies: the origin isn't reached by TLS",
                "leave it out, or write `https://` in `origin`",
            ));
        }
        let usual = if store.is_some() { 16 << 20 } else { 1 << 20 };
        let object_max = object_max?.map_or(usual, |size| size.0);
        let memory = memory?.0;
        check_room(written, (memory, object_max, store.as_ref()), scope.findings)?;
        let list = |listed: Vec<(Network, _)>| listed.into_iter().map(|(one, _)| one).collect();
        let profile = profile?;
        Ok(Self {
            name: written.name.clone(),
            listen: listen?,
            plaintext: plaintext?,
            tls: None,
            origin,
            origin_host,
            origin_authority: origin_authority.map(|file| file.0.into()),
            hosts: hosts?.into_iter().map(|(host, _)| host).collect(),
            profile,
            memory,
            object_max,
            store,
            stale_on_error: stale_on_error?,
            bounds: bounds?,
            trusted: list(trusted?),
            forwarded: forwarded?,
            purge_token: purge_token?.map(|token| token.0),
            purge_from: list(purge_from?),
            early_hints: early_hints?.unwrap_or(profile == Profile::Conformance),
            access_log: access_log?,
            rules: Vec::new(),
            webhook: None,
        })
    }

    fn refuse_plaintext(
        &self,
        written: &Written,
        findings: &mut Findings<'_>,
    ) -> Result<(), Reported> {
        if self.listen.is_loopback() || self.tls.is_some() || self.plaintext {
            return Ok(());
        }
        Err(findings.error(
            &written.place(&options::LISTEN.about),
            format!("other machines can reach {}, and it has no TLS", written.header()),
            "give it `tls = { certificate = \"…\", key = \"…\" }`, listen on 127.0.0.1 behind \
             something that ends TLS, or set `plaintext = true` on a network that you trust",
        ))
    }
}

fn refuse_one_address(
    edges: &[EdgeConfig],
    written: &[&Written],
    listen: &Result<Listen, Reported>,
    document: &Document,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let mut taken = Vec::new();
    if let Ok(listen) = listen {
        let section = document.one(&listen_options::SECTION);
        for (option, address) in [
            (&listen_options::RESP.about, &listen.resp),
            (&listen_options::HTTP.about, &listen.http),
            (&listen_options::ADMIN.about, &listen.admin),
        ] {
            taken.extend(address.as_ref().map(|address| (address, section.place(option))));
        }
    }
    for (edge, written) in edges.iter().zip(written) {
        let place = written.place(&options::LISTEN.about);
        let other = taken.iter().find(|(address, _)| **address == edge.listen);
        if let Some((_, other)) = other.filter(|_| edge.listen.port != 0) {
            let at: Vec<_> = [place, other.clone()].into_iter().flatten().collect();
            let what = "two listeners have one address";
            return Err(findings.error(&at, what, "give each a port of its own"));
        }
        taken.push((&edge.listen, place));
    }
    Ok(())
}

/// Says what keeps the longest body from being stored at all.
fn check_room(
    written: &Written,
    (memory, object_max, store): (u64, u64, Option<&StoreConfig>),
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let in_memory = store.map_or(object_max, |store| object_max.min(store.from));
    if in_memory.saturating_add(HEAD_BYTES_MAX) > memory {
        let at = written.place(&options::OBJECT_MAX.about);
        let what = format!(
            "a body of {} has no room in the memory of {}, which is {}",
            size_text(in_memory),
            written.header(),
            size_text(memory)
        );
        let cure = "give it more `memory` (a body and 256KiB), or a lower `object_max` or \
                    `store_from`";
        return Err(findings.error(&at, what, cure));
    }
    if store.is_some_and(|store| object_max > store.bytes_max) {
        let at = written.place(&options::OBJECT_MAX.about);
        let what = "`object_max` is more than all of `store_limit`";
        return Err(findings.error(&at, what, "raise the one, or lower the other"));
    }
    Ok(())
}

impl EdgeBounds {
    fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let connect_timeout = scope.or_default(written, &options::CONNECT_TIMEOUT);
        let answer_timeout = scope.or_default(written, &options::ANSWER_TIMEOUT);
        let body_timeout = scope.or_default(written, &options::BODY_TIMEOUT);
        let requests_max = scope.or_default(written, &options::REQUESTS_MAX);
        let clients_max = scope.or_default(written, &options::CLIENTS_MAX);
        let head_timeout = scope.or_default(written, &options::HEAD_TIMEOUT);
        let idle_timeout = scope.or_default(written, &options::IDLE_TIMEOUT);
        let send_timeout = scope.or_default(written, &options::SEND_TIMEOUT);
        let header_bytes_max = scope.or_default(written, &options::HEADER_BYTES_MAX)?.0;
        if header_bytes_max > HEADER_BYTES_MAX {
            return Err(scope.findings.error(
                &written.value(&options::HEADER_BYTES_MAX.about),
                "`header_bytes_max` must be at most 1MiB",
                "each client may make the server hold so much: 64KiB is more than browsers send",
            ));
        }
        Ok(Self {
            connect_timeout: connect_timeout?.0,
            answer_timeout: answer_timeout?.0,
            body_timeout: body_timeout?.0,
            requests_max: requests_max?.0,
            clients_max: clients_max?.0,
            head_timeout: head_timeout?.0,
            idle_timeout: idle_timeout?.0,
            send_timeout: send_timeout?.0,
            header_bytes_max: usize::try_from(header_bytes_max).unwrap_or(usize::MAX),
        })
    }
}

impl StoreConfig {
    fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Option<Self>, Reported> {
        let folder = scope.get(written, &options::STORE);
        let bytes_max = scope.or_default(written, &options::STORE_LIMIT);
        let from = scope.or_default(written, &options::STORE_FROM);
        let Some(folder) = folder? else {
            for option in [&options::STORE_LIMIT.about, &options::STORE_FROM.about] {
                if let Some(entry) = written.entry(option) {
                    scope.findings.warning(
                        [&entry.key],
                        format!("`{}` never applies: there is no `store`", option.name),
                        "name a folder: `store = \"/var/cache/larder/shop\"`, or leave it out",
                    );
                }
            }
            return Ok(None);
        };
        Ok(Some(Self { folder: folder.0.into(), bytes_max: bytes_max?.0, from: from?.0 }))
    }
}

impl TlsFiles {
    fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let certificate = scope.required(written, &tls::CERTIFICATE);
        let key = scope.required(written, &tls::KEY);
        Ok(Self { certificate: certificate?.0.into(), key: key?.0.into() })
    }
}

impl OptionValue for OriginUrl {
    const WHAT: &'static str = "the URL of a web server";

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "write `http://HOST:PORT` or `https://HOST`, without a path";
        let uri: Uri = text.parse().map_err(|_| Fault::new("is no URL", CURE))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Fault::new("is no URL: it needs a scheme and a host", CURE));
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(Fault::new("must begin with http:// or https://", CURE));
        }
        if authority.as_str().contains('@') {
            return Err(Fault::new("holds a user, which HTTP has no place for", CURE));
        }
        if uri.query().is_some() || !uri.path().trim_start_matches('/').is_empty() {
            return Err(Fault::new("has a path: all paths are passed on as they come", CURE));
        }
        Ok(Self { scheme: scheme.clone(), authority: authority.clone() })
    }
}

impl OptionValue for HostName {
    const WHAT: &'static str = "a host";

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "write a name or an address without a scheme and a port, or \
                            \"*.example.org\" for all below one";
        let body = text.strip_prefix("*.").unwrap_or(text);
        let named = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if body.is_empty() || body.len() > 255 || !body.chars().all(named) {
            return Err(Fault::new("is no host", CURE));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl OptionValue for Profile {
    const WHAT: &'static str = "`\"safe\"` or `\"conformance\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "safe" => Ok(Self::Safe),
            "conformance" => Ok(Self::Conformance),
            _ => Err(Fault::new(
                "must be \"safe\" or \"conformance\"",
                "leave it out, unless a test suite is to judge it",
            )),
        }
    }
}

impl OptionValue for Forwarding {
    const WHAT: &'static str = "`\"x-forwarded\"`, `\"forwarded\"` or `\"none\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "x-forwarded" => Ok(Self::XForwarded),
            "forwarded" => Ok(Self::Forwarded),
            "none" => Ok(Self::None),
            _ => Err(Fault::new(
                "must be \"x-forwarded\", \"forwarded\" or \"none\"",
                "leave it out: most web servers read X-Forwarded-For, -Proto and -Host",
            )),
        }
    }
}
