//! The fields of a request on its way to the origin: whom it is for, who asked, and what is never
//! passed on.
//!
//! A response is stored under the scheme, host, path and query of its request. What else of a
//! request reaches the origin could shape a response that others then get, so the fields with
//! which proxies tell each other whom a request is for are ours alone: they are set from what the
//! response is stored under.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, TRANSFER_ENCODING, VIA,
};
use http::uri::{Authority, Parts, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, request};
use larder_http::strip_hop_by_hop;

use crate::config::{EdgeConfig, Forwarding, Profile};

/// What other fields tell an origin whom a request is for, who asked, or what is meant by it. None
/// of them is part of what a response is stored under. In order.
const UNKEYED: [&str; 25] = [
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "front-end-https",
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-originating-ip",
    "x-override-url",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
    "x-wap-profile",
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request that went through so many of us goes in a circle.
const HOPS_MAX: usize = 4;

/// The longest X-Forwarded-For that is taken over from a proxy that is trusted, in bytes.
const CHAIN_BYTES_MAX: usize = 4096;

/// Who sent a request, and how it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// The address that connected.
    pub(crate) address: IpAddr,
    /// Whether it came by TLS.
    pub(crate) is_encrypted: bool,
}

/// A request that isn't passed on, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

const fn refused(status: StatusCode, why: &'static str) -> Refused {
    Refused { status, why }
}

/// Turns the head of a request into that of the request to the origin: its URI is the one that it
/// is stored under, and its fields are those that the origin may see.
pub(super) fn prepare(
    head: &mut request::Parts,
    sender: Sender,
    config: &EdgeConfig,
) -> Result<(), Refused> {
    if head.method == Method::CONNECT {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this is no tunnel"));
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |line: &HeaderValue| line.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|line| !is_chunked(line)) || codings.next().is_some() {
        // Without its name what is within the chunks would mean something else (RFC 9112 section
        // 6.1).
        let why = "the one transfer coding that is read is `chunked`";
        return Err(refused(StatusCode::NOT_IMPLEMENTED, why));
    }
    let is_trusted = config.trusted.iter().any(|network| network.contains(sender.address));
    let told = if is_trusted { told(&head.headers) } else { Told::default() };
    let scheme = match told.is_encrypted.unwrap_or(sender.is_encrypted) {
        true => Scheme::HTTPS,
        false => Scheme::HTTP,
    };
    let authority = match told.host {
        Some(host) => host,
        None => authority(head, config)?,
    };
    let authority = usual(&authority, &scheme);
    if !config.hosts.is_empty() && !config.hosts.iter().any(|host| host.matches(authority.host())) {
        return Err(refused(StatusCode::MISDIRECTED_REQUEST, "this host isn't served here"));
    }
    let path = match head.uri.path_and_query() {
        Some(path) if path.as_str() == "*" => {
            return Err(refused(StatusCode::NOT_IMPLEMENTED, "ask for a path"));
        }
        Some(path) => path.clone(),
        None => PathAndQuery::from_static("/"),
    };
    if hops(&head.headers, &config.name) > HOPS_MAX {
        return Err(refused(StatusCode::LOOP_DETECTED, "this request goes in a circle"));
    }

    let headers = &mut head.headers;
    strip_hop_by_hop(headers);
    // What is waited for with it is asked for here, when the body is read.
    headers.remove(EXPECT);
    headers.remove(FORWARDED);
    let is_safe = config.profile == Profile::Safe;
    // Where fields become variables (CGI, WSGI, PHP), `X_Forwarded_Host` is X-Forwarded-Host, and
    // any other name with a line is that of a field by which a response may have been selected.
    strip_all(headers, |name| {
        let is_odd = is_safe && name.contains('_');
        is_odd || name.starts_with("x-forwarded") || UNKEYED.binary_search(&name).is_ok()
    });
    tell(headers, (&scheme, &authority, sender.address), told.chain, config.forwarded);
    let host = config.origin_host.as_deref().unwrap_or(authority.as_str());
    headers.insert(HOST, text(host));
    via(headers, head.version, &config.name);
    if head.version >= Version::HTTP_2 {
        join_cookies(headers);
    }
    if is_safe {
        usual_encodings(headers);
    }

    let mut parts = Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    head.uri = Uri::from_parts(parts)
        .map_err(|_| refused(StatusCode::BAD_REQUEST, "the target is no path"))?;
    Ok(())
}

