//! Processes that wait for one another's fetches, over a shared tier that is simulated.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use larder_engine::Invalidation;
use larder_http::Purge;
use larder_test::ManualClock;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::kit::{App, Origin, OriginBody, Reply, Said, response, until};
use crate::sharing::{self, pass, processes};

/// What the origin is to answer, in the order in which it was asked.
type Given = Arc<Mutex<VecDeque<oneshot::Sender<Response<OriginBody>>>>>;

/// An origin whose responses the test gives.
fn held_origin() -> (Given, Origin) {
    let given = Given::default();
    let asked = Arc::clone(&given);
    let origin = Origin::new(move |_| {
        let (sender, receiver) = oneshot::channel();
        asked.lock().unwrap().push_back(sender);
        Said::Later(receiver)
    });
    (given, origin)
}

fn give(given: &Given, response: Response<OriginBody>) {
    given.lock().unwrap().pop_front().unwrap().send(response).ok();
}

/// So many clients of each process.
fn clients(apps: &[App], count: usize, path: &str, fields: &str) -> Vec<JoinHandle<Reply>> {
    let all = apps.iter().flat_map(|app| (0..count).map(move |_| app.clone()));
    let asked = all.map(|app| {
        let (path, fields) = (path.to_owned(), fields.to_owned());
        tokio::spawn(async move { app.get_with(&path, &fields).await })
    });
    asked.collect()
}

/// Turns the clock until all have their answers.
async fn texts(clock: &ManualClock, clients: Vec<JoinHandle<Reply>>) -> Vec<String> {
    for _ in 0..100 {
        if clients.iter().all(JoinHandle::is_finished) {
            break;
        }
        pass(clock).await;
    }
    let mut texts = Vec::new();
    for client in clients {
        assert!(client.is_finished(), "a client waits for ever");
        texts.push(client.await.unwrap().text().to_owned());
    }
    texts
}

/// RFC 9111 §4: a herd on several processes is one request to the origin
#[tokio::test]
async fn a_herd_on_several_processes_is_one_request() {
    for (path, head) in
        [("/", "max-age=60"), ("/search?utm=1", "max-age=60\nno-vary-search: params")]
    {
        let (given, origin) = held_origin();
        let (clock, apps) = processes(&origin, 3).await;
        let all = clients(&apps, 20, path, "");
        until("it is asked for", || origin.count() == 1).await;
        for _ in 0..10 {
            pass(&clock).await;
        }
        assert_eq!(origin.count(), 1, "{path}");
        give(&given, response(&format!("200\ncache-control: {head}\n\nx")));
        if path == "/" {
            assert_eq!(texts(&clock, all).await, ["x"; 60]);
            assert_eq!(origin.count(), 1);
        } else {
            // Under which key its response would stand wasn't known, so it isn't shared; that of one
            // more is.
            for _ in 0..4 {
                pass(&clock).await;
            }
            assert_eq!(origin.count(), 2);
            give(&given, response(&format!("200\ncache-control: {head}\n\nx")));
            assert_eq!(texts(&clock, all).await, ["x"; 60]);
        }
    }
}

/// RFC 9111 §4: what a process finds not to be stored is asked for side by side in all others
#[tokio::test]
async fn what_is_not_stored_is_not_waited_for_in_other_processes() {
    let (given, origin) = held_origin();
    let (clock, apps) = processes(&origin, 4).await;
    let all = clients(&apps, 1, "/", "");
    until("it is asked for", || origin.count() == 1).await;
    pass(&clock).await;
    const OWN: &str = "200\ncache-control: private\n\nown";
    give(&given, response(OWN));
    for _ in 0..2 {
        pass(&clock).await;
    }
    // The others do, though none of these has its answer.
    assert_eq!(origin.count(), 4);
    (0..3).for_each(|_| give(&given, response(OWN)));
    assert_eq!(texts(&clock, all).await, ["own"; 4]);
}

/// A process that waits for another one does so no longer than its clients.
#[tokio::test]
async fn a_wait_for_another_process_ends() {
    let (given, origin) = held_origin();
    let (clock, apps) = processes(&origin, 2).await;
    let mut all = clients(&apps[..1], 1, "/", "");
    until("it is asked for", || origin.count() == 1).await;
    all.extend(clients(&apps[1..], 1, "/", ""));
    for _ in 0..18 {
        pass(&clock).await;
    }
    assert_eq!(origin.count(), 1);
    for _ in 0..4 {
        pass(&clock).await;
    }
    assert_eq!(origin.count(), 2);
    for text in ["one", "two"] {
        give(&given, response(&format!("200\ncache-control: max-age=60\n\n{text}")));
    }
    assert_eq!(texts(&clock, all).await, ["one", "two"]);
}

