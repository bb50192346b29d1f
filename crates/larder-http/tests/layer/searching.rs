//! Responses that answer other queries of their path, because their No-Vary-Search says so.

use http::header::RANGE;
use http::{Method, Request, Response};
use larder_core::Key;
use larder_engine::Invalidation::{Drop, MarkStale};
use larder_http::{Purge, Query, Selection};
use tokio::sync::oneshot;

use crate::kit::{App, Origin, OriginBody, Said, request, response, until};

/// An origin whose responses say this, and what they were asked for.
fn origin(said: &'static str) -> Origin {
    Origin::new(move |got| {
        let (uri, said) = (&got.uri, said.replace(';', "\n"));
        response(&format!("200\ncache-control: max-age=60\nno-vary-search: {said}\n\n{uri}"))
    })
}

/// Which of these are answered with what one of those before was asked for.
async fn hits<const N: usize>(said: &'static str, paths: [&str; N]) -> [bool; N] {
    let app = App::new(&origin(said));
    let mut hits = [false; N];
    for (path, hit) in paths.iter().zip(&mut hits) {
        *hit = app.get(path).await.is_hit();
    }
    hits
}

/// draft-ietf-httpbis-no-vary-search-10 §7: a stored response answers for parameters that make no difference to it
#[tokio::test]
async fn named_parameters_are_not_asked_for_again() {
    let asked = ["/p?a=1&utm=x", "/p?a=1", "/p?utm=y&a=1&utm=z", "/p?a=2", "/p?a=1&b", "/q?a=1"];
    let expected = [false, true, true, false, false, false];
    assert_eq!(hits("params=(\"utm\")", asked).await, expected);
    let asked = ["/p", "/p?", "/p?utm=x", "/p?x", "/p/?utm=x"];
    assert_eq!(hits("params=(\"utm\")", asked).await, [false, true, true, false, false]);
    let asked = ["/p?b=1&utm=x&a=2", "/p?a=2&b=1", "/p?b=1&a=2", "/p?a=1&b=2"];
    assert_eq!(hits("params=(\"utm\")", asked).await, [false, false, true, false]);
}

/// draft-ietf-httpbis-no-vary-search-10 §7: only the parameters that are excepted make a difference
#[tokio::test]
async fn other_parameters_than_those_excepted_are_not_asked_for_again() {
    let asked = ["/p?id=1&x=2", "/p?y&id=1", "/p?id=2", "/p", "/p?x", "/p?%69d=2"];
    let expected = [false, true, false, false, true, true];
    assert_eq!(hits("params, except=(\"id\")", asked).await, expected);
    assert_eq!(hits("params", ["/p?a", "/p", "/p?b=c&d"]).await, [false, true, true]);
}

/// draft-ietf-httpbis-no-vary-search-10 §7: parameters in another order are the same where the response says so
#[tokio::test]
async fn the_order_of_parameters_is_not_asked_for_again() {
    let asked = ["/p?a=1&b=2&a=3", "/p?b=2&a=1&a=3", "/p?a=3&a=1&b=2", "/p?b=2&a=1"];
    assert_eq!(hits("key-order", asked).await, [false, true, false, false]);
}

/// draft-ietf-httpbis-no-vary-search-10 §7: what says nothing of queries, or nothing that can be read, answers its own
#[tokio::test]
async fn a_whole_query_makes_a_difference_otherwise() {
    for said in ["key-order=?0", "params=(\"utm\"), except=(\"a\")", "x"] {
        let asked = ["/p?utm=1", "/p?utm=2", "/p", "/p?utm=1"];
        assert_eq!(hits(said, asked).await, [false, false, false, true], "{said}");
    }
    let long = format!("/p?a={}&utm=1", "x".repeat(1000));
    let path = format!("/{}?utm=1", "p".repeat(801));
    for long in [&long, &path] {
        let other = long.replace("utm=1", "utm=2");
        // What is cut in its key answers its own URI alone.
        assert_eq!(hits("params=(\"utm\")", [long, &other, long]).await, [false, false, true]);
    }
}

