//! RFC 9110 sections 14 and 15.3.7: ranges, and 206 made of what is stored.

use http::HeaderMap;
use larder_http::{ContentRange, Part, Ranges, partial_content, ranges, unsatisfied};

use crate::kit::{date, fields, stored};

fn part(first: u64, last: u64) -> Part {
    Part { first, last }
}

/// RFC 9110 §14.1.2: ranges are cut at the end of what there is
#[test]
fn ranges_are_cut_at_the_end() {
    let parts = |text: &str, length| ranges(&fields(&format!("range: {text}")), length);
    let some = |list: &[(u64, u64)]| {
        Ranges::Parts(list.iter().map(|&(first, last)| part(first, last)).collect())
    };
    assert_eq!(parts("bytes=0-4", 10), some(&[(0, 4)]));
    assert_eq!(parts("Bytes=5-", 10), some(&[(5, 9)]));
    assert_eq!(parts("bytes=5-99999999999999999999999", 10), some(&[(5, 9)]));
    assert_eq!(parts("bytes=-3", 10), some(&[(7, 9)]));
    assert_eq!(parts("bytes=-30", 10), some(&[(0, 9)]));
    assert_eq!(parts("bytes=8-9,10-, 0-0", 10), some(&[(8, 9), (0, 0)]));
}

