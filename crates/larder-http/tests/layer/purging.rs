//! Purges: by URI, tag, prefix and all; hard and soft.

use http::{Method, Response};
use larder_core::ErrorKind;
use larder_engine::Invalidation::{Drop, MarkStale};
use larder_http::Purge;
use tokio::sync::oneshot;

use crate::kit::{App, Origin, OriginBody, Said, request, response, until};

/// An origin whose responses have tags, validate, and vary by `a` below `/vary`.
fn origin() -> Origin {
    Origin::new(|got| {
        if got.headers.contains_key("if-none-match") {
            return response("304\netag: \"1\"");
        }
        let vary = if got.uri.starts_with("/vary") { "vary: a\n" } else { "" };
        let tag =
            if got.uri.contains("tagged") { "cache-tag: t, u\nsurrogate-key: v w\n" } else { "" };
        response(&format!("200\ncache-control: max-age=60\netag: \"1\"\n{vary}{tag}\nx"))
    })
}

const ASKED: [(&str, &str); 6] = [
    ("/a", ""),
    ("/a/b", ""),
    ("/vary", "a: 1"),
    ("/vary", "a: 2"),
    ("/tagged", ""),
    ("/vary/tagged", "a: 1"),
];

/// What is still a hit after a purge: in a hard one and in a soft one, which must be the same.
async fn left(what: &Purge) -> [bool; 6] {
    let mut lefts = Vec::new();
    for how in [Drop, MarkStale] {
        let app = App::new(&origin());
        for (path, fields) in ASKED {
            app.get_with(path, fields).await;
            assert!(app.get_with(path, fields).await.is_hit());
        }
        app.cache.purge(what, how).await.unwrap();
        let mut left = [false; 6];
        for ((path, fields), left) in ASKED.iter().zip(&mut left) {
            let reply = app.get_with(path, fields).await;
            *left = reply.is_hit();
            let validated = reply.cache().contains("fwd-status=304");
            assert!(*left || (how == MarkStale) == validated || *path == "/vary", "{path} {how:?}");
            assert!(app.get_with(path, fields).await.is_hit());
        }
        lefts.push(left);
    }
    assert_eq!(lefts[0], lefts[1]);
    lefts[0]
}

#[tokio::test]
async fn a_uri_is_purged_with_all_its_variants() {
    let uri = |uri: &str| Purge::Url(uri.parse().unwrap());
    assert_eq!(left(&uri("http://x.example/a")).await, [false, true, true, true, true, true]);
    assert_eq!(
        left(&uri("http://X.example:80/vary")).await,
        [true, true, false, false, true, true]
    );
    assert_eq!(left(&uri("https://x.example/a")).await, [true; 6]);
    let app = App::new(&origin());
    let fault = app.cache.purge(&uri("/a"), Drop).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::BadKey);
}

#[tokio::test]
async fn tags_are_purged_wherever_they_stand() {
    for tag in ["t", "u", "v", "w"] {
        assert_eq!(left(&Purge::tag(tag)).await, [true, true, true, true, false, false], "{tag}");
    }
    assert_eq!(left(&Purge::tag("none")).await, [true; 6]);
}

#[tokio::test]
async fn prefixes_and_all_are_purged() {
    let prefix = |prefix: &str| Purge::Prefix(prefix.into());
    assert_eq!(left(&prefix("http://x.example/a")).await, [false, false, true, true, true, true]);
    assert_eq!(
        left(&prefix("http://x.example/vary")).await,
        [true, true, false, false, true, false]
    );
    assert_eq!(left(&Purge::All).await, [false; 6]);
}

/// What was asked for before a purge isn't stored after it, whatever was purged, with or without
/// variants that are known.
#[tokio::test]
async fn what_is_under_way_is_not_stored() {
    let purges = [
        Purge::Url("http://x.example/vary/tagged".parse().unwrap()),
        Purge::tag("t"),
        Purge::Prefix("http://x.example/vary".into()),
        Purge::All,
    ];
    for (purge, known) in purges.iter().flat_map(|purge| [(purge, false), (purge, true)]) {
        let (sender, receiver) = oneshot::channel::<Response<OriginBody>>();
        let mut held = Some(receiver);
        const HEAD: &str = "200\ncache-control: max-age=60\nvary: a\ncache-tag: t\n\nx";
        let origin = Origin::new(move |got| {
            let is_slow = got.headers.get("a").is_some_and(|line| line == "slow");
            match held.take_if(|_| is_slow) {
                Some(receiver) => Said::Later(receiver),
                None => response(HEAD).into(),
            }
        });
        let app = App::new(&origin);
        if known {
            app.get_with("/vary/tagged", "a: 1").await;
        }
        let before = origin.count();
        let client = tokio::spawn({
            let app = app.clone();
            async move { app.ask(request(Method::GET, "/vary/tagged", "a: slow")).await }
        });
        until("it is asked", || origin.count() == before + 1).await;
        app.cache.purge(purge, Drop).await.unwrap();
        sender.send(response(HEAD)).ok();
        assert_eq!(client.await.unwrap().text(), "x");
        let reply = app.get_with("/vary/tagged", "a: slow").await;
        assert!(!reply.is_hit(), "{purge:?}, known {known}");
        assert!(app.get_with("/vary/tagged", "a: slow").await.is_hit());
    }
}

