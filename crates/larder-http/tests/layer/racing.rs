//! A purge between any two steps of a request: what it struck comes back by none of them.
//!
//! The steps are the readings of the clock, at one of which the purge is done, as by another
//! thread. The origin changes at that moment. Where the purge is hard it keeps its validators, as
//! one does whose tags are made of what didn't change: whatever is validated instead of forgotten
//! is wrong. Where the purge is soft it has none.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::SystemTime;

use http::Method;
use larder_core::{BoxFuture, Clock, Moment};
use larder_engine::Engine;
use larder_engine::Invalidation::{self, Drop, MarkStale};
use larder_http::{Purge, Requests, ResponseCache, Rules};
use larder_test::ManualClock;
use tokio::sync::oneshot;

use crate::kit::{App, Got, Origin, OriginBody, Said, request, response, until};

/// A clock at one of whose readings something is done.
#[derive(Clone)]
struct Interrupting {
    clock: ManualClock,
    next: Arc<Mutex<Option<Interruption>>>,
}

struct Interruption {
    /// After so many readings.
    left: usize,
    act: Box<dyn FnOnce() + Send>,
}

impl Interrupting {
    fn after(&self, readings: usize, act: impl FnOnce() + Send + 'static) {
        let act = Box::new(act);
        *self.next.lock().unwrap() = Some(Interruption { left: readings, act });
    }

    /// Forgets what wasn't done yet; returns whether there was anything.
    fn forget(&self) -> bool {
        self.next.lock().unwrap().take().is_some()
    }
}

impl Clock for Interrupting {
    fn now(&self) -> Moment {
        let due = {
            let mut next = self.next.lock().unwrap();
            if let Some(interruption) = &mut *next {
                interruption.left = interruption.left.saturating_sub(1);
            }
            next.take_if(|interruption| interruption.left == 0)
        };
        if let Some(interruption) = due {
            (interruption.act)();
        }
        self.clock.now()
    }

    fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(moment)
    }
}

/// What an origin of three bytes says with this validator.
fn said(got: &Got, validator: &str, body: &str) -> http::Response<OriginBody> {
    let by = match got.uri.as_bytes() {
        [b'/', b'v', ..] => "vary: a\n",
        [b'/', b's', ..] => "no-vary-search: params=(\"utm\")\n",
        _ => "",
    };
    let control = "cache-control: max-age=60, stale-while-revalidate=30";
    let head = format!("{control}\ncache-tag: t\n{validator}{by}");
    let field = |name: &str| got.headers.get(name).map(|line| line.to_str().unwrap());
    if field("if-none-match").is_some() {
        return response(&format!("304\n{head}"));
    }
    if got.method == Method::POST {
        let place = format!("content-location: {}", got.uri);
        return response(&format!("200\n{place}\n{head}\n{body}"));
    }
    if got.method == Method::HEAD {
        return response(&format!("200\ncontent-length: 3\n{head}"));
    }
    match field("range").and_then(|range| range.strip_prefix("bytes=")) {
        None => response(&format!("200\n{head}\n{body}")),
        Some(range) => {
            let (first, last) = range.split_once('-').unwrap();
            let (first, last) = (first.parse::<usize>().unwrap(), last.parse().unwrap_or(2));
            let part = &body[first..=last];
            response(&format!("206\ncontent-range: bytes {first}-{last}/3\n{head}\n{part}"))
        }
    }
}

/// A response that takes its time, so that others find its fetch under way.
fn later(response: http::Response<OriginBody>) -> Said {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        sender.send(response).ok();
    });
    Said::Later(receiver)
}

