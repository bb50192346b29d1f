//! RFC 9111 sections 3.3 and 3.4: responses of which parts are stored.

use http::{HeaderMap, Method, StatusCode};
use larder_http::{
    Freshened, Held, NotStored, Part, Partial, Reuse, Rules, freshen_by_part, storable_part,
};

use crate::kit::{at, date, fields, received, storable_as, stored, stored_for};

const TAGGED: &str = "etag: \"1\"\ncache-control: max-age=9";

fn part(first: u64, last: u64) -> Part {
    Part { first, last }
}

/// What a shared cache keeps of a 206 with this part of a body of 10 bytes.
fn partial(text: &str, first: u64, bytes: &'static str) -> Partial {
    let last = first + bytes.len() as u64 - 1;
    let headers = fields(&format!("content-range: bytes {first}-{last}/10\n{text}"));
    let (asked, rules) = (fields("range: bytes=0-"), Rules::shared());
    let range = storable_part(&Method::GET, &asked, &headers, &rules).expect("written in a test");
    let partial = Partial::new(&asked, &headers, range, received(0), &rules);
    partial.with(first, [bytes.into()]).expect("written in a test")
}

fn answers(partial: &Partial, request: &str) -> Held {
    partial.answers(&Method::GET, &fields(request))
}

/// The further part, if it is taken in.
fn taken(partial: &Partial, text: &str) -> Option<Partial> {
    partial.take(&HeaderMap::new(), &fields(text), received(100), &Rules::shared())
}

/// RFC 9111 §3.3: a 206 is stored if it is one part of bytes that it describes, and was asked for
#[test]
fn a_part_is_stored_if_it_is_understood() {
    let rules = Rules::shared();
    let judge = |method: Method, asked: &str, text: &str| {
        storable_part(&method, &fields(asked), &fields(text), &rules).map(|range| range.part)
    };
    let (asked, good) = ("range: bytes=0-4", "content-range: bytes 0-4/10\n");
    assert_eq!(judge(Method::GET, asked, good), Ok(part(0, 4)));
    assert_eq!(judge(Method::GET, "", good), Err(NotStored::Part));
    assert_eq!(judge(Method::HEAD, asked, good), Err(NotStored::Method));
    for bad in ["", "content-range: x 0-4/10", "content-range: bytes 0-4/*"] {
        assert_eq!(judge(Method::GET, asked, bad), Err(NotStored::Part), "{bad}");
    }
    let with = |text: &str| judge(Method::GET, asked, &format!("{good}{text}"));
    assert_eq!(with("content-length: 4"), Err(NotStored::Part));
    assert_eq!(with("content-type: multipart/byteranges"), Err(NotStored::Part));
    assert_eq!(with("cache-control: no-store"), Err(NotStored::NoStore));
    assert_eq!(with("cache-control: private"), Err(NotStored::Private));
    assert_eq!(with("cache-control: must-understand, no-store"), Ok(part(0, 4)));
    // It isn't stored as if it were an answer by itself.
    assert_eq!(storable_as(StatusCode::PARTIAL_CONTENT, asked, good), Err(NotStored::Status));
}

/// RFC 9111 §3.3: a part is kept as of a 200 that isn't complete
#[test]
fn a_part_is_kept_as_an_incomplete_whole() {
    let one = partial(&format!("content-length: 5\ncontent-type: a\n{TAGGED}"), 0, "01234");
    assert_eq!(one.head().status(), StatusCode::OK);
    assert_eq!(one.head().headers()["content-length"], "10");
    assert_eq!(one.head().headers()["content-type"], "a");
    assert!(!one.head().headers().contains_key("content-range"));
    assert_eq!((one.pieces().held(), one.pieces().length()), (5, 10));
    let fresh =
        |seconds| larder_http::reuse(one.head(), &HeaderMap::new(), at(seconds), &Rules::shared());
    assert_eq!(fresh(8), Reuse::Fresh);
    assert_ne!(fresh(9), Reuse::Fresh);
}

