//! What is stored, and what a hit looks like.

use http::Method;
use larder_http::{Etags, Rules, SetCookie};

use crate::kit::{App, Origin, OriginBody, Said, counted, date, request, response, until};

const FRESH: &str = "200\ncache-control: max-age=60\n\nhello";

/// RFC 9111 §4: a response that may be stored answers the next request
#[tokio::test]
async fn a_fresh_response_answers() {
    let origin = Origin::of(&[FRESH]);
    let app = App::new(&origin);
    let first = app.get("/a").await;
    assert_eq!((first.text(), first.cache()), ("hello", "fwd=uri-miss; stored"));
    app.seconds(59);
    let second = app.get("/a").await;
    assert_eq!((second.text(), second.cache()), ("hello", "hit; ttl=1"));
    assert_eq!((second.field("age"), second.field("content-length")), ("59", "5"));
    assert_eq!(second.field("date"), date(0));
    assert_eq!(origin.count(), 1);
    app.seconds(1);
    assert_eq!(app.get("/a").await.cache(), "fwd=stale; stored");
    let stats = app.cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.fetches, stats.stored), (1, 1, 2, 2));
}

/// RFC 9111 §5.1: the Age of an upstream cache is added to the time here, and Date stays
#[tokio::test]
async fn age_goes_on_from_what_came() {
    let head = format!("200\ncache-control: max-age=60\nage: 10\ndate: {}\n\nx", date(-10));
    let app = App::new(&Origin::of(&[&head]));
    assert_eq!(app.get("/").await.field("age"), "10");
    app.seconds(7);
    let hit = app.get("/").await;
    assert_eq!((hit.field("age"), hit.field("date")), ("17", &*date(-10)));
    assert_eq!(hit.cache(), "hit; ttl=43");
}

/// RFC 9111 §3: what may not be stored isn't, and goes through as it came
#[tokio::test]
async fn what_may_not_be_stored_is_not() {
    for head in [
        "200\ncache-control: no-store, max-age=60\n\nx",
        "200\ncache-control: private, max-age=60\n\nx",
        "200\ncache-control: max-age=60\nset-cookie: a=1\n\nx",
        "200\ncache-control: max-age=60\nvary: *\n\nx",
        "200\n\nx",
        "500\n\nx",
    ] {
        let origin = Origin::of(&[head]);
        let app = App::new(&origin);
        for _ in 0..2 {
            let reply = app.get("/").await;
            assert_eq!((reply.text(), reply.cache()), ("x", "fwd=uri-miss"), "{head}");
        }
        assert_eq!(origin.count(), 2, "{head}");
    }
}

/// RFC 9111 §7.3: Set-Cookie is stored if the rules say so
#[tokio::test]
async fn a_cookie_is_stored_when_told() {
    let origin = Origin::of(&["200\ncache-control: max-age=60\nset-cookie: a=1\n\nx"]);
    let app = App::of(&origin, Rules { set_cookie: SetCookie::Stored, ..Rules::shared() });
    app.get("/").await;
    let hit = app.get("/").await;
    assert!(hit.is_hit());
    assert_eq!(hit.field("set-cookie"), "a=1");
}

/// RFC 9111 §3.5: what was asked for with credentials isn't for others, unless it says so
#[tokio::test]
async fn credentials_are_not_shared() {
    let origin = Origin::of(&[FRESH]);
    let app = App::new(&origin);
    app.get_with("/", "authorization: a").await;
    assert_eq!(app.get("/").await.cache(), "fwd=uri-miss; stored");
    assert!(app.get_with("/", "authorization: b").await.is_hit());
    let origin = Origin::of(&["200\ncache-control: public, max-age=60\n\nx"]);
    let app = App::new(&origin);
    app.get_with("/", "authorization: a").await;
    assert!(app.get("/").await.is_hit());
}

