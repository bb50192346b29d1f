//! Requests that wait for one another, and those that don't.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body::Body;
use http_body_util::BodyExt;
use larder_http::{Requests, Rules};
use tokio::sync::oneshot;

use crate::kit::{App, Origin, OriginBody, Said, read, request, response, until};

type Given = Arc<Mutex<Vec<oneshot::Sender<Response<OriginBody>>>>>;

/// An origin whose responses the test gives.
fn slow() -> (Given, Origin) {
    let given = Given::default();
    let asked = Arc::clone(&given);
    let origin = Origin::new(move |_| {
        let (sender, receiver) = oneshot::channel();
        asked.lock().unwrap().push(sender);
        Said::Later(receiver)
    });
    (given, origin)
}

fn give(given: &Given, response: Response<OriginBody>) {
    given.lock().unwrap().remove(0).send(response).ok();
}

/// RFC 9111 §4: a thousand clients are one request, and all get the body while it arrives
#[tokio::test]
async fn a_thousand_clients_are_one_request() {
    let (given, origin) = slow();
    let app = App::new(&origin);
    let clients: Vec<_> = (0..1000)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.send(request(Method::GET, "/", "")).await })
        })
        .collect();
    until("it is asked", || origin.count() == 1).await;
    app.seconds(5);
    let (sender, body) = OriginBody::sent();
    give(&given, response("200\ncache-control: max-age=60").map(|_| body));
    let mut bodies = Vec::new();
    for client in clients {
        bodies.push(client.await.unwrap().into_body());
    }
    for part in ["one ", "two"] {
        sender.send(Ok(part.into())).unwrap();
        for body in &mut bodies {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), part);
        }
        assert_eq!(app.cache.stats().stored, 0);
    }
    // Who comes while it arrives gets it from its beginning.
    let late = app.send(request(Method::GET, "/", "")).await;
    assert_eq!(late.headers()["cache-status"], "test; fwd=uri-miss; collapsed");
    assert_eq!(late.headers()["age"], "5");
    drop(sender);
    for body in &mut bodies {
        assert!(body.frame().await.is_none());
    }
    assert_eq!(read(late).await.unwrap().text(), "one two");
    assert!(app.get("/").await.is_hit());
    let stats = app.cache.stats();
    assert_eq!((origin.count(), stats.joined, stats.flights), (1, 1000, 0));
}

/// RFC 9111 §4: what turns out not to be stored is asked for side by side
#[tokio::test]
async fn what_is_not_stored_is_not_waited_for() {
    let (given, origin) = slow();
    let app = App::new(&origin);
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.get("/").await })
        })
        .collect();
    until("one is asked for", || origin.count() == 1).await;
    give(&given, response("200\ncache-control: private\n\nfirst"));
    until("all are asked for, and none has an answer", || origin.count() == 50).await;
    while !given.lock().unwrap().is_empty() {
        give(&given, response("200\ncache-control: private\n\nown"));
    }
    let mut texts = Vec::new();
    for client in clients {
        texts.push(client.await.unwrap().text().to_owned());
    }
    assert_eq!(texts.iter().filter(|text| *text == "first").count(), 1);
    let further = tokio::spawn({
        let app = app.clone();
        async move { futures_join([app.get("/"), app.get("/")]).await }
    });
    until("nobody waits for another", || origin.count() == 52).await;
    while !given.lock().unwrap().is_empty() {
        give(&given, response("200\ncache-control: private\n\nown"));
    }
    further.await.unwrap();
}

async fn futures_join<T>(both: [impl Future<Output = T>; 2]) -> [T; 2] {
    let [one, other] = both;
    let (one, other) = tokio::join!(one, other);
    [one, other]
}

