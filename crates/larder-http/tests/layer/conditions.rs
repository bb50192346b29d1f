//! Conditions: of clients, answered from what is stored; and of validations.

use http::Method;
use larder_http::Rules;

use crate::kit::{App, Origin, date, request, response};

const TAGGED: &str = "200\ncache-control: max-age=60\netag: \"1\"\nvary: a\n\nhello";

/// RFC 9111 §4.3.2: what the client has is answered with 304
#[tokio::test]
async fn a_condition_is_answered_from_what_is_fresh() {
    let modified = date(-100);
    let head =
        format!("200\ncache-control: max-age=60\netag: \"1\"\nlast-modified: {modified}\n\nx");
    let origin = Origin::of(&[&head]);
    let app = App::new(&origin);
    app.get("/").await;
    app.seconds(5);
    for fields in ["if-none-match: \"0\", W/\"1\"", "if-none-match: *"] {
        let reply = app.get_with("/", fields).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (304, ""));
        let named = ["etag", "cache-control", "age"].map(|name| reply.field(name));
        assert_eq!(named, ["\"1\"", "max-age=60", "5"]);
        assert!(reply.is_hit());
    }
    let since = format!("if-modified-since: {modified}");
    assert_eq!(app.get_with("/", &since).await.status, 304);
    // The tag counts before the date.
    let both = format!("if-none-match: \"0\"\n{since}");
    assert_eq!(app.get_with("/", &both).await.status, 200);
    assert_eq!(app.ask(request(Method::HEAD, "/", "if-none-match: \"1\"")).await.status, 304);
    assert_eq!(origin.count(), 1);
}

/// RFC 9111 §4.3.2: If-Match and If-Unmodified-Since go to the origin, as they are
#[tokio::test]
async fn conditions_of_the_origin_are_forwarded() {
    let origin = Origin::of(&[TAGGED, "412\n\n"]);
    let app = App::new(&origin);
    app.get("/").await;
    let reply = app.get_with("/", "if-match: \"0\"").await;
    assert_eq!((reply.status.as_u16(), reply.cache()), (412, "fwd=request"));
    assert_eq!(origin.last().headers["if-match"], "\"0\"");
    assert_eq!(app.get_with("/other", "if-unmodified-since: x").await.status, 412);
    assert!(app.get("/").await.is_hit());
}

/// RFC 9111 §4.3.1: a miss that is to fill doesn't ask with the client's conditions
#[tokio::test]
async fn a_fetch_asks_for_the_whole() {
    let origin = Origin::of(&[TAGGED]);
    let app = App::new(&origin);
    let reply = app.get_with("/", "if-none-match: \"1\"\nif-modified-since: x").await;
    assert_eq!(reply.status, 304);
    assert!(origin.last().headers.keys().all(|name| !name.as_str().starts_with("if-")));
    crate::kit::until("it is stored", || app.cache.stats().stored == 1).await;
    assert_eq!(app.get("/").await.text(), "hello");
    assert_eq!(origin.count(), 1);
}

/// RFC 9111 §4.3.4: a 304 freshens what is stored, for everybody
#[tokio::test]
async fn a_validation_freshens() {
    let origin = Origin::new(|got| {
        let head = if got.headers.contains_key("if-none-match") {
            "304\netag: \"1\"\ncache-control: max-age=90\nx: new"
        } else {
            "200\ncache-control: max-age=60\netag: \"1\"\nx: old\ny: kept\n\nhello"
        };
        response(head)
    });
    let app = App::new(&origin);
    app.get_with("/", "a: 1").await;
    app.seconds(60);
    let reply = app.get_with("/", "a: 1").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "hello"));
    assert_eq!(reply.cache(), "fwd=stale; fwd-status=304; stored; ttl=90");
    let fields = ["x", "y", "age"].map(|name| reply.field(name));
    assert_eq!((fields, reply.field("date")), (["new", "kept", "0"], &*date(60)));
    assert_eq!(origin.last().headers["if-none-match"], "\"1\"");
    assert_eq!(origin.last().headers["a"], "1");
    app.seconds(89);
    assert!(app.get("/").await.is_hit());
    assert_eq!((origin.count(), app.cache.stats().validated), (2, 1));
}

