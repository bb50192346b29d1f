//! What is stale, and when it is used all the same.

use std::time::Duration;

use http::Method;
use larder_http::{Requests, Rules};

use crate::kit::{App, Got, Origin, Said, request, response, until};

fn failing(after: usize, how: fn() -> Said, head: &'static str) -> Origin {
    let mut asked = 0;
    Origin::new(move |_: &Got| {
        asked += 1;
        if asked > after { how() } else { response(head).into() }
    })
}

fn unreached() -> Said {
    Said::Unreached
}

/// RFC 5861 §3: a stale response is sent at once, and validated once beside that
#[tokio::test]
async fn stale_while_it_is_validated() {
    let origin = Origin::of(&[
        "200\ncache-control: max-age=60, stale-while-revalidate=30\n\nold",
        "200\ncache-control: max-age=60\n\nnew",
    ]);
    let app = App::new(&origin);
    app.get("/").await;
    app.seconds(60);
    for _ in 0..5 {
        let reply = app.get("/").await;
        if reply.text() == "new" {
            break;
        }
        assert_eq!((reply.text(), reply.cache(), reply.field("age")), ("old", "hit; ttl=0", "60"));
    }
    until("it is refreshed", || app.cache.stats().stored == 2).await;
    let reply = app.get("/").await;
    assert_eq!((reply.text(), reply.cache()), ("new", "hit; ttl=60"));
    assert_eq!((origin.count(), app.cache.stats().refreshed), (2, 1));
    let late = Origin::of(&["200\ncache-control: max-age=60, stale-while-revalidate=30\n\nx"]);
    let app = App::new(&late);
    app.get("/").await;
    app.seconds(90);
    assert_eq!(app.get("/").await.cache(), "fwd=stale; stored");
}

/// RFC 5861 §4: a stale response stands in for an error, for so long
#[tokio::test]
async fn stale_if_the_origin_fails() {
    let head = "200\ncache-control: max-age=60, stale-if-error=30\n\nold";
    for how in [unreached, || response("503\n\nsorry").into()] {
        let app = App::new(&failing(1, how, head));
        app.get("/").await;
        app.seconds(89);
        let reply = app.get("/").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "old"));
        app.seconds(1);
        assert!(app.get("/").await.status.is_server_error());
    }
    let app = App::new(&failing(1, || response("404\n\nnone").into(), head));
    app.get("/").await;
    app.seconds(60);
    assert_eq!(app.get("/").await.status, 404);
}

/// RFC 9111 §4.2.4: without leave, a stale response isn't used when the origin is away
#[tokio::test]
async fn nothing_stale_without_leave() {
    let head = "200\ncache-control: max-age=60\netag: \"1\"\n\nold";
    let app = App::new(&failing(1, unreached, head));
    app.get("/").await;
    app.seconds(60);
    assert_eq!(app.get("/").await.status, 502);
    let rules = Rules { stale_unreached: Duration::from_secs(30), ..Rules::shared() };
    let app = App::of(&failing(1, unreached, head), rules);
    app.get("/").await;
    app.seconds(89);
    assert_eq!(app.get("/").await.text(), "old");
}

/// RFC 9111 §4.2.4: a HEAD is answered with what is stale as a GET would be, if the origin fails
#[tokio::test]
async fn a_head_has_the_stale_head() {
    let head = "200\ncache-control: max-age=60, stale-if-error=30\netag: \"1\"\n\nold";
    for said in [unreached, || response("503\n\ndown").into()] {
        let app = App::new(&failing(1, said, head));
        app.get("/").await;
        app.seconds(89);
        let reply = app.ask(request(Method::HEAD, "/", "")).await;
        assert_eq!((reply.status.as_u16(), reply.field("content-length")), (200, "3"));
        assert_eq!((reply.field("age"), reply.text()), ("89", ""));
        app.seconds(1);
        assert!(app.ask(request(Method::HEAD, "/", "")).await.status.is_server_error());
    }
}

/// RFC 9111 §5.2.2.2: must-revalidate forbids it, and the answer is 504
#[tokio::test]
async fn must_revalidate_is_obeyed() {
    let head =
        "200\ncache-control: max-age=60, must-revalidate, stale-if-error=99\netag: \"1\"\n\n";
    let app = App::new(&failing(1, unreached, head));
    app.get("/").await;
    assert!(app.get("/").await.is_hit());
    app.seconds(60);
    assert_eq!(app.get("/").await.status, 504);
}

/// RFC 9111 §5.2.2.4: no-cache is validated each time
#[tokio::test]
async fn no_cache_is_validated() {
    let origin =
        Origin::of(&["200\ncache-control: no-cache\netag: \"1\"\n\nx", "304\netag: \"1\""]);
    let app = App::new(&origin);
    app.get("/").await;
    for count in 2..4 {
        let reply = app.get("/").await;
        assert_eq!((reply.text(), reply.status.as_u16(), origin.count()), ("x", 200, count));
    }
}

/// RFC 9111 §5.2.1.7: only-if-cached gets what is there, or 504
#[tokio::test]
async fn only_if_cached() {
    let origin = Origin::of(&["200\ncache-control: max-age=60\n\nx"]);
    let app = App::new(&origin);
    let ask = || app.get_with("/", "cache-control: only-if-cached");
    assert_eq!(ask().await.status, 504);
    app.get("/").await;
    assert!(ask().await.is_hit());
    app.seconds(60);
    assert_eq!((ask().await.status.as_u16(), origin.count()), (504, 1));
}

/// RFC 9111 §5.2.1: one user's cache obeys a request's directives, and a shared one doesn't
#[tokio::test]
async fn requests_are_obeyed_in_private() {
    let head = "200\ncache-control: max-age=60, private\netag: \"1\"\n\nx";
    let origin = Origin::of(&[head]);
    let app = App::of(&origin, Rules::private());
    app.get("/").await;
    assert!(app.get("/").await.is_hit());
    app.seconds(10);
    let ask = async |directives: &str| {
        let reply = app.get_with("/", &format!("cache-control: {directives}")).await;
        reply.cache().to_owned()
    };
    assert_eq!(ask("max-age=10").await, "hit; ttl=50");
    assert_eq!(ask("min-fresh=50").await, "hit; ttl=50");
    assert_eq!(ask("no-cache").await, "fwd=request; stored");
    assert_eq!(ask("max-age=0").await, "fwd=request; stored");
    app.seconds(80);
    assert_eq!(ask("max-stale=20").await, "hit; ttl=-20");
    assert_eq!(ask("max-stale=19").await, "fwd=stale; stored");
    let app = App::new(&Origin::of(&["200\ncache-control: max-age=60\n\nx"]));
    app.get("/").await;
    assert!(app.get_with("/", "cache-control: no-cache").await.is_hit());
    let obeying = Rules { requests: Requests::Obeyed, ..Rules::shared() };
    let app = App::of(&Origin::of(&["200\ncache-control: max-age=60\n\nx"]), obeying);
    app.get_with("/", "cache-control: no-store").await;
    assert!(!app.get("/").await.is_hit());
}

/// RFC 9111 §5.2.2.5: no-store on a newer response leaves an older one that is fresh
#[tokio::test]
async fn what_is_fresh_stays() {
    let origin = Origin::of(&[
        "200\ncache-control: max-age=60\n\nold",
        "200\ncache-control: no-store\n\nnew",
    ]);
    let app = App::of(&origin, Rules { requests: Requests::Obeyed, ..Rules::shared() });
    app.get("/").await;
    assert_eq!(app.get_with("/", "cache-control: no-cache").await.text(), "new");
    assert_eq!(app.get("/").await.text(), "old");
}
