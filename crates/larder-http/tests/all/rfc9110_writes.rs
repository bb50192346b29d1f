//! RFC 9110: the conditions of a write, judged where it is made.

use larder_http::{EntityTag, permits};

use crate::kit::fields;

/// Whether a write with these fields goes on where the resource has this tag.
fn goes_on(request: &str, current: Option<&str>) -> bool {
    let current = current.map(|tag| EntityTag::parse(tag.as_bytes()).unwrap());
    permits(&fields(request), current.as_ref())
}

/// RFC 9110 §13.1.1: If-Match lets a write go on only where one of its tags is that of the resource, by the strong comparison
#[test]
fn if_match_is_strong() {
    let now = Some("\"2\"");
    assert!(goes_on("", now) && goes_on("", None));
    assert!(goes_on("if-match: \"1\", \"2\"", now));
    assert!(goes_on("if-match: \"1\"\nif-match: \"2\"", now));
    assert!(!goes_on("if-match: \"1\"", now));
    assert!(!goes_on("if-match: W/\"2\"", now));
    assert!(!goes_on("if-match: \"2\"", Some("W/\"2\"")));
    assert!(!goes_on("if-match: \"2\"", None));
}

/// RFC 9110 §13.1.1: If-Match: * lets a write go on only where there is something
#[test]
fn if_match_any_needs_something() {
    assert!(goes_on("if-match: *", Some("\"2\"")));
    assert!(!goes_on("if-match: *", None));
}

/// RFC 9110 §13.1.2: If-None-Match: * lets a write go on only where there is nothing
#[test]
fn if_none_match_any_needs_nothing() {
    assert!(goes_on("if-none-match: *", None));
    assert!(!goes_on("if-none-match: *", Some("\"2\"")));
}

/// RFC 9110 §13.1.2: If-None-Match stops a write where one of its tags is that of the resource, by the weak comparison
#[test]
fn if_none_match_is_weak() {
    assert!(!goes_on("if-none-match: \"1\", W/\"2\"", Some("\"2\"")));
    assert!(goes_on("if-none-match: \"1\"", Some("\"2\"")));
    assert!(goes_on("if-none-match: \"1\"", None));
}

/// RFC 9110 §13.2.2: If-Match and If-None-Match must both be fulfilled
#[test]
fn both_conditions_count() {
    assert!(goes_on("if-match: \"2\"\nif-none-match: \"1\"", Some("\"2\"")));
    assert!(!goes_on("if-match: \"2\"\nif-none-match: \"2\"", Some("\"2\"")));
    assert!(!goes_on("if-match: \"1\"\nif-none-match: \"1\"", Some("\"2\"")));
}

/// RFC 9110 §13.1: a condition that can't be read isn't fulfilled, so the write isn't made without it
#[test]
fn an_unreadable_condition_stops_a_write() {
    for condition in ["2", "\"2", "\"2\" \"3\"", "*, \"2\""] {
        for name in ["if-match", "if-none-match"] {
            for current in [None, Some("\"2\"")] {
                assert!(!goes_on(&format!("{name}: {condition}"), current), "{name}: {condition}");
            }
        }
    }
}
