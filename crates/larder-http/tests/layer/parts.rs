//! What is held in parts: ranges of what was never whole, and what broke off.

use std::time::Duration;

use http::{HeaderMap, Method};
use larder_engine::Invalidation;
use larder_http::{Purge, Selection};

use crate::kit::{App, Got, Origin, OriginBody, Said, date, read, request, response, until};

const BODY: &str = "0123456789";

/// An origin of ten bytes that knows ranges, If-Range and If-None-Match, with these fields.
fn ranges(fields: &str, etag: &str) -> impl FnMut(&Got) -> Said + Send + 'static {
    let head = format!("cache-control: max-age=60\netag: {etag}\n{fields}");
    let head = head.trim_end().to_owned();
    let etag = etag.to_owned();
    move |got| said(&got.headers, &head, &etag).into()
}

fn said(asked: &HeaderMap, head: &str, etag: &str) -> http::Response<OriginBody> {
    let field = |name: &str| asked.get(name).map(|line| line.to_str().unwrap());
    if field("if-none-match") == Some(etag) {
        return response(&format!("304\n{head}"));
    }
    let range = field("range").filter(|_| field("if-range").is_none_or(|tag| tag == etag));
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return response(&format!("200\n{head}\n\n{BODY}"));
    };
    let (first, last) = range.split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(9).min(9);
    let body = &BODY[first..=last];
    response(&format!("206\n{head}\ncontent-range: bytes {first}-{last}/10\n\n{body}"))
}

fn origin() -> Origin {
    Origin::new(ranges("", "\"1\""))
}

fn asked(origin: &Origin) -> [String; 3] {
    let got = origin.last().headers;
    ["range", "if-range", "if-none-match"]
        .map(|name| got.get(name).map_or(String::new(), |line| line.to_str().unwrap().to_owned()))
}

async fn range(app: &App, range: &str) -> (u16, String, String) {
    let reply = app.get_with("/", &format!("range: bytes={range}")).await;
    (reply.status.as_u16(), reply.text().to_owned(), reply.cache().to_owned())
}

fn part(text: &str, cache: &str) -> (u16, String, String) {
    (206, text.to_owned(), cache.to_owned())
}

/// RFC 9111 §3.3: what is held in part answers the ranges that lie within
#[tokio::test]
async fn a_range_within_what_is_held_is_answered() {
    let origin = origin();
    let app = App::new(&origin);
    assert_eq!(range(&app, "2-5").await, part("2345", "fwd=uri-miss; stored"));
    app.seconds(10);
    let reply = app.get_with("/", "range: bytes=3-4").await;
    assert_eq!((reply.text(), reply.cache()), ("34", "hit; ttl=50"));
    let fields = ["content-range", "content-length", "age", "etag"].map(|name| reply.field(name));
    assert_eq!(fields, ["bytes 3-4/10", "2", "10", "\"1\""]);
    let same = app.get_with("/", "range: bytes=3-4\nif-range: \"1\"").await;
    assert_eq!((same.text(), same.is_hit()), ("34", true));
    let known = app.get_with("/", "range: bytes=3-4\nif-none-match: \"1\"").await;
    assert_eq!((known.status.as_u16(), known.is_hit()), (304, true));
    assert_eq!(app.get_with("/", "range: bytes=2-2, 5-5").await.status, 206);
    assert_eq!(origin.count(), 1);
}

/// RFC 9111 §3.4: what is missing is asked for, and combined under one strong validator
#[tokio::test]
async fn what_is_missing_is_asked_for() {
    let origin = origin();
    let app = App::new(&origin);
    range(&app, "2-4").await;
    let answer = range(&app, "3-6").await;
    assert_eq!(answer, part("3456", "fwd=partial; fwd-status=206; stored; ttl=60"));
    assert_eq!(asked(&origin), ["bytes=5-6", "\"1\"", ""]);
    assert_eq!(range(&app, "2-6").await, part("23456", "hit; ttl=60"));
    // The rest of it makes it whole, for those who want the whole.
    let reply = app.get("/").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, BODY));
    assert_eq!(asked(&origin)[0], "bytes=0-");
    let reply = app.get("/").await;
    assert_eq!((reply.text(), reply.is_hit(), reply.field("content-length")), (BODY, true, "10"));
}

/// RFC 9111 §3.4: complete parts are a whole response
#[tokio::test]
async fn complete_parts_are_a_whole() {
    let origin = origin();
    let app = App::new(&origin);
    for held in ["4-9", "0-3"] {
        range(&app, held).await;
    }
    let reply = app.get("/").await;
    assert_eq!((reply.text(), reply.cache()), (BODY, "hit; ttl=60"));
    assert_eq!(app.ask(request(Method::HEAD, "/", "")).await.field("content-length"), "10");
    assert_eq!(origin.count(), 2);
}