/// The newest of what is held answers, also after the origin has changed what it says; and what it
/// said before isn't taken for it.
#[tokio::test]
async fn what_is_said_may_change() {
    let mut said = ["params=(\"a\")", "params=(\"b\")", "key-order", "x", "params"].into_iter();
    let origin = Origin::new(move |_| {
        let said = said.next().unwrap();
        response(&format!("200\ncache-control: max-age=60\nno-vary-search: {said}\n\n{said}"))
    });
    let app = App::new(&origin);
    let asked = [
        ("/p?a=1&b=1", "params=(\"a\")"),
        ("/p?a=1&b=2", "params=(\"b\")"),
        ("/p?a=1&b=3", "params=(\"b\")"),
        ("/p?c=1&d=1", "key-order"),
        ("/p?d=1&c=1", "key-order"),
        ("/p?e", "x"),
        ("/p?f", "params"),
        ("/p?e", "x"),
        ("/p?any", "params"),
    ];
    for (path, text) in asked {
        assert_eq!(app.get(path).await.text(), text, "{path}");
    }
    assert_eq!(origin.count(), 5);
}

/// RFC 9111 §4.3.1: what answers several queries is validated by any of them, and then fresh for all
#[tokio::test]
async fn a_stale_one_is_validated_for_all() {
    let origin = Origin::new(|got| {
        let status = if got.headers.contains_key("if-none-match") { 304 } else { 200 };
        let head = "cache-control: max-age=60\netag: \"1\"\nno-vary-search: params=(\"utm\")";
        response(&format!("{status}\n{head}\n\n{}", if status == 200 { "x" } else { "" }))
    });
    let app = App::new(&origin);
    app.get("/p?utm=1").await;
    app.seconds(61);
    let reply = app.get("/p?utm=2").await;
    assert_eq!((reply.cache(), reply.text()), ("fwd=stale; fwd-status=304; stored; ttl=60", "x"));
    assert_eq!(origin.last().uri, "/p?utm=2");
    for path in ["/p?utm=1", "/p", "/p?utm=3"] {
        assert!(app.get(path).await.is_hit(), "{path}");
    }
    let mut head = request(Method::HEAD, "/p?utm=4", "");
    assert!(app.ask(head).await.is_hit());
    head = request(Method::GET, "/p?utm=5", "if-none-match: \"1\"");
    assert_eq!(app.ask(head).await.status, 304);
    assert_eq!(origin.count(), 2);
}

/// RFC 9111 §4.1: what answers several queries may vary by the fields of a request as well
#[tokio::test]
async fn variants_are_told_apart_among_equal_queries() {
    let origin = Origin::new(|got| {
        let a = got.headers.get("a").map_or("", |line| line.to_str().unwrap()).to_owned();
        let head = "cache-control: max-age=60\nvary: a\nno-vary-search: params=(\"utm\")";
        response(&format!("200\n{head}\n\n{a}"))
    });
    let app = App::new(&origin);
    for round in 0..3 {
        for fields in ["a: 1", "a: 2"] {
            let reply = app.get_with(&format!("/p?utm={round}"), fields).await;
            assert_eq!((reply.text(), reply.is_hit()), (&fields[3..], round > 0));
        }
    }
    app.cache.purge(&url("/p?utm=9"), Drop).await.unwrap();
    for fields in ["a: 1", "a: 2"] {
        assert!(!app.get_with("/p?utm=1", fields).await.is_hit());
    }
}

