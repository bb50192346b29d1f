//! RFC 9213: targeted fields.

use http::HeaderName;
use larder_http::{Fields, Lifetime, Origin, Rules, effective};

use crate::kit::{date, fields, lifetime, storable};

/// RFC 9213 §2.2: a targeted field replaces Cache-Control and Expires
#[test]
fn a_targeted_field_stands_alone() {
    assert_eq!(storable("", "cache-control: no-store\ncdn-cache-control: max-age=9"), Ok(()));
    let text = format!("expires: {}\ncdn-cache-control: x", date(60));
    assert_eq!(lifetime(&text), 0);
    assert!(storable("", "cache-control: max-age=9\ncdn-cache-control: no-store").is_err());
    let (_, origin) = effective(&fields("cdn-cache-control: max-age=9"), &Rules::shared());
    assert_eq!(origin, Origin::Targeted(HeaderName::from_static("cdn-cache-control")));
}

/// RFC 9213 §2.2: of several, the first of the list that is there and valid counts
#[test]
fn the_first_target_that_is_valid_counts() {
    let targets = ["larder-cache-control", "cdn-cache-control"].map(HeaderName::from_static);
    let rules = Rules { targets: targets.to_vec(), ..Rules::shared() };
    let seconds =
        |text: &str| effective(&fields(text), &rules).0.max_age.valid().unwrap().as_secs();
    let beside = "cdn-cache-control: max-age=2\ncache-control: max-age=3";
    assert_eq!(seconds(&format!("{beside}\nlarder-cache-control: max-age=1")), 1);
    assert_eq!(seconds(&format!("{beside}\nlarder-cache-control: max-age=\"1\"")), 2);
    assert_eq!(seconds(beside), 2);
    assert_eq!(seconds("cache-control: max-age=3"), 3);
}

/// RFC 9213 §2.1: one that is empty or no dictionary is as if it weren't there
#[test]
fn an_invalid_target_is_ignored() {
    let seconds = |text: &str| {
        let text = format!("cdn-cache-control: {text}\ncache-control: max-age=3");
        effective(&fields(&text), &Rules::shared()).0.max_age.valid().map(|time| time.as_secs())
    };
    for bad in [
        "",
        "max-age",
        "max-age=1.5",
        "max-age=\"1\"",
        "max-age=a",
        "max-age=1,",
        "max-age=1,,x",
        "MAX-AGE=1",
        "max-age=1; ",
        "max-age=1 x",
        "max-age=1234567890123456",
        "max-age=1, x=\"",
        "max-age=1, no-store=1",
        "max-age=1, x=?2",
        "max-age=1, x=(1",
        "max-age=1, x=\u{e4}",
        "max-age=1, x=:=",
        "max-age=1, x=%\"%ff\"",
        "max-age=1, x=@1.5",
        "max-age=1, x=1234567890123.1",
        "max-age=1, x=1.1234",
        "max-age=1, x=1.",
        "max-age= 1",
        "=1",
    ] {
        assert_eq!(seconds(bad), Some(3), "{bad}");
    }
    for good in [
        "max-age=1",
        "max-age=1;x=y",
        "max-age=0, max-age=1",
        "max-age=1 \t,\tx=1.5",
        "x=(a \"b\\\"\";c 1);d=?0, max-age=1",
        "max-age=1, x=:aGk=:",
        "x=a/b:c, max-age=1",
        "max-age=000000000000001, x=123456789012.123",
        "x=@-1, y=%\"%c3%a4\", max-age=1",
        "*a/b, max-age=1",
    ] {
        let expected = if good.starts_with('*') { Some(3) } else { Some(1) };
        assert_eq!(seconds(good), expected, "{good}");
    }
    let many = |count: usize| {
        let keys: Vec<_> = (0..count).map(|number| format!("x{number}")).collect();
        seconds(&format!("max-age=1, {}", keys.join(",")))
    };
    assert_eq!((many(1023), many(1024)), (Some(1), Some(3)));
    assert_eq!(seconds(&format!("max-age=1, x=\"{}\"", "x".repeat(16 * 1024))), Some(3));
}

/// RFC 9213 §2.1: a negative time is stale; `?0` takes a directive back
#[test]
fn types_of_a_dictionary_have_their_meaning() {
    let read =
        |text: &str| effective(&fields(&format!("cdn-cache-control: {text}")), &Rules::shared()).0;
    assert_eq!(read("max-age=-1").max_age, Lifetime::Invalid);
    assert!(!read("no-store=?0").no_store && read("no-store=?1").no_store);
    assert_eq!(read("max-age=1\ncdn-cache-control: s-maxage=2").s_maxage, Lifetime::from_secs(2));
}

/// RFC 9213 §2.2: `no-cache` and `private` may name fields, which are kept from being reused
#[test]
fn a_targeted_field_names_fields() {
    let read = |text: &str| {
        let (control, _) =
            effective(&fields(&format!("cdn-cache-control: {text}")), &Rules::shared());
        (control.no_cache, control.private)
    };
    let named = |names: &[&'static str]| {
        Fields::Named(names.iter().map(|name| HeaderName::from_static(name)).collect())
    };
    assert_eq!(
        read("private=\"X-User, x-b\", no-cache=\"set-cookie\""),
        (named(&["set-cookie"]), named(&["x-user", "x-b"]))
    );
    for unreadable in ["\"\"", "\"a b\"", "(a b)", "1", "x-user"] {
        let text = format!("private={unreadable}, no-cache={unreadable}");
        assert_eq!(read(&text), (Fields::All, Fields::All), "{unreadable}");
    }
    assert_eq!(read("private=?0, max-age=1"), (Fields::Absent, Fields::Absent));
}

/// RFC 9213 §3.1: CDN-Cache-Control is for who it is meant for
#[test]
fn a_private_cache_is_no_cdn() {
    let text = "cdn-cache-control: max-age=1\ncache-control: max-age=3";
    let (control, origin) = effective(&fields(text), &Rules::private());
    assert_eq!((control.max_age, origin), (Lifetime::from_secs(3), Origin::CacheControl));
}
