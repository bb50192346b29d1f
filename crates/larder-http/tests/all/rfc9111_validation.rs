//! RFC 9111 sections 3.2 and 4.3: validation and freshening.

use http::{HeaderMap, Method, StatusCode};
use larder_http::{
    Evaluated, Freshened, Reuse, Rules, Stored, condition, evaluate, freshen, freshen_by_head,
};

use crate::kit::{at, date, fields, obeying, received, reuse, stored, stored_for};

fn freshened(one: &Stored, headers: &str) -> Freshened {
    freshen(one, &HeaderMap::new(), &fields(headers), received(100), &Rules::shared())
}

fn updated(one: &Stored, headers: &str) -> Stored {
    match freshened(one, headers) {
        Freshened::Updated(stored) => *stored,
        other => panic!("{other:?}"),
    }
}

/// RFC 9111 §4.3.1: a validation sends the stored tags and date, and keeps what Vary names
#[test]
fn a_validation_asks_with_what_is_stored() {
    let modified = date(-9);
    let text = format!("etag: W/\"\u{e4}\"\nlast-modified: {modified}\nvary: a");
    let (one, other) = (stored(&text), stored("etag: \"2\""));
    let mut request = fields(
        "a: 1\nif-match: x\nif-none-match: x\nif-modified-since: x\nif-unmodified-since: x
        if-range: x",
    );
    assert!(condition(&mut request, &one, [&other, &one]));
    assert_eq!(request.len(), 3);
    assert_eq!(request["if-none-match"].as_bytes(), b"W/\"\xe4\", \"2\"");
    assert_eq!(
        (&request["if-modified-since"], &request["a"]),
        (&modified.parse().unwrap(), &"1".parse().unwrap())
    );
    assert!(!condition(&mut request, &stored("etag: none"), []));
    let many: Vec<_> = (0..40).map(|tag| stored(&format!("etag: \"{tag}\""))).collect();
    condition(&mut request, &one, &many);
    let list = String::from_utf8_lossy(request["if-none-match"].as_bytes()).into_owned();
    assert_eq!(list.split(", ").count(), 32);
}

/// RFC 9111 §4.3.2: If-Match and If-Unmodified-Since aren't for a cache to judge
#[test]
fn conditions_of_the_origin_are_forwarded() {
    let one = stored("etag: \"1\"");
    for text in ["if-match: \"1\"", "if-match: *", "if-unmodified-since: x"] {
        let text = format!("{text}\nif-none-match: \"1\"");
        assert_eq!(evaluate(&Method::GET, &fields(&text), &one), Evaluated::Forward);
    }
}

/// RFC 9111 §4.3.2: without Last-Modified, If-Modified-Since is judged by Date, or by arrival
#[test]
fn modification_is_judged_by_what_there_is() {
    let judge = |one: &Stored, since: i64| {
        evaluate(&Method::GET, &fields(&format!("if-modified-since: {}", date(since))), one)
    };
    let modified = stored(&format!("date: {}\nlast-modified: {}", date(0), date(-50)));
    assert_eq!(judge(&modified, -50), Evaluated::NotModified);
    assert_eq!(judge(&modified, -51), Evaluated::Send);
    let dated = stored(&format!("date: {}", date(-20)));
    assert_eq!((judge(&dated, -20), judge(&dated, -21)), (Evaluated::NotModified, Evaluated::Send));
    let bare = stored("");
    assert_eq!((judge(&bare, 0), judge(&bare, -1)), (Evaluated::NotModified, Evaluated::Send));
}

/// RFC 9111 §4.3.4: a 304 freshens, and keeps what it doesn't name
#[test]
fn a_304_freshens_what_it_names() {
    let one = stored("etag: \"1\"\ncache-control: max-age=9\na: 1\na: 2\nb: 1\nage: 500");
    let new = updated(&one, "etag: \"1\"\ncache-control: max-age=20\na: 3\na: 4\nc: 5");
    let lines: Vec<_> = new.headers().get_all("a").iter().collect();
    assert_eq!(lines, ["3", "4"]);
    assert_eq!(
        (&new.headers()["b"], &new.headers()["c"]),
        (&"1".parse().unwrap(), &"5".parse().unwrap())
    );
    assert_eq!(new.headers()["date"].to_str().unwrap(), date(100));
    let rules = Rules::shared();
    assert_eq!(reuse(&new, "", 119, &rules), Reuse::Fresh);
    assert!(matches!(reuse(&new, "", 120, &rules), Reuse::Validate { .. }));
    assert_eq!(new.age(at(101)).as_secs(), 1);
    assert_eq!(updated(&one, "etag: \"1\"\nage: 3").age(at(100)).as_secs(), 3);
}

/// RFC 9111 §4.3.4: what a 304 forbids to store isn't used without validation, nor stale
#[test]
fn a_304_may_forbid_to_store() {
    let text = format!("etag: \"1\"\nlast-modified: {}\ncache-control: max-age=9", date(-999));
    let one = stored(&text);
    let rules = Rules { stale_unreached: std::time::Duration::MAX, ..Rules::shared() };
    for control in ["no-store", "private", "no-store, max-age=9"] {
        let new = updated(&one, &format!("etag: \"1\"\ncache-control: {control}"));
        assert_ne!(reuse(&new, "", 100, &rules), Reuse::Fresh, "{control}");
        let unreached = larder_http::Failure::Unreached;
        let stale = larder_http::reuse_after(unreached, &new, &HeaderMap::new(), at(999), &rules);
        assert!(!stale, "{control}");
        let headers = new.headers();
        let again =
            larder_http::storable(&Method::GET, &HeaderMap::new(), new.status(), headers, &rules);
        assert!(again.is_err(), "{control}");
    }
    let understood =
        updated(&one, "etag: \"1\"\ncache-control: no-store, must-understand, max-age=9");
    assert_eq!(reuse(&understood, "", 100, &rules), Reuse::Fresh);
    let own = Rules::private();
    let private = updated(&one, "etag: \"1\"\ncache-control: private, max-age=9");
    assert_eq!(reuse(&private, "", 100, &own), Reuse::Fresh);
}

