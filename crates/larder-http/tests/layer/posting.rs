//! The response to a POST that answers later GETs.

use std::time::Duration;

use http::Method;
use larder_engine::Invalidation;
use larder_http::{Purge, Query, Selection};
use tokio::sync::oneshot;

use crate::kit::{App, Origin, OriginBody, Said, read, request, response};

/// An origin that says this to a POST, and `old` to all else.
fn origin(posted: &'static str) -> Origin {
    Origin::new(move |got| match got.method {
        Method::POST => response(posted),
        _ => response("200\ncache-control: max-age=60\netag: \"1\"\ncache-tag: t\n\nold"),
    })
}

const NAMED: &str = "200\ncache-control: max-age=60\ncontent-location: /a\ncache-tag: t\n\nnew";

/// RFC 9110 §9.3.3: what POST says is the resource now answers GET while it is fresh
#[tokio::test]
async fn a_post_fills_what_it_names() {
    let origin = origin(NAMED);
    let app = App::new(&origin);
    for held in [false, true] {
        let reply = app.ask(request(Method::POST, "/a", "")).await;
        assert_eq!((reply.text(), reply.cache()), ("new", "fwd=method; stored"), "{held}");
        app.seconds(7);
        let reply = app.get("/a").await;
        assert_eq!((reply.text(), reply.is_hit(), reply.field("age")), ("new", true, "7"));
        let fields = format!("if-none-match: {}", reply.field("etag"));
        assert_eq!(app.get_with("/a", &fields).await.status, 304);
        app.seconds(60);
        assert_eq!(app.get("/a").await.text(), "old");
        assert!(app.get("/a").await.is_hit());
    }
    assert_eq!(origin.count(), 4);
}

/// RFC 9110 §9.3.3: without its own URI and an explicit lifetime a POST fills nothing
#[tokio::test]
async fn another_response_to_post_fills_nothing() {
    for posted in [
        "200\ncache-control: max-age=60\n\nnew",
        "200\ncache-control: max-age=60\ncontent-location: /b\n\nnew",
        "200\ncontent-location: /a\nlast-modified: Thu, 01 Jan 1970 00:00:00 GMT\n\nnew",
        "201\ncache-control: max-age=60\ncontent-location: /a\n\nnew",
        "200\ncache-control: max-age=60, private\ncontent-location: /a\n\nnew",
        "200\ncache-control: max-age=60\ncontent-location: /a\ncontent-length: 9\n\nnew",
    ] {
        let app = App::new(&origin(posted));
        app.ask(request(Method::POST, "/a", "")).await;
        assert_eq!(app.get("/a").await.text(), "old", "{posted}");
    }
    // A PUT's response isn't what the resource has become.
    let app = App::new(&Origin::of(&[NAMED]));
    app.ask(request(Method::PUT, "/a", "")).await;
    assert!(!app.get("/a").await.is_hit());
}

/// RFC 9111 §4: a POST is never answered from what is stored
#[tokio::test]
async fn a_post_is_never_a_hit() {
    let origin = origin(NAMED);
    let app = App::new(&origin);
    app.get("/a").await;
    for count in 2..4 {
        app.ask(request(Method::POST, "/a", "")).await;
        assert_eq!(origin.count(), count);
    }
}

/// RFC 9111 §4.1: what a POST fills is selected by its own fields
#[tokio::test]
async fn what_a_post_fills_may_vary() {
    let posted = "200\ncache-control: max-age=60\ncontent-location: /a\nvary: x\n\nnew";
    let app = App::new(&origin(posted));
    app.ask(request(Method::POST, "/a", "x: 1")).await;
    assert_eq!(app.get_with("/a", "x: 1").await.text(), "new");
    assert_eq!(app.get_with("/a", "x: 2").await.text(), "old");
}

/// RFC 9111 §4.4: what is struck while a POST is under way isn't filled by it
#[tokio::test]
async fn a_post_fills_nothing_that_was_struck_meanwhile() {
    let url = || Purge::Url("http://x.example/a".parse().unwrap());
    for strikes in [url(), Purge::tag("t"), Purge::All] {
        for head_came in [false, true] {
            let (give, given) = oneshot::channel();
            let mut given = Some(given);
            let origin = Origin::new(move |got| match got.method {
                Method::POST => Said::Later(given.take().unwrap()),
                _ => response("200\ncache-control: max-age=60\n\nold").into(),
            });
            let app = App::new(&origin);
            let post = app.send(request(Method::POST, "/a", ""));
            let (chunks, body) = OriginBody::sent();
            let strike = || app.cache.purge(&strikes, Invalidation::Drop);
            let head = async {
                tokio::task::yield_now().await;
                if !head_came {
                    strike().await.unwrap();
                }
                let response = response(NAMED).map(|_| body);
                assert!(give.send(response).is_ok());
            };
            let (reply, ()) = tokio::join!(post, head);
            if head_came {
                strike().await.unwrap();
            }
            chunks.send(Ok("new".into())).unwrap();
            drop(chunks);
            assert_eq!(read(reply).await.unwrap().text(), "new");
            assert_eq!(app.get("/a").await.text(), "old", "{strikes:?} {head_came}");
        }
    }
}

/// RFC 9110 §9.3.3: what a cache leaves out of a request shapes nothing that it stores
#[tokio::test]
async fn a_post_with_what_does_not_count_fills_nothing() {
    let posted = "200\ncache-control: max-age=60\ncontent-location: /a?x=1\n\nnew";
    let app = App::with(&origin(posted), |builder| {
        builder.selection(Selection::new().query(Query::as_sent().without(["x"])))
    });
    app.ask(request(Method::POST, "/a?x=1", "")).await;
    assert_eq!(app.get("/a").await.text(), "old");
}

#[tokio::test]
async fn a_post_with_a_long_body_fills_nothing() {
    let app = App::with(&origin(NAMED), |builder| {
        builder.object_max(2).answer_within(Duration::from_secs(5))
    });
    assert_eq!(app.ask(request(Method::POST, "/a", "")).await.text(), "new");
    assert!(!app.get("/a").await.is_hit());
}