/// RFC 9110 §15.5.17: a 416 is for ranges that are all beyond the end, and says how long it is
#[test]
fn ranges_beyond_the_end_are_unsatisfiable() {
    for (text, length) in
        [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=10-11,12-", 10), ("bytes=0-", 0)]
    {
        let judged = ranges(&fields(&format!("range: {text}")), length);
        assert_eq!(judged, Ranges::Unsatisfiable, "{text}");
    }
    assert_eq!(unsatisfied(10), "bytes */10");
}

/// RFC 9110 §14.2: a Range that can't be read, overlaps too often or asks for much is ignored
#[test]
fn an_odd_range_is_ignored() {
    let whole = |text: &str| ranges(&fields(text), 100) == Ranges::Whole;
    for text in [
        "",
        "bytes=",
        "bytes=4-3",
        "bytes=a-b",
        "bytes=-",
        "lines=0-1",
        "bytes 0-1",
        "bytes=+0-1",
        "bytes=0-4,4-8,8-9",
        "bytes=0-,0-,0-",
        "bytes=0-2,2-3,50-60,60-70",
    ] {
        assert!(whole(&format!("range: {text}")), "{text}");
    }
    assert!(whole("range: bytes=0-1\nrange: bytes=3-4") && whole(""));
    let many = |count| (0..count).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
    assert!(!whole(&format!("range: bytes={}", many(16))));
    assert!(whole(&format!("range: bytes={}", many(17))));
}

/// RFC 9110 §15.3.7.2: two ranges that overlap become one, where the first of them stood
#[test]
fn two_ranges_that_overlap_become_one() {
    let parts = |text: &str| ranges(&fields(&format!("range: bytes={text}")), 100);
    assert_eq!(parts("0-4,4-5"), Ranges::Parts(vec![part(0, 5)]));
    assert_eq!(parts("90-,50-60,-20"), Ranges::Parts(vec![part(80, 99), part(50, 60)]));
    assert_eq!(parts("50-60,3-4,52-53"), Ranges::Parts(vec![part(50, 60), part(3, 4)]));
    assert_eq!(parts("0-4,5-9"), Ranges::Parts(vec![part(0, 4), part(5, 9)]));
}

/// RFC 9110 §14.4: a Content-Range that is malformed or contradicts the message is none
#[test]
fn a_content_range_must_be_right() {
    let read = |text: &str| ContentRange::of(&fields(&format!("content-range: {text}")));
    let range = ContentRange { part: part(4, 9), length: 10 };
    assert_eq!(read("bytes 4-9/10"), Some(range));
    assert_eq!(read("BYTES 4-9/10\ncontent-length: 6"), Some(range));
    assert_eq!(read("bytes 0-0/1").map(|range| range.part.bytes()), Some(1));
    for bad in [
        "bytes 4-9/*",
        "bytes */10",
        "bytes 4-10/10",
        "bytes 5-4/10",
        "lines 4-9/10",
        "bytes=4-9/10",
        "bytes 4-9",
        "bytes  4-9/10",
        "bytes -9/10",
        "bytes 4-/10",
        "bytes 0-1/99999999999999999999999",
        "bytes 4-9/10\ncontent-range: bytes 4-9/10",
        "bytes 4-9/10\ncontent-length: 5",
        "bytes 4-9/10\ncontent-length: x",
        "bytes 4-9/10\ncontent-type: Multipart/ByteRanges; boundary=x",
        "",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
    assert_eq!(part(4, 9).to_value(10), "bytes 4-9/10");
    assert_eq!(ContentRange::of(&HeaderMap::new()), None);
}

/// RFC 9110 §15.3.7.1: one part is the body, with the fields of the whole and its Content-Range
#[test]
fn one_part_is_the_body() {
    let one = stored("etag: \"1\"\ncontent-length: 10\ncontent-type: text/x\na: 1\na: 2");
    let sent = partial_content(&one, &fields("range: bytes=2-4"), &[part(2, 4)], 10, 7);
    assert!(sent.frames.is_empty());
    assert_eq!(sent.headers["content-range"], "bytes 2-4/10");
    assert_eq!(sent.headers["content-length"], "3");
    assert_eq!(sent.headers["content-type"], "text/x");
    assert_eq!(sent.headers["etag"], "\"1\"");
    assert_eq!(sent.headers.get_all("a").iter().count(), 2);
}

/// RFC 9110 §15.3.7: who asked with If-Range isn't sent again what describes the representation
#[test]
fn who_continues_has_the_description() {
    let text = format!(
        "etag: \"1\"\nlast-modified: {}\ncontent-type: a\ncontent-encoding: b\ncontent-language: c
        cache-control: d\nexpires: e\nvary: f\ncontent-location: g\nx: h",
        date(-99)
    );
    let asked = fields("range: bytes=2-4\nif-range: \"1\"");
    let sent = partial_content(&stored(&text), &asked, &[part(2, 4)], 10, 7).headers;
    for gone in ["last-modified", "content-type", "content-encoding", "content-language"] {
        assert!(!sent.contains_key(gone), "{gone}");
    }
    for kept in ["etag", "date", "cache-control", "expires", "vary", "content-location", "x"] {
        assert!(sent.contains_key(kept), "{kept}");
    }
    let dated = stored(&format!("last-modified: {}", date(-99)));
    let sent = partial_content(&dated, &asked, &[part(2, 4)], 10, 7).headers;
    assert!(sent.contains_key("last-modified"));
}

/// RFC 9110 §14.6: several parts are a multipart body, each with its type and its range
#[test]
fn several_parts_are_a_multipart_body() {
    let body = b"0123456789";
    let one = stored("content-length: 10\ncontent-type: text/\u{e4}");
    let parts = [part(7, 8), part(0, 1)];
    let sent = partial_content(&one, &HeaderMap::new(), &parts, 10, 0xabc);
    assert!(!sent.headers.contains_key("content-range"));
    let boundary = format!("{:032x}", 0xabc);
    let kind = format!("multipart/byteranges; boundary={boundary}");
    assert_eq!(sent.headers["content-type"], kind);
    let mut whole = Vec::new();
    for (frame, part) in sent.frames.iter().zip(parts) {
        whole.extend_from_slice(frame);
        whole.extend_from_slice(&body[part.first as usize..=part.last as usize]);
    }
    whole.extend_from_slice(&sent.frames[2]);
    assert_eq!(sent.headers["content-length"], whole.len().to_string());
    let whole: String = whole.into_iter().map(char::from).collect();
    let expected = format!(
        "--{boundary}\r\nContent-Type: text/\u{e4}\r\nContent-Range: bytes 7-8/10\r\n\r\n78\r\n\
         --{boundary}\r\nContent-Type: text/\u{e4}\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n\
         --{boundary}--\r\n"
    );
    assert_eq!(whole, expected);
    let bare = partial_content(&stored(""), &HeaderMap::new(), &parts, 10, 1);
    assert!(!String::from_utf8_lossy(&bare.frames[0]).contains("Content-Type"));
}