/// RFC 9111 §4.3.4: what a 304 forbids to store isn't kept
#[tokio::test]
async fn a_validation_may_end_the_storing() {
    let origin = Origin::of(&[TAGGED, "304\netag: \"1\"\ncache-control: no-store", TAGGED]);
    let app = App::new(&origin);
    app.get("/").await;
    app.seconds(60);
    let reply = app.get("/").await;
    assert_eq!((reply.text(), reply.cache()), ("hello", "fwd=stale; fwd-status=304; ttl=0"));
    app.get("/").await;
    assert!(!origin.last().headers.contains_key("if-none-match"));
}

/// RFC 9111 §4.3.3: another response to a validation takes its place
#[tokio::test]
async fn a_full_response_replaces() {
    let origin = Origin::of(&[TAGGED, "200\ncache-control: max-age=60\netag: \"2\"\n\nnew"]);
    let app = App::new(&origin);
    app.get("/").await;
    app.seconds(60);
    assert_eq!(app.get("/").await.text(), "new");
    assert_eq!((app.get("/").await.text(), origin.count()), ("new", 2));
}

/// RFC 9111 §4.3.3: a client's condition is judged by what the validation brought
#[tokio::test]
async fn a_clients_condition_is_judged_after_the_validation() {
    let origin = Origin::of(&[TAGGED, "200\ncache-control: max-age=60\netag: \"2\"\n\nnew"]);
    let app = App::new(&origin);
    app.get("/").await;
    app.seconds(60);
    let reply = app.get_with("/", "if-none-match: \"2\"").await;
    assert_eq!((reply.status.as_u16(), reply.field("etag")), (304, "\"2\""));
    assert_eq!(origin.last().headers["if-none-match"], "\"1\"");
}

/// RFC 9111 §4.3.4: a 304 about another response isn't used, and the whole is asked for
#[tokio::test]
async fn a_304_about_something_else_is_not_used() {
    let origin = Origin::of(&[TAGGED, "304\netag: \"9\"", "200\ncache-control: max-age=60\n\nnew"]);
    let app = App::new(&origin);
    app.get("/").await;
    app.seconds(60);
    assert_eq!(app.get("/").await.text(), "new");
    assert!(!origin.last().headers.contains_key("if-none-match"));
}

/// RFC 9110 §15.4.5: a 304 that nobody asked for is no answer
#[tokio::test]
async fn an_unexpected_304_is_an_error() {
    let origin = Origin::of(&["304\netag: \"1\"\ncache-control: max-age=60", TAGGED]);
    let app = App::new(&origin);
    assert_eq!(app.get("/").await.status, 502);
    assert_eq!(app.get("/").await.text(), "hello");
}

/// RFC 9110 §13.1.2: a tag that was made here isn't sent to the origin, which doesn't know it
#[tokio::test]
async fn a_made_tag_stays_here() {
    let modified = date(-90);
    let head = format!("200\ncache-control: max-age=60\nlast-modified: {modified}\n\nx");
    let origin = Origin::of(&[&head, &format!("304\nlast-modified: {modified}")]);
    let app = App::new(&origin);
    app.get("/").await;
    let tag = app.get("/").await.field("etag").to_owned();
    app.seconds(60);
    assert_eq!(app.get("/").await.field("etag"), tag);
    let asked = origin.last().headers;
    assert!(asked.contains_key("if-modified-since") && !asked.contains_key("if-none-match"));
    assert_eq!((origin.count(), tag.len()), (2, 34));
}

/// RFC 9111 §4.3.5: a HEAD freshens what is stored, or finds it outdated
#[tokio::test]
async fn a_head_updates_what_is_stored() {
    let stale = "200\ncache-control: max-age=60\netag: \"1\"\n\nhello";
    let head = "200\ncache-control: max-age=60\netag: \"1\"\nx: new";
    let origin = Origin::of(&[stale, head]);
    let app = App::new(&origin);
    app.get("/").await;
    app.seconds(60);
    let reply = app.ask(request(Method::HEAD, "/", "")).await;
    assert_eq!((reply.field("x"), origin.last().method), ("new", Method::HEAD));
    let hit = app.get("/").await;
    assert_eq!((hit.text(), hit.field("x"), hit.is_hit()), ("hello", "new", true));
    let other = "200\ncache-control: max-age=60\netag: \"2\"";
    let origin = Origin::of(&[stale, other, stale]);
    let rules = Rules { requests: larder_http::Requests::Obeyed, ..Rules::shared() };
    let app = App::of(&origin, rules);
    app.get("/").await;
    app.ask(request(Method::HEAD, "/", "cache-control: no-cache")).await;
    assert_eq!(app.get("/").await.cache(), "fwd=stale; stored");
}