/// A body that takes its time is waited for for a second, and one that is too long to be shared not
/// at all: whoever asks the origin gets it while it arrives.
#[tokio::test]
async fn a_body_on_its_way_is_not_waited_for_in_other_processes() {
    for (length, halves) in [("", 2..=3), ("content-length: 1001\n", 1..=1)] {
        let (given, origin) = held_origin();
        let (clock, apps) = processes(&origin, 2).await;
        let all = clients(&apps, 1, "/", "");
        until("it is asked for", || origin.count() == 1).await;
        let (sender, body) = OriginBody::sent();
        let head = format!("200\ncache-control: max-age=60\n{length}");
        give(&given, response(&head).map(|_| body));
        let mut passed = 0;
        while origin.count() == 1 && passed < 10 {
            pass(&clock).await;
            passed += 1;
        }
        assert!(halves.contains(&passed), "{passed} times half a second, {length}");
        give(&given, response("200\ncache-control: max-age=60\n\nown"));
        pass(&clock).await;
        let finished: Vec<_> = all.iter().map(JoinHandle::is_finished).collect();
        assert!(finished == [false, true] || finished == [true, false]);
        sender.send(Ok("x".repeat(1001).into())).unwrap();
        drop(sender);
        assert!(texts(&clock, all).await.contains(&"own".to_owned()));
    }
}

/// RFC 9111 §4.1: a process doesn't wait for one that fetches another variant
#[tokio::test]
async fn another_process_is_not_waited_for_with_another_variant() {
    let origin = sharing::origin();
    let (clock, apps) = processes(&origin, 2).await;
    for app in &apps {
        app.get_with("/vary", "a: 0").await;
        pass(&clock).await;
    }
    let count = origin.count();
    let mut all = clients(&apps[..1], 1, "/vary", "a: 1");
    all.extend(clients(&apps[1..], 1, "/vary", "a: 2"));
    until("both are asked for", || origin.count() == count + 2).await;
    assert_eq!(texts(&clock, all).await.len(), 2);
}

/// Asks the first process for a variant, purges its URI in the second one, and lets `meanwhile`
/// ask before the response and then the announcement arrive in the first: what that one says then.
async fn purged_elsewhere(meanwhile: impl AsyncFnOnce(&ManualClock, &[App])) -> String {
    let (sender, receiver) = oneshot::channel();
    let (mut slow, mut said) = (Some(receiver), 0);
    let origin = Origin::new(move |got| {
        if let Some(slow) = slow.take_if(|_| got.headers["a"] == "0") {
            return Said::Later(slow);
        }
        said += 1;
        response(&format!("200\ncache-control: max-age=60\nvary: a\n\nsaid {said}")).into()
    });
    let (clock, apps, buses) = sharing::connected(&origin, 2).await;
    for app in &apps {
        app.get_with("/", "a: 9").await;
        pass(&clock).await;
    }
    let count = origin.count();
    let slow = clients(&apps[..1], 1, "/", "a: 0");
    until("it is asked for", || origin.count() == count + 1).await;
    buses[0].hold_bus();
    let purge = Purge::Url("http://x.example/".parse().unwrap());
    apps[1].cache.purge(&purge, Invalidation::Drop).await.unwrap();
    pass(&clock).await;
    meanwhile(&clock, &apps).await;
    sender.send(response("200\ncache-control: max-age=60\nvary: a\n\nold")).ok();
    assert_eq!(texts(&clock, slow).await, ["old"]);
    buses[0].release_bus();
    for _ in 0..4 {
        pass(&clock).await;
    }
    // The list is known again, and what it leads to.
    apps[0].get_with("/", "a: 1").await;
    apps[0].get_with("/", "a: 0").await.text().to_owned()
}

/// What a process fetches while another one strikes the URI isn't found once that is heard of,
/// although it read a list of variants meanwhile that was made after the strike.
#[tokio::test]
async fn a_list_of_another_process_leads_to_nothing_that_was_fetched_before_a_purge() {
    let text = purged_elsewhere(async |clock, apps| {
        for app in [&apps[1], &apps[0]] {
            app.get_with("/", "a: 1").await;
            pass(clock).await;
        }
    });
    assert_ne!(text.await, "old");
}

/// The same of a list that this process made, by a fetch that began after the strike.
#[tokio::test]
async fn a_list_of_a_later_fetch_leads_to_nothing_that_was_fetched_before_a_purge() {
    let text = purged_elsewhere(async |clock, apps| {
        apps[0].get_with("/", "a: 1").await;
        pass(clock).await;
    });
    assert_ne!(text.await, "old");
}

