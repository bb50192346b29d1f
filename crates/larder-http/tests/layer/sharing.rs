//! Several processes over one shared tier and one bus, which are simulated.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Method, Response};
use larder_engine::Invalidation::{Drop, MarkStale};
use larder_engine::{Engine, Sharing};
use larder_http::Purge;
use larder_test::{ManualClock, SimClient, SimShared};
use tokio::sync::oneshot;

use crate::kit::{App, Origin, OriginBody, Said, request, response, until};

/// An origin that counts what it says, varies by `a` below `/vary`, makes no difference by `utm`
/// below `/search`, and has a tag. What is slow, once, says what the test gives.
fn slow_origin(mut slow: Option<oneshot::Receiver<Response<OriginBody>>>) -> Origin {
    let mut said = 0;
    Origin::new(move |got| {
        if let Some(slow) = slow.take_if(|_| got.uri.contains("slow")) {
            return Said::Later(slow);
        }
        said += 1;
        let by = match got.uri.as_bytes() {
            [b'/', b'v', ..] => "vary: a\n",
            [b'/', b's', ..] => "no-vary-search: params=(\"utm\")\n",
            _ => "",
        };
        let head = "cache-control: max-age=60\ncache-tag: t";
        response(&format!("200\n{head}\n{by}\nsaid {said}")).into()
    })
}

pub(crate) fn origin() -> Origin {
    slow_origin(None)
}

/// So many processes in front of one origin.
pub(crate) async fn processes(origin: &Origin, count: usize) -> (ManualClock, Vec<App>) {
    let (clock, apps, _) = connected(origin, count).await;
    (clock, apps)
}

/// The same, and their connections to what they share.
pub(crate) async fn connected(
    origin: &Origin,
    count: usize,
) -> (ManualClock, Vec<App>, Vec<Arc<SimClient>>) {
    let clock = ManualClock::new();
    let server = SimShared::new(Arc::new(clock.clone()));
    let (mut apps, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let engine = Engine::with_clock(clock.clone()).unwrap();
        let client = Arc::new(server.client());
        engine.share(Sharing::over(client.clone()).own_bus(client.clone())).await.unwrap();
        let app = App::on(&engine, clock.clone(), origin, |builder| {
            let wait = Duration::from_secs(10);
            builder.share(1000).max_staleness(Duration::from_secs(2)).wait(wait)
        });
        apps.push(app);
        clients.push(client);
    }
    pass(&clock).await;
    (clock, apps, clients)
}

