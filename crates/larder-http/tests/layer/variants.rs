//! Responses that depend on the request's fields, and what of a request is normalised.

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};
use http::{HeaderName, Method};
use larder_http::{Query, Selection};
use std::sync::Arc;

use crate::kit::{App, Origin, OriginBody, read, request, response};

/// An origin that varies by `a`, and says what it was asked.
fn origin() -> Origin {
    Origin::new(|got| {
        let asked = got.headers.get("a").map_or("none", |line| line.to_str().unwrap()).to_owned();
        response(&format!("200\ncache-control: max-age=60\nvary: a\n\n{asked}"))
    })
}

/// RFC 9111 §4.1: each variant is stored, and selected by the fields that Vary names
#[tokio::test]
async fn variants_are_told_apart() {
    let origin = origin();
    let app = App::new(&origin);
    let asked = ["a: 1", "a: 2", "", "a: 1\na: 2"];
    for fields in asked {
        assert!(!app.get_with("/", fields).await.is_hit());
    }
    for (fields, text) in asked.iter().zip(["1", "2", "none", "1"]) {
        let reply = app.get_with("/", &format!("{fields}\nb: any")).await;
        assert_eq!((reply.text(), reply.is_hit()), (text, true));
    }
    assert_eq!(app.get_with("/", "a: 3").await.cache(), "fwd=vary-miss; stored");
    assert_eq!(origin.count(), 5);
}

/// RFC 9111 §4.1: what another Vary stored stays, and the latest that matches is used
#[tokio::test]
async fn a_vary_that_changes_keeps_what_was_stored() {
    let origin = Origin::new(|got| {
        let (a, b) = (got.headers.contains_key("a"), got.headers.contains_key("b"));
        response(match (a, b) {
            (true, false) => "200\ncache-control: max-age=60\nvary: a\n\nby a",
            (false, true) => "200\ncache-control: max-age=60\nvary: b\n\nby b",
            _ => "200\ncache-control: max-age=60\n\nplain",
        })
    });
    let app = App::new(&origin);
    for _ in 0..2 {
        for (fields, text) in [("a: 1", "by a"), ("b: 1", "by b"), ("a: 1\nb: 1", "plain")] {
            app.get_with("/", fields).await;
            let reply = app.get_with("/", fields).await;
            assert!(reply.is_hit(), "{fields}");
            assert!(reply.text() == text || fields.contains('\n'));
        }
    }
}

/// RFC 9111 §4.1: what arrives slowly is stored beside a variant that was asked for later
#[tokio::test]
async fn variants_that_arrive_side_by_side_are_both_stored() {
    let (sender, body) = OriginBody::sent();
    let mut slow = Some(body);
    let origin = Origin::new(move |_| {
        let head = response("200\ncache-control: max-age=60\nvary: a\n\nx");
        match slow.take() {
            Some(body) => head.map(|_| body),
            None => head,
        }
    });
    let app = App::new(&origin);
    let first = app.send(request(Method::GET, "/", "a: 1")).await;
    app.seconds(1);
    app.get_with("/", "a: 2").await;
    sender.send(Ok("slow".into())).unwrap();
    drop(sender);
    read(first).await.unwrap();
    for (fields, text) in [("a: 1", "slow"), ("a: 2", "x")] {
        let reply = app.get_with("/", fields).await;
        assert_eq!((reply.text(), reply.is_hit()), (text, true));
    }
}

/// RFC 9111 §4.1: ten thousand variants of a URI take the room of a few
#[tokio::test]
async fn ten_thousand_variants_are_bounded() {
    let app = App::with(&origin(), |builder| builder.variants_max(16));
    for variant in 0..10_000 {
        let fields = format!("a: {variant}");
        assert_eq!(app.get_with("/", &fields).await.text(), variant.to_string());
    }
    let worth = app.cache.cache().worth();
    assert!(worth.memory_bytes < 64 * 1024, "{} bytes", worth.memory_bytes);
    assert!(app.get_with("/", "a: 9999").await.is_hit());
    assert!(!app.get_with("/", "a: 1").await.is_hit());
}

/// RFC 9110 §12.5.5: a response that varies by a field which isn't listed isn't stored
#[tokio::test]
async fn only_listed_fields_may_select() {
    let listed = |names: &[&'static str]| {
        let names: Vec<_> = names.iter().map(|name| HeaderName::from_static(name)).collect();
        App::with(&origin(), |builder| builder.selection(Selection::new().vary_only(names)))
    };
    let app = listed(&["a", "b"]);
    app.get("/").await;
    assert!(app.get("/").await.is_hit());
    let app = listed(&["b"]);
    app.get("/").await;
    assert_eq!(app.get("/").await.cache(), "fwd=uri-miss");
}

/// RFC 9110 §12.5.3: a field is rewritten to what counts of it, for the key and for the origin
#[tokio::test]
async fn encodings_are_normalised() {
    let origin = Origin::of(&["200\ncache-control: max-age=60\nvary: accept-encoding\n\nx"]);
    let selection = Selection::new().one_of(ACCEPT_ENCODING, ["br", "gzip"]);
    let app = App::with(&origin, |builder| builder.selection(selection));
    app.get_with("/", "accept-encoding: gzip, deflate, br, zstd").await;
    assert_eq!(origin.last().headers["accept-encoding"], "br");
    assert!(app.get_with("/", "accept-encoding: br;q=1.0").await.is_hit());
    assert!(!app.get_with("/", "accept-encoding: gzip").await.is_hit());
    assert!(!app.get_with("/", "accept-encoding: identity").await.is_hit());
    assert!(!origin.last().headers.contains_key("accept-encoding"));
    assert!(app.get("/").await.is_hit());
}

/// RFC 9111 §2: of the query what counts is the key, and the origin isn't asked for more
#[tokio::test]
async fn queries_are_normalised() {
    let origin = Origin::of(&["200\ncache-control: max-age=60\n\nx"]);
    let query = Query::as_sent().without(["utm_*"]).sorted();
    let app = App::with(&origin, |builder| builder.selection(Selection::new().query(query)));
    app.get("/p?b=1&utm_source=evil&a=2").await;
    assert_eq!(origin.last().uri, "/p?a=2&b=1");
    assert!(app.get("/p?a=2&b=1&utm_medium=x").await.is_hit());
    assert!(!app.get("/p?a=2&b=2").await.is_hit());
    app.get("/q?utm_source=x").await;
    assert_eq!(origin.last().uri, "/q");
}

/// A request may bring a selection of its own, as an edge's rules by path do.
#[tokio::test]
async fn a_request_may_have_its_own_selection() {
    let origin = Origin::of(&["200\ncache-control: max-age=60\nvary: accept-language\n\nx"]);
    let app = App::new(&origin);
    let own = Selection::new().query(Query::only([])).one_of(ACCEPT_LANGUAGE, ["en", "de"]);
    let own = Arc::new(own);
    let ask = async |path: &str, fields: &str| {
        let mut request = request(Method::GET, path, fields);
        request.extensions_mut().insert(Arc::clone(&own));
        app.ask(request).await.is_hit()
    };
    assert!(!ask("/?x=1", "accept-language: de-AT").await);
    assert!(ask("/?x=2", "accept-language: de, fr").await);
    assert!(!app.get_with("/?x=2", "accept-language: de").await.is_hit());
}