/// RFC 9111 §4.1: who asks for another variant waits for the head, and then asks for its own
#[tokio::test]
async fn other_variants_are_fetched_on_their_own() {
    let (given, origin) = slow();
    let app = App::new(&origin);
    let ask = |fields: &'static str| {
        let app = app.clone();
        tokio::spawn(async move { app.get_with("/", fields).await })
    };
    let first: Vec<_> = ["a: 1", "a: 2", "a: 1", "a: 2"].map(ask).into_iter().collect();
    until("the first is asked for", || origin.count() == 1).await;
    tokio::task::yield_now().await;
    give(&given, response("200\ncache-control: max-age=60\nvary: a\n\none"));
    until("the second is asked for", || origin.count() == 2).await;
    give(&given, response("200\ncache-control: max-age=60\nvary: a\n\ntwo"));
    let mut texts = Vec::new();
    for client in first {
        texts.push(client.await.unwrap().text().to_owned());
    }
    assert_eq!(
        (texts, origin.count()),
        (["one", "two", "one", "two"].map(String::from).to_vec(), 2)
    );
    for (fields, text) in [("a: 1", "one"), ("a: 2", "two")] {
        let reply = app.get_with("/", fields).await;
        assert_eq!((reply.text(), reply.is_hit()), (text, true));
    }
}

/// A request waits for another one's head for so long, and then goes by itself.
#[tokio::test]
async fn a_wait_has_an_end() {
    let (given, origin) = slow();
    let app = App::with(&origin, |builder| builder.wait(Duration::from_secs(3)));
    let leads = tokio::spawn({
        let app = app.clone();
        async move { app.get("/").await }
    });
    until("it is asked", || origin.count() == 1).await;
    let joins = tokio::spawn({
        let app = app.clone();
        async move { app.get("/").await }
    });
    // One waits for the head, and the fetch for its answer.
    app.clock.until_sleepers(2).await;
    app.seconds(3);
    until("it goes by itself", || origin.count() == 2).await;
    let own = given.lock().unwrap().remove(1);
    own.send(response("200\ncache-control: max-age=60\n\nown")).ok();
    assert_eq!(joins.await.unwrap().text(), "own");
    give(&given, response("200\ncache-control: max-age=60\n\nfirst"));
    assert_eq!(leads.await.unwrap().text(), "first");
}

/// An origin that never answers is given up, for everybody who waits.
#[tokio::test]
async fn a_fetch_has_an_end() {
    let (_given, origin) = slow();
    let app = App::with(&origin, |builder| builder.answer_within(Duration::from_secs(9)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.get("/").await.status })
        })
        .collect();
    until("it is asked", || origin.count() == 1).await;
    app.clock.until_sleepers(3).await;
    app.seconds(9);
    for client in clients {
        assert_eq!(client.await.unwrap(), 504);
    }
    assert_eq!((origin.count(), app.cache.stats().flights), (1, 0));
}

/// More flights than are allowed: the request goes by itself, and isn't stored.
#[tokio::test]
async fn flights_are_bounded() {
    let (given, origin) = slow();
    let app = App::with(&origin, |builder| builder.flights_max(1));
    let get = |path: &'static str| {
        let app = app.clone();
        tokio::spawn(async move { app.get(path).await })
    };
    let first = get("/a");
    until("the first is asked for", || origin.count() == 1).await;
    let second = get("/b");
    until("the second is asked for", || origin.count() == 2).await;
    assert_eq!(app.cache.stats().flights, 1);
    for _ in 0..2 {
        give(&given, response("200\ncache-control: max-age=60\n\nx"));
    }
    assert_eq!(first.await.unwrap().cache(), "fwd=uri-miss; stored");
    assert_eq!(second.await.unwrap().cache(), "fwd=uri-miss");
}

/// Everybody is told when the origin's service panics.
#[tokio::test]
async fn a_panic_is_an_answer() {
    let origin = Origin::new(|_| -> Said { panic!("the origin's own") });
    let app = App::new(&origin);
    assert_eq!(app.get("/").await.status, 502);
    assert_eq!(app.cache.stats().flights, 0);
}