/// Whom a request is for (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
fn authority(head: &request::Parts, config: &EdgeConfig) -> Result<Authority, Refused> {
    const BAD: Refused =
        refused(StatusCode::BAD_REQUEST, "there must be one Host, and a valid one");
    let mut lines = head.headers.get_all(HOST).iter();
    let (line, other) = (lines.next(), lines.next());
    if other.is_some() {
        return Err(BAD);
    }
    let named = line.map(|line| Authority::try_from(line.as_bytes()).map_err(|_| BAD));
    let named = named.transpose()?;
    let authority = match (head.uri.authority(), named) {
        // In HTTP/1.1 the target stands over the field; in HTTP/2 they must say the same.
        (Some(target), Some(named)) if head.version >= Version::HTTP_2 && *target != named => {
            return Err(BAD);
        }
        (Some(target), _) => target.clone(),
        (None, Some(named)) => named,
        // Before HTTP/1.1 nobody had to say it.
        (None, None) if head.version < Version::HTTP_11 => config.origin.authority.clone(),
        (None, None) => return Err(BAD),
    };
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(BAD);
    }
    Ok(authority)
}

/// The authority in small letters, without the port that its scheme has anyway.
fn usual(authority: &Authority, scheme: &Scheme) -> Authority {
    let usual_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let text = match authority.port_u16() {
        Some(port) if port == usual_port => authority.host(),
        _ => authority.as_str(),
    };
    if text.len() == authority.as_str().len() && !text.bytes().any(|b| b.is_ascii_uppercase()) {
        return authority.clone();
    }
    Authority::try_from(text.to_ascii_lowercase()).unwrap_or_else(|_| authority.clone())
}

/// What a proxy in front said of a request.
#[derive(Default)]
struct Told {
    is_encrypted: Option<bool>,
    host: Option<Authority>,
    /// Who asked it, and those between, the last one nearest to us.
    chain: Option<String>,
}

fn told(headers: &HeaderMap) -> Told {
    let last = |name: &HeaderName| {
        let line = headers.get_all(name).iter().next_back()?;
        let member = line.to_str().ok()?.rsplit(',').next()?;
        Some(member.trim().to_owned())
    };
    let is_encrypted = last(&X_FORWARDED_PROTO).and_then(|scheme| match scheme.as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    });
    let host = last(&X_FORWARDED_HOST).and_then(|host| Authority::try_from(host).ok());
    let host = host.filter(|host| !host.as_str().contains('@') && !host.host().is_empty());
    let lines: Option<Vec<&str>> =
        headers.get_all(&X_FORWARDED_FOR).iter().map(|line| line.to_str().ok()).collect();
    let chain = lines.filter(|lines| !lines.is_empty()).map(|lines| lines.join(", "));
    let chain = chain.filter(|chain| chain.len() <= CHAIN_BYTES_MAX);
    Told { is_encrypted, host, chain }
}