/// RFC 9111 §3.4: a thousand clients of a whole that is held in part are one request for the rest
#[tokio::test]
async fn the_rest_is_asked_for_once() {
    let origin = origin();
    let app = App::new(&origin);
    range(&app, "0-7").await;
    let clients = (0..1000).map(|_| {
        let app = app.clone();
        tokio::spawn(async move { app.get("/").await })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.unwrap().text(), BODY);
    }
    assert_eq!(
        (origin.count(), &asked(&origin)[..2]),
        (2, &["bytes=8-", "\"1\""].map(String::from)[..])
    );
}

/// RFC 9111 §3.4: another representation isn't combined with what is held
#[tokio::test]
async fn another_representation_is_not_combined() {
    for etag in ["\"2\"", "W/\"1\""] {
        for whole in [true, false] {
            let (mut old, mut new) = (ranges("", "\"1\""), ranges("", etag));
            let mut count = 0;
            let origin = Origin::new(move |got| {
                count += 1;
                let mut got = got.clone();
                if !whole {
                    // An origin that doesn't know If-Range.
                    got.headers.remove("if-range");
                }
                if count == 1 { old(&got) } else { new(&got) }
            });
            let app = App::new(&origin);
            range(&app, "0-4").await;
            let reply = app.get_with("/", "range: bytes=3-6").await;
            let expected = if whole { (200, BODY) } else { (206, "3456") };
            assert_eq!((reply.status.as_u16(), reply.text()), expected, "{etag} {whole}");
            assert_eq!(reply.field("etag"), etag);
            assert_eq!(app.get("/").await.field("etag"), etag);
        }
    }
}

/// RFC 9111 §4.3.4: a stale part is validated, and answers again
#[tokio::test]
async fn a_stale_part_is_validated() {
    let origin = origin();
    let app = App::new(&origin);
    range(&app, "2-5").await;
    app.seconds(61);
    let answer = range(&app, "2-3").await;
    assert_eq!(answer, part("23", "fwd=stale; fwd-status=304; stored; ttl=60"));
    assert_eq!(asked(&origin), ["bytes=2-3", "", "\"1\""]);
    assert_eq!(range(&app, "4-5").await, part("45", "hit; ttl=60"));
    // A further part validates what is held at once.
    app.seconds(61);
    assert_eq!(range(&app, "5-7").await.1, "567");
    assert_eq!(asked(&origin), ["bytes=6-7", "\"1\"", ""]);
    assert_eq!(range(&app, "2-7").await, part("234567", "hit; ttl=60"));
}

/// RFC 9111 §3.4: the validator of a stale part that is no more brings the new one
#[tokio::test]
async fn a_stale_part_is_replaced() {
    let (mut old, mut new) = (ranges("", "\"1\""), ranges("", "\"2\""));
    let mut count = 0;
    let origin = Origin::new(move |got| {
        count += 1;
        if count == 1 { old(got) } else { new(got) }
    });
    let app = App::new(&origin);
    range(&app, "2-5").await;
    app.seconds(61);
    assert_eq!(range(&app, "2-3").await, part("23", "fwd=stale; stored"));
    let reply = app.get_with("/", "range: bytes=3-3").await;
    assert_eq!((reply.field("etag"), reply.is_hit()), ("\"2\"", true));
    assert_eq!(range(&app, "4-5").await.2, "fwd=partial; fwd-status=206; stored; ttl=60");
}

/// RFC 9111 §3.3: a part never answers as the whole, nor a HEAD, nor with 416
#[tokio::test]
async fn a_part_answers_nothing_else() {
    let origin = origin();
    let app = App::new(&origin);
    range(&app, "0-4").await;
    let only = "cache-control: only-if-cached";
    assert_eq!(app.get_with("/", only).await.status, 504);
    assert_eq!(app.get_with("/", &format!("{only}\nrange: bytes=4-5")).await.status, 504);
    assert_eq!(app.get_with("/", &format!("{only}\nrange: bytes=3-4")).await.status, 206);
    assert_eq!(origin.count(), 1);
    assert!(!app.ask(request(Method::HEAD, "/", "")).await.is_hit());
    assert_eq!(origin.last().method, Method::HEAD);
}