/// A body that isn't stored holds so much of memory; one reader alone is never cut off, and of
/// several the one that takes nothing is.
#[tokio::test]
async fn slow_readers_are_bounded() {
    const CHUNK: usize = 64 * 1024;
    let (given, origin) = slow();
    let app = App::with(&origin, |builder| {
        builder.object_max(1000).answer_within(Duration::from_secs(9))
    });
    let first = tokio::spawn({
        let app = app.clone();
        async move { app.send(request(Method::GET, "/", "")).await }
    });
    until("it is asked", || origin.count() == 1).await;
    let second = tokio::spawn({
        let app = app.clone();
        async move { app.send(request(Method::GET, "/", "")).await }
    });
    app.clock.until_sleepers(2).await;
    let (taken, body) = OriginBody::counted(64, Bytes::from(vec![7; CHUNK]));
    give(&given, response("200\ncache-control: max-age=60").map(|_| body));
    let (quick, slow) = (first.await.unwrap(), second.await.unwrap());
    let quick = tokio::spawn(read(quick));
    // It doesn't fit, so nobody joins any more, and the origin is read no further than a window.
    until("the window is full", || taken.load(Ordering::Relaxed) == 4).await;
    assert_eq!(app.cache.stats().flights, 0);
    app.clock.until_sleepers(1).await;
    assert_eq!(taken.load(Ordering::Relaxed), 4);
    app.seconds(9);
    assert_eq!(quick.await.unwrap().unwrap().body.len(), 64 * CHUNK);
    assert!(read(slow).await.is_err());
    // Alone it keeps nobody waiting.
    let alone = tokio::spawn({
        let app = app.clone();
        async move { app.send(request(Method::GET, "/", "")).await }
    });
    until("it is asked again", || origin.count() == 2).await;
    let (taken, body) = OriginBody::counted(64, Bytes::from(vec![7; CHUNK]));
    give(&given, response("200\ncache-control: max-age=60").map(|_| body));
    let alone = alone.await.unwrap();
    until("the window is full again", || taken.load(Ordering::Relaxed) == 4).await;
    for _ in 0..3 {
        app.clock.until_sleepers(1).await;
        app.seconds(9);
    }
    assert_eq!(read(alone).await.unwrap().body.len(), 64 * CHUNK);
}

/// A body on its way has no length before it is stored.
#[tokio::test]
async fn a_body_of_unknown_length_says_so() {
    let (sender, body) = OriginBody::sent();
    let mut body = Some(body);
    let origin = Origin::new(move |_| {
        response("200\ncache-control: max-age=60").map(|_| body.take().unwrap())
    });
    let app = App::new(&origin);
    let reply = app.send(request(Method::GET, "/", "")).await;
    assert_eq!(reply.body().size_hint().exact(), None);
    sender.send(Ok("abc".into())).unwrap();
    drop(sender);
    read(reply).await.unwrap();
    let hit = app.send(request(Method::GET, "/", "")).await;
    assert_eq!(hit.body().size_hint().exact(), Some(3));
}

/// Fetches that nobody joins, because their clients want nothing older, count as all others: who
/// goes away leaves no more of them behind than may be under way.
#[tokio::test]
async fn fetches_that_nobody_joins_are_bounded() {
    let (given, origin) = slow();
    let rules = Rules { requests: Requests::Obeyed, ..Rules::shared() };
    let app = App::with(&origin, |builder| builder.flights_max(2).rules(rules));
    for at in 0..6 {
        let client = tokio::spawn({
            let app = app.clone();
            async move { app.get_with("/", "cache-control: no-cache").await }
        });
        until("it is asked for", || origin.count() == at + 1).await;
        client.abort();
        client.await.unwrap_err();
    }
    let is_waited_for = |sender: &&oneshot::Sender<_>| !sender.is_closed();
    assert_eq!(given.lock().unwrap().iter().filter(is_waited_for).count(), 2);
    assert_eq!((app.cache.stats().flights, app.cache.stats().fetches), (2, 2));
    given.lock().unwrap().clear();
    until("nothing is under way", || app.cache.stats().flights == 0).await;
}

/// A body that isn't stored any more is read no longer than by those who wait for it, though its
/// origin has fallen silent.
#[tokio::test]
async fn a_body_that_nobody_reads_is_let_go_of() {
    let (given, origin) = slow();
    let app = App::with(&origin, |builder| builder.object_max(1000));
    let client = tokio::spawn({
        let app = app.clone();
        async move { app.send(request(Method::GET, "/", "")).await }
    });
    until("it is asked for", || origin.count() == 1).await;
    let (sender, body) = OriginBody::sent();
    give(&given, response("200\ncache-control: max-age=60").map(|_| body));
    let mut body = client.await.unwrap().into_body();
    sender.send(Ok("x".repeat(2000).into())).unwrap();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap().len(), 2000);
    assert!(!sender.is_closed());
    drop(body);
    until("the origin's body is let go of", || sender.is_closed()).await;
}
