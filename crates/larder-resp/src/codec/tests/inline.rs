//! Inline requests and their quotes. Redis 7.0.15 was asked each of these and answered the same.

use super::super::{Decoder, Limits, ProtocolError};
use super::requests;

/// The arguments in `line`, `None` if its quotes are unbalanced.
fn words(line: &str) -> Option<Vec<Vec<u8>>> {
    let input = format!("{line}\r\n");
    let mut decoder = Decoder::new(Limits::default());
    match decoder.decode(input.as_bytes()) {
        Ok(consumed) => {
            assert_eq!(consumed, Some(input.len()));
            let request = decoder.request(input.as_bytes())?;
            Some(request.iter().map(<[u8]>::to_vec).collect())
        }
        Err(error) => {
            assert_eq!(error, ProtocolError::UnbalancedQuotes);
            None
        }
    }
}

#[test]
fn words_end_at_blanks() {
    let check = |line: &str, expected: &[&str]| {
        let found = words(line).expect("it is a request");
        assert!(
            found.iter().map(Vec::as_slice).eq(expected.iter().map(|w| w.as_bytes())),
            "{line:?}"
        );
    };
    check("PING", &["PING"]);
    check("  GET \t key  ", &["GET", "key"]);
    check("ECHO a\rb", &["ECHO", "a", "b"]);
    check("ECHO a\r", &["ECHO", "a"]);
    check("ECHO a\x0bb \x0cc", &["ECHO", "a\x0bb", "c"]);
    check(r"ECHO a\x41", &["ECHO", r"a\x41"]);
    check("ECHO *1", &["ECHO", "*1"]);
}

#[test]
fn quotes_follow_the_rules_of_redis() {
    let check = |line: &str, expected: &[u8]| {
        let found = words(&format!("ECHO {line}")).expect("its quotes are balanced");
        assert_eq!(found, [b"ECHO", expected], "{line}");
    };
    check(r#""a\x41\n\r\t\b\a\q\"z""#, b"aA\n\r\t\x08\x07q\"z");
    check(r#""\xff\xFf\x00""#, b"\xff\xff\x00");
    check(r#""\xzz""#, b"xzz");
    check(r#""\x4""#, b"x4");
    check(r#""two words""#, b"two words");
    check(r"'a\'b\n'", br"a'b\n");
    check("''", b"");
    check("\"\"", b"");
    check("a\"b c\"", b"ab c");
    check("\"a\"\x0b", b"a");
}

#[test]
fn unbalanced_quotes_are_refused() {
    for line in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\", "\"a\\\"", "'a\\'", "\"\"\"", "a'b'c"] {
        assert_eq!(words(line), None, "{line}");
    }
}

#[test]
fn a_line_feed_alone_ends_a_line() {
    let (found, end) = requests(b"PING\nGET 'a'\n\nPING\r\n", Limits::default());
    assert_eq!(found, [r#"["PING"]"#, r#"["GET", "a"]"#, r#"["PING"]"#]);
    assert_eq!(end, Ok(()));
}

#[test]
fn quoted_arguments_are_found_again_and_the_next_request_is_not_mixed_up() {
    let (found, _) = requests(b"a 'b'\r\nc d\r\n*1\r\n$1\r\ne\r\n\"f\"\r\n", Limits::default());
    assert_eq!(found, [r#"["a", "b"]"#, r#"["c", "d"]"#, r#"["e"]"#, r#"["f"]"#]);
}

/// Redis holds an inline request to its length only, even before the client has authenticated.
#[test]
fn inline_requests_are_held_to_the_limits_of_arguments() {
    let limits =
        Limits { inline_bytes_max: 20, arguments_max: 3, bulk_bytes_max: 5, ..Limits::default() };
    let end = |input: &str| requests(input.as_bytes(), limits).1;
    assert_eq!(end("a b c\n"), Ok(()));
    assert_eq!(end("a b c d\n"), Err(ProtocolError::InvalidMultibulkLength));
    assert_eq!(end("'a' b c d\n"), Err(ProtocolError::InvalidMultibulkLength));
    assert_eq!(end("12345\n"), Ok(()));
    assert_eq!(end("123456\n"), Err(ProtocolError::InvalidBulkLength));
    assert_eq!(end("\"\\x31\\n345\"\n"), Ok(()));
    assert_eq!(end("'123456'\n"), Err(ProtocolError::InvalidBulkLength));
    assert_eq!(end("                   \r\n"), Ok(()));
    assert_eq!(end("                    \r\n"), Err(ProtocolError::InlineTooBig));
    assert_eq!(end("                    \n"), Ok(()));
    let many = requests(b"a b c d e f g h i j k\n", Limits::unauthenticated()).1;
    assert_eq!(many, Err(ProtocolError::UnauthenticatedMultibulkLength));
}