/// A process that hasn't heard of a purge yet doesn't bring the purged list of variants back.
#[tokio::test]
async fn a_purged_list_does_not_come_back() {
    let origin = sharing::origin();
    let (clock, apps, buses) = sharing::connected(&origin, 2).await;
    for fields in ["a: 0", "a: 1"] {
        for app in &apps {
            app.get_with("/vary", fields).await;
            pass(&clock).await;
        }
    }
    let old = apps[0].get_with("/vary", "a: 1").await;
    for (app, fields) in apps.iter().flat_map(|app| [(app, "a: 0"), (app, "a: 1")]) {
        assert!(app.get_with("/vary", fields).await.is_hit(), "a list that grows stays the same");
    }
    buses[1].hold_bus();
    let purge = Purge::Url("http://x.example/vary".parse().unwrap());
    apps[0].cache.purge(&purge, Invalidation::Drop).await.unwrap();
    pass(&clock).await;
    apps[1].get_with("/vary", "a: 2").await;
    pass(&clock).await;
    assert_ne!(apps[0].get_with("/vary", "a: 1").await.text(), old.text());
}

/// What another process purged is given to nobody who comes later than the promise says, by a fetch
/// that began before it either, while that hasn't been heard of.
#[tokio::test]
async fn a_fetch_is_joined_no_longer_than_the_promise_says() {
    for begun in [false, true] {
        let (given, origin) = held_origin();
        let (clock, apps, buses) = sharing::connected(&origin, 2).await;
        let slow = clients(&apps[..1], 1, "/", "");
        until("it is asked for", || origin.count() == 1).await;
        let (chunks, body) = OriginBody::sent();
        let head = "200\ncache-control: max-age=60";
        let mut old = Some(response(head).map(|_| body));
        if begun {
            give(&given, old.take().unwrap());
            until("its head is there", || given.lock().unwrap().is_empty()).await;
        }
        buses[0].hold_bus();
        let purge = Purge::Url("http://x.example/".parse().unwrap());
        apps[1].cache.purge(&purge, Invalidation::Drop).await.unwrap();
        for _ in 0..6 {
            pass(&clock).await;
        }
        let late = clients(&apps[..1], 1, "/", "");
        until("it is asked for once more", || origin.count() == 2).await;
        if let Some(old) = old {
            give(&given, old);
        }
        chunks.send(Ok("old".into())).unwrap();
        drop(chunks);
        give(&given, response(&format!("{head}\n\nnew")));
        assert_eq!(texts(&clock, slow).await, ["old"]);
        assert_eq!(texts(&clock, late).await, ["new"], "begun {begun}");
    }
}

/// RFC 9111 §4.2.3: a wait for another process before the origin is asked makes nothing younger
#[tokio::test]
async fn a_wait_for_another_process_makes_nothing_younger() {
    const HEAD: &str = "200\ncache-control: max-age=60\nvary: a";
    const BEFORE: usize = 3;
    // Each process has asked for two variants twice before the origin takes its time.
    let given = Given::default();
    let (asked, mut count) = (Arc::clone(&given), 0);
    let origin = Origin::new(move |_| {
        count += 1;
        if count <= BEFORE {
            return response(&format!("{HEAD}\n\nx")).into();
        }
        let (sender, receiver) = oneshot::channel();
        asked.lock().unwrap().push_back(sender);
        Said::Later(receiver)
    });
    let (clock, apps) = processes(&origin, 2).await;
    for fields in ["a: 0", "a: 1", "a: 0", "a: 1"] {
        for app in &apps {
            app.get_with("/vary", fields).await;
            pass(&clock).await;
        }
    }
    assert_eq!(origin.count(), BEFORE);
    clock.advance(Duration::from_secs(61));
    pass(&clock).await;
    let count = origin.count();
    let first = clients(&apps[..1], 1, "/vary", "a: 0");
    until("it is asked for", || origin.count() == count + 1).await;
    let second = clients(&apps[1..], 1, "/vary", "a: 0");
    for _ in 0..6 {
        pass(&clock).await;
    }
    assert_eq!(origin.count(), count + 1, "it waits for the other process");
    give(&given, response("200\ncache-control: private\n\nown"));
    for _ in 0..2 {
        pass(&clock).await;
    }
    assert_eq!(origin.count(), count + 2);
    give(&given, response(&format!("{HEAD}\nage: 50\n\nx")));
    assert_eq!(texts(&clock, first).await, ["own"]);
    assert_eq!(texts(&clock, second).await, ["x"]);
    let reply = apps[1].get_with("/vary", "a: 0").await;
    let age: u64 = reply.field("age").parse().unwrap();
    assert!(reply.is_hit() && age >= 50, "{age} s: {}", reply.cache());
}
