//! draft-ietf-httpbis-no-vary-search-10: queries that make no difference.

use larder_http::SearchVariance;

use crate::kit::fields;

fn variance(text: &str) -> SearchVariance {
    SearchVariance::of(&fields(&format!("no-vary-search: {text}")))
}

fn is_same(variance: &SearchVariance, one: &str, other: &str) -> bool {
    variance.normal(Some(one)) == variance.normal(Some(other))
}

/// draft-ietf-httpbis-no-vary-search-10 §5.1: what is malformed or contradicts itself says nothing
#[test]
fn an_odd_variance_is_exact() {
    for text in [
        "",
        "unknown",
        "params=?0",
        "params=()",
        "key-order=?0",
        "key-order=\"a\"",
        "key-order=1",
        "params=\"a\"",
        "params=(a)",
        "params=(\"a\" 1)",
        "params=(\"a\"), except=(\"x\")",
        "params=(), except=()",
        "params=?0, except=(\"x\")",
        "params, except=(a)",
        "params, except=\"a\"",
        "params, except",
        "except=(\"x\")",
        "except=()",
        "params=(\"a\"",
        "params, &",
    ] {
        assert!(variance(text).is_exact(), "{text}");
    }
    let exact = variance("");
    assert_eq!(exact.normal(Some("b=+&a")).unwrap(), "b=+&a");
    assert_eq!((exact.normal(None), exact.normal(Some("")).unwrap()), (None, String::new()));
    for text in ["params", "params, x=1", "key-order", "params=(\"a\");x", "params, except=()"] {
        assert!(!variance(text).is_exact(), "{text}");
    }
    assert!(
        !SearchVariance::of(&fields("no-vary-search: key-order\nno-vary-search: params"))
            .is_exact()
    );
}

/// draft-ietf-httpbis-no-vary-search-10 §3: what was read is written as a field that says the same
#[test]
fn a_variance_is_written() {
    for (text, written) in [
        ("key-order=?0", ""),
        ("params", "params"),
        ("params=(\"b\" \"a+\" \"b\"), x, key-order", "key-order, params=(\"a%20\" \"b\")"),
        ("except=(\"%22%C3%A9\"), params", "params, except=(\"%22%C3%A9\")"),
    ] {
        assert_eq!(variance(text).to_string(), written);
        assert_eq!(variance(written), variance(text));
    }
}

/// draft-ietf-httpbis-no-vary-search-10 §6: the parameters that are named make no difference
#[test]
fn named_parameters_make_no_difference() {
    let some = variance("params=(\"b\" \"a\" \"b\" \"0\")");
    assert!(is_same(&some, "a=1&c=2&b", "c=2&a=3") && is_same(&some, "&&c=2&", "c=2"));
    assert!(!is_same(&some, "c=2", "c=3") && !is_same(&some, "c=1&d=1", "d=1&c=1"));
    assert!(!is_same(&some, "A=1", "A=2"));
    assert_eq!(
        (some.normal(Some("a=1")), some.normal(Some("")), some.normal(None)),
        (None, None, None)
    );
    let but = variance("params, except=(\"a\")");
    assert!(is_same(&but, "a=1&b=2", "c=3&a=1") && !is_same(&but, "a=1", "a=2"));
    assert!(is_same(&variance("params"), "a=1", "b"));
}

/// draft-ietf-httpbis-no-vary-search-10 §6: under `key-order` only the order of one name's values counts
#[test]
fn the_order_of_names_makes_no_difference() {
    let any = variance("key-order");
    assert!(is_same(&any, "b=1&a=2&b=0", "a=2&b=1&b=0"));
    assert!(!is_same(&any, "b=1&b=0", "b=0&b=1") && !is_same(&any, "a=1", "a=2"));
    assert!(!is_same(&any, "a=1&b=2", "a=1%26b=2") && !is_same(&any, "a=b=c", "a%3Db=c"));
}

/// draft-ietf-httpbis-no-vary-search-10 §5.3: names and values are compared as what a form means
#[test]
fn parameters_are_compared_decoded() {
    let some = variance("params=(\"%C3%A9+%E6%B0%97\")");
    for query in ["é+気=1", "%C3%A9%20%e6%b0%97=2", "é%20気"] {
        assert_eq!(some.normal(Some(query)), None, "{query}");
    }
    assert!(is_same(&some, "a", "a=") && is_same(&some, "a=+", "%61=%20"));
    assert!(is_same(&some, "a=%zz", "a=%25zz") && is_same(&some, "a=%4", "a=%254"));
    assert!(is_same(&some, "a=%FF", "a=%EF%BF%BD"));
    // What is safe in a query is written as it is, all else in percent.
    let normal = variance("key-order").normal(Some("b=%2d._~%2F%41&a=+")).unwrap();
    assert_eq!(normal, "a=%20&b=-._~%2FA");
}

/// draft-ietf-httpbis-no-vary-search-10 §6: a query with more parameters than are read is compared as it is
#[test]
fn long_queries_are_compared_as_they_are() {
    let any = variance("params=(\"a\")");
    let (fits, long) = ("a&".repeat(1023), "a&".repeat(1024));
    assert_eq!(any.normal(Some(&fits)), None);
    assert_eq!(any.normal(Some(&long)).unwrap(), long);
}
