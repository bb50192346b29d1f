//! RFC 9110: validators and conditions, as far as they concern a cache.

use http::{HeaderMap, Method, StatusCode};
use larder_http::{EntityTag, Evaluated, Rules, Stored, evaluate, not_modified};

use crate::kit::{date, fields, received, stored};

fn judge(one: &Stored, text: &str) -> Evaluated {
    evaluate(&Method::GET, &fields(text), one)
}

/// RFC 9110 §8.8.3: a tag is quoted bytes, obs-text and backslashes included
#[test]
fn tags_are_bytes() {
    for good in [&b"\"\""[..], b"\"a\\\"", b"\"\xe4,\"", b"W/\"a\""] {
        assert_eq!(EntityTag::parse(good).unwrap().to_value().as_bytes(), good);
    }
    for bad in [&b"a"[..], b"\"a", b"w/\"a\"", b"\"a b\"", b"\"a\"b", b"W/a", b"\"\x7f\"", b""] {
        assert_eq!(EntityTag::parse(bad), None);
    }
    assert_eq!(EntityTag::of(&fields("etag: \"1\"\netag: \"2\"")), None);
}

/// RFC 9110 §13.1.2: If-None-Match compares weakly, over all its lines
#[test]
fn if_none_match_finds_a_tag_in_its_list() {
    let one = stored("etag: \"a,\u{e4}\"");
    for text in [
        "\"a,\u{e4}\"",
        "W/\"a,\u{e4}\"",
        "\"1\" ,, W/\"a,\u{e4}\"",
        "*",
        "\"1\"\nif-none-match: \"a,\u{e4}\"",
    ] {
        assert_eq!(
            judge(&one, &format!("if-none-match: {text}")),
            Evaluated::NotModified,
            "{text}"
        );
    }
    for text in [
        "\"a\"",
        "a",
        "",
        "\"1\" \"a,\u{e4}\"",
        "*, \"a,\u{e4}\"",
        "*\nif-none-match: \"1\"",
        "\"1",
    ] {
        assert_eq!(judge(&one, &format!("if-none-match: {text}")), Evaluated::Send, "{text}");
    }
    let many = |count| format!("if-none-match: {}\"a,\u{e4}\"", "\"1\",".repeat(count));
    assert_eq!(judge(&one, &many(255)), Evaluated::NotModified);
    assert_eq!(judge(&one, &many(256)), Evaluated::Send);
    assert_eq!(judge(&stored(""), "if-none-match: \"a\""), Evaluated::Send);
}

/// RFC 9110 §13.2.2: If-None-Match counts before If-Modified-Since
#[test]
fn if_none_match_counts_before_if_modified_since() {
    let one = stored(&format!("etag: \"1\"\nlast-modified: {}", date(-9)));
    let since = format!("if-modified-since: {}", date(0));
    assert_eq!(judge(&one, &since), Evaluated::NotModified);
    assert_eq!(judge(&one, &format!("{since}\nif-none-match: \"2\"")), Evaluated::Send);
}

/// RFC 9110 §13.1.2: `*` in If-None-Match means any representation, tagged or not
#[test]
fn any_representation_is_one() {
    assert_eq!(judge(&stored(""), "if-none-match: *"), Evaluated::NotModified);
    assert_eq!(judge(&stored("etag: W/\"1\""), "if-none-match:  * "), Evaluated::NotModified);
    // Beside tags it is malformed.
    assert_eq!(judge(&stored("etag: \"1\""), "if-none-match: \"1\", *"), Evaluated::Send);
}

/// RFC 9110 §13.1.1: If-Match is the origin's to judge, whether what is stored matches or not
#[test]
fn if_match_goes_to_the_origin() {
    for text in ["\"1\"", "\"2\"", "*", "x"] {
        let judged = judge(&stored("etag: \"1\""), &format!("if-match: {text}"));
        assert_eq!(judged, Evaluated::Forward, "{text}");
    }
}

/// RFC 9110 §13.1.4: If-Unmodified-Since is the origin's to judge
#[test]
fn if_unmodified_since_goes_to_the_origin() {
    let one = stored(&format!("last-modified: {}", date(-9)));
    for since in [date(-20), date(0), "x".to_owned()] {
        let judged = judge(&one, &format!("if-unmodified-since: {since}"));
        assert_eq!(judged, Evaluated::Forward, "{since}");
    }
}