/// RFC 9111 §2: parameters that the cache was told don't count aren't sent, and what the origin says is about the rest
#[tokio::test]
async fn what_the_cache_was_told_of_queries_comes_first() {
    let origin = origin("params=(\"utm\" \"id\"), key-order");
    let query = Query::only(["a", "b", "utm"]);
    let app = App::with(&origin, |builder| builder.selection(Selection::new().query(query)));
    app.get("/p?b=1&utm=1&x=1&a=1").await;
    assert_eq!(origin.last().uri, "/p?b=1&utm=1&a=1");
    assert!(app.get("/p?a=1&b=1&y=1&id=7").await.is_hit());
    assert!(!app.get("/p?a=1&b=2").await.is_hit());
}

fn url(path: &str) -> Purge {
    Purge::Url(format!("http://x.example{path}").parse().unwrap())
}

/// What strikes any URI that a stored response answers strikes the response, hard and soft, for all
/// of them; tags strike it alone.
#[tokio::test]
async fn a_purge_of_any_equal_uri_strikes_it() {
    let prefix = |path: &str| Purge::Prefix(format!("http://x.example{path}").into());
    let purges = [
        (url("/p?utm=1"), true, true),
        (url("/p?utm=2&a=1"), true, true),
        (url("/p?a=1"), true, true),
        (url("/q?a=1"), false, false),
        (prefix("/p?utm"), true, true),
        (prefix("/p"), true, true),
        (prefix("/q"), false, false),
        (Purge::tag("1"), true, false),
        (Purge::All, true, true),
    ];
    for (what, how) in purges.iter().flat_map(|purge| [(purge, Drop), (purge, MarkStale)]) {
        let (purge, struck, both) = what;
        let origin = Origin::new(|got| {
            let status = if got.headers.contains_key("if-none-match") { 304 } else { 200 };
            let tag = if got.uri.contains("a=1") { "1" } else { "2" };
            let head = "cache-control: max-age=60\netag: \"1\"\nno-vary-search: params=(\"utm\")";
            response(&format!("{status}\n{head}\ncache-tag: {tag}"))
        });
        let app = App::new(&origin);
        for path in ["/p?a=1&utm=1", "/p?a=2&utm=1"] {
            app.get(path).await;
            assert!(app.get(path).await.is_hit());
        }
        app.cache.purge(purge, how).await.unwrap();
        let reply = app.get("/p?a=1&utm=3").await;
        assert_eq!(!reply.is_hit(), *struck, "{purge:?} {how:?}");
        if *struck {
            assert_eq!(reply.cache().contains("fwd-status=304"), how == MarkStale, "{purge:?}");
        }
        assert_eq!(!app.get("/p?a=2").await.is_hit(), *both, "{purge:?} {how:?}");
        for path in ["/p?utm=4&a=1", "/p?a=2&utm=5"] {
            assert!(app.get(path).await.is_hit(), "{purge:?} {how:?}");
        }
    }
}

/// RFC 9111 §4.4: an unsafe request strikes what answers its URI, whatever that was asked for as
#[tokio::test]
async fn an_unsafe_request_strikes_what_answers_its_uri() {
    for path in ["/p?utm=2", "/p", "/other"] {
        let origin = Origin::new(|got| {
            let location = if got.uri == "/other" { "location: /p?utm=7\n" } else { "" };
            let head = "cache-control: max-age=60\nno-vary-search: params=(\"utm\")";
            response(&format!("200\n{location}{head}\n\nx"))
        });
        let app = App::new(&origin);
        app.get("/p?utm=1").await;
        assert!(app.get("/p?utm=3").await.is_hit());
        app.ask(request(Method::POST, path, "")).await;
        assert!(!app.get("/p?utm=3").await.is_hit(), "{path}");
        assert!(app.get("/p?utm=1").await.is_hit());
    }
}

