//! What an origin emits: the presets, the bounds, and that other caches read it as it is meant.

use std::time::Duration;

use bolero::check;
use http::{HeaderMap, Method, StatusCode};
use larder_core::freshness::{Declared, Window};
use larder_core::{ErrorKind, Moment};
use larder_http::{
    CachePolicy, EntityTag, ResponseControl, Reuse, Rules, Stored, left, lifetime, reuse, storable,
};

use crate::kit::{at, received};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn emitted(policy: &CachePolicy) -> HeaderMap {
    let mut headers = HeaderMap::new();
    policy.write(&EntityTag::of_content("text/plain", b"content"), &mut headers);
    headers
}

/// The fields that are emitted, for browsers and for edges.
fn fields(policy: &CachePolicy) -> (String, Option<String>) {
    let headers = emitted(policy);
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(text("cdn-cache-control"), text("surrogate-control"));
    assert!(EntityTag::of(&headers).is_some_and(|tag| !tag.is_weak()));
    (text("cache-control").unwrap(), text("cdn-cache-control"))
}

#[test]
fn the_presets_say_what_is_agreed() {
    for (policy, browsers, edges) in [
        (CachePolicy::hashed_asset(), "max-age=31536000, immutable", None),
        (CachePolicy::html(), "no-cache", None),
        (
            CachePolicy::html().edge(seconds(60)).edge_stale_while_revalidate(seconds(10)),
            "no-cache",
            Some("max-age=60, stale-while-revalidate=10"),
        ),
        (
            CachePolicy::browser(seconds(5)).edge_stale_while_revalidate(seconds(60)),
            "max-age=5",
            Some("max-age=5, stale-while-revalidate=60"),
        ),
        (
            CachePolicy::html().edge_stale_if_error(seconds(60)),
            "no-cache",
            Some("max-age=0, stale-if-error=60"),
        ),
        (CachePolicy::personal(), "private, no-cache", Some("no-store")),
        (CachePolicy::secret(), "no-store", Some("no-store")),
        (CachePolicy::secret().private(), "no-store", Some("no-store")),
        (
            CachePolicy::browser(seconds(5)).private().edge(seconds(9)),
            "private, max-age=5",
            Some("no-store"),
        ),
        (
            CachePolicy::browser(seconds(5)).edge(seconds(9)).edge_stale_if_error(seconds(99)),
            "max-age=5",
            Some("max-age=9, stale-if-error=99"),
        ),
        (CachePolicy::browser(seconds(5)).edge(Duration::ZERO), "max-age=5", Some("no-cache")),
        (CachePolicy::browser(Duration::MAX), "max-age=2147483648", None),
    ] {
        assert_eq!(fields(&policy), (browsers.to_owned(), edges.map(str::to_owned)), "{policy:?}");
    }
}

#[test]
fn a_window_bounds_every_lifetime() {
    let policy = CachePolicy::browser(seconds(60)).edge(seconds(3600));
    for (millis, said) in [
        (0, "no-cache"),
        (999, "no-cache"),
        (1000, "max-age=1, must-revalidate"),
        (59_999, "max-age=59, must-revalidate"),
    ] {
        let (browsers, edges) = fields(&policy.clone().within(Duration::from_millis(millis)));
        assert_eq!((&*browsers, edges.as_deref()), (said, Some(said)), "{millis}");
    }
    let stale = policy.clone().edge_stale_while_revalidate(seconds(100));
    let (_, edges) = fields(&stale.clone().within(seconds(3610)));
    assert_eq!(edges.unwrap(), "max-age=3600, stale-while-revalidate=10, stale-if-error=0");
    let (_, edges) = fields(&stale.edge_stale_if_error(seconds(7)).within(seconds(90)));
    assert_eq!(edges.unwrap(), "max-age=90, stale-if-error=7");
    // The shorter of two windows counts, in whatever order.
    let shorter = policy.clone().within(seconds(2)).within(seconds(9));
    assert_eq!(fields(&shorter), fields(&policy.within(seconds(9)).within(seconds(2))));
}

#[test]
fn tags_are_sent_both_ways_and_only_as_they_arrive() {
    let tagged = CachePolicy::html().tag("product:7").unwrap().tag("tenant:3").unwrap();
    let headers = emitted(&tagged);
    assert_eq!(headers["cache-tag"], "product:7,tenant:3");
    assert_eq!(headers["surrogate-key"], "product:7 tenant:3");
    let long = "x".repeat(1025);
    for tag in ["", "a b", "a,b", "a\n", "ä", &long] {
        let error = CachePolicy::html().tag(tag).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{tag:?}");
    }
    let mut many = CachePolicy::html();
    for tag in 0..128 {
        many = many.tag(format!("t{tag}")).unwrap();
    }
    assert!(many.tag("t").is_err());
    let mut heavy = CachePolicy::html();
    for _ in 0..8 {
        heavy = heavy.tag("x".repeat(1023)).unwrap();
    }
    assert!(heavy.clone().tag("x").is_err());
    // What doesn't fit is left out.
    let fits = CachePolicy::html().tag_what_fits(["a", "a b", "", "c", "a"]);
    assert_eq!(emitted(&fits)["cache-tag"], "a,c");
    assert_eq!(emitted(&heavy.clone().tag_what_fits(["x"])), emitted(&heavy));
}

/// What every cache may do with what is emitted, read back by the semantics of this crate: nobody
/// uses it behind the window, and browsers in no case longer than was said.
#[test]
fn nobody_keeps_it_for_longer_than_what_is_left() {
    let generator = (0..5_000_u64, 0..5_000_u64, 0..5_000_u64, 0..10_000_u64, 0..10_000_u64);
    check!().with_iterations(5_000).with_generator(generator).for_each(
        |&(browser, edge, stale, max_staleness, current)| {
            let millis = Duration::from_millis;
            let declared =
                Declared { max_staleness: Some(millis(max_staleness)), ..Declared::default() };
            let window = Window::resolve(declared).unwrap();
            let policy = CachePolicy::browser(millis(browser))
                .edge(millis(edge))
                .edge_stale_while_revalidate(millis(stale))
                .within(left(&window, millis(current)));
            let headers = emitted(&policy);
            // The formula, in whole milliseconds: floor(max_staleness - current).
            let whole = max_staleness.saturating_sub(current) / 1000;
            let (now, asked) = (at(0), HeaderMap::new());
            for (rules, said) in [(Rules::private(), browser), (Rules::shared(), edge)] {
                let ok = StatusCode::OK;
                assert!(storable(&Method::GET, &asked, ok, &headers, &rules).is_ok());
                let stored = Stored::new(&asked, ok, &headers, received(0), &rules);
                let fresh = lifetime(&stored, &rules).as_secs();
                assert_eq!(fresh, whole.min(said / 1000));
                let after = |seconds: u64| {
                    let then: Moment = now + Duration::from_secs(seconds);
                    reuse(&stored, &asked, then, &rules)
                };
                assert!(matches!(after(whole), Reuse::Validate { .. }), "{headers:?}");
                assert_eq!(after(0) == Reuse::Fresh, fresh > 0);
            }
            let control = ResponseControl::read(&headers);
            assert_eq!(headers["cache-control"] == "no-cache", whole.min(browser / 1000) == 0);
            assert!(!control.no_store);
        },
    );
}
