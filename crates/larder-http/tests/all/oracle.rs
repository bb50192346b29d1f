//! `http-cache-semantics` on the plain cases. Where it differs, the RFC says who is right.

use std::time::{Duration, SystemTime};

use bolero::check;
use bolero::generator::produce;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};
use larder_http::{Rules, SetCookie, Stored, lifetime, storable};

use crate::kit::{fields, obeying, received};

const DIRECTIVES: [&str; 9] = [
    "no-store",
    "private",
    "public",
    "max-age=5",
    "s-maxage=7",
    "must-revalidate",
    "proxy-revalidate",
    "x=1",
    "no-cache",
];

/// Whether both may store it, and its lifetime in seconds, of the oracle and of ours.
fn judged(status: u16, asked: &str, answer: &str, shared: bool) -> [(bool, u64); 2] {
    let mut request = Request::get("http://a.example/").body(()).expect("written in a test");
    *request.headers_mut() = fields(asked);
    let mut response = Response::builder().status(status).body(()).expect("written in a test");
    *response.headers_mut() = fields(answer);
    let options = CacheOptions { shared, ..CacheOptions::default() };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(crate::kit::WALL as u64);
    let policy = CachePolicy::new_options(&request, &response, now, options);
    let theirs = (policy.is_storable(), policy.time_to_live(now).as_secs());

    let rules = if shared { obeying() } else { Rules::private() };
    let rules = Rules { set_cookie: SetCookie::Stored, targets: Vec::new(), ..rules };
    let status = StatusCode::from_u16(status).expect("written in a test");
    let (asked, answer) = (fields(asked), fields(answer));
    let ours = storable(&Method::GET, &asked, status, &answer, &rules).is_ok();
    let stored = Stored::new(&HeaderMap::new(), status, &answer, received(0), &rules);
    [theirs, (ours, lifetime(&stored, &rules).as_secs())]
}

#[test]
fn plain_cases_are_judged_alike() {
    let generator = (produce::<u16>(), produce::<bool>(), 0..6_usize, produce::<bool>());
    check!().with_iterations(4_000).with_generator(generator).for_each(
        |&(directives, shared, status, authorized)| {
            let chosen = (0..DIRECTIVES.len()).filter(|at| directives >> at & 1 == 1);
            let chosen: Vec<_> = chosen.map(|at| DIRECTIVES[at]).collect();
            let status = [200, 203, 301, 404, 410, 501][status];
            let asked = if authorized { "authorization: x" } else { "" };
            let answer = format!("cache-control: {}", chosen.join(", "));
            let [theirs, ours] = judged(status, asked, &answer, shared);
            assert_eq!(theirs.0, ours.0, "{status} {shared} {asked} {answer}");
            // A lifetime says nothing where the response must be validated or can't be shared:
            // the oracle gives it none, here it is one question for each.
            let said = |directive: &str| chosen.contains(&directive);
            // It also gives none under `proxy-revalidate` without `public` or `s-maxage`; RFC 9111
            // section 5.2.2.8 forbids only to use it stale.
            let apart = said("no-cache")
                || (shared && said("private"))
                || said("no-store")
                || (shared && said("proxy-revalidate"));
            if ours.0 && !apart {
                assert_eq!(theirs.1, ours.1, "{status} {shared} {asked} {answer}");
            }
        },
    );
}

/// Where both differ, with the section that decides.
#[test]
fn differences_are_explained() {
    let differs = |status, answer: &str| {
        let [theirs, ours] = judged(status, "", answer, true);
        assert_ne!(theirs, ours, "{answer}");
        ours
    };
    // Names of directives have no case: RFC 9111 section 5.2.
    assert!(!differs(200, "cache-control: No-Store").0);
    // A quoted string is one argument: RFC 9111 section 5.2.
    assert_eq!(differs(200, "cache-control: x=\"a, no-store, b\", max-age=5"), (true, 5));
    // An Expires that is an IMF-fixdate counts, and one with another zone doesn't: RFC 9110
    // section 5.6.7.
    let expires = "date: Sun, 06 Nov 1994 08:49:37 GMT\nexpires: Sun, 06 Nov 1994 09:49:37 +0000";
    assert_eq!(differs(200, expires), (true, 0));
    // `no-store` gives way where the status is understood: RFC 9111 section 5.2.2.3.
    assert!(differs(200, "cache-control: no-store, must-understand, max-age=5").0);
    // Any final status with a lifetime may be stored: RFC 9111 section 3.
    assert_eq!(differs(299, "cache-control: max-age=5"), (true, 5));
}