/// The response to a POST that answers several queries isn't stored: whatever strikes one of them
/// would have to be told from the POST's own strike.
#[tokio::test]
async fn what_a_post_gives_for_several_queries_is_not_stored() {
    let origin = Origin::new(|got| {
        let said = if got.uri.starts_with("/one") { "x" } else { "params=(\"utm\")" };
        let uri = &got.uri;
        response(&format!(
            "200\ncache-control: max-age=60\ncontent-location: {uri}\nno-vary-search: {said}\n\nx"
        ))
    });
    let app = App::new(&origin);
    for (path, is_stored) in [("/one?utm=1", true), ("/p?utm=1", false)] {
        app.ask(request(Method::POST, path, "")).await;
        assert_eq!(app.get(path).await.is_hit(), is_stored, "{path}");
    }
}

/// An origin that answers the first GET when the test says so, and others at once.
fn slow(head: &'static str) -> (oneshot::Sender<Response<OriginBody>>, Origin) {
    let (sender, receiver) = oneshot::channel();
    let mut held = Some(receiver);
    let origin = Origin::new(move |got| match held.take_if(|_| got.uri.contains("slow")) {
        Some(receiver) => Said::Later(receiver),
        None => response(head).into(),
    });
    (sender, origin)
}

/// What was asked for before an equal URI was struck isn't found after it, whether or not it was
/// known that they are equal, and whoever stored a list of the path meanwhile.
#[tokio::test]
async fn what_is_under_way_when_an_equal_uri_is_struck_is_not_found() {
    const HEAD: &str = "200\ncache-control: max-age=60\nno-vary-search: params=(\"utm\")\n\nnew";
    const OLD: &str = "200\ncache-control: max-age=60\nno-vary-search: params=(\"utm\")\n\nold";
    let all = [false, true];
    let cases = all.iter().flat_map(|known| all.map(|later| (*known, later)));
    for (known, later) in cases {
        let (sender, origin) = slow(HEAD);
        let app = App::new(&origin);
        if known {
            app.get("/p?a").await;
        }
        let before = origin.count();
        let client = tokio::spawn({
            let app = app.clone();
            async move { app.get("/p?utm=slow").await }
        });
        until("it is asked for", || origin.count() == before + 1).await;
        app.cache.purge(&url("/p?utm=2"), Drop).await.unwrap();
        if later {
            assert_eq!(app.get("/p?utm=slow").await.text(), "new", "nobody waits for the old one");
            app.get("/p?b").await;
            assert!(app.get("/p?b&utm=1").await.is_hit());
        }
        sender.send(response(OLD)).ok();
        assert_eq!(client.await.unwrap().text(), "old");
        for path in ["/p?utm=slow", "/p", "/p?utm=3"] {
            assert_eq!(app.get(path).await.text(), "new", "{path} {known} {later}");
        }
    }
}

/// RFC 9111 §4: who asks for what makes no difference waits for one request, and others don't get its response
#[tokio::test]
async fn equal_queries_are_one_request_where_that_is_known() {
    for (said, fetches) in [("params=(\"utm\")", 1), ("x", 3), ("params=(\"other\")", 3)] {
        let (sender, receiver) = oneshot::channel();
        let mut held = Some(receiver);
        let origin = Origin::new(move |got| match held.take_if(|_| got.uri.contains("slow")) {
            Some(receiver) => Said::Later(receiver),
            None => {
                let said = if got.uri == "/p?a" { "params=(\"utm\")" } else { "x" };
                response(&format!("200\ncache-control: max-age=60\nno-vary-search: {said}\n\nx"))
                    .into()
            }
        });
        let app = App::new(&origin);
        app.get("/p?a").await;
        let ask = |path: &'static str| {
            let app = app.clone();
            tokio::spawn(async move { app.get(path).await })
        };
        let leader = ask("/p?utm=slow");
        until("it is asked for", || origin.count() == 2).await;
        let joiners = ["/p?utm=2", "/p?utm=3", "/p?utm=2", "/p?utm=slow"].map(ask);
        until("they wait", || app.cache.stats().misses == 6).await;
        let head = format!("200\ncache-control: max-age=60\nno-vary-search: {said}\n\nslow");
        sender.send(response(&head)).ok();
        assert_eq!(leader.await.unwrap().text(), "slow");
        let mut texts = Vec::new();
        for joiner in joiners {
            texts.push(joiner.await.unwrap().text().to_owned());
        }
        let own = if fetches == 1 { "slow" } else { "x" };
        assert_eq!(texts, [own, own, own, "slow"], "{said}");
        assert_eq!(origin.count(), 1 + fetches, "{said}");
    }
}