/// Whoever asks after a purge is given nothing that was asked for before it, whether the head of that
/// is awaited or its body is on its way; what was purged is asked for once more, for all of them.
#[tokio::test]
async fn nobody_who_comes_after_it_waits_for_what_was_asked_for_before() {
    let head =
        |text: &str| response(&format!("200\ncache-control: max-age=60\ncache-tag: t\n\n{text}"));
    let purges = [
        Purge::Url("http://x.example/a".parse().unwrap()),
        Purge::tag("t"),
        Purge::Prefix("http://x.example/".into()),
        Purge::All,
    ];
    let cases = purges.iter().flat_map(|purge| [(purge, Drop), (purge, MarkStale)]);
    for ((purge, how), begun) in cases.flat_map(|case| [(case, false), (case, true)]) {
        let (sender, receiver) = oneshot::channel();
        let mut held = Some(receiver);
        let origin = Origin::new(move |_| match held.take() {
            Some(receiver) => Said::Later(receiver),
            None => head("new").into(),
        });
        let app = App::new(&origin);
        let ask = || {
            let app = app.clone();
            tokio::spawn(async move { app.get("/a").await })
        };
        let before = [ask(), ask()];
        until("it is asked", || origin.count() == 1).await;
        let (chunks, body) = OriginBody::sent();
        let old = head("").map(|_| body);
        let late = if begun {
            sender.send(old).ok();
            let chunk = || app.cache.stats().joined == 1;
            until("the head is there for both", chunk).await;
            None
        } else {
            Some((sender, old))
        };
        app.cache.purge(purge, how).await.unwrap();
        let after: Vec<_> = (0..3).map(|_| ask()).collect();
        let in_time = "who comes later is answered before the old response is there";
        // Which tags it has isn't known without its head.
        let waits = !begun && matches!(purge, Purge::Tags(_));
        if !waits {
            until(in_time, || after.iter().all(tokio::task::JoinHandle::is_finished)).await;
        }
        if let Some((sender, old)) = late {
            sender.send(old).ok();
        }
        chunks.send(Ok("old".into())).unwrap();
        drop(chunks);
        for client in after {
            let reply = client.await.unwrap();
            assert_eq!(reply.text(), "new", "{purge:?} {how:?}, begun {begun}: {}", reply.cache());
        }
        let of_before = [before[0].is_finished(), before[1].is_finished()];
        for client in before {
            let reply = client.await.unwrap();
            assert!(["old", "new"].contains(&reply.text()), "{of_before:?}");
        }
        assert_eq!(origin.count(), 2, "{purge:?} {how:?}, begun {begun}");
        assert_eq!(app.get("/a").await.text(), "new");
        until("nothing is under way", || app.cache.stats().flights == 0).await;
    }
}

/// A response that has more tags than an entry may have isn't stored: no purge would find it.
#[tokio::test]
async fn too_many_tags_are_not_stored() {
    let tags = (0..129).map(|tag| tag.to_string()).collect::<Vec<_>>().join(", ");
    let app =
        App::new(&Origin::of(&[&format!("200\ncache-control: max-age=60\ncache-tag: {tags}")]));
    for _ in 0..2 {
        assert_eq!(app.get("/").await.cache(), "fwd=uri-miss");
    }
}

/// What is stored can be purged: nothing is stored under a URI that no purge could name, and a
/// prefix finds what it is a prefix of, however long both are.
#[tokio::test]
async fn every_uri_that_is_stored_is_found() {
    let long = |length: usize| format!("/{}", "x".repeat(length));
    let stored = [long(900), long(2000), format!("{}?{}", long(100), "y".repeat(2000))];
    let odd = ["/a\u{85}".to_owned(), "/a?\u{9f}".to_owned()];
    let all = stored.iter().map(|path| (path, true)).chain(odd.iter().map(|path| (path, false)));
    for ((path, is_stored), how) in all.flat_map(|case| [(case, Drop), (case, MarkStale)]) {
        for length in [20, 850, 890, 940].map(|length| length.min(path.len())) {
            let mut said = 0;
            let origin = Origin::new(move |_| {
                said += 1;
                response(&format!("200\ncache-control: max-age=60\n\nsaid {said}"))
            });
            let app = App::new(&origin);
            app.get(path).await;
            assert_eq!(app.get(path).await.is_hit(), is_stored, "{path}");
            let before = origin.count();
            let prefix = format!("http://x.example{}", &path[..path.floor_char_boundary(length)]);
            app.cache.purge(&Purge::Prefix(prefix.into()), how).await.unwrap();
            let reply = app.get(path).await;
            assert_eq!(reply.text(), format!("said {}", before + 1), "{length} of {path}");
            // An unsafe request strikes it, too.
            app.ask(request(Method::POST, path, "")).await;
            assert_eq!(app.get(path).await.text(), format!("said {}", before + 3), "{path}");
        }
    }
}