/// RFC 9111 §3.3: a part answers for ranges that lie within it
#[test]
fn a_part_answers_for_what_it_holds() {
    let one = partial(TAGGED, 4, "456789");
    let held = |first, last| Held::Parts(vec![part(first, last)]);
    assert_eq!(answers(&one, "range: bytes=6-8"), held(6, 8));
    assert_eq!(answers(&one, "range: bytes=6-"), held(6, 9));
    assert_eq!(answers(&one, "range: bytes=-1"), held(9, 9));
    assert_eq!(answers(&one, "range: bytes=-6"), held(4, 9));
    let both = Held::Parts(vec![part(9, 9), part(4, 5)]);
    assert_eq!(answers(&one, "range: bytes=9-,4-5"), both);
    assert_eq!(one.pieces().slices(part(6, 8)).unwrap(), ["678"]);
    assert_eq!(answers(&one, "range: bytes=6-8\nif-range: \"1\""), held(6, 8));
    assert_eq!(answers(&one, "range: bytes=6-8\nif-none-match: \"1\""), Held::NotModified);
    assert_eq!(answers(&one, "range: bytes=6-8\nif-none-match: \"2\""), held(6, 8));
}

/// RFC 9111 §3.3: an incomplete response answers nothing else
#[test]
fn a_part_answers_for_nothing_else() {
    let one = partial(TAGGED, 4, "456789");
    assert_eq!(answers(&one, ""), Held::Missing(part(0, 3)));
    assert_eq!(answers(&one, "range: bytes=3-5"), Held::Missing(part(3, 3)));
    assert_eq!(answers(&one, "range: bytes=-7"), Held::Missing(part(3, 3)));
    // Of another representation than the client has, it needs all.
    let other = "range: bytes=6-8\nif-range: \"2\"";
    assert_eq!(answers(&one, other), Held::Missing(part(0, 3)));
    for request in ["range: bytes=10-", "if-none-match: \"1\"", "range: bytes=6-8\nif-match: \"1\""]
    {
        assert_eq!(answers(&one, request), Held::Forward, "{request}");
    }
    let head = one.answers(&Method::HEAD, &fields("range: bytes=6-8"));
    assert_eq!(head, Held::Forward);
}

/// RFC 9111 §3.3: what is missing is asked for as one range, if it is still the same
#[test]
fn what_is_missing_is_asked_for() {
    let one = partial(TAGGED, 0, "01").with(4, ["4".into(), "5".into()]).unwrap();
    assert_eq!(answers(&one, ""), Held::Missing(part(2, 9)));
    let asked = |missing| {
        let mut request = fields(
            "range: bytes=1-7\na: 1\nif-match: x\nif-none-match: x\nif-modified-since: x
            if-unmodified-since: x\nif-range: x",
        );
        one.ask(missing, &mut request);
        assert_eq!((request.len(), &request["a"]), (3, &"1".parse().unwrap()));
        assert_eq!(request["if-range"], "\"1\"");
        request["range"].clone()
    };
    assert_eq!(asked(part(2, 9)), "bytes=2-");
    assert_eq!(answers(&one, "range: bytes=1-7"), Held::Missing(part(2, 7)));
    assert_eq!(asked(part(2, 7)), "bytes=2-7");
}

/// RFC 9111 §3.4: without a strong validator nothing can be combined, so nothing is asked for
#[test]
fn only_a_strong_validator_asks_for_the_rest() {
    let (old, young) = (date(-60), date(-59));
    let strong = partial(&format!("last-modified: {old}"), 0, "01");
    assert_eq!(answers(&strong, ""), Held::Missing(part(2, 9)));
    let mut request = HeaderMap::new();
    strong.ask(part(2, 9), &mut request);
    assert_eq!(request["if-range"], old);
    for weak in ["etag: W/\"1\"", "etag: 1", &format!("last-modified: {young}"), "cache-control: a"]
    {
        let weak = partial(weak, 0, "01");
        assert_eq!(answers(&weak, ""), Held::Forward);
        assert_eq!(answers(&weak, "range: bytes=0-0"), Held::Parts(vec![part(0, 0)]));
        let mut request = fields("range: bytes=1-4");
        weak.ask(part(2, 4), &mut request);
        assert!(request.is_empty());
    }
}