/// Begins a purge, which is done in this process then.
fn purge(cache: &ResponseCache, what: &Purge, how: Invalidation) {
    let purged = pin!(cache.purge(what, how));
    assert!(purged.poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// What was stored, how old it is, and by which request it is met.
struct Case {
    stored: &'static str,
    seconds: u64,
    asks: (Method, &'static str),
}

const WHOLE: &str = "";
const PART: &str = "range: bytes=0-1";

/// Does the purge after so many readings of the clock; returns whether there were so many.
async fn is_purged_after(
    readings: usize,
    path: &str,
    case: &Case,
    (what, how): (&Purge, Invalidation),
) -> bool {
    let validator = if how == Drop { "etag: \"1\"\n" } else { "" };
    let changed = Arc::new(AtomicBool::new(false));
    let origin = Origin::new({
        let changed = Arc::clone(&changed);
        move |got| {
            let body = if changed.load(Ordering::Relaxed) { "NEW" } else { "old" };
            later(said(got, validator, body))
        }
    });
    let manual = ManualClock::new();
    let clock = Interrupting { clock: manual.clone(), next: Arc::default() };
    let engine = Engine::with_clock(clock.clone()).unwrap();
    let rules = Rules { requests: Requests::Obeyed, ..Rules::shared() };
    let app = App::on(&engine, manual, &origin, |builder| builder.rules(rules));
    app.get_with(path, case.stored).await;
    app.seconds(case.seconds);
    let late = Arc::new(Mutex::new(None));
    clock.after(readings, {
        let (app, what, path, late) = (app.clone(), what.clone(), path.to_owned(), late.clone());
        move || {
            changed.store(true, Ordering::Relaxed);
            purge(&app.cache, &what, how);
            *late.lock().unwrap() = Some(tokio::spawn(async move { app.get(&path).await }));
        }
    });
    let (method, fields) = &case.asks;
    app.ask(request(method.clone(), path, fields)).await;
    until("nothing is under way", || app.cache.stats().flights == 0).await;
    if clock.forget() {
        return false;
    }
    // Who comes right after it, while the request is still under way, and who comes later.
    let late = late.lock().unwrap().take().unwrap();
    for reply in [late.await.unwrap(), app.get(path).await, app.get(path).await] {
        let (stored, seconds) = (case.stored, case.seconds);
        let step = format!("{how:?} {what:?} in {method} {path} {fields}, step {readings}");
        assert_eq!(reply.text(), "NEW", "{step}; {stored:?} was stored {seconds} s before");
    }
    true
}

#[tokio::test]
async fn what_is_purged_at_any_step_of_a_request_does_not_come_back() {
    let case = |stored, seconds, method, fields| Case { stored, seconds, asks: (method, fields) };
    let cases = [
        // Validated in the foreground and in the background.
        case(WHOLE, 100, Method::GET, ""),
        case(WHOLE, 70, Method::GET, ""),
        case(WHOLE, 10, Method::HEAD, "cache-control: no-cache"),
        case(WHOLE, 100, Method::HEAD, ""),
        case(WHOLE, 100, Method::GET, "range: bytes=1-2"),
        // Its response is stored for others.
        case(WHOLE, 10, Method::POST, ""),
        // What is held in part is validated, or the rest of it is asked for.
        case(PART, 100, Method::GET, "range: bytes=0-0"),
        case(PART, 10, Method::GET, "range: bytes=1-2"),
        case(PART, 10, Method::GET, ""),
        case(PART, 100, Method::GET, ""),
    ];
    let url = |path: &str| Purge::Url(format!("http://x.example{path}").parse().unwrap());
    let purges = [
        ("/a", url("/a")),
        ("/vary", url("/vary")),
        ("/s?utm=1", url("/s?utm=2")),
        ("/vary", Purge::tag("t")),
        ("/a", Purge::All),
    ];
    let purges = purges.into_iter();
    for ((path, what), how) in purges.flat_map(|case| [(case.clone(), Drop), (case, MarkStale)]) {
        // Without a validator nothing is combined.
        let is_asked = |case: &&Case| how == Drop || case.stored == WHOLE;
        for case in cases.iter().filter(is_asked) {
            let mut readings = 1;
            while is_purged_after(readings, path, case, (&what, how)).await {
                readings += 1;
            }
            assert!(readings > 3, "the clock is read more often than that");
        }
    }
}
