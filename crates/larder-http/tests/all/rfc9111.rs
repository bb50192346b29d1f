//! RFC 9111 section 3: what may be stored.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use larder_http::{
    Fields, NotStored, Rules, Stored, storable as storable_by, storable_by_post, strip_hop_by_hop,
};

use crate::kit::{fields, obeying, received, storable, storable_as, stored, stored_by};

/// RFC 9111 §3: only a method whose responses are understood is stored
#[test]
fn only_gets_are_stored() {
    let headers = fields("cache-control: max-age=9");
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::from_bytes(b"ODD").unwrap()] {
        let (asked, rules) = (HeaderMap::new(), Rules::shared());
        let judged = storable_by(&method, &asked, StatusCode::OK, &headers, &rules);
        assert_eq!(judged, Err(NotStored::Method));
    }
}

/// RFC 9111 §3: an interim status isn't stored
#[test]
fn interim_partial_and_not_modified_are_no_answers() {
    for status in [100, 103, 206, 304] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(storable_as(status, "", "cache-control: max-age=9"), Err(NotStored::Status));
    }
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let judged = storable_as(status, "range: bytes=9-", "cache-control: max-age=9");
    assert_eq!(judged, Err(NotStored::Status));
    // Where the range isn't what it is about, it is an answer like others.
    assert_eq!(storable_as(status, "", "cache-control: max-age=9"), Ok(()));
    assert_eq!(storable("range: bytes=9-", "cache-control: max-age=9"), Ok(()));
}

/// RFC 9110 §9.3.3: a POST's fresh 200 for its own URI is stored, and its other responses aren't
#[test]
fn a_post_is_stored_under_its_own_uri() {
    let target = "http://a.example/x/y?q".parse().unwrap();
    let judge = |status, text: &str| {
        let (asked, headers) = (HeaderMap::new(), fields(text));
        storable_by_post(&target, &asked, status, &headers, &Rules::shared())
    };
    let ok = |text: &str| judge(StatusCode::OK, text);
    for own in ["/x/y?q", "y?q", "HTTP://A.example:80/x/y?q", "", "#f"] {
        let text = format!("content-location: {own}\ncache-control: max-age=9");
        assert_eq!(ok(&text), Ok(()), "{own}");
    }
    for other in ["/x/y", "/x/y?r", "/x/z?q", "https://a.example/x/y?q", "http://b.example/x/y?q"] {
        let text = format!("content-location: {other}\ncache-control: max-age=9");
        assert_eq!(ok(&text), Err(NotStored::Post), "{other}");
    }
    let own = "content-location: /x/y?q";
    for fresh in ["expires: 0", "cache-control: s-maxage=1", "cdn-cache-control: max-age=1"] {
        assert_eq!(ok(&format!("{own}\n{fresh}")), Ok(()), "{fresh}");
    }
    for none in ["", "cache-control: public", "last-modified: x", own] {
        assert_eq!(ok(&format!("{own}\n{none}")), Err(NotStored::Post), "{none}");
    }
    assert_eq!(ok("cache-control: max-age=9"), Err(NotStored::Post));
    let fresh = format!("{own}\ncache-control: max-age=9");
    assert_eq!(judge(StatusCode::CREATED, &fresh), Err(NotStored::Post));
    assert_eq!(ok(&format!("{fresh}, no-store")), Err(NotStored::NoStore));
}

/// RFC 9111 §3: redirections are stored, with their Location
#[test]
fn redirections_keep_their_location() {
    for status in [301, 302, 303, 307, 308] {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = fields("location: /z\ncache-control: max-age=9");
        let (asked, rules) = (HeaderMap::new(), Rules::shared());
        storable_by(&Method::GET, &asked, status, &headers, &rules).unwrap();
        let one = Stored::new(&asked, status, &headers, received(0), &rules);
        assert_eq!((one.status(), &one.headers()["location"]), (status, &headers["location"]));
    }
}