/// RFC 9111 §3.4: parts with the same strong validator are combined, and become the whole
#[test]
fn parts_of_one_representation_are_combined() {
    let one = partial(&format!("a: 1\nb: 1\n{TAGGED}"), 0, "01234");
    let further = "content-range: bytes 3-9/10\ncontent-length: 7\netag: \"1\"\na: 2
        cache-control: max-age=20";
    let both = taken(&one, further).unwrap().with(3, ["345".into(), "6789".into()]).unwrap();
    assert!(both.pieces().is_complete());
    let whole: Vec<u8> = both.pieces().slices(part(0, 9)).unwrap().concat();
    assert_eq!(whole, b"0123456789");
    assert_eq!(answers(&both, ""), Held::Whole);
    // The new response's fields replace, and what it doesn't name stays.
    let headers = both.head().headers();
    assert_eq!((&headers["a"], &headers["b"]), (&"2".parse().unwrap(), &"1".parse().unwrap()));
    assert_eq!(headers["content-length"], "10");
    assert!(!headers.contains_key("content-range"));
    let judged = larder_http::reuse(both.head(), &HeaderMap::new(), at(119), &Rules::shared());
    assert_eq!(judged, Reuse::Fresh);
    // The one that was made of is as it was.
    assert_eq!(one.pieces().parts(), [part(0, 4)]);
}

/// RFC 9111 §3.4: parts that stand apart are all held, and extend each other
#[test]
fn parts_extend_each_other() {
    let one = partial(TAGGED, 2, "23").with(8, ["8".into()]).unwrap();
    assert_eq!(one.pieces().parts(), [part(2, 3), part(8, 8)]);
    let more = one.with(4, ["45".into()]).unwrap();
    assert_eq!(more.pieces().parts(), [part(2, 5), part(8, 8)]);
    let slices: Vec<u8> = more.pieces().slices(part(2, 5)).unwrap().concat();
    assert_eq!(slices, b"2345");
    assert_eq!(more.pieces().slices(part(5, 8)), None);
    assert_eq!(more.with(9, ["9x".into()]), None);
    assert!(more.with(10, ["".into()]).is_some());
}

/// RFC 9111 §3.4: what has another validator, or only a weak one, isn't combined
#[test]
fn parts_of_different_representations_are_not_combined() {
    let range = "content-range: bytes 5-9/10";
    let modified = |seconds| format!("last-modified: {}", date(seconds));
    let combined = |stored_as: &str, new: &str| {
        taken(&partial(stored_as, 0, "01234"), &format!("{range}\n{new}")).is_some()
    };
    assert!(combined("etag: \"1\"", "etag: \"1\""));
    assert!(combined(&modified(-60), &modified(-60)));
    assert!(!combined("etag: \"1\"", "etag: \"2\""));
    assert!(
        !combined("etag: W/\"1\"", "etag: W/\"1\"") && !combined("etag: \"1\"", "etag: W/\"1\"")
    );
    assert!(!combined("", "") && !combined("etag: \"1\"", "") && !combined("", "etag: \"1\""));
    assert!(!combined(&modified(-59), &modified(-59)));
    assert!(!combined(&modified(-60), &modified(-61)));
    let one = partial(TAGGED, 0, "01234");
    for other in ["bytes 5-9/11", "bytes 5-9/*", "lines 5-9/10"] {
        assert!(taken(&one, &format!("content-range: {other}\n{TAGGED}")).is_none(), "{other}");
    }
    assert!(taken(&one, TAGGED).is_none());
    let several = "content-type: multipart/byteranges; boundary=x";
    assert!(taken(&one, &format!("{range}\n{TAGGED}\n{several}")).is_none());
}