/// RFC 9111 §3.3: what may not be stored isn't stored in parts
#[tokio::test]
async fn a_part_that_may_not_be_stored_is_not() {
    for head in [
        "206\ncache-control: private, max-age=60\ncontent-range: bytes 0-1/10\n\n01",
        "206\ncache-control: no-store\ncontent-range: bytes 0-1/10\n\n01",
        "206\ncache-control: max-age=60\ncontent-range: bytes 0-2/10\n\n01",
        "206\ncache-control: max-age=60\ncontent-range: bytes 0-1/*\n\n01",
        "206\ncache-control: max-age=60\ncontent-range: bytes 0-0/10\n\n01",
        "206\ncache-control: max-age=60\nset-cookie: a=b\ncontent-range: bytes 0-1/10\n\n01",
        "416\ncache-control: max-age=60\ncontent-range: bytes */10",
    ] {
        let app = App::new(&Origin::of(&[head]));
        for _ in 0..2 {
            assert!(!range(&app, "0-1").await.2.starts_with("hit"), "{head}");
        }
    }
}

/// RFC 9111 §3.3: a 200 that broke off is a part, if its rest can be asked for
#[tokio::test]
async fn what_broke_off_is_continued() {
    for (fields, continued) in [
        ("etag: \"1\"\ncontent-length: 10", true),
        ("etag: W/\"1\"\ncontent-length: 10", false),
        ("etag: \"1\"", false),
    ] {
        let head = format!("200\ncache-control: max-age=60\n{fields}");
        let mut script = ranges("", "\"1\"");
        let (chunks, body) = OriginBody::sent();
        let mut first = Some(response(&head).map(|_| body));
        let origin = Origin::new(move |got| match first.take() {
            Some(response) => response.into(),
            None => script(got),
        });
        let app = App::new(&origin);
        chunks.send(Ok("0123".into())).unwrap();
        chunks.send(Err("it broke off".into())).unwrap();
        // Its client is told that it isn't all.
        assert!(read(app.send(request(Method::GET, "/", "")).await).await.is_err());
        let stats = || app.cache.stats();
        until("it is over", || stats().stored + stats().refused == 1).await;
        assert_eq!(stats().stored == 1, continued, "{fields}");
        assert_eq!(app.get("/").await.text(), BODY);
        assert_eq!(asked(&origin)[0], if continued { "bytes=4-" } else { "" });
        assert!(app.get("/").await.is_hit());
    }
}

/// RFC 9111 §3.4: a 206 that passes by freshens what is stored whole, or says that it is outdated
#[tokio::test]
async fn a_passing_part_freshens_the_whole() {
    for (etag, status) in [("\"1\"", 200), ("\"2\"", 504)] {
        let (mut old, mut new) = (ranges("", "\"1\""), ranges("x: new", etag));
        let mut count = 0;
        let origin = Origin::new(move |got| {
            count += 1;
            if count == 1 { old(got) } else { new(got) }
        });
        let app = App::new(&origin);
        app.get("/").await;
        app.seconds(30);
        // A condition that only the origin judges.
        let since = format!("range: bytes=0-1\nif-unmodified-since: {}", date(0));
        assert_eq!(app.get_with("/", &since).await.status, 206);
        let reply = app.get_with("/", "cache-control: only-if-cached").await;
        assert_eq!(reply.status.as_u16(), status);
        if status == 200 {
            assert_eq!((reply.text(), reply.field("x"), reply.field("age")), (BODY, "new", "0"));
        }
    }
}

/// RFC 9111 §4.1: parts are selected by Vary, each by itself
#[tokio::test]
async fn parts_have_variants() {
    let origin = Origin::new(ranges("vary: a", "\"1\""));
    let app = App::new(&origin);
    for a in ["1", "2"] {
        let fields = format!("range: bytes=2-4\na: {a}");
        assert!(!app.get_with("/", &fields).await.is_hit());
        assert!(app.get_with("/", &fields).await.is_hit());
    }
    assert_eq!(app.get_with("/", "range: bytes=2-5\na: 1").await.text(), "2345");
    assert!(!app.get_with("/", "range: bytes=5-5\na: 2").await.is_hit());
    assert_eq!(origin.count(), 4);
}

/// RFC 9111 §4.4: what is purged while a part is on its way isn't stored
#[tokio::test]
async fn a_purge_strikes_parts_on_their_way() {
    for purge in [Purge::Url("http://x.example/".parse().unwrap()), Purge::tag("t"), Purge::All] {
        let (chunks, body) = OriginBody::sent();
        let head = "206\ncache-control: max-age=60\ncache-tag: t\ncontent-range: bytes 0-1/10";
        let mut first = Some(response(head).map(|_| body));
        let mut script = ranges("", "\"1\"");
        let origin = Origin::new(move |got| match first.take() {
            Some(response) => response.into(),
            None => script(got),
        });
        let app = App::new(&origin);
        let reply = app.send(request(Method::GET, "/", "range: bytes=0-1")).await;
        app.cache.purge(&purge, Invalidation::Drop).await.unwrap();
        chunks.send(Ok("xx".into())).unwrap();
        drop(chunks);
        assert_eq!(read(reply).await.unwrap().text(), "xx");
        assert_eq!(range(&app, "0-1").await, part("01", "fwd=uri-miss; stored"));
        app.cache.purge(&purge, Invalidation::Drop).await.unwrap();
        assert_eq!(range(&app, "0-1").await.2.starts_with("hit"), purge == Purge::tag("t"));
    }
}

