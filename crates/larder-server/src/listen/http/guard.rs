//! Who is answered: requests for this host, from who may, all of them counted.
//!
//! A page from elsewhere may have its own name point to this machine and ask in its own name (DNS
//! rebinding): such a request names that host, and is refused, whatever it asks for.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    AUTHORIZATION, HOST, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use super::requests::Requests;
use super::{Api, Operation};
use crate::config::HttpReads;

/// Lets a request through, or says why not.
pub(super) async fn admit(
    State(api): State<Arc<Api>>,
    ConnectInfo(requests): ConnectInfo<Requests>,
    request: Request,
    next: Next,
) -> Response {
    let under_way = requests.begin();
    let operation = Operation::of(request.method(), request.uri().path());
    let checked = api
        .check_host(request.uri(), request.headers())
        .and_then(|()| api.check_token(request.method(), request.headers()));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    // A value is what it says it is, and no page, whatever a browser finds in it.
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    api.counts.count(operation, response.status());
    response.map(|content| under_way.until_taken(content))
}

impl Api {
    /// Whether what is written, and what is read, needs a token.
    pub(super) fn asks_token(&self, method: &Method) -> bool {
        let reads = *method == Method::GET || *method == Method::HEAD;
        self.token.is_some() && !(reads && self.reads == HttpReads::Anyone)
    }

    fn check_token(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        if !self.asks_token(method) {
            return Ok(());
        }
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let given = given.and_then(|value| {
            let (scheme, token) = value.split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
        });
        let is_right = |token: &[u8]| given.is_some_and(|given| bool::from(token.ct_eq(given)));
        if self.token.as_deref().is_some_and(is_right) {
            return Ok(());
        }
        let what = "send the token of [listen] as `Authorization: Bearer`";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, what);
        Err(problem.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
    }

    /// A request names one host, and it is this one. What stands in its target counts, too: it
    /// would be the one that is meant (RFC 9112 section 3.2.2).
    fn check_host(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut lines = headers.get_all(HOST).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "a request names one Host"));
        };
        let line = line.to_str().unwrap_or_default();
        let named = target.authority().map(Authority::as_str);
        if [Some(line), named].into_iter().flatten().all(|text| self.is_known(text)) {
            return Ok(());
        }
        let what = "this host isn't known here: add it to `hosts` in [listen], or ask for one that \
                    is, such as localhost";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, what))
    }

    /// Whether clients may call it so: `host` or `host:port`.
    fn is_known(&self, text: &str) -> bool {
        let Some(host) = host(text) else { return false };
        match host.parse::<IpAddr>() {
            Ok(ip) => {
                let ip = ip.to_canonical();
                ip.is_loopback() || self.hosts.contains(&ip.to_string())
            }
            Err(_) => {
                let host = host.to_ascii_lowercase();
                host == "localhost" || self.hosts.contains(&host)
            }
        }
    }
}

/// The host of `host:port`, an IPv6 address without its brackets.
fn host(text: &str) -> Option<&str> {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        let port = if port.is_empty() { "" } else { port.strip_prefix(':')? };
        return is_port(port).then_some(ip);
    }
    let (host, port) = text.split_once(':').unwrap_or((text, ""));
    is_port(port).then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::host;

    #[test]
    fn a_host_is_read_without_its_port() {
        for (text, expected) in [
            ("localhost:7380", Some("localhost")),
            ("localhost", Some("localhost")),
            ("127.0.0.1:", Some("127.0.0.1")),
            ("[::1]:7380", Some("::1")),
            ("[::1]", Some("::1")),
            ("[::1", None),
            ("[::1]x", None),
            ("::1", None),
            ("user@localhost:1", Some("user@localhost")),
            ("localhost:evil.example", None),
        ] {
            assert_eq!(host(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_has_a_host_with_a_port(text in "[\\[\\]:a.0-9@é]{0,12}") {
            if let Some(host) = host(&text) {
                prop_assert!(text.contains(host));
                prop_assert!(text.starts_with('[') || !host.contains(':'));
            }
        }
    }
}
