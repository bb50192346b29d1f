//! Replies read back, and what is no reply.

use bytes::Bytes;

use super::super::{Reply, ReplyError, ReplyLimits, decode_reply};

fn bulk(text: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(text.as_bytes()))
}

fn decode(input: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
    decode_reply(input, &ReplyLimits::default())
}

/// Checks that `input` is `reply`, with and without more behind it, and that no part of it is.
fn check(input: &str, reply: &Reply) {
    let input = input.as_bytes();
    let found = Ok(Some((reply.clone(), input.len())));
    assert_eq!(decode(input), found);
    assert_eq!(decode(&[input, b"\r\n"].concat()), found);
    for cut in 0..input.len() {
        assert_eq!(decode(&input[..cut]), Ok(None), "cut at {cut}");
    }
}

#[test]
fn every_type_is_read() {
    check("+OK\r\n", &Reply::Simple(Bytes::from_static(b"OK")));
    check("+\r\n", &Reply::Simple(Bytes::new()));
    check("-ERR no\r\n", &Reply::Error(Bytes::from_static(b"ERR no")));
    check("!6\r\nE a\r\nb\r\n", &Reply::Error(Bytes::from_static(b"E a\r\nb")));
    check(":-42\r\n", &Reply::Integer(-42));
    check(":+42\r\n", &Reply::Integer(42));
    check("$5\r\na\r\nbc\r\n", &bulk("a\r\nbc"));
    check("$0\r\n\r\n", &bulk(""));
    check("$-1\r\n", &Reply::Null);
    check("_\r\n", &Reply::Null);
    check("*-1\r\n", &Reply::NullArray);
    check("*0\r\n", &Reply::Array(vec![]));
    check("*2\r\n:1\r\n*1\r\n_\r\n", &{
        Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![Reply::Null])])
    });
    check("%1\r\n$1\r\na\r\n:1\r\n", &Reply::Map(vec![(bulk("a"), Reply::Integer(1))]));
    check("~1\r\n:1\r\n", &Reply::Set(vec![Reply::Integer(1)]));
    check(">2\r\n$1\r\na\r\n_\r\n", &Reply::Push(vec![bulk("a"), Reply::Null]));
    check(",1.5\r\n", &Reply::Double(1.5));
    check(",-1e300\r\n", &Reply::Double(-1e300));
    check(",inf\r\n", &Reply::Double(f64::INFINITY));
    check("#t\r\n", &Reply::Boolean(true));
    check("#f\r\n", &Reply::Boolean(false));
    let digits = "-3492890328409238509324850943850943825024385";
    check(&format!("({digits}\r\n"), &Reply::BigNumber(Bytes::from_static(digits.as_bytes())));
    let text = Bytes::from_static(b"a\nb");
    check("=7\r\ntxt:a\nb\r\n", &Reply::Verbatim { format: *b"txt", text });
}

#[test]
fn an_attribute_belongs_to_the_reply_behind_it() {
    let attributed = |reply| Reply::Attributed {
        attributes: vec![(bulk("ttl"), Reply::Integer(9))],
        reply: Box::new(reply),
    };
    check("|1\r\n$3\r\nttl\r\n:9\r\n+OK\r\n", &{
        attributed(Reply::Simple(Bytes::from_static(b"OK")))
    });
    check("*2\r\n|1\r\n$3\r\nttl\r\n:9\r\n:1\r\n:2\r\n", &{
        Reply::Array(vec![attributed(Reply::Integer(1)), Reply::Integer(2)])
    });
}

#[test]
fn what_is_no_reply_is_refused() {
    let check = |input: &str, error: ReplyError| {
        assert_eq!(decode(input.as_bytes()), Err(error), "{input:?}");
        let nested = format!("*1\r\n{input}");
        assert_eq!(decode(nested.as_bytes()), Err(error), "{input:?}");
    };
    check("x", ReplyError::UnknownType { got: b'x' });
    check("\r\n", ReplyError::UnknownType { got: b'\r' });
    check(";4\r\n", ReplyError::UnknownType { got: b';' });
    for streamed in ["$?\r\n", "*?\r\n", "%?\r\n", "~?\r\n", ">?\r\n", "|?\r\n"] {
        check(streamed, ReplyError::Streamed);
    }
    for (kind, lines) in [
        (b':', &["", "x", "1.5", " 1", "9223372036854775808"][..]),
        (b'$', &["", "x", "-2", "+1", "01", "18446744073709551616"]),
        (b'!', &["-1", "x", "?"]),
        (b'=', &["-1", "x", "3\r\ntxt", "4\r\ntxt_"]),
        (b'*', &["", "x", "-2", "+1", "01"]),
        (b'%', &["-1", "x"]),
        (b'~', &["-1"]),
        (b'>', &["-1"]),
        (b'|', &["-1"]),
        (b'_', &["x"]),
        (b'#', &["", "x", "tt", "T"]),
        (b',', &["", "x", "1,5", "1 "]),
        (b'(', &["", "-", "1.5", "x"]),
    ] {
        for line in lines {
            check(&format!("{}{line}\r\n", kind as char), ReplyError::Malformed { kind });
        }
    }
    check("+a\nb\r\n", ReplyError::Unterminated);
    check("+a\rb\r\n", ReplyError::Unterminated);
    check("$1\r\nab\r\n", ReplyError::Unterminated);
    check(":1\n:1\r\n", ReplyError::Unterminated);
}

