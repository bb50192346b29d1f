//! Several processes over one shared tier and one bus, which are simulated.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use larder_engine::Invalidation::{Drop, MarkStale};
use larder_engine::{Engine, Sharing};
use larder_http::Purge;
use larder_test::{ManualClock, SimShared};

use crate::kit::{App, Origin, request, response};

/// An origin that counts what it says, varies by `a` below `/vary`, and has a tag.
fn origin() -> Origin {
    let mut said = 0;
    Origin::new(move |got| {
        said += 1;
        let vary = if got.uri.starts_with("/vary") { "vary: a\n" } else { "" };
        response(&format!("200\ncache-control: max-age=60\ncache-tag: t\n{vary}\nsaid {said}"))
    })
}

/// So many processes in front of one origin.
async fn processes(origin: &Origin, count: usize) -> (ManualClock, Vec<App>) {
    let clock = ManualClock::new();
    let server = SimShared::new(Arc::new(clock.clone()));
    let mut apps = Vec::new();
    for _ in 0..count {
        let engine = Engine::with_clock(clock.clone()).unwrap();
        let client = Arc::new(server.client());
        engine.share(Sharing::over(client.clone()).own_bus(client)).await.unwrap();
        let app = App::on(&engine, clock.clone(), origin, |builder| {
            builder.share(1000).max_staleness(Duration::from_secs(2))
        });
        apps.push(app);
    }
    pass(&clock).await;
    (clock, apps)
}

/// Half a second in which tokens go round, and fills and announcements arrive.
async fn pass(clock: &ManualClock) {
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
