//! RFC 9111 sections 4.2.1 to 4.2.3, 5.1 and 5.3: lifetimes and ages.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use larder_http::{
    AGE_MAX, Date, Received, Reuse, Rules, Stored, age_value, current_age, lifetime as lifetime_by,
};

use crate::kit::{WALL, at, date, fields, lifetime, received, reuse, stored, stored_by};

/// RFC 9111 §4.2.1: in a shared cache `s-maxage` counts before `max-age`, and that before Expires
#[test]
fn the_most_special_lifetime_counts() {
    let text = format!("cache-control: max-age=5, s-maxage=7\nexpires: {}", date(9));
    assert_eq!(lifetime(&text), 7);
    let private = Rules::private();
    assert_eq!(lifetime_by(&stored_by(&text, &private), &private), Duration::from_secs(5));
    assert_eq!(lifetime(&format!("cache-control: max-age=5\nexpires: {}", date(9))), 5);
    assert_eq!(lifetime(&format!("expires: {}", date(9))), 9);
    assert_eq!(lifetime("cache-control: max-age=5, s-maxage=x"), 0);
}

/// RFC 9111 §4.2.1: Expires is measured from Date, whatever the clock here says
#[test]
fn expires_counts_from_date() {
    for off in [-7200, 7200] {
        let text = format!("date: {}\nexpires: {}", date(off), date(off + 60));
        assert_eq!(lifetime(&text), 60);
    }
    assert_eq!(lifetime(&format!("date: {}\nexpires: {}", date(60), date(0))), 0);
}

/// RFC 9111 §5.3: an Expires that is no date, or is there twice, has passed
#[test]
fn an_expires_that_is_no_date_has_passed() {
    let modified = "last-modified: Sun, 06 Nov 1994 07:49:37 GMT";
    for expires in ["0", "-1", "", "Sun, 06 Nov 1994 09:49:37 CET", "tomorrow"] {
        assert_eq!(lifetime(&format!("expires: {expires}\n{modified}")), 0, "{expires}");
    }
    assert_eq!(lifetime(&format!("expires: {0}\nexpires: {0}", date(60))), 0);
    assert_eq!(lifetime(&format!("expires: {0}, {0}", date(60))), 0);
}

/// RFC 9111 §4.2.2: without a lifetime, a part of the time since Last-Modified, within a bound
#[test]
fn the_heuristic_has_a_bound() {
    assert_eq!(lifetime(&format!("last-modified: {}", date(-1000))), 100);
    assert_eq!(lifetime(&format!("last-modified: {}", date(-100 * 86_400))), 86_400);
    assert_eq!(lifetime(&format!("last-modified: {}", date(100))), 0);
    assert_eq!(lifetime(""), 0);
    let rules = Rules { heuristic_percent: 0, ..Rules::shared() };
    let one = stored_by(&format!("last-modified: {}", date(-1000)), &rules);
    assert_eq!(lifetime_by(&one, &rules), Duration::ZERO);
}

/// RFC 9111 §4.2.2: a heuristic is for statuses that allow it, and for what is `public`
#[test]
fn the_heuristic_is_for_some_statuses() {
    let rules = Rules::shared();
    let judge = |status: u16, control: &str| {
        let headers = fields(&format!("last-modified: {}\n{control}", date(-1000)));
        let status = StatusCode::from_u16(status).unwrap();
        let one = Stored::new(&HeaderMap::new(), status, &headers, received(0), &rules);
        lifetime_by(&one, &rules).as_secs()
    };
    for status in [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(judge(status, ""), 100);
    }
    for status in [201, 302, 303, 307, 400, 403, 416, 451, 500, 503, 599] {
        assert_eq!(judge(status, ""), 0);
        assert_eq!(judge(status, "cache-control: public"), 100);
    }
}

/// RFC 9111 §4.2.2: a heuristic isn't used where a lifetime is given
#[test]
fn an_explicit_lifetime_stands_over_the_heuristic() {
    assert_eq!(lifetime(&format!("last-modified: {}\ncache-control: max-age=1", date(-1000))), 1);
}

/// RFC 9111 §5.1: of Age the first member of the first line counts, if it is a number
#[test]
fn age_is_its_first_number() {
    let cases = [
        ("7200", 7200),
        ("7200, 0", 7200),
        ("0, 7200", 0),
        ("x", 0),
        ("-1", 0),
        ("1.5", 0),
        ("7200x", 0),
        ("\"7\"", 0),
        ("007", 7),
        ("", 0),
        ("99999999999999999999", 1 << 31),
    ];
    for (text, seconds) in cases {
        assert_eq!(age_value(&fields(&format!("age: {text}"))).as_secs(), seconds, "{text}");
    }
    assert_eq!(age_value(&fields("age: 5\nage: 9")).as_secs(), 5);
    assert_eq!(age_value(&HeaderMap::new()).as_secs(), 0);
}

/// RFC 9111 §4.2.3: age is what it came with, how long it took, and how long it has been here
#[test]
fn age_adds_delay_and_residence() {
    let received = Received { asked: at(0), came: at(3), wall: Date::from_unix(WALL) };
    assert_eq!(current_age(&fields("age: 10"), received, at(8)), Duration::from_secs(18));
    assert_eq!(current_age(&HeaderMap::new(), received, at(3)), Duration::from_secs(3));
    // Before it came it wasn't younger.
    assert_eq!(current_age(&HeaderMap::new(), received, at(0)), Duration::from_secs(3));
}

/// RFC 9111 §4.2.3: what its Date says counts if it is older than that
#[test]
fn an_old_date_makes_it_old() {
    let headers = fields(&format!("age: 10\ndate: {}", date(-100)));
    assert_eq!(current_age(&headers, received(0), at(5)), Duration::from_secs(105));
    let ahead = fields(&format!("date: {}", date(100)));
    assert_eq!(current_age(&ahead, received(0), at(5)), Duration::from_secs(5));
}

/// RFC 9111 §4.2: fresh until the age reaches the lifetime, to the fraction of a second
#[test]
fn fresh_ends_when_the_age_is_the_lifetime() {
    let (one, rules) = (stored("cache-control: max-age=10\nage: 4"), Rules::shared());
    let before = at(6).before(Duration::from_nanos(1));
    assert_eq!(larder_http::reuse(&one, &HeaderMap::new(), before, &rules), Reuse::Fresh);
    assert!(matches!(reuse(&one, "", 6, &rules), Reuse::Validate { .. }));
}

/// RFC 9111 §1.2.2: an age beyond 2^31 seconds is stale under every lifetime
#[test]
fn the_greatest_age_is_stale() {
    let one = stored("cache-control: max-age=99999999999\nage: 99999999999");
    assert_eq!(one.age(at(5)), AGE_MAX);
    assert!(matches!(reuse(&one, "", 0, &Rules::shared()), Reuse::Validate { .. }));
}