#[test]
fn a_reply_exactly_at_a_limit_is_taken_and_one_above_it_is_not() {
    let check = |input: &str, at: ReplyLimits, below: ReplyLimits, refused: ReplyError| {
        let found = decode_reply(input.as_bytes(), &at);
        assert!(matches!(found, Ok(Some((_, length))) if length == input.len()), "{found:?}");
        assert_eq!(decode_reply(input.as_bytes(), &below), Err(refused));
    };
    let limits = ReplyLimits::default();
    check(
        "+12345\r\n",
        ReplyLimits { line_bytes_max: 5, ..limits },
        ReplyLimits { line_bytes_max: 4, ..limits },
        ReplyError::LineTooLong { bytes_max: 4 },
    );
    check(
        "$5\r\n12345\r\n",
        ReplyLimits { bulk_bytes_max: 5, ..limits },
        ReplyLimits { bulk_bytes_max: 4, ..limits },
        ReplyError::BulkTooBig { bytes_max: 4 },
    );
    let nested = "*2\r\n%1\r\n+a\r\n+b\r\n*1\r\n$3\r\nabc\r\n";
    let bytes = nested.len() as u32;
    check(
        nested,
        ReplyLimits { reply_bytes_max: bytes, ..limits },
        ReplyLimits { reply_bytes_max: bytes - 1, ..limits },
        ReplyError::TooBig { bytes_max: bytes - 1 },
    );
    check(
        nested,
        ReplyLimits { elements_max: 5, ..limits },
        ReplyLimits { elements_max: 4, ..limits },
        ReplyError::TooManyElements { elements_max: 4 },
    );
    check(
        nested,
        ReplyLimits { depth_max: 2, ..limits },
        ReplyLimits { depth_max: 1, ..limits },
        ReplyError::TooDeep { depth_max: 1 },
    );
    check(
        "|0\r\n|0\r\n:1\r\n",
        ReplyLimits { depth_max: 2, ..limits },
        ReplyLimits { depth_max: 1, ..limits },
        ReplyError::TooDeep { depth_max: 1 },
    );
}

#[test]
fn a_reply_that_declares_too_much_is_refused_before_it_arrives() {
    let limits = ReplyLimits { reply_bytes_max: 100, ..ReplyLimits::default() };
    let refused = Err(ReplyError::TooBig { bytes_max: 100 });
    // 5 bytes of a header, and 3 for each element at least.
    assert_eq!(decode_reply(b"*31\r\n", &limits), Ok(None));
    assert_eq!(decode_reply(b"*32\r\n", &limits), refused);
    assert_eq!(decode_reply(b"*2\r\n$86\r\n", &limits), Ok(None));
    assert_eq!(decode_reply(b"*2\r\n$87\r\n", &limits), refused);
    assert_eq!(decode_reply(&[b'+'; 100], &limits), refused);
    let huge = decode(b"*1048577\r\n");
    assert_eq!(huge, Err(ReplyError::TooManyElements { elements_max: 1_048_576 }));
    let overflow = decode(b"%9223372036854775807\r\n");
    assert_eq!(overflow, Err(ReplyError::TooManyElements { elements_max: 1_048_576 }));
}

#[test]
fn the_deepest_nesting_is_taken_and_the_next_is_refused_before_its_elements() {
    let input = [&b"*1\r\n".repeat(32)[..], b":1\r\n"].concat();
    assert!(matches!(decode(&input), Ok(Some((Reply::Array(_), length))) if length == input.len()));
    assert_eq!(decode(&b"*1\r\n".repeat(33)), Err(ReplyError::TooDeep { depth_max: 32 }));
    let limits = ReplyLimits { depth_max: u8::MAX, ..ReplyLimits::default() };
    let endless = b"*1\r\n".repeat(100_000);
    assert_eq!(decode_reply(&endless, &limits), Err(ReplyError::TooDeep { depth_max: u8::MAX }));
}
