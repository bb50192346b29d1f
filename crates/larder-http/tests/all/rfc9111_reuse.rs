//! RFC 9111 sections 4, 4.1, 4.2.4, 5.2.1 and 5.4: which stored response is used, and when.

use http::{HeaderMap, StatusCode};
use larder_http::{Failure, Reuse, Rules, Stored, Vary, Why, reuse_after, select};

use crate::kit::{at, date, fields, obeying, received, reuse, stored, stored_by, stored_for};

const STALE: Reuse = Reuse::Validate { why: Why::Stale };
const ASKED: Reuse = Reuse::Validate { why: Why::Request };

/// RFC 9111 §5.2.2.4: `no-cache` is validated each time, in any case
#[test]
fn no_cache_is_validated_while_fresh() {
    for control in ["no-cache", "NO-CACHE", "no-cache=\"\"", "no-cache=\"a, b c\""] {
        let one = stored(&format!("cache-control: max-age=9, {control}"));
        let judged = reuse(&one, "", 0, &Rules::shared());
        assert_eq!(judged, Reuse::Validate { why: Why::NoCache }, "{control}");
    }
}

/// RFC 9111 §5.2.2.5: a newer response with `no-store` takes nothing from what is stored
#[test]
fn no_store_concerns_its_own_response() {
    let (one, rules) = (stored("cache-control: max-age=9\nnumber: 1"), Rules::shared());
    let (none, newer) = (HeaderMap::new(), fields("cache-control: no-store, max-age=0"));
    let target = "http://a.example/".parse().unwrap();
    let (get, ok) = (http::Method::GET, StatusCode::OK);
    larder_http::storable(&get, &none, ok, &newer, &rules).unwrap_err();
    assert!(larder_http::invalidated(&get, &target, ok, &newer).is_empty());
    assert_eq!(select([&one], &none).unwrap().headers()["number"], "1");
    assert_eq!(reuse(&one, "", 8, &rules), Reuse::Fresh);
}

/// RFC 9111 §4.2.4: a directive that forbids stale forbids it when the origin fails, too
#[test]
fn stale_is_not_used_where_it_is_forbidden() {
    let rules = Rules { stale_unreached: std::time::Duration::MAX, ..obeying() };
    for control in ["must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache", "s-maxage=x"] {
        let text = format!("cache-control: max-age=1, stale-if-error=9, {control}");
        let one = stored_by(&text, &rules);
        let request = fields("cache-control: max-stale");
        assert!(!reuse_after(Failure::Unreached, &one, &request, at(2), &rules), "{control}");
        assert!(matches!(
            reuse(&one, "cache-control: max-stale", 2, &rules),
            Reuse::Validate { .. }
        ));
    }
    let one = stored_by("cache-control: max-age=1", &rules);
    assert!(reuse_after(Failure::Unreached, &one, &HeaderMap::new(), at(2), &rules));
}

/// RFC 9111 §5.2.2.8: `proxy-revalidate` and `s-maxage` are for shared caches
#[test]
fn a_private_cache_is_not_forbidden_what_a_shared_one_is() {
    let rules = Rules::private();
    for control in ["proxy-revalidate", "s-maxage=1"] {
        let one = stored_by(&format!("cache-control: max-age=1, {control}"), &rules);
        assert_eq!(reuse(&one, "cache-control: max-stale", 2, &rules), Reuse::Accepted);
    }
}

/// RFC 9111 §4.2.4: stale isn't used unless somebody permits it
#[test]
fn stale_needs_a_permission() {
    let (one, rules) = (stored("cache-control: max-age=1"), Rules::shared());
    assert_eq!(reuse(&one, "", 2, &rules), STALE);
    assert!(!reuse_after(Failure::Unreached, &one, &HeaderMap::new(), at(2), &rules));
}

/// RFC 9111 §5.2.1.1: a request's `max-age` bounds the age
#[test]
fn a_request_bounds_the_age() {
    let one = stored("cache-control: max-age=9");
    assert_eq!(reuse(&one, "cache-control: max-age=5", 5, &obeying()), Reuse::Fresh);
    assert_eq!(reuse(&one, "cache-control: max-age=5", 6, &obeying()), ASKED);
    assert_eq!(reuse(&one, "cache-control: max-age=0", 0, &obeying()), ASKED);
    assert_eq!(reuse(&one, "cache-control: max-age=x", 1, &obeying()), ASKED);
}