/// RFC 9110 §13.2.2: the origin's conditions count first, then whether it changed, then If-Range
#[test]
fn conditions_have_an_order() {
    let one = stored(&format!("etag: \"1\"\nlast-modified: {}", date(-99)));
    let range = "range: bytes=0-1\nif-range: \"2\"";
    let since = format!("if-modified-since: {}\n{range}", date(0));
    let none = format!("if-none-match: \"1\"\n{range}");
    assert_eq!(judge(&one, &format!("if-match: \"1\"\n{none}")), Evaluated::Forward);
    let unmodified = format!("if-unmodified-since: {}\n{none}", date(0));
    assert_eq!(judge(&one, &unmodified), Evaluated::Forward);
    assert_eq!(judge(&one, &none), Evaluated::NotModified);
    assert_eq!(judge(&one, &since), Evaluated::NotModified);
    assert_eq!(judge(&one, &format!("if-none-match: \"2\"\n{since}")), Evaluated::SendWhole);
    assert_eq!(judge(&one, range), Evaluated::SendWhole);
}

/// RFC 9110 §13.1.3: an If-Modified-Since that is no date, or is there twice, is ignored
#[test]
fn a_since_that_is_no_date_is_ignored() {
    let one = stored(&format!("last-modified: {}", date(-9)));
    assert_eq!(judge(&one, "if-modified-since: later"), Evaluated::Send);
    assert_eq!(
        judge(&one, &format!("if-modified-since: {0}\nif-modified-since: {0}", date(0))),
        Evaluated::Send
    );
}

/// RFC 9110 §13.2.1: conditions are about what a 200 to GET or HEAD carries
#[test]
fn conditions_are_ignored_elsewhere() {
    let (headers, asked) = (fields("etag: \"1\""), fields("if-none-match: \"1\""));
    let none = HeaderMap::new();
    let gone = Stored::new(&none, StatusCode::GONE, &headers, received(0), &Rules::shared());
    assert_eq!(evaluate(&Method::GET, &asked, &gone), Evaluated::Send);
    assert_eq!(evaluate(&Method::POST, &asked, &stored("etag: \"1\"")), Evaluated::Send);
    assert_eq!(evaluate(&Method::HEAD, &asked, &stored("etag: \"1\"")), Evaluated::NotModified);
}

/// RFC 9110 §15.4.5: a 304 has the fields that a cache behind this one needs
#[test]
fn a_304_has_what_a_cache_needs() {
    let text = "cache-control: a\ncontent-location: /b\nexpires: c\nvary: d\nvary: e\nx: f
        last-modified: g\ncontent-type: h";
    let tagged = not_modified(&stored(&format!("etag: \"1\"\n{text}")));
    assert_eq!(tagged.len(), 7);
    assert!(!tagged.contains_key("last-modified") && tagged.contains_key("date"));
    assert!(not_modified(&stored(text)).contains_key("last-modified"));
}

/// RFC 9110 §13.1.5: If-Range compares strongly, by tag or by a date that is old enough
#[test]
fn if_range_compares_strongly() {
    let range =
        |one: &Stored, text: &str| judge(one, &format!("range: bytes=0-1\nif-range: {text}"));
    let tagged = stored(&format!("etag: \"1\"\nlast-modified: {}", date(-60)));
    assert_eq!(range(&tagged, "\"1\""), Evaluated::Send);
    assert_eq!(range(&tagged, &date(-60)), Evaluated::Send);
    for other in ["\"2\"", "W/\"1\"", "*", "", "\"1\"\nif-range: \"1\"", &date(-59), &date(-61)] {
        assert_eq!(range(&tagged, other), Evaluated::SendWhole, "{other}");
    }
    assert_eq!(range(&stored("etag: W/\"1\""), "W/\"1\""), Evaluated::SendWhole);
    let young = stored(&format!("last-modified: {}", date(-59)));
    assert_eq!(range(&young, &date(-59)), Evaluated::SendWhole);
    assert_eq!(judge(&tagged, "if-range: \"2\""), Evaluated::Send);
}