/// RFC 9111 §3: errors are stored if they say that they may be
#[test]
fn errors_are_stored_on_demand() {
    for status in [400, 403, 404, 405, 410, 414, 451, 499, 500, 501, 502, 503, 504, 599] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(storable_as(status, "", "cache-control: max-age=9"), Ok(()));
        let heuristic = [404, 405, 410, 414, 501].contains(&status.as_u16());
        assert_eq!(storable_as(status, "", "").is_ok(), heuristic, "{status}");
    }
}

/// RFC 9111 §5.2.2.5: `no-store` forbids to store, in any case and on any line
#[test]
fn no_store_is_seen_wherever_it_stands() {
    for line in ["no-store", "No-StOrE", "max-age=9, no-store", "no-store=1", "x=\"a,b\",no-store"]
    {
        let text = format!("cache-control: public\ncache-control: {line}");
        assert_eq!(storable("", &text), Err(NotStored::NoStore), "{line}");
    }
}

/// RFC 9111 §5.2.2.3: `must-understand` stands over `no-store` where the status is understood
#[test]
fn must_understand_needs_a_status_that_is_understood() {
    let text = "cache-control: no-store, must-understand, max-age=9";
    assert_eq!(storable("", text), Ok(()));
    let status = StatusCode::from_u16(299).unwrap();
    assert_eq!(storable_as(status, "", text), Err(NotStored::NotUnderstood));
    assert_eq!(storable_as(status, "", "cache-control: max-age=9"), Ok(()));
}

/// RFC 9111 §5.2.2.7: `private` keeps a response from a shared cache
#[test]
fn private_is_for_private_caches() {
    assert_eq!(storable("", "cache-control: private"), Err(NotStored::Private));
    let headers = fields("cache-control: private");
    let status = StatusCode::from_u16(299).unwrap();
    let judged = storable_by(&Method::GET, &HeaderMap::new(), status, &headers, &Rules::private());
    assert_eq!(judged, Ok(()));
}

/// RFC 9111 §5.2.2.7: `private` with names keeps these fields from a shared cache
#[test]
fn fields_that_private_names_are_not_kept() {
    let text = "cache-control: max-age=9, private=\"set-cookie, x\"\nset-cookie: a\nx: b\ny: c";
    assert_eq!(storable("", text), Ok(()));
    let headers = stored(text).headers().clone();
    assert!(!headers.contains_key("set-cookie") && !headers.contains_key("x"));
    assert_eq!(headers["y"], "c");
    assert_eq!(stored_by(text, &Rules::private()).headers()["x"], "b");
    // Names that can't be read mean everything.
    for private in ["private=\"\"", "private=\"a b\"", "private, private=\"x\"", "private=\"x"] {
        let text = format!("cache-control: max-age=9, {private}");
        assert!(storable("", &text).is_err(), "{private}");
    }
}

/// RFC 9111 §5.2.2.4: `no-cache` with names keeps these fields from being reused
#[test]
fn fields_that_no_cache_names_are_not_kept() {
    let one = stored("cache-control: max-age=9, no-cache=x\nx: b");
    assert!(!one.headers().contains_key("x"));
    assert!(matches!(one.control().no_cache, Fields::Named(_)));
}

/// RFC 9111 §3.5: what was asked for with an Authorization needs a permission to be shared
#[test]
fn authorization_needs_a_permission() {
    let judge = |control: &str| {
        storable("authorization: Basic eDp5", &format!("cache-control: max-age=9, {control}"))
    };
    for none in ["", "s-maxage=x", "proxy-revalidate", "public=\"x\"", "x=\"public\""] {
        assert_eq!(judge(none), Err(NotStored::Authorization), "{none}");
    }
    for permission in ["public", "must-revalidate", "s-maxage=1"] {
        assert_eq!(judge(permission), Ok(()), "{permission}");
    }
    let (asked, headers) = (fields("authorization: x"), fields("cache-control: max-age=9"));
    let status = StatusCode::OK;
    storable_by(&Method::GET, &asked, status, &headers, &Rules::private()).unwrap();
}