/// RFC 9111 §3: what isn't stored for one of equal queries is waited for by none of them
#[tokio::test]
async fn equal_queries_that_are_not_stored_are_not_waited_for() {
    let origin = Origin::new(|got| {
        let control = if got.uri.contains("own") { "private" } else { "max-age=60" };
        response(&format!("200\ncache-control: {control}\nno-vary-search: params=(\"utm\")\n\nx"))
    });
    let app = App::new(&origin);
    app.get("/p?a").await;
    app.get("/p?own&utm=1").await;
    for utm in 2..10 {
        assert_eq!(app.get(&format!("/p?own&utm={utm}")).await.cache(), "fwd=uri-miss");
    }
    assert_eq!(app.cache.stats().passed, 8);
}

/// Ranges of what answers several queries are kept and found by all of them.
#[tokio::test]
async fn parts_answer_equal_queries() {
    let origin = Origin::new(|got| {
        let head = "cache-control: max-age=60\netag: \"1\"\nno-vary-search: params=(\"utm\")";
        match got.headers.get(RANGE) {
            Some(_) => response(&format!("206\n{head}\ncontent-range: bytes 0-2/6\n\nabc")),
            None => response(&format!("200\n{head}\n\nabcdef")),
        }
    });
    let app = App::new(&origin);
    assert_eq!(app.get_with("/p?utm=1", "range: bytes=0-2").await.text(), "abc");
    let reply = app.get_with("/p?utm=2", "range: bytes=1-2").await;
    assert_eq!((reply.text(), reply.is_hit()), ("bc", true));
    app.cache.purge(&url("/p?utm=3"), Drop).await.unwrap();
    assert!(!app.get_with("/p?utm=2", "range: bytes=1-2").await.is_hit());
}

/// A path whose responses say something else of queries each time, and a client that makes queries
/// up, take no more room than others.
#[tokio::test]
async fn what_is_known_of_a_path_is_bounded() {
    let mut said = 0;
    let origin = Origin::new(move |_| {
        said += 1;
        response(&format!("200\ncache-control: max-age=60\nno-vary-search: params=(\"p{said}\")"))
    });
    let app = App::new(&origin);
    for query in 0..1000 {
        app.get(&format!("/p?{query}")).await;
    }
    let list = Key::from("http://x.example/p ?");
    let list = app.cache.cache().peek(&list).unwrap().value.unwrap();
    assert!(format!("{list:?}").len() < 2000, "{list:?}");
    let app = App::new(&self::origin("params, except=(\"a\")"));
    for query in 0..1000 {
        app.get(&format!("/p?made-up={query}")).await;
    }
    assert!(app.cache.cache().worth().memory_bytes < 4096);
    assert_eq!(app.cache.stats().fetches, 1);
}

/// A request that knows no cache asks for itself, and a long field is one that says nothing.
#[tokio::test]
async fn what_says_too_much_says_nothing() {
    let names: Vec<_> = (0..400).map(|name| format!("\"name{name}\"")).collect();
    let said: &'static str = format!("params=({})", names.join(" ")).leak();
    assert_eq!(hits(said, ["/p?name1", "/p?name2", "/p?name1"]).await, [false, false, true]);
    let app = App::new(&origin("params"));
    app.get("/p?1").await;
    let mut own: Request<_> = request(Method::GET, "/p?2", "");
    own.extensions_mut().insert(larder_http::Bypass);
    assert_eq!(app.ask(own).await.text(), "/p?2");
}