/// RFC 9111 §5.2.1.2: `max-stale` accepts stale, for its time or any
#[test]
fn a_request_accepts_stale() {
    let one = stored("cache-control: max-age=1");
    assert_eq!(reuse(&one, "cache-control: max-stale", 999, &obeying()), Reuse::Accepted);
    assert_eq!(reuse(&one, "cache-control: max-stale=4", 5, &obeying()), Reuse::Accepted);
    assert_eq!(reuse(&one, "cache-control: max-stale=4", 6, &obeying()), STALE);
    assert_eq!(reuse(&one, "cache-control: max-stale=x", 6, &obeying()), STALE);
    assert_eq!(reuse(&one, "cache-control: max-stale, max-stale=4", 6, &obeying()), STALE);
}

/// RFC 9111 §5.2.1.3: `min-fresh` wants some freshness left
#[test]
fn a_request_wants_freshness_left() {
    let one = stored("cache-control: max-age=9");
    assert_eq!(reuse(&one, "cache-control: min-fresh=4", 5, &obeying()), Reuse::Fresh);
    assert_eq!(reuse(&one, "cache-control: min-fresh=4", 6, &obeying()), ASKED);
}

/// RFC 9111 §5.2.1.4: a request's `no-cache` asks for a validation
#[test]
fn a_request_asks_for_a_validation() {
    let one = stored("cache-control: max-age=9, stale-if-error=9");
    assert_eq!(reuse(&one, "cache-control: no-cache", 0, &obeying()), ASKED);
    let request = fields("cache-control: no-cache");
    assert!(!reuse_after(Failure::Unreached, &one, &request, at(0), &obeying()));
}

/// RFC 9111 §5.4: Pragma counts where there is no Cache-Control
#[test]
fn pragma_counts_alone() {
    let one = stored("cache-control: max-age=9");
    assert_eq!(reuse(&one, "pragma: x, No-Cache", 0, &obeying()), ASKED);
    assert_eq!(reuse(&one, "pragma: no-cache\ncache-control: x", 0, &obeying()), Reuse::Fresh);
}

/// RFC 9111 §5.2.1.7: `only-if-cached` wants nothing from the origin
#[test]
fn only_if_cached_never_asks_the_origin() {
    for rules in [obeying(), Rules::shared()] {
        let one = stored("cache-control: max-age=9");
        assert_eq!(reuse(&one, "cache-control: only-if-cached", 8, &rules), Reuse::Fresh);
        assert_eq!(reuse(&one, "cache-control: only-if-cached", 9, &rules), Reuse::Unavailable);
    }
}

/// RFC 9111 §5.2.1: requests are advisory, and an edge doesn't listen to them
#[test]
fn no_client_makes_the_origin_work() {
    let (one, rules) = (stored("cache-control: max-age=9"), Rules::shared());
    for control in ["no-cache", "max-age=0", "min-fresh=99"] {
        assert_eq!(reuse(&one, &format!("cache-control: {control}"), 0, &rules), Reuse::Fresh);
    }
    assert_eq!(reuse(&one, "cache-control: max-stale", 10, &rules), STALE);
}

/// RFC 9111 §4.1: all fields that Vary names must be as they were, absent ones absent
#[test]
fn each_field_that_vary_names_must_match() {
    let response = "vary: A, b\nvary: accept-language";
    let one = stored_for("a: 1\na: 2\naccept-language: de,en", response, &Rules::shared());
    let matches = |text: &str| one.vary().matches(&fields(text));
    assert!(matches("accept-language: de\naccept-language:  en\nx: 1\na: 1, 2"));
    for other in ["a: 1\na: 2", "a: 2\na: 1\naccept-language: de,en", "a: 1", ""] {
        assert!(!matches(other), "{other}");
    }
    assert!(!matches("a: 1, 2\naccept-language: de,en\nb:"));
}

/// RFC 9111 §4.1: fields are compared in a normal form: lines joined, without white space
#[test]
fn white_space_means_nothing() {
    let same = |one: &str, other: &str| {
        Vary::new(&fields("vary: a"), &fields(one)).matches(&fields(other))
    };
    for other in ["a: 1,2", "a: 1\na: 2", "a:  1 ,\t2 "] {
        assert!(same("a: 1, 2", other), "{other}");
        assert!(same(other, "a: 1, 2"), "{other}");
    }
    for (one, other) in [
        ("a: 1 2", "a: 1  2"),
        ("a: \"1, 2\"", "a: \"1,2\""),
        ("a: \"\\\", 2\"", "a: \"\\\",2\""),
        ("a: 1, \"2", "a: 1,\"2"),
        ("a: 1,,2", "a: 1,2"),
        ("a: x", "a: X"),
        ("a: 1,2", "a: 2,1"),
    ] {
        assert!(!same(one, other) && !same(other, one), "{one} {other}");
        assert!(same(one, one) && same(other, other), "{one} {other}");
    }
}

