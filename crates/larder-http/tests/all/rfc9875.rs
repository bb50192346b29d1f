//! RFC 9875: groups.

use http::Method;
use larder_http::{GROUP_BYTES_MAX, GROUPS_MAX, NotStored, groups, invalidated_groups};

use crate::kit::{fields, storable};

fn read(text: &str) -> Vec<String> {
    groups(&fields(text)).expect("no more than are kept")
}

/// RFC 9875 §2: groups are a list of strings, over all lines, whatever their parameters
#[test]
fn groups_are_strings_of_a_list() {
    let text = "cache-groups: \"a\";x=1;y, \"B\" ,\t\"a\"\ncache-groups: \"\\\"c,d\"";
    assert_eq!(read(text), ["a", "B", "\"c,d"]);
    assert!(read("").is_empty() && read("cache-groups:").is_empty());
}

/// RFC 9875 §2: what is no list of strings is as if it weren't there
#[test]
fn what_is_no_list_of_strings_has_no_groups() {
    for text in
        ["a", "\"a\", b", "\"a\",", "\"a\", 1", "(\"a\")", "\"a", "\"a\" \"b\"", "\"\u{e4}\""]
    {
        assert!(read(&format!("cache-groups: {text}")).is_empty(), "{text}");
    }
}

/// RFC 9875 §2: there is a bound, above the least that is asked for, and beyond it nothing is stored
#[test]
fn what_has_too_many_groups_is_not_stored() {
    let many = |count: usize, length: usize| {
        let names: Vec<_> = (0..count).map(|at| format!("\"{at:0>length$}\"")).collect();
        format!("cache-groups: {}", names.join(", "))
    };
    assert_eq!(read(&many(32, 32)).len(), 32);
    assert_eq!(read(&many(GROUPS_MAX, 9)).len(), GROUPS_MAX);
    assert_eq!(storable("", &many(1, GROUP_BYTES_MAX)), Ok(()));
    for text in
        [many(GROUPS_MAX + 1, 9), many(1, GROUP_BYTES_MAX + 1), many(2000, 4), many(64, 256)]
    {
        assert_eq!(storable("", &text), Err(NotStored::Groups));
    }
}

/// RFC 9651 §3: a structured field of up to 16 KiB is read, and none that is longer
#[test]
fn structured_fields_have_a_bound() {
    let long = |bytes: usize| {
        let text = format!("\"a\";x=\"{}\"", "x".repeat(bytes - 8));
        groups(&fields(&format!("cache-groups: {text}")))
    };
    assert_eq!(long(16 * 1024).unwrap(), ["a"]);
    long(16 * 1024 + 1).unwrap_err();
}

/// RFC 9875 §3: what an unsafe request's response names is invalidated, and a safe one's isn't
#[test]
fn only_unsafe_requests_invalidate_groups() {
    let headers = fields("cache-group-invalidation: \"a\", \"b\"\ncache-groups: \"c\"");
    for method in ["POST", "PUT", "DELETE", "PATCH", "ODD"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(invalidated_groups(&method, &headers).unwrap(), ["a", "b"]);
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        assert!(invalidated_groups(&method, &headers).unwrap().is_empty());
    }
    let long =
        fields(&format!("cache-group-invalidation: \"{}\"", "a".repeat(GROUP_BYTES_MAX + 1)));
    assert!(invalidated_groups(&Method::POST, &long).is_err());
}