/// Half a second in which tokens go round, and fills and announcements arrive.
pub(crate) async fn pass(clock: &ManualClock) {
    for _ in 0..10 {
        clock.advance(Duration::from_millis(50));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

/// RFC 9111 §4.2.3: what one process stored answers in another, and is as old there
#[tokio::test]
async fn a_stored_response_is_shared() {
    let origin = origin();
    let (clock, apps) = processes(&origin, 2).await;
    for (path, fields) in [("/", ""), ("/vary", "a: 1")] {
        // A list of variants is shared when it is known before the response is asked for.
        for fields in ["a: 0", fields] {
            apps[0].get_with(path, fields).await;
            pass(&clock).await;
        }
        let count = origin.count();
        let (one, other) =
            (apps[0].get_with(path, fields).await, apps[1].get_with(path, fields).await);
        assert_eq!((one.text(), origin.count()), (other.text(), count), "{path}");
        let age = |reply: &crate::kit::Reply| reply.field("age").parse::<u64>().unwrap();
        assert!(age(&other).abs_diff(age(&one)) <= 1);
        assert!(apps[1].get_with(path, fields).await.is_hit());
    }
}

/// draft-ietf-httpbis-no-vary-search-10 §7: what one process stored answers other queries in another
#[tokio::test]
async fn what_answers_other_queries_is_shared() {
    let origin = origin();
    let (clock, apps) = processes(&origin, 2).await;
    // As with variants, what is known before the response is asked for is shared.
    for path in ["/search?a&utm=1", "/search?b&utm=1"] {
        apps[0].get(path).await;
        pass(&clock).await;
    }
    let reply = apps[1].get("/search?b&utm=2").await;
    assert_eq!((reply.text(), reply.is_hit(), origin.count()), ("said 2", true, 2));
    assert!(apps[1].get("/search?utm=3&b").await.is_hit());
    for (at, path) in [(1, "/search?c&utm=4"), (0, "/search?c&utm=5"), (0, "/search?utm=6&c")] {
        assert_eq!(apps[at].get(path).await.text(), "said 3", "{path}");
        pass(&clock).await;
    }
    // A path without one is asked for in the tier now and then, and costs nothing else.
    for query in 0..3 {
        apps[1].get(&format!("/other?{query}")).await;
    }
    assert_eq!(origin.count(), 6);
}

/// What a process fetches while another one strikes an equal URI isn't found once that is heard of,
/// although lists were read meanwhile that were made after the strike.
#[tokio::test]
async fn what_is_fetched_while_another_process_strikes_is_not_found() {
    let (sender, receiver) = oneshot::channel();
    let origin = slow_origin(Some(receiver));
    let (clock, apps, clients) = connected(&origin, 2).await;
    let client = tokio::spawn({
        let app = apps[0].clone();
        async move { app.get("/search?utm=slow").await }
    });
    until("it is asked for", || origin.count() == 1).await;
    clients[0].hold_bus();
    let purge = Purge::Url("http://x.example/search?utm=1".parse().unwrap());
    apps[1].cache.purge(&purge, Drop).await.unwrap();
    apps[1].get("/search?new").await;
    pass(&clock).await;
    for _ in 0..2 {
        apps[0].get("/search?new&utm=2").await;
    }
    assert!(apps[0].get("/search?new&utm=3").await.is_hit());
    let old = "200\ncache-control: max-age=60\nno-vary-search: params=(\"utm\")\n\nold";
    sender.send(response(old)).ok();
    assert_eq!(client.await.unwrap().text(), "old");
    clients[0].release_bus();
    for _ in 0..24 {
        pass(&clock).await;
    }
    for path in ["/search?utm=slow", "/search"] {
        assert_ne!(apps[0].get(path).await.text(), "old", "{path}");
    }
}

/// A purge in one process is one in all, of what is held there and in the tier.
#[tokio::test]
async fn a_purge_reaches_every_process() {
    let purges = [
        Purge::Url("http://x.example/vary".parse().unwrap()),
        Purge::tag("t"),
        Purge::Prefix("http://x.example/".into()),
        Purge::All,
    ];
    for (purge, how) in purges.iter().flat_map(|purge| [(purge, Drop), (purge, MarkStale)]) {
        let origin = origin();
        let (clock, apps) = processes(&origin, 2).await;
        for fields in ["a: 1", "a: 2", "a: 1", "a: 2"] {
            for app in &apps {
                app.get_with("/vary", fields).await;
                pass(&clock).await;
            }
        }
        assert!(apps[1].get_with("/vary", "a: 1").await.is_hit());
        let count = origin.count();
        apps[0].cache.purge(purge, how).await.unwrap();
        pass(&clock).await;
        for fields in ["a: 1", "a: 2"] {
            let reply = apps[1].get_with("/vary", fields).await;
            let said: usize = reply.text().strip_prefix("said ").unwrap().parse().unwrap();
            assert!(said > count, "{purge:?} {how:?}: {}", reply.text());
        }
    }
}

/// The same of what answers several queries, by whichever of them it is purged.
#[tokio::test]
async fn a_purge_of_an_equal_uri_reaches_every_process() {
    let purges = [
        Purge::Url("http://x.example/search?b&utm=9".parse().unwrap()),
        Purge::tag("t"),
        Purge::Prefix("http://x.example/search?utm".into()),
        Purge::All,
    ];
    for (purge, how) in purges.iter().flat_map(|purge| [(purge, Drop), (purge, MarkStale)]) {
        let origin = origin();
        let (clock, apps) = processes(&origin, 2).await;
        for path in ["/search?a", "/search?b", "/search?b&utm=1"] {
            for app in &apps {
                app.get(path).await;
                pass(&clock).await;
            }
        }
        assert!(apps[1].get("/search?b&utm=2").await.is_hit());
        let count = origin.count();
        apps[0].cache.purge(purge, how).await.unwrap();
        pass(&clock).await;
        for app in [&apps[1], &apps[0]] {
            let reply = app.get("/search?b&utm=3").await;
            let said: usize = reply.text().strip_prefix("said ").unwrap().parse().unwrap();
            assert!(said > count, "{purge:?} {how:?}: {}", reply.text());
        }
    }
}

/// RFC 9111 §4.4: what one process saw changed is validated in the others
#[tokio::test]
async fn an_unsafe_request_reaches_every_process() {
    let origin = origin();
    let (clock, apps) = processes(&origin, 2).await;
    for app in &apps {
        app.get("/").await;
        pass(&clock).await;
    }
    apps[0].ask(request(Method::POST, "/", "")).await;
    pass(&clock).await;
    let count = origin.count();
    assert!(!apps[1].get("/").await.is_hit());
    assert_eq!(origin.count(), count + 1);
}

/// A purge of a prefix is done in this process when it is begun, whether or not anybody waits until
/// the others were told.
#[tokio::test]
async fn a_prefix_is_purged_here_as_soon_as_that_begins() {
    for (how, waits) in [(Drop, true), (Drop, false), (MarkStale, true), (MarkStale, false)] {
        let origin = origin();
        let (clock, apps, clients) = connected(&origin, 1).await;
        apps[0].get("/a?b").await;
        pass(&clock).await;
        assert!(apps[0].get("/a?b").await.is_hit());
        clients[0].pause();
        let purge = Purge::Prefix("http://x.example/a?".into());
        let mut purged = Box::pin(apps[0].cache.purge(&purge, how));
        let begun = purged.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(begun.is_pending());
        let _waiting = waits.then_some(purged);
        clients[0].resume();
        assert_eq!(apps[0].get("/a?b").await.text(), "said 2", "{how:?}, waits {waits}");
    }
}
