//! `[edge.NAME]` resolved: a caching reverse proxy and its bounds.

use std::path::PathBuf;
use std::time::Duration;

use super::Listen;
use super::address::Address;
use super::document::{Document, Written};
use super::edge_bounds::{EdgeBounds, StoreConfig, check_room};
use super::edge_rule::EdgeRule;
use super::edge_tls::TlsFiles;
use super::edge_value::{Forwarding, HostName, OriginUrl, Profile};
use super::edge_webhook::WebhookConfig;
use super::findings::{Findings, Reported};
use super::inner;
use super::network::Network;
use super::options::edge as options;
use super::options::edge_tls as tls;
use super::options::listen as listen_options;
use super::scope::Scope;
use super::secret::Secret;

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