/// RFC 9111 §4.1: where case and order mean nothing, they aren't compared
#[test]
fn sets_of_choices_are_compared_as_sets() {
    for name in ["accept-language", "accept-encoding", "accept-charset"] {
        let vary =
            Vary::new(&fields(&format!("vary: {name}")), &fields(&format!("{name}: en, de")));
        let same = |text: &str| vary.matches(&fields(&format!("{name}: {text}")));
        for other in ["de, en", "eN,,De", " en ,   de", "en; q=1.0,de;q=1", "DE ; Q=1.000, en"] {
            assert!(same(other), "{name} {other}");
        }
        assert!(vary.matches(&fields(&format!("{name}: de\n{name}: en"))));
        for other in ["en", "en, de;q=0.9", "en, de, fr", "en, de, de", "ende", ""] {
            assert!(!same(other), "{name} {other}");
        }
    }
    let many = |count: usize| {
        let asked = fields(&format!("accept-language: {}", "a,".repeat(count)));
        Vary::new(&fields("vary: accept-language"), &asked).is_any()
    };
    assert!(!many(256) && many(257));
    // Of types, servers prefer the first one.
    let vary = Vary::new(&fields("vary: accept"), &fields("accept: a/b, c/d"));
    assert!(vary.matches(&fields("accept: a/b,c/d")));
    assert!(
        !vary.matches(&fields("accept: c/d, a/b")) && !vary.matches(&fields("accept: A/b, c/d"))
    );
}

/// RFC 9842 §6.2: an answer made with a dictionary is for who has that dictionary
#[test]
fn a_dictionary_is_part_of_the_request() {
    let (response, has) = ("vary: accept-encoding, available-dictionary", "available-dictionary: ");
    let coded = "accept-encoding: br, dcb";
    let one = stored_for(&format!("{coded}\n{has}:pZGm1A==:"), response, &Rules::shared());
    let matches = |text: &str| one.vary().matches(&fields(text));
    assert!(matches(&format!("{coded}\n{has}:pZGm1A==:")));
    assert!(!matches(coded) && !matches(&format!("{coded}\n{has}:PZGm1A==:")));
    assert!(!matches(&format!("accept-encoding: br\n{has}:pZGm1A==:")));
}

/// RFC 9111 §4.1: a Vary with `*` in any place matches nothing
#[test]
fn a_star_never_matches() {
    let any = |text: &str| Vary::new(&fields(text), &HeaderMap::new()).is_any();
    assert!(any("vary: *") && any("vary: a, *") && any("vary:\nvary: a,*,b") && any("vary: a b"));
    assert!(!any("vary:") && !any("vary: a") && !any(""));
    let many = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("x{number}")).collect();
        any(&format!("vary: {}", names.join(",")))
    };
    assert!(!many(32) && many(33));
    let long = fields(&format!("a: {}", "x".repeat(16 * 1024 + 1)));
    let one = Vary::new(&fields("vary: a"), &long);
    assert!(one.is_any() && !one.matches(&long));
    assert!(!Vary::new(&fields("vary: a"), &fields("a: x")).matches(&long));
}

/// RFC 9111 §4.1: of several that match, the most recent by Date is selected
#[test]
fn the_most_recent_match_is_selected() {
    let make = |request: &str, dated: i64, number: u64| {
        let headers = fields(&format!("vary: a\ndate: {}\nnumber: {number}", date(dated)));
        let rules = Rules::shared();
        Stored::new(&fields(request), StatusCode::OK, &headers, received(number), &rules)
    };
    let all = [make("a: 1", 5, 1), make("a: 1", 9, 2), make("a: 1", 7, 3), make("a: 2", 99, 4)];
    let found = |text: &str| select(&all, &fields(text)).map(|one| one.headers()["number"].clone());
    assert_eq!(found("a: 1").unwrap(), "2");
    assert_eq!(found("a: 2").unwrap(), "4");
    assert_eq!(found("a: 3"), None);
    let same = [make("", 5, 1), make("", 5, 2)];
    assert_eq!(select(&same, &HeaderMap::new()).unwrap().headers()["number"], "2");
}
