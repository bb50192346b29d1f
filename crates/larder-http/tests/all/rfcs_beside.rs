//! RFC 5861 (stale), 8246 (immutable) and 9211 (Cache-Status).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use larder_http::{CacheStatus, Failure, Forwarded, Outcome, Reuse, Rules, Why, reuse_after, ttl};

use crate::kit::{at, fields, obeying, reuse, stored, stored_by};

/// RFC 5861 §3: `stale-while-revalidate` permits stale for its time, beside a validation
#[test]
fn stale_while_revalidate_ends() {
    let (one, rules) =
        (stored("cache-control: max-age=5, stale-while-revalidate=3"), Rules::shared());
    assert_eq!(reuse(&one, "", 4, &rules), Reuse::Fresh);
    assert_eq!(reuse(&one, "", 5, &rules), Reuse::WhileRevalidated);
    assert_eq!(reuse(&one, "", 7, &rules), Reuse::WhileRevalidated);
    assert_eq!(reuse(&one, "", 8, &rules), Reuse::Validate { why: Why::Stale });
    for text in ["must-revalidate", "stale-while-revalidate=x"] {
        let one = stored(&format!("cache-control: max-age=5, stale-while-revalidate=3, {text}"));
        assert_eq!(reuse(&one, "", 5, &rules), Reuse::Validate { why: Why::Stale }, "{text}");
    }
}

/// RFC 5861 §4: `stale-if-error` permits stale for its time, after 500, 502, 503 and 504
#[test]
fn stale_if_error_is_for_errors() {
    let (one, rules) = (stored("cache-control: max-age=5, stale-if-error=3"), Rules::shared());
    let after =
        |failure, seconds| reuse_after(failure, &one, &HeaderMap::new(), at(seconds), &rules);
    for status in [500, 502, 503, 504] {
        let failure = Failure::Status(StatusCode::from_u16(status).unwrap());
        assert!(after(failure, 7) && !after(failure, 8));
    }
    for status in [404, 429, 501, 505] {
        assert!(!after(Failure::Status(StatusCode::from_u16(status).unwrap()), 6));
    }
    assert!(after(Failure::Unreached, 7) && !after(Failure::Unreached, 8));
    assert_eq!(reuse(&one, "", 6, &rules), Reuse::Validate { why: Why::Stale });
}

/// RFC 5861 §4: a request may permit it, too, to a cache that listens
#[test]
fn a_request_may_permit_stale_if_error() {
    let one = stored("cache-control: max-age=5");
    let asked = fields("cache-control: stale-if-error=3");
    assert!(reuse_after(Failure::Unreached, &one, &asked, at(7), &obeying()));
    assert!(!reuse_after(Failure::Unreached, &one, &asked, at(8), &obeying()));
    assert!(!reuse_after(Failure::Unreached, &one, &asked, at(7), &Rules::shared()));
}

/// RFC 5861 §4: without it, only the operator's own time, and only where the origin isn't reached
#[test]
fn the_operators_time_is_for_an_unreached_origin() {
    let rules = Rules { stale_unreached: Duration::from_secs(3), ..Rules::shared() };
    let one = stored_by("cache-control: max-age=5", &rules);
    let after =
        |failure, seconds| reuse_after(failure, &one, &HeaderMap::new(), at(seconds), &rules);
    assert!(after(Failure::Unreached, 7) && !after(Failure::Unreached, 8));
    assert!(!after(Failure::Status(StatusCode::BAD_GATEWAY), 7));
}

/// RFC 8246 §2: a reload doesn't validate what is immutable while it is fresh
#[test]
fn immutable_needs_no_validation_while_fresh() {
    let one = stored("cache-control: max-age=9, immutable");
    assert_eq!(reuse(&one, "cache-control: max-age=0", 8, &obeying()), Reuse::Fresh);
    assert!(matches!(
        reuse(&one, "cache-control: max-age=0", 9, &obeying()),
        Reuse::Validate { .. }
    ));
    let asked = Reuse::Validate { why: Why::Request };
    assert_eq!(reuse(&one, "cache-control: no-cache", 0, &obeying()), asked);
    assert_eq!(reuse(&one, "cache-control: max-age=3", 4, &obeying()), asked);
    let soft = stored("cache-control: max-age=9, immutable, stale-while-revalidate=9");
    let stale = Reuse::Validate { why: Why::Stale };
    assert_eq!(reuse(&soft, "cache-control: max-age=0", 9, &obeying()), stale);
    let with = stored("cache-control: max-age=9, immutable=x");
    assert_eq!(reuse(&with, "cache-control: max-age=0", 0, &obeying()), asked);
}

/// RFC 9211 §2: a cache adds its member behind those that are there
#[test]
fn a_cache_adds_itself_at_the_end() {
    let mut headers = fields("cache-status: origin; hit\ncache-status: \"x y\"; fwd=miss");
    CacheStatus::new("larder", Outcome::Hit).append(&mut headers);
    let lines: Vec<_> = headers.get_all("cache-status").iter().collect();
    assert_eq!(lines, ["origin; hit", "\"x y\"; fwd=miss", "larder; hit"]);
}

/// RFC 9211 §2.2: what was forwarded says why, and what came of it
#[test]
fn a_forwarded_request_says_why() {
    let written = |why, name: &str| {
        let status = Some(StatusCode::NOT_MODIFIED);
        let outcome = Outcome::Forwarded { why, status, stored: true, collapsed: true };
        let mut headers = HeaderMap::new();
        CacheStatus::new("larder", outcome).append(&mut headers);
        let expected = format!("larder; fwd={name}; fwd-status=304; stored; collapsed");
        assert_eq!(headers["cache-status"], expected);
    };
    written(Forwarded::Bypass, "bypass");
    written(Forwarded::Method, "method");
    written(Forwarded::UriMiss, "uri-miss");
    written(Forwarded::VaryMiss, "vary-miss");
    written(Forwarded::Miss, "miss");
    written(Forwarded::Request, "request");
    written(Forwarded::Stale, "stale");
    written(Forwarded::Partial, "partial");
}

/// RFC 9211 §2.3: `ttl` is what is left of the lifetime, negative once it is stale
#[test]
fn ttl_is_negative_once_stale() {
    let one = stored("cache-control: max-age=9");
    let left = |now| ttl(&one, now, &Rules::shared());
    assert_eq!((left(at(4)), left(at(9)), left(at(12))), (5, 0, -3));
    assert_eq!(left(at(4) + Duration::from_millis(1)), 4);
    assert_eq!(left(at(9) + Duration::from_millis(1)), -1);
}

/// RFC 9211 §2.7: keys are strings, details tokens or strings, and nothing else gets in
#[test]
fn names_keys_and_details_are_quoted_and_cut() {
    let key = format!("\"\\\u{e4}\n{}", "x".repeat(999));
    let status = CacheStatus {
        key: Some(&key),
        detail: Some("grace"),
        ..CacheStatus::new("a, b; hit", Outcome::Hit)
    };
    let mut headers = HeaderMap::new();
    status.append(&mut headers);
    let text = headers["cache-status"].to_str().unwrap();
    let kept = "x".repeat(252);
    assert_eq!(text, format!("\"a, b; hit\"; hit; key=\"\\\"\\\\??{kept}\"; detail=grace"));
}