/// RFC 9110 §14.2: an origin that knows no ranges fills the whole
#[tokio::test]
async fn a_whole_that_answers_a_range_is_stored() {
    let origin = Origin::of(&["200\ncache-control: max-age=60\netag: \"1\"\n\n0123456789"]);
    let app = App::new(&origin);
    assert_eq!(range(&app, "0-1").await, (200, BODY.into(), "fwd=uri-miss; stored".into()));
    assert_eq!(range(&app, "0-1").await, part("01", "hit; ttl=60"));
}

/// RFC 9111 §4.2.4: a stale part may be used where a whole might
#[tokio::test]
async fn a_stale_part_stands_in() {
    let mut script = ranges("", "\"1\"");
    let mut count = 0;
    let origin = Origin::new(move |got| {
        count += 1;
        if count == 1 { script(got) } else { Said::Unreached }
    });
    let app = App::of(&origin, larder_http::Rules::shared());
    range(&app, "0-4").await;
    app.seconds(61);
    assert_eq!(range(&app, "0-1").await.0, 502);
    assert_eq!(range(&app, "0-6").await.0, 502);
    let mut rules = larder_http::Rules::shared();
    rules.stale_unreached = Duration::from_secs(100);
    let mut script = ranges("", "\"1\"");
    let mut count = 0;
    let origin = Origin::new(move |got| {
        count += 1;
        if count == 1 { script(got) } else { Said::Unreached }
    });
    let app = App::of(&origin, rules);
    range(&app, "0-4").await;
    app.seconds(61);
    assert_eq!((range(&app, "0-1").await.0, range(&app, "0-6").await.0), (206, 502));
}

#[tokio::test]
async fn parts_are_bounded() {
    let origin = Origin::new(ranges("", "\"1\""));
    let app = App::with(&origin, |builder| builder.object_max(6).selection(Selection::new()));
    assert_eq!(range(&app, "0-6").await.2, "fwd=uri-miss");
    for (asked, body) in [("0-3", "0123"), ("6-9", "6789")] {
        assert_eq!(range(&app, asked).await.1, body);
    }
    // What doesn't fit beside it takes its place.
    assert_eq!(range(&app, "6-9").await.2, "hit; ttl=60");
    assert_eq!(range(&app, "0-3").await.2, "fwd=partial; stored");
    assert_eq!(app.get("/").await.text(), BODY);
}

/// RFC 9110 §15.3.7: a 206 to If-Range has not all fields, so it isn't stored by itself
#[tokio::test]
async fn a_part_to_if_range_is_only_added() {
    let mut script = ranges("content-type: text/x", "\"1\"");
    let origin = Origin::new(move |got| {
        let Said::Response(mut response) = script(got) else { unreachable!() };
        if got.headers.contains_key("if-range") {
            response.headers_mut().remove("content-type");
        }
        response
    });
    let app = App::new(&origin);
    let known = "range: bytes=0-3\nif-range: \"1\"";
    for _ in 0..2 {
        assert_eq!(app.get_with("/", known).await.text(), "0123");
    }
    assert_eq!(origin.count(), 2);
    range(&app, "2-5").await;
    assert_eq!(app.get_with("/", known).await.text(), "0123");
    let reply = app.get_with("/", "range: bytes=0-5").await;
    assert_eq!((reply.text(), reply.field("content-type")), ("012345", "text/x"));
    assert!(reply.is_hit());
}

/// RFC 9110 §15.3.7: a 206 to If-Range need not repeat the tags of what it is combined with
#[tokio::test]
async fn what_is_combined_goes_with_its_tags() {
    for further in ["range: bytes=3-7", "range: bytes=5-9", ""] {
        let (mut tagged, mut plain) = (ranges("cache-tag: t", "\"1\""), ranges("", "\"1\""));
        let repeats = |got: &Got| !got.headers.contains_key("if-range");
        let origin = Origin::new(move |got| if repeats(got) { tagged(got) } else { plain(got) });
        let app = App::new(&origin);
        range(&app, "0-4").await;
        app.get_with("/", further).await;
        let combined = app.get_with("/", further).await;
        assert!(combined.is_hit() && combined.field("cache-tag") == "t", "{further}");
        app.cache.purge(&Purge::tag("t"), Invalidation::Drop).await.unwrap();
        for fields in ["range: bytes=0-1", further] {
            assert!(!app.get_with("/", fields).await.is_hit(), "{further}: {fields}");
        }
    }
}