/// RFC 9111 §3: something must say that it may be stored
#[test]
fn an_unusual_status_needs_a_word_that_permits_it() {
    let status = StatusCode::from_u16(599).unwrap();
    for text in ["", "cache-control: private=\"x\"", "last-modified: x", "cache-control: x=1"] {
        assert_eq!(storable_as(status, "", text), Err(NotStored::Unsaid), "{text}");
    }
    for text in ["expires: 0", "cache-control: public", "cache-control: s-maxage=1"] {
        assert_eq!(storable_as(status, "", text), Ok(()), "{text}");
    }
    // Beside a targeted field Expires says nothing.
    let targeted = storable_as(status, "", "expires: 0\ncdn-cache-control: x");
    assert_eq!(targeted, Err(NotStored::Unsaid));
    assert_eq!(storable("", ""), Ok(()));
    let s_maxage = fields("cache-control: s-maxage=1");
    let rules = Rules::private();
    let judged = storable_by(&Method::GET, &HeaderMap::new(), status, &s_maxage, &rules);
    assert_eq!(judged, Err(NotStored::Unsaid));
}

/// RFC 9111 §5.2.1.5: a request's `no-store` is for whoever listens to requests
#[test]
fn a_requests_no_store_is_obeyed_by_who_obeys() {
    let (asked, headers) = (fields("cache-control: no-store"), HeaderMap::new());
    let judge = |rules: Rules| storable_by(&Method::GET, &asked, StatusCode::OK, &headers, &rules);
    assert_eq!(judge(obeying()), Err(NotStored::RequestNoStore));
    assert_eq!(judge(Rules::shared()), Ok(()));
}

/// RFC 9111 §7.3: a response that sets a cookie is shared only where the operator says so
#[test]
fn cookies_are_shared_only_on_demand() {
    let text = "cache-control: max-age=9\nset-cookie: a=b\nset-cookie: c=d";
    assert_eq!(storable("", text), Err(NotStored::SetCookie));
    // What isn't kept sets no cookie.
    let with = |control: &str| storable("", &text.replace("max-age=9", control));
    assert_eq!(with("max-age=9, no-cache=\"x, Set-Cookie\""), Ok(()));
    assert_eq!(with("max-age=9, no-cache=x, private=\"y\""), Err(NotStored::SetCookie));
    let rules = Rules { set_cookie: larder_http::SetCookie::Stored, ..Rules::shared() };
    let (asked, headers) = (HeaderMap::new(), fields(text));
    storable_by(&Method::GET, &asked, StatusCode::OK, &headers, &rules).unwrap();
    assert_eq!(stored_by(text, &rules).headers().get_all("set-cookie").iter().count(), 2);
}

/// RFC 9111 §3.1: fields of one connection aren't stored; all others are, with all their lines
#[test]
fn fields_of_a_connection_are_not_kept() {
    let mut headers = fields(
        "connection: close, X-One\nconnection: x-two\nx-one: 1\nx-two: 2\nkeep-alive: 3\nte: 4
        proxy-authenticate: 5\nproxy-authentication-info: 6\nproxy-authorization: 7\nupgrade: 8
        proxy-connection: 9\ntransfer-encoding: chunked\nodd: 1\nodd: \u{ff}",
    );
    strip_hop_by_hop(&mut headers);
    assert_eq!(headers.len(), 2);
    let odd: Vec<_> = headers.get_all("odd").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(odd, [&b"1"[..], b"\xff"]);
}

/// RFC 9111 §4.1: what no request can match is not stored
#[test]
fn what_matches_nothing_is_not_stored() {
    for vary in ["*", "a, *", "a\nvary: *"] {
        assert_eq!(storable("", &format!("vary: {vary}")), Err(NotStored::VaryAny), "{vary}");
    }
    assert_eq!(storable("", "vary: a"), Ok(()));
}
