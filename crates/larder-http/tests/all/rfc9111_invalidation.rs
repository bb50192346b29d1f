//! RFC 9111 section 4.4: what a request that may change things invalidates.

use http::{Method, StatusCode, Uri};
use larder_http::invalidated;

use crate::kit::fields;

fn struck(method: &str, status: u16, headers: &str) -> Vec<Uri> {
    let target = "http://a.example/x/y?q".parse().expect("written in a test");
    let method = Method::from_bytes(method.as_bytes()).expect("written in a test");
    invalidated(
        &method,
        &target,
        StatusCode::from_u16(status).expect("written in a test"),
        &fields(headers),
    )
}

/// RFC 9111 §4.4: an unsafe or unknown method that didn't fail invalidates its target
#[test]
fn unsafe_and_unknown_methods_invalidate() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        assert_eq!(struck(method, 204, ""), ["http://a.example/x/y?q"]);
        assert_eq!(struck(method, 303, "").len(), 1);
        assert!(struck(method, 404, "").is_empty() && struck(method, 500, "").is_empty());
    }
}

/// RFC 9111 §4.4: a safe method invalidates nothing
#[test]
fn safe_methods_invalidate_nothing() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        let headers = "location: /z\ncontent-location: /w";
        assert!(struck(method, 200, headers).is_empty() && struck(method, 301, headers).is_empty());
    }
}

/// RFC 9111 §4.4: Location and Content-Location are invalidated on the same origin only
#[test]
fn nobody_invalidates_on_another_origin() {
    let second = |text: &str| struck("POST", 201, text).get(1).map(ToString::to_string);
    let cases = [
        ("/z", "/z"),
        ("z", "/x/z"),
        ("../z?a#b", "/z?a"),
        ("./", "/x/"),
        (".", "/x/"),
        ("/z/..", "/"),
        ("/w/z/..", "/w/"),
        ("?r", "/x/y?r"),
        ("HTTP://A.example:80/z", "/z"),
        ("//a.example/z", "/z"),
        ("../../..", "/"),
    ];
    for (text, path) in cases {
        for name in ["location", "content-location"] {
            let uri: Uri = second(&format!("{name}: {text}")).expect(text).parse().unwrap();
            assert_eq!(uri.path_and_query().unwrap(), path, "{text}");
        }
    }
    for other in ["https://a.example/z", "http://b.example/z", "//a.example:81/z", "mailto:x", ""] {
        assert_eq!(second(&format!("location: {other}")), None, "{other}");
    }
    let both = struck("POST", 201, "location: /1\ncontent-location: /2");
    assert_eq!(both.len(), 3);
    assert_eq!(second(&format!("location: /{}", "z".repeat(8 * 1024))), None);
}