/// Who asked, as far as those say that are trusted: of the chain, the last one that isn't a proxy
/// of ours.
pub(super) fn client(headers: &HeaderMap, sender: Sender, config: &EdgeConfig) -> IpAddr {
    let is_trusted = |address: IpAddr| config.trusted.iter().any(|one| one.contains(address));
    let mut client = sender.address;
    let chain = if is_trusted(client) { told(headers).chain } else { None };
    for member in chain.iter().flat_map(|chain| chain.rsplit(',')) {
        let Ok(address) = member.trim().parse() else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// Removes all fields with such a name.
fn strip_all(headers: &mut HeaderMap, is_meant: impl Fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_meant(name.as_str())).cloned() {
        headers.remove(name);
    }
}

/// Tells the origin who asked, and whom.
fn tell(
    headers: &mut HeaderMap,
    (scheme, authority, address): (&Scheme, &Authority, IpAddr),
    chain: Option<String>,
    forwarding: Forwarding,
) {
    let address = address.to_canonical();
    match forwarding {
        Forwarding::None => {}
        Forwarding::XForwarded => {
            let mut chain = chain.map_or_else(String::new, |chain| chain + ", ");
            // Writing into a text doesn't fail.
            let _ = write!(chain, "{address}");
            headers.insert(X_FORWARDED_FOR, text(&chain));
            headers.insert(X_FORWARDED_PROTO, text(scheme.as_str()));
            headers.insert(X_FORWARDED_HOST, text(authority.as_str()));
        }
        Forwarding::Forwarded => {
            let node = match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("\"[{address}]\""),
            };
            let element = format!("for={node};host=\"{authority}\";proto={scheme}");
            headers.insert(FORWARDED, text(&element));
        }
    }
}

/// How many of us the request has gone through already.
fn hops(headers: &HeaderMap, edge: &str) -> usize {
    let own = |member: &[u8]| {
        let mut words = member.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let name = words.nth(1).and_then(|name| name.strip_prefix(b"larder-"));
        name == Some(edge.as_bytes())
    };
    let members = headers.get_all(VIA).iter();
    members.flat_map(|line| line.as_bytes().split(|&b| b == b',')).filter(|one| own(one)).count()
}

/// Says that the request went through here (RFC 9110 section 7.6.3).
fn via(headers: &mut HeaderMap, version: Version, edge: &str) {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    };
    headers.append(VIA, text(&format!("{version} larder-{edge}")));
}

/// Makes one line of cookies that HTTP/2 carried in several (RFC 9113 section 8.2.3): the origin
/// is asked over HTTP/1.1, where there is one line.
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(line) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, line);
    }
}

/// Leaves of Accept-Encoding what makes a difference to an origin, in one order: browsers that
/// write it differently then share what is stored.
fn usual_encodings(headers: &mut HeaderMap) {
    const KNOWN: [&str; 3] = ["zstd", "br", "gzip"];
    const USUAL: [&str; 8] =
        ["", "gzip", "br", "br, gzip", "zstd", "zstd, gzip", "zstd, br", "zstd, br, gzip"];
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let mut accepted = 0;
    for line in headers.get_all(ACCEPT_ENCODING) {
        for member in line.as_bytes().split(|&byte| byte == b',') {
            let mut parts = member.split(|&byte| byte == b';');
            let coding = parts.next().unwrap_or_default().trim_ascii();
            let refused = parts.next().is_some_and(is_zero);
            let known =
                KNOWN.iter().position(|known| coding.eq_ignore_ascii_case(known.as_bytes()));
            if let Some(at) = known.filter(|_| !refused) {
                accepted |= 4 >> at;
            }
        }
    }
    match USUAL[accepted] {
        "" => drop(headers.remove(ACCEPT_ENCODING)),
        usual => drop(headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(usual))),
    }
}

/// Whether a weight is none: `q=0`, `q=0.000`.
fn is_zero(weight: &[u8]) -> bool {
    let weight = weight.trim_ascii();
    let number = weight.strip_prefix(b"q=").or_else(|| weight.strip_prefix(b"Q="));
    number.is_some_and(|number| number.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

/// Prepares the head of the origin's answer for whoever comes next.
pub(super) fn received(headers: &mut HeaderMap) {
    // A length beside an encoding of the transfer says nothing (RFC 9112 section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
}

/// The value of a field that we write, which is always one.
fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod fuzz;