/// RFC 9110 §8.8.3: a stored response without a tag gets a strong one, another for each encoding
#[tokio::test]
async fn a_tag_is_made_where_there_is_none() {
    let origin = Origin::new(|got| {
        let encoding = got.headers["accept-encoding"].to_str().unwrap().to_owned();
        response(&format!(
            "200\ncache-control: max-age=60\nvary: accept-encoding\n\
             content-encoding: {encoding}\n\nx"
        ))
    });
    let app = App::new(&origin);
    let mut tags = Vec::new();
    for encoding in ["br", "gzip"] {
        let fields = format!("accept-encoding: {encoding}");
        assert_eq!(app.get_with("/", &fields).await.field("etag"), "");
        let tag = app.get_with("/", &fields).await.field("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
        let fields = format!("{fields}\nif-none-match: {tag}");
        assert_eq!(app.get_with("/", &fields).await.status, 304);
        tags.push(tag);
    }
    assert_ne!(tags[0], tags[1]);
    let own = Origin::of(&["200\ncache-control: max-age=60\netag: W/\"1\"\n\nx"]);
    let app = App::new(&own);
    app.get("/").await;
    assert_eq!(app.get("/").await.field("etag"), "W/\"1\"");
    let app = App::with(&Origin::of(&[FRESH]), |builder| builder.etags(Etags::AsSent));
    app.get("/").await;
    assert_eq!(app.get("/").await.field("etag"), "");
}

/// RFC 9111 §3.3: a body that ends too soon isn't stored, and isn't taken for the whole
#[tokio::test]
async fn a_part_is_not_stored_as_the_whole() {
    let origin = Origin::of(&["200\ncache-control: max-age=60\ncontent-length: 9\n\nhello"]);
    let app = App::new(&origin);
    for count in 1..3 {
        let cut = crate::kit::read(app.send(request(Method::GET, "/", "")).await).await;
        assert!(cut.is_err());
        assert_eq!(origin.count(), count);
    }
    let origin = Origin::new(|_| {
        let (sender, body) = OriginBody::sent();
        sender.send(Ok("begun".into())).unwrap();
        sender.send(Err("reset".into())).unwrap();
        response("200\ncache-control: max-age=60").map(|_| body)
    });
    let app = App::new(&origin);
    for count in 1..3 {
        let cut = crate::kit::read(app.send(request(Method::GET, "/", "")).await).await;
        assert!(cut.is_err());
        assert_eq!(origin.count(), count);
    }
}

/// RFC 9111 §3: a client that goes away doesn't end what is being stored
#[tokio::test]
async fn a_client_that_goes_away_ends_nothing() {
    let (sender, body) = OriginBody::sent();
    let mut body = Some(body);
    let origin = Origin::new(move |_| {
        Said::Response(response("200\ncache-control: max-age=60").map(|_| body.take().unwrap()))
    });
    let app = App::new(&origin);
    drop(app.send(request(Method::GET, "/", "")).await);
    sender.send(Ok("all ".into())).unwrap();
    sender.send(Ok("of it".into())).unwrap();
    drop(sender);
    until("it is stored", || app.cache.stats().stored == 1).await;
    let hit = app.get("/").await;
    assert_eq!((hit.text(), hit.is_hit(), origin.count()), ("all of it", true, 1));
}

/// RFC 9111 §3: what is longer than an object may be isn't stored, with or without a length
#[tokio::test]
async fn what_is_too_long_is_not_stored() {
    let long = "x".repeat(1001);
    for length in ["", "content-length: 1001\n"] {
        let origin = Origin::of(&[&format!("200\ncache-control: max-age=60\n{length}\n{long}")]);
        let app = App::with(&origin, |builder| builder.object_max(1000));
        for count in 1..3 {
            assert_eq!(app.get("/").await.text(), long);
            assert_eq!(origin.count(), count);
        }
        assert_eq!(app.cache.stats().stored, 0);
    }
}

/// RFC 9111 §3: a body that came in many chunks is stored as one
#[tokio::test]
async fn many_chunks_are_one_body() {
    let origin = Origin::new(|_| {
        let (sender, body) = OriginBody::sent();
        (0..500).for_each(|_| sender.send(Ok("0123456789".into())).unwrap());
        response("200\ncache-control: max-age=60").map(|_| body)
    });
    let app = App::new(&origin);
    let (first, second) = (app.get("/").await, app.get("/").await);
    assert_eq!((first.body.len(), &first.body), (5000, &second.body));
    assert_eq!(counted([second.cache()])["hit; ttl=60"], 1);
}

/// RFC 9110 §7.1: the key is scheme, host, path and query; a request with two hosts has none
#[tokio::test]
async fn what_differs_in_host_or_query_is_another_thing() {
    let origin = Origin::of(&[FRESH]);
    let app = App::new(&origin);
    for path in ["/a", "/a?b", "/A", "http://y.example/a"] {
        assert!(!app.get(path).await.is_hit(), "{path}");
    }
    assert!(app.get("http://X.example:80/a").await.is_hit());
    assert_eq!(app.get_with("/a", "host: y.example").await.cache(), "fwd=bypass");
}