/// RFC 9111 §3.4: a part freshens a whole response of the same representation, and outdates another
#[test]
fn a_part_freshens_the_whole() {
    let whole = stored("etag: \"1\"\ncontent-length: 10\na: 1\ncontent-type: x");
    let by = |text: &str| {
        let asked = HeaderMap::new();
        freshen_by_part(&whole, &asked, &fields(text), received(100), &Rules::shared())
    };
    let Freshened::Updated(new) = by("content-range: bytes 0-1/10\netag: \"1\"\na: 2") else {
        panic!("the same")
    };
    assert_eq!(
        (&new.headers()["a"], &new.headers()["content-type"]),
        (&"2".parse().unwrap(), &"x".parse().unwrap())
    );
    assert_eq!(new.headers()["content-length"], "10");
    assert_eq!(by("content-range: bytes 0-1/10\netag: \"2\""), Freshened::Outdated);
    assert_eq!(by("content-range: bytes 0-1/10\netag: W/\"1\""), Freshened::NotThis);
    assert_eq!(by("content-range: bytes 0-1/9\netag: \"1\""), Freshened::NotThis);
    let (varied, rules) =
        (stored_for("a: 1", "vary: a\netag: \"1\"", &Rules::shared()), Rules::shared());
    for (asked, same) in [("a: 1", true), ("a: 2", false)] {
        let part = fields("content-range: bytes 0-1/10\netag: \"1\"");
        let judged = freshen_by_part(&varied, &fields(asked), &part, received(100), &rules);
        assert_eq!(matches!(judged, Freshened::Updated(_)), same, "{asked}");
    }
    assert_eq!(by("etag: \"1\""), Freshened::NotThis);
}

/// RFC 9111 §3.3: a 200 that broke off is kept as its beginning, if the rest can be asked for
#[test]
fn what_broke_off_is_a_part() {
    let broken = |text: &str, came: &'static str| Partial::broken_off(stored(text), [came.into()]);
    let one = broken(&format!("content-length: 10\n{TAGGED}"), "01234").unwrap();
    assert_eq!(answers(&one, ""), Held::Missing(part(5, 9)));
    assert_eq!(answers(&one, "range: bytes=0-4"), Held::Parts(vec![part(0, 4)]));
    assert!(broken(TAGGED, "01234").is_none());
    assert!(broken(&format!("content-length: 4\n{TAGGED}"), "01234").is_none());
    assert!(broken("content-length: 10", "01234").is_none());
    let twice = "content-length: 10\ncontent-length: 10\netag: \"1\"";
    assert!(broken(twice, "01234").is_none());
}

/// RFC 9111 §3.3: how many pieces are held has a bound, and small ones don't keep what is large
#[test]
fn pieces_have_a_bound() {
    let mut pieces = larder_http::Pieces::new(10_000);
    assert!((0..1024).all(|at| pieces.add(3 * at, &"a".into())));
    assert!(!pieces.add(9_000, &"a".into()) && pieces.add(3, &"b".into()));
    assert_eq!(pieces.held(), 1024);
    assert_eq!(pieces.slices(part(3, 3)).unwrap(), ["a"]);
    let mut pieces = larder_http::Pieces::new(10_000);
    let large = bytes::Bytes::from(vec![0; 5_000]);
    assert!(pieces.add(0, &large) && pieces.add(1, &large));
    let slices = pieces.slices(part(0, 5_000)).unwrap();
    let within = large.as_ptr_range();
    let shares = |slice: &bytes::Bytes| within.contains(&slice.as_ptr());
    assert_eq!(slices.iter().map(shares).collect::<Vec<_>>(), [true, false]);
}
