//! RFC 9111 section 5.2: how directives are read.

use larder_http::{Lifetime, NotStored, RequestControl, ResponseControl};

use crate::kit::{fields, lifetime, storable};

/// RFC 9111 §5.2: names in any case, arguments as tokens and as quoted strings
#[test]
fn both_forms_of_an_argument_are_read() {
    for text in ["max-age=5", "MAX-AGE=5", "max-age=\"5\"", "max-age=\"\\5\"", "max-age=005"] {
        assert_eq!(lifetime(&format!("cache-control: a,,{text}")), 5, "{text}");
    }
}

/// RFC 9111 §5.2.3: an extension that isn't known is passed over, with all that it quotes
#[test]
fn what_stands_in_a_quoted_string_is_no_directive() {
    let control =
        ResponseControl::read(&fields("cache-control: x=\"no-store, max-age=9, \\\", private\""));
    assert_eq!(control, ResponseControl::default());
}

/// RFC 9111 §4.2.1: a lifetime that is no number is stale
#[test]
fn a_lifetime_that_is_no_number_is_stale() {
    for text in ["'5'", "-5", "5.0", "+5", "", "5x", "0x5", "5 5", "\"5 \""] {
        let text = format!("cache-control: max-age={text}\nexpires: {}", crate::kit::date(9));
        assert_eq!(lifetime(&text), 0, "{text}");
    }
    assert_eq!(lifetime("cache-control: max-age =5"), 0);
    assert_eq!(lifetime("cache-control: max-age= 5"), 0);
}

/// RFC 9111 §4.2.1: a directive twice with different values is stale
#[test]
fn two_lifetimes_that_differ_are_stale() {
    assert_eq!(lifetime("cache-control: max-age=5, max-age=5"), 5);
    assert_eq!(lifetime("cache-control: max-age=5\ncache-control: max-age=6"), 0);
}

/// RFC 9111 §1.2.2: what is longer than 2^31 seconds is 2^31 seconds
#[test]
fn long_lifetimes_are_clamped() {
    for digits in ["2147483649", "99999999999999999999999999"] {
        assert_eq!(lifetime(&format!("cache-control: max-age={digits}")), 1 << 31);
    }
}

/// RFC 9111 §5.2: a field that can't be read, or is too long, forbids to store
#[test]
fn what_cant_be_read_is_not_stored() {
    let many = format!("cache-control: public{}", ",x".repeat(256));
    let long = format!("cache-control: public, x={}", "x".repeat(16 * 1024));
    for text in [&many, &long, "cache-control: public, x=\"no-store"] {
        assert_eq!(storable("", text), Err(NotStored::NoStore));
    }
    let fits = format!("cache-control: public{}", ",x".repeat(255));
    assert_eq!(storable("", &fits), Ok(()));
    let unread = RequestControl::read(&fields(&long));
    assert!(unread.no_cache && unread.no_store && unread.max_age == Lifetime::Absent);
}
