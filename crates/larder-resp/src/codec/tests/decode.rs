//! Requests as arrays of bulk strings.

use super::super::{Decoder, Limits, ProtocolError, encode_request};
use super::{request, requests};

const PING: &str = r#"["PING"]"#;

#[test]
fn a_pipeline_is_one_request_after_the_other() {
    let (found, end) = requests(
        b"*2\r\n$3\r\nGET\r\n$7\r\nuser:42\r\n*1\r\n$4\r\nPING\r\n*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n",
        Limits::default(),
    );
    assert_eq!(found, [r#"["GET", "user:42"]"#, PING, r#"["", "\r\n"]"#]);
    assert_eq!(end, Ok(()));
}

#[test]
fn blank_input_is_consumed_and_no_request() {
    for blank in ["\r\n", "\n", "   \t\r\n", "*0\r\n", "*-1\r\n", "*-5\r\n"] {
        let mut decoder = Decoder::new(Limits::default());
        assert_eq!(decoder.decode(blank.as_bytes()), Ok(Some(blank.len())), "{blank:?}");
        assert!(decoder.request(blank.as_bytes()).is_none());

        let input = format!("{blank}{blank}*1\r\n$4\r\nPING\r\n{blank}");
        let (found, end) = requests(input.as_bytes(), Limits::default());
        assert_eq!((found, end), (vec![PING.to_owned()], Ok(())), "{blank:?}");
    }
}

/// Redis 7.0.15 was asked each of these and answered with the same words.
#[test]
fn bad_input_is_refused_in_the_words_of_redis() {
    let check = |input: &[u8], text: &str| {
        let (found, end) = requests(input, Limits::default());
        assert!(found.is_empty());
        let error = end.expect_err("it is refused").to_string();
        assert_eq!(error, format!("Protocol error: {text}"), "{}", input.escape_ascii());
    };
    for count in ["", "x", "01", "+1", "-0", "1 ", "2147483648", "99999999999999999999999"] {
        check(format!("*{count}\r\n$4\r\nPING\r\n").as_bytes(), "invalid multibulk length");
    }
    for length in ["", "x", "04", "+4", "-0", "-1", "4 ", "536870913", "99999999999999999999999"] {
        check(format!("*1\r\n${length}\r\nPING\r\n").as_bytes(), "invalid bulk length");
    }
    check(b"*1\r\nx4\r\nPING\r\n", "expected '$', got 'x'");
    check(b"*1\r\n*4\r\nPING\r\n", "expected '$', got '*'");
    check(&[b'x'; 65_537], "too big inline request");
    check(&[&b"*"[..], &[b'1'; 65_536]].concat(), "too big mbulk count string");
    check(&[&b"*1\r\n$"[..], &[b'1'; 65_536]].concat(), "too big bulk count string");
    check(b"ECHO \"a\r\n", "unbalanced quotes in request");
}

/// Each of these is where Redis 7.0.15 does something else.
#[test]
fn the_differences_to_redis_are_these() {
    let check = |input: &[u8], text: &str| {
        let (_, end) = requests(input, Limits::default());
        let error = end.expect_err("it is refused").to_string();
        assert_eq!(error, format!("Protocol error: {text}"), "{}", input.escape_ascii());
    };
    // Redis skips the two bytes that should be CR LF, or the one after the CR, whatever they are.
    check(b"*1\r\n$4\r\nPINGxx", "invalid bulk length");
    check(b"*1\r\n$3\r\nPING\r\n", "invalid bulk length");
    check(b"*1\rx$4\r\nPING\r\n", "invalid multibulk length");
    check(b"*1\r\n$4\rxPING\r\n", "invalid bulk length");
    // Redis waits for the end of the line before it says so, and sends the byte as it is.
    check(b"*1\r\nx", "expected '$', got 'x'");
    check(b"*1\r\n\r", "expected '$', got '\\r'");
    check(b"*1\r\n\xff", "expected '$', got '\\xff'");
    // Redis takes any number of arguments that an int can hold.
    check(b"*1048577\r\n", "invalid multibulk length");
    // Redis takes a long line if its end happens to arrive with it.
    check(&[&[b'x'; 65_537][..], b"\r\n"].concat(), "too big inline request");
}

#[test]
fn a_request_exactly_at_a_limit_is_taken_and_one_above_it_is_not() {
    let check = |input: &[u8], at: Limits, below: Limits, refused: ProtocolError| {
        assert_eq!(requests(input, at).1, Ok(()));
        assert_eq!(requests(input, at).0.len(), 1);
        assert_eq!(requests(input, below), (vec![], Err(refused)));
    };
    let limits = Limits::default();
    let input = request(1000);
    check(
        &input,
        Limits { bulk_bytes_max: 1000, ..limits },
        Limits { bulk_bytes_max: 999, ..limits },
        ProtocolError::InvalidBulkLength,
    );
    check(
        &input,
        Limits { arguments_max: 2, ..limits },
        Limits { arguments_max: 1, ..limits },
        ProtocolError::InvalidMultibulkLength,
    );
    let bytes = input.len() as u32;
    check(
        &input,
        Limits { request_bytes_max: bytes, ..limits },
        Limits { request_bytes_max: bytes - 1, ..limits },
        ProtocolError::RequestTooBig { bytes_max: bytes - 1 },
    );
    let default = |input: &[u8]| requests(input, limits).1;
    assert_eq!(default(b"*1048576\r\n"), Ok(()));
    assert_eq!(default(b"*1048577\r\n"), Err(ProtocolError::InvalidMultibulkLength));
    assert_eq!(default(b"*1\r\n$16777216\r\n"), Ok(()));
    assert_eq!(default(b"*1\r\n$16777217\r\n"), Err(ProtocolError::InvalidBulkLength));
    assert_eq!(default(&[b'x'; 65_536]), Ok(()));
}

#[test]
fn a_request_that_declares_too_much_in_all_is_refused_before_it_arrives() {
    let limits = Limits { request_bytes_max: 100, ..Limits::default() };
    let refused = Err(ProtocolError::RequestTooBig { bytes_max: 100 });
    // 4 and 5 bytes of a header, and 6 for each argument at least.
    assert_eq!(requests(b"*15\r\n", limits).1, Ok(()));
    assert_eq!(requests(b"*16\r\n", limits).1, refused);
    // 8 bytes before the argument, 2 behind it, and 6 for the other.
    assert_eq!(requests(b"*2\r\n$83\r\n", limits).1, Ok(()));
    assert_eq!(requests(b"*2\r\n$84\r\n", limits).1, refused);
}

#[test]
fn who_has_not_authenticated_may_send_ten_arguments_of_sixteen_kibibytes() {
    let end = |input: &[u8]| requests(input, Limits::unauthenticated()).1;
    assert_eq!(end(b"*10\r\n$16384\r\n"), Ok(()));
    assert_eq!(end(b"*11\r\n"), Err(ProtocolError::UnauthenticatedMultibulkLength));
    assert_eq!(end(b"*1\r\n$16385\r\n"), Err(ProtocolError::UnauthenticatedBulkLength));
    assert_eq!(end(b"*x\r\n"), Err(ProtocolError::InvalidMultibulkLength));
    let largest = vec![vec![b'x'; 16_384]; 10];
    let mut input = Vec::new();
    encode_request(&mut input, &largest);
    assert_eq!(requests(&input, Limits::unauthenticated()).0.len(), 1);

    let mut decoder = Decoder::new(Limits::unauthenticated());
    decoder.set_limits(Limits::default());
    assert_eq!(decoder.decode(b"*11\r\n"), Ok(None));
}

#[test]
fn a_partial_frame_waits_for_the_rest_wherever_it_is_cut() {
    let input = [&request(1234)[..], b"GET 'x y'\r\n", b"*0\r\n", &request(0)].concat();
    let whole = requests(&input, Limits::default());
    assert_eq!(whole.0.len(), 3);
    for cut in 0..input.len() {
        let mut decoder = Decoder::new(Limits::default());
        let mut found = Vec::new();
        let mut at = 0;
        for received in [&input[..cut], &input] {
            while let Some(consumed) = decoder.decode(&received[at..]).expect("it is valid") {
                found.extend(decoder.request(&received[at..]).map(|found| format!("{found:?}")));
                at += consumed;
            }
            assert!(decoder.request(&received[at..]).is_none());
        }
        assert_eq!((&found, at), (&whole.0, input.len()), "cut at {cut}");
    }
}

#[test]
fn what_was_looked_at_is_not_looked_at_again() {
    for input in [request(1234), b"PING some words\r\n".to_vec(), b"*0000\r\n".to_vec()] {
        let last = input.len() - 1;
        let expected = Decoder::new(Limits::default()).decode(&input);
        let mut decoder = Decoder::new(Limits::default());
        for received in 1..input.len() {
            assert_eq!(decoder.decode(&input[..received]), Ok(None));
        }
        let mut spoilt = input;
        if expected.is_ok() {
            // The last two bytes are an end of a line, of which one has arrived.
            spoilt[..last - 1].fill(b'\n');
        }
        assert_eq!(decoder.decode(&spoilt), expected);
    }
}

#[test]
fn what_is_missing_is_what_was_declared() {
    let missing = |input: &[u8]| {
        let mut decoder = Decoder::new(Limits::default());
        assert_eq!(decoder.decode(input), Ok(None));
        decoder.missing(input.len())
    };
    assert_eq!(missing(b""), 1);
    assert_eq!(missing(b"GET"), 1);
    assert_eq!(missing(b"*2\r"), 1);
    assert_eq!(missing(b"*2\r\n"), 12);
    assert_eq!(missing(b"*2\r\n$3"), 10);
    assert_eq!(missing(b"*2\r\n$3\r\n"), 11);
    assert_eq!(missing(b"*2\r\n$3\r\nGET\r"), 7);
    assert_eq!(missing(b"*2\r\n$3\r\nGET\r\n$16777216\r\nab"), 16_777_216);
    assert_eq!(missing(b"*1\r\n$00000000"), 1);
}

#[test]
fn a_declared_length_takes_no_memory() {
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(decoder.decode(b"*1048576\r\n$16777216\r\n"), Ok(None));
    assert_eq!(decoder.heap_bytes(), 0);
}

#[test]
fn the_storage_of_a_giant_request_is_given_back() {
    let mut input = Vec::new();
    encode_request(&mut input, &vec!["x"; 100_000]);
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(decoder.decode(&input), Ok(Some(input.len())));
    assert!(decoder.heap_bytes() >= 800_000);
    assert_eq!(decoder.decode(b""), Ok(None));
    assert!(decoder.heap_bytes() <= 5 * 1024, "{}", decoder.heap_bytes());

    let quoted = [b"\"", &[b'x'; 60_000][..], b"\"\r\n"].concat();
    assert_eq!(decoder.decode(&quoted), Ok(Some(quoted.len())));
    assert!(decoder.heap_bytes() >= 60_000);
    assert_eq!(decoder.decode(b""), Ok(None));
    assert!(decoder.heap_bytes() <= 5 * 1024, "{}", decoder.heap_bytes());
}

#[test]
fn the_storage_of_ordinary_requests_is_used_again() {
    let (small, large) = (request(3), request(2000));
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(decoder.decode(&small), Ok(Some(small.len())));
    let taken = decoder.heap_bytes();
    for _ in 0..1000 {
        assert_eq!(decoder.decode(&large), Ok(Some(large.len())));
        assert_eq!(decoder.decode(b"GET key\r\n"), Ok(Some(9)));
        assert_eq!(decoder.heap_bytes(), taken);
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = Decoder::new(Limits::default());
    let refused = Err(ProtocolError::ExpectedBulk { got: b'x' });
    assert_eq!(decoder.decode(b"*2\r\n$4\r\nPING\r\nx"), refused);
    assert!(decoder.request(b"*2\r\n$4\r\nPING\r\nx").is_none());
    assert_eq!(decoder.decode(b"*1\r\n$4\r\nPING\r\n"), refused);
}

#[test]
fn arguments_are_reached_by_index_and_in_order() {
    let input = b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\n\x00\"v\r\n";
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(decoder.decode(input), Ok(Some(input.len())));
    let request = decoder.request(input).expect("it isn't blank");
    assert_eq!((request.name(), request.len()), (&b"set"[..], 3));
    assert_eq!((&request[1], request.get(2)), (&b"k"[..], Some(&b"\x00\"v"[..])));
    assert_eq!(request.get(3), None);
    assert_eq!(request.iter().len(), 3);
    assert!(request.iter().rev().eq([&b"\x00\"v"[..], b"k", b"set"]));
    assert_eq!(format!("{request:?}"), r#"["set", "k", "\x00\"v"]"#);
}
