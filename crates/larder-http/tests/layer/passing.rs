//! What isn't for a cache goes through as it is.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use larder_core::{Error, ErrorKind};
use larder_http::Bypass;

use crate::kit::{App, Origin, Said, request};

const FRESH: &str = "200\ncache-control: max-age=60\n\nx";

/// RFC 9110 §9: every method reaches the origin, with its body
#[tokio::test]
async fn other_methods_are_forwarded() {
    let origin = Origin::of(&[FRESH]);
    let app = App::new(&origin);
    for method in ["POST", "OPTIONS", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let sent = request(method.clone(), "/", "").map(|_| Full::from("body"));
        let reply = app.ask(sent).await;
        assert_eq!((reply.text(), reply.cache()), ("x", "fwd=method"));
        let got = origin.last();
        assert_eq!((got.method, &got.body[..]), (method, &b"body"[..]));
    }
}

/// RFC 9110 §9.3.1: a GET with a body means what nobody knows
#[tokio::test]
async fn a_get_with_a_body_is_forwarded() {
    let origin = Origin::of(&[FRESH]);
    let app = App::new(&origin);
    app.get("/").await;
    let sent = request(Method::GET, "/", "").map(|_| Full::<Bytes>::from("body"));
    assert_eq!(app.ask(sent).await.cache(), "fwd=bypass");
    assert_eq!(origin.last().body, "body");
    assert_eq!(app.get_with("/", "upgrade: websocket").await.cache(), "fwd=bypass");
    let mut sent = request(Method::GET, "/", "if-none-match: \"1\"");
    sent.extensions_mut().insert(Bypass);
    assert_eq!(app.ask(sent).await.cache(), "fwd=bypass");
    assert_eq!(origin.last().headers["if-none-match"], "\"1\"");
}

/// RFC 9110 §15.6: an origin that fails is a 502, or what its error stands for
#[tokio::test]
async fn a_failing_origin_is_an_answer() {
    let app = App::new(&Origin::new(|_| Said::Unreached));
    assert_eq!(app.get("/").await.status, 502);
    assert_eq!(app.ask(request(Method::POST, "/", "")).await.status, 502);
    let service = tower::service_fn(|_: http::Request<Full<Bytes>>| async {
        let error = Error::new(ErrorKind::Timeout, "the origin is slow");
        Err::<http::Response<Full<Bytes>>, _>(larder_core::LoadError::from(error))
    });
    let layer = larder_http::CacheLayer::new(app.cache.clone());
    let slow = tower::Layer::layer(&layer, service);
    let reply = tower::ServiceExt::oneshot(slow, request(Method::GET, "/", "")).await.unwrap();
    assert_eq!(reply.status(), StatusCode::GATEWAY_TIMEOUT);
}

/// RFC 9111 §3: once it is known that nothing is stored, requests go through as they are
#[tokio::test]
async fn what_is_not_stored_is_remembered() {
    let origin = Origin::of(&["200\ncache-control: private\netag: \"1\"\n\nx"]);
    let app = App::new(&origin);
    app.get("/").await;
    app.get_with("/", "if-none-match: \"1\"\nrange: bytes=0-1").await;
    let asked = origin.last().headers;
    assert!(asked.contains_key("if-none-match") && asked.contains_key("range"));
    app.seconds(11);
    app.get_with("/", "if-none-match: \"1\"").await;
    assert!(!origin.last().headers.contains_key("if-none-match"));
    let stats = app.cache.stats();
    assert_eq!((stats.passed, stats.fetches), (1, 2));
}
