//! Replies as bytes, in both versions of the protocol.

use super::super::{Protocol, Verbatim, Writer, encode_request};

/// Checks what `write` writes in RESP2 and in RESP3.
fn check(write: impl Fn(&mut Writer<'_>), resp2: &str, resp3: &str) {
    for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
        let mut output = b"before".to_vec();
        let mut writer = Writer::new(&mut output, protocol);
        assert_eq!(writer.protocol(), protocol);
        write(&mut writer);
        let written = output.strip_prefix(b"before").expect("what was there is left alone");
        assert_eq!(written.escape_ascii().to_string(), expected.escape_default().to_string());
    }
}

#[test]
fn both_versions_share_the_types_of_resp2() {
    let check = |write: &dyn Fn(&mut Writer<'_>), text: &str| check(write, text, text);
    check(&|w| w.simple("OK"), "+OK\r\n");
    check(&|w| w.error("ERR", "no such thing"), "-ERR no such thing\r\n");
    check(&|w| w.bulk(b""), "$0\r\n\r\n");
    check(&|w| w.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n");
    check(&|w| w.array(0), "*0\r\n");
    for number in [0, 9, 10, -1, 12_345, i64::MIN, i64::MAX] {
        check(&|w| w.integer(number), &format!(":{number}\r\n"));
    }
    for length in [9, 10, 99, 100, 12_345] {
        let bytes = "x".repeat(length);
        check(&|w| w.bulk(bytes.as_bytes()), &format!("${length}\r\n{bytes}\r\n"));
        check(&|w| w.array(length), &format!("*{length}\r\n"));
    }
}

#[test]
fn what_resp2_lacks_is_written_as_redis_does() {
    check(
        |w| {
            w.null();
        },
        "$-1\r\n",
        "_\r\n",
    );
    check(
        |w| {
            w.null_array();
        },
        "*-1\r\n",
        "_\r\n",
    );
    check(|w| w.map(2), "*4\r\n", "%2\r\n");
    check(|w| w.set(2), "*2\r\n", "~2\r\n");
    check(|w| w.push(3), "*3\r\n", ">3\r\n");
    check(|w| w.boolean(true), ":1\r\n", "#t\r\n");
    check(|w| w.boolean(false), ":0\r\n", "#f\r\n");
    check(|w| w.verbatim(Verbatim::Text, b"a b"), "$3\r\na b\r\n", "=7\r\ntxt:a b\r\n");
    check(|w| w.verbatim(Verbatim::Markdown, b""), "$0\r\n\r\n", "=4\r\nmkd:\r\n");
    check(|w| w.big_number("-123"), "$4\r\n-123\r\n", "(-123\r\n");
}

#[test]
fn doubles_are_short_and_exact() {
    let check = |number: f64, text: &str| {
        let resp2 = format!("${}\r\n{text}\r\n", text.len());
        check(|w| w.double(number), &resp2, &format!(",{text}\r\n"));
    };
    check(0.0, "0");
    check(-0.0, "-0");
    check(1.0, "1");
    check(-1.5, "-1.5");
    check(0.1 + 0.2, "0.30000000000000004");
    check(1e16, "10000000000000000");
    check(1e17, "1e17");
    check(1e-5, "0.00001");
    check(1.5e-6, "1.5e-6");
    check(f64::MAX, "1.7976931348623157e308");
    check(f64::INFINITY, "inf");
    check(f64::NEG_INFINITY, "-inf");
    check(f64::NAN, "nan");
    check(-f64::NAN, "nan");
}

#[test]
fn a_line_stays_one_line() {
    check(|w| w.simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n");
    check(|w| w.error("E\nRR", "a\r\n:1\r\n"), "-E RR a  :1  \r\n", "-E RR a  :1  \r\n");
    check(|w| w.big_number("1\r\n2"), "$4\r\n1\r\n2\r\n", "(1  2\r\n");
}

#[test]
fn a_request_is_an_array_of_strings() {
    let mut output = Vec::new();
    encode_request(&mut output, &[&b"SET"[..], b"", b"\xff\r\n"]);
    assert_eq!(output, b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n\xff\r\n\r\n");
}