/// RFC 9111 §3.2: what describes the stored bytes isn't updated, nor what is of a connection
#[test]
fn a_304_does_not_touch_the_bytes() {
    let one = stored("etag: \"1\"\ncontent-length: 5\ncontent-encoding: gzip\nx: 0");
    let new = updated(
        &one,
        "etag: \"1\"\ncontent-length: 0\ncontent-encoding: br\ncontent-range: bytes 0-1/5
        content-type: text/html\nconnection: x\nx: 1",
    );
    assert_eq!(new.headers()["content-length"], "5");
    assert_eq!(new.headers()["content-encoding"], "gzip");
    assert_eq!(new.headers()["content-type"], "text/html");
    assert!(!new.headers().contains_key("content-range") && new.headers()["x"] == "0");
}

/// RFC 9111 §4.3.4: a 304 updates only the response that its validator means
#[test]
fn a_304_about_another_response_is_not_used() {
    let (same, weak) = ("etag: \"1\"", "etag: W/\"1\"");
    let modified = format!("last-modified: {}", date(-9));
    let is_meant = |stored_as: &str, new: &str| {
        let one = stored(stored_as);
        match freshened(&one, new) {
            Freshened::Updated(_) => true,
            other => {
                assert_eq!(other, Freshened::NotThis);
                false
            }
        }
    };
    assert!(is_meant(same, same) && is_meant(same, weak) && is_meant(weak, weak));
    assert!(is_meant(&modified, &modified) && is_meant("", "a: 1"));
    assert!(is_meant(&format!("{same}\n{modified}"), &modified));
    assert!(!is_meant(weak, same) && !is_meant(same, "etag: \"2\"") && !is_meant("", same));
    assert!(!is_meant(same, "a: 1") && !is_meant(&modified, "a: 1"));
    assert!(!is_meant(&modified, &format!("last-modified: {}", date(-8))));
}

/// RFC 9111 §4.3.4: a 304 without a validator is about the one response that was asked about
#[test]
fn a_304_without_a_validator_is_about_what_was_asked_for_alone() {
    let (tagged, other) = (stored("etag: \"1\""), stored("etag: \"2\""));
    let dated = stored(&format!("last-modified: {}", date(-9)));
    let is_updated = |one: &Stored, asked_about: &[&Stored]| {
        let mut asked = HeaderMap::new();
        let (first, further) = asked_about.split_first().unwrap();
        assert!(condition(&mut asked, first, further.iter().copied()));
        let new = freshen(one, &asked, &fields("a: 1"), received(100), &Rules::shared());
        matches!(new, Freshened::Updated(_))
    };
    assert!(is_updated(&tagged, &[&tagged]) && is_updated(&dated, &[&dated]));
    assert!(!is_updated(&tagged, &[&tagged, &other]) && !is_updated(&tagged, &[&other]));
    assert!(!is_updated(&dated, &[&tagged]) && !is_updated(&tagged, &[&dated]));
    let later = stored(&format!("last-modified: {}", date(-8)));
    assert!(!is_updated(&dated, &[&later]) && !is_updated(&dated, &[&dated, &tagged]));
}

/// RFC 9111 §4.3.4: a Vary that a 304 brings holds for the request that was validated
#[test]
fn a_304_may_bring_another_vary() {
    let one = stored_for("a: 1", "etag: \"1\"\nvary: a", &Rules::shared());
    let (asked, head) = (fields("a: 1\nb: 2"), fields("etag: \"1\"\nvary: b"));
    let new = freshen(&one, &asked, &head, received(1), &Rules::shared());
    let Freshened::Updated(new) = new else { panic!("{new:?}") };
    assert!(new.vary().matches(&fields("b: 2")) && !new.vary().matches(&fields("a: 1")));
    assert!(updated(&one, "etag: \"1\"").vary().matches(&fields("a: 1")));
}

/// RFC 9111 §4.3.5: a HEAD freshens what it agrees with, and outdates what it contradicts
#[test]
fn a_head_freshens_or_outdates() {
    let one = stored("etag: \"1\"\ncontent-length: 5\ncache-control: max-age=9");
    let judge = |status: u16, text: &str| {
        let (asked, status) = (HeaderMap::new(), StatusCode::from_u16(status).unwrap());
        freshen_by_head(&one, &asked, status, &fields(text), received(100), &Rules::shared())
    };
    for text in ["etag: \"1\"\ncontent-length: 5", "etag: \"1\"", ""] {
        let Freshened::Updated(new) = judge(200, text) else { panic!("{text}") };
        assert_eq!(reuse(&new, "", 108, &obeying()), Reuse::Fresh);
    }
    for text in ["etag: \"2\"", "content-length: 6\netag: \"1\"", "last-modified: x"] {
        assert_eq!(judge(200, text), Freshened::Outdated, "{text}");
    }
    assert_eq!(judge(404, "etag: \"2\""), Freshened::NotThis);
    let (varied, ok) =
        (stored_for("a: 1", "etag: \"1\"\nvary: a", &Rules::shared()), StatusCode::OK);
    let (asked, head) = (fields("a: 2"), fields("etag: \"2\""));
    let judged = freshen_by_head(&varied, &asked, ok, &head, received(1), &Rules::shared());
    assert_eq!(judged, Freshened::NotThis);
}
