//! Arbitrary and nearly valid bytes in every field that is read: nothing panics, and what is
//! promised of the outcome holds.

use bolero::check;
use bolero::generator::{ValueGenerator, produce};
use http::header::HeaderValue;
use http::{HeaderMap, Method, StatusCode, Uri};
use larder_http::{
    AGE_MAX, CacheStatus, Date, EntityTag, Freshened, Outcome, Ranges, Rules, Stored, condition,
    evaluate, freshen, freshen_by_head, groups, invalidated, invalidated_groups, lifetime,
    not_modified, ranges, reuse, select, storable, ttl,
};

use crate::kit::{WALL, at, obeying, received};

const NAMES: [&str; 23] = [
    "cache-control",
    "cdn-cache-control",
    "age",
    "expires",
    "date",
    "last-modified",
    "etag",
    "vary",
    "connection",
    "if-none-match",
    "if-modified-since",
    "if-range",
    "range",
    "location",
    "pragma",
    "content-location",
    "authorization",
    "set-cookie",
    "content-length",
    "accept",
    "cache-groups",
    "cache-group-invalidation",
    "a",
];
const PIECES: [&[u8]; 34] = [
    b"max-age",
    b"=",
    b"\"",
    b",",
    b" ",
    b"5",
    b"99999999999999999999",
    b"no-cache",
    b"\\",
    b"*",
    b"s-maxage",
    b"no-store",
    b"private",
    b"W/",
    b"\xff",
    b"-",
    b"bytes=",
    b"Sun, 06 Nov 1994 ",
    b"08:49:37 GMT",
    b"Sunday, 06-Nov-94 ",
    b"stale-while-revalidate",
    b";",
    b"(",
    b")",
    b"?1",
    b":",
    b"immutable",
    b"must-understand",
    b"%\"",
    b"@",
    b"a",
    b"../",
    b"//",
    b"public",
];

/// Fields of pieces that are near to what is valid, and of any bytes.
fn head(input: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in input.chunks(12) {
        let mut value = Vec::new();
        for &byte in &line[1..] {
            match PIECES.get(usize::from(byte)) {
                Some(piece) => value.extend_from_slice(piece),
                None => value.push(byte),
            }
        }
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(NAMES[usize::from(line[0]) % NAMES.len()], value);
        }
    }
    headers
}

fn bytes(length_max: usize) -> impl ValueGenerator<Output = Vec<u8>> {
    produce::<Vec<u8>>().with().len(0..=length_max)
}

#[test]
fn no_head_breaks_a_promise() {
    let generator = (bytes(120), bytes(120), bytes(80), 0_u64..200);
    check!().with_iterations(10_000).with_generator(generator).for_each(
        |(one, two, three, now)| {
            let (asked, answer, again) = (head(one), head(two), head(three));
            for rules in [Rules::shared(), Rules::private(), obeying()] {
                let ok = StatusCode::OK;
                let stored = storable(&Method::GET, &asked, ok, &answer, &rules);
                assert!(stored.is_err() || groups(&answer).is_ok());
                let struck = invalidated_groups(&Method::POST, &answer).unwrap_or_default();
                assert!(
                    struck.iter().all(|group| group.bytes().all(|b| (b' '..=b'~').contains(&b)))
                );
                let stored = Stored::new(&asked, ok, &answer, received(0), &rules);
                assert!(lifetime(&stored, &rules) <= AGE_MAX && stored.age(at(*now)) <= AGE_MAX);
                assert!(ttl(&stored, at(*now), &rules).unsigned_abs() <= AGE_MAX.as_secs());
                assert_eq!(select([&stored], &asked).is_none(), stored.vary().is_any());
                let _ = reuse(&stored, &again, at(*now), &rules);
                let _ = evaluate(&Method::GET, &again, &stored);
                assert!(!not_modified(&stored).contains_key("set-cookie"));
                let mut validation = again.clone();
                let conditional = condition(&mut validation, &stored, []);
                let sent = validation.contains_key("if-none-match");
                assert_eq!(conditional, sent || validation.contains_key("if-modified-since"));
                // What it says of itself freshens it.
                let itself = freshen(&stored, &asked, stored.headers(), received(100), &rules);
                let odd = stored.headers().contains_key("etag")
                    && EntityTag::of(stored.headers()).is_none();
                assert!(odd || matches!(itself, Freshened::Updated(_)));
                let _ = freshen(&stored, &asked, &again, received(100), &rules);
                let _ = freshen_by_head(&stored, &asked, ok, &again, received(100), &rules);
            }
        },
    );
}

#[test]
fn ranges_lie_within_the_body_and_apart() {
    check!().with_iterations(20_000).with_generator((bytes(30), 0_u64..99)).for_each(
        |(set, length)| {
            let mut line = b"bytes=".to_vec();
            line.extend(set.iter().map(|byte| b"0123456789-,- "[usize::from(*byte) % 14]));
            let mut headers = HeaderMap::new();
            headers.insert("range", HeaderValue::from_bytes(&line).unwrap());
            if let Ranges::Parts(parts) = ranges(&headers, *length) {
                assert!(!parts.is_empty() && parts.len() <= 16);
                let mut sent = vec![false; *length as usize];
                for part in parts {
                    for byte in part.first..=part.last {
                        assert!(!std::mem::replace(&mut sent[byte as usize], true));
                    }
                }
            }
        },
    );
}

#[test]
fn what_is_read_as_a_date_is_one() {
    check!().with_iterations(20_000).with_generator((bytes(3), 0..3_usize)).for_each(
        |(changes, form)| {
            let forms = [
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
            ];
            let mut text = forms[*form].as_bytes().to_vec();
            for pair in changes.chunks_exact(2) {
                let at = usize::from(pair[0]) % text.len();
                text[at] = pair[1];
            }
            if let Some(date) = Date::parse(&text, Date::from_unix(WALL)) {
                assert_eq!(Date::parse(date.to_string().as_bytes(), date), Some(date));
            }
        },
    );
}

#[test]
fn only_the_targets_own_origin_is_struck() {
    check!().with_iterations(10_000).with_generator(bytes(60)).for_each(|input: &Vec<u8>| {
        let target: Uri = "http://a.example/x/y?q".parse().unwrap();
        let struck = invalidated(&Method::POST, &target, StatusCode::OK, &head(input));
        assert!(struck.len() <= 3);
        assert!(struck.iter().all(|uri| uri.host() == Some("a.example")));
    });
}

#[test]
fn any_text_can_stand_in_cache_status() {
    check!().with_iterations(5_000).with_type::<String>().for_each(|text: &String| {
        let status = CacheStatus { key: Some(text), ..CacheStatus::new(text, Outcome::Hit) };
        let mut headers = HeaderMap::new();
        status.append(&mut headers);
        assert!(headers["cache-status"].len() <= 2 * 514 + 20);
    });
}
