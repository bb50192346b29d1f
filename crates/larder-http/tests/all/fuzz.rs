//! Arbitrary and nearly valid bytes in every field that is read: nothing panics, and what is
//! promised of the outcome holds.

use bolero::check;
use bolero::generator::{ValueGenerator, produce};
use http::header::HeaderValue;
use http::{HeaderMap, Method, StatusCode, Uri};
use larder_http::{
    AGE_MAX, CacheStatus, Date, EntityTag, Freshened, Held, Outcome, Part, Partial, Pieces, Ranges,
    Rules, SearchVariance, Stored, Vary, condition, evaluate, freshen, freshen_by_head,
    freshen_by_part, groups, invalidated, invalidated_groups, lifetime, not_modified,
    partial_content, ranges, reuse, select, storable, storable_by_post, storable_part, ttl,
};

use crate::kit::{WALL, at, obeying, received};

const NAMES: [&str; 27] = [
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
    "content-range",
    "content-type",
    "accept-language",
    "cache-groups",
    "cache-group-invalidation",
    "no-vary-search",
    "a",
];
const PIECES: [&[u8]; 37] = [
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
    b"bytes 0-4/",
    b"multipart/byteranges",
    b";q=1",
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
                let target = Uri::from_static("http://a.example/");
                if storable_by_post(&target, &asked, ok, &answer, &rules).is_ok() {
                    assert!(answer.contains_key("content-location"));
                }
                let _ = storable_part(&Method::GET, &asked, &answer, &rules);
                let variance = SearchVariance::of(&answer);
                assert_eq!(variance.normal(None), None);
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
                let _ = freshen_by_part(&stored, &asked, &again, received(100), &rules);
            }
        },
    );
}

/// A Range near to a valid one.
fn range_of(set: &[u8]) -> HeaderValue {
    let mut line = b"bytes=".to_vec();
    line.extend(set.iter().map(|byte| b"0123456789-,- "[usize::from(*byte) % 14]));
    HeaderValue::from_bytes(&line).expect("digits and marks")
}

#[test]
fn no_part_breaks_a_promise() {
    let of_part = (0..99_u64, 0..20_u64, 0..40_u64, produce::<bool>());
    let generator = (bytes(60), of_part, bytes(60), bytes(12));
    check!().with_iterations(10_000).with_generator(generator).for_each(
        |(answer, (first, bytes, behind, tagged), again, set)| {
            let (mut answer, mut again, rules) = (head(answer), head(again), Rules::shared());
            let (last, length) = (first + bytes, first + bytes + behind);
            let told = format!("bytes {first}-{last}/{length}");
            answer.insert("content-range", told.parse().expect("digits and marks"));
            if *tagged {
                answer.insert("etag", HeaderValue::from_static("\"1\""));
            }
            again.insert("range", range_of(set));
            let asked = again.clone();
            let Ok(range) = storable_part(&Method::GET, &asked, &answer, &rules) else { return };
            assert!(range.part.last < range.length);
            let partial = Partial::new(&asked, &answer, range, received(0), &rules);
            let came = vec![0; range.part.bytes() as usize];
            let partial = partial.with(range.part.first, [came.into()]).expect("within the body");
            let taken = partial.take(&asked, &answer, received(1), &rules);
            assert!(taken.is_none_or(|taken| taken.pieces() == partial.pieces()));
            match partial.answers(&Method::GET, &again) {
                Held::Parts(parts) => {
                    assert!(parts.iter().all(|&part| partial.pieces().slices(part).is_some()));
                    let sent = partial_content(partial.head(), &again, &parts, range.length, 1);
                    assert_eq!(sent.frames.is_empty(), parts.len() == 1);
                }
                Held::Missing(part) => {
                    assert!(partial.pieces().slices(part).is_none());
                    partial.ask(part, &mut again);
                    assert!(again.contains_key("if-range"));
                    let asked = ranges(&again, range.length);
                    assert_eq!(asked, Ranges::Parts(vec![part]));
                }
                Held::Whole => assert!(partial.pieces().is_complete()),
                Held::NotModified | Held::Forward => {}
            }
        },
    );
}

#[test]
fn pieces_are_what_was_put_in() {
    let generator = produce::<Vec<(u8, u8)>>().with().len(0..=20_usize);
    check!().with_iterations(5_000).with_generator(generator).for_each(|added| {
        let body: Vec<u8> = (0..100).collect();
        let (mut pieces, mut model) = (Pieces::new(100), vec![false; 100]);
        for &(first, length) in added {
            let (first, length) = (usize::from(first % 110), usize::from(length % 40));
            let bytes: Vec<u8> = (first..first + length).map(|at| at as u8).collect();
            let fits = length == 0 || first + length <= 100;
            assert_eq!(pieces.add(first as u64, &bytes.into()), fits);
            if fits {
                model[first.min(100)..(first + length).min(100)].fill(true);
            }
        }
        assert_eq!(pieces.held(), model.iter().filter(|held| **held).count() as u64);
        assert_eq!(pieces.is_complete(), model.iter().all(|held| *held));
        for (first, last) in [(0, 99), (20, 40), (50, 50), (7, 93)] {
            let part = Part { first: first as u64, last: last as u64 };
            let all = model[first..=last].iter().all(|held| *held);
            let slices = pieces.slices(part).map(|slices| slices.concat());
            assert_eq!(slices, all.then(|| body[first..=last].to_vec()));
            let gaps = pieces.missing(part);
            let missing: u64 = gaps.iter().map(|gap| gap.bytes()).sum();
            assert_eq!(missing, model[first..=last].iter().filter(|held| !**held).count() as u64);
        }
        assert!(pieces.parts().windows(2).all(|two| two[0].last + 1 < two[1].first));
    });
}

#[test]
fn a_normal_query_is_its_own() {
    let generator = (bytes(40), bytes(40), 0..4_usize);
    check!().with_iterations(10_000).with_generator(generator).for_each(|(query, said, form)| {
        let forms = ["key-order, ", "params, except=", "key-order, params=", ""];
        let mut headers = head(said);
        let said = format!("{}(\"a\" \"%62+\")", forms[*form]);
        headers.insert("no-vary-search", said.parse().expect("written in a test"));
        let variance = SearchVariance::of(&headers);
        assert_eq!(variance.is_exact(), matches!(form, 0 | 3));
        let query: String =
            query.iter().map(|byte| char::from(b"ab&=+%62c"[usize::from(*byte) % 9])).collect();
        let normal = variance.normal(Some(&query));
        assert_eq!(normal, variance.normal(normal.as_deref()));
        let mut written = HeaderMap::new();
        written.insert("no-vary-search", variance.to_string().parse().expect("it is a field"));
        assert_eq!(SearchVariance::of(&written), variance);
    });
}

#[test]
fn what_was_asked_matches_itself() {
    check!().with_iterations(10_000).with_generator((bytes(60), bytes(60))).for_each(
        |(one, other)| {
            let (asked, other) = (head(one), head(other));
            let mut response = HeaderMap::new();
            response.insert("vary", HeaderValue::from_static("a, accept, accept-language, range"));
            let (vary, reverse) = (Vary::new(&response, &asked), Vary::new(&response, &other));
            assert!(vary.is_any() || vary.matches(&asked));
            assert_eq!(vary.matches(&other), reverse.matches(&asked));
        },
    );
}

#[test]
fn ranges_lie_within_the_body_and_apart() {
    check!().with_iterations(20_000).with_generator((bytes(30), 0_u64..99)).for_each(
        |(set, length)| {
            let mut headers = HeaderMap::new();
            headers.insert("range", range_of(set));
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
