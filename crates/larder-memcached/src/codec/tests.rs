//! The codec: requests as they are written, replies however they arrive.

use bytes::{Bytes, BytesMut};
use larder_core::shared::Invalidation;
use proptest::prelude::*;

use super::reply::{Fault, LINE_BYTES_MAX};
use super::*;
use crate::name::Name;

fn written(request: &Request) -> String {
    let mut out = BytesMut::new();
    request.encode(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn requests_are_written_as_the_server_reads_them() {
    let name = || Name::new("n", b"k");
    let binary = || Name::new("n", b"a b");
    let get = |name, ask| written(&Request::Get { name, ask });
    let ask = |recache| Some(Ask { seconds: 7, recache });
    assert_eq!(get(name(), None), "mg n:k v c t f\r\n");
    assert_eq!(get(binary(), ask(false)), "mg bjphIGI= b v c t f N7\r\n");
    assert_eq!(get(name(), ask(true)), "mg n:k v c t f N7 R2147483647\r\n");
    let forever = Some(Ask { seconds: u32::MAX, recache: false });
    assert_eq!(get(name(), forever), "mg n:k v c t f N2592000\r\n");
    assert_eq!(written(&Request::Look { name: binary() }), "mg bjphIGI= b c f\r\n");

    let store = |name, expiry, head: &'static str, body: &'static str| {
        let (head, body) = (head.into(), body.into());
        written(&Request::Store { name, cas: 5, expiry, client: DATA, head, body })
    };
    assert_eq!(store(name(), Expiry::After(9), "", ""), "ms n:k 0 C5 T9 F1 c\r\n\r\n");
    assert_eq!(
        store(binary(), Expiry::At(1_800_000_000), "he", "\r\nad"),
        "ms bjphIGI= 6 b C5 T1800000000 F1 c\r\nhe\r\nad\r\n"
    );
    // More would be a moment, a moment long ago, or one that no refresh is asked for before.
    assert!(store(name(), Expiry::After(u32::MAX), "", "").contains(" T2592000 "));
    assert!(store(name(), Expiry::At(u32::MAX), "", "").contains(" T2147483646 "));

    let delete = |cas, strike| written(&Request::Delete { name: name(), cas, strike });
    assert_eq!(delete(None, Invalidation::Drop), "md n:k\r\n");
    assert_eq!(delete(None, Invalidation::MarkStale), "md n:k I\r\n");
    assert_eq!(delete(Some(5), Invalidation::MarkStale), "md n:k C5 I\r\n");
    let rewrite = |name| written(&Request::Rewrite { name, cas: 5 });
    assert_eq!(rewrite(name()), "ms n:k 0 C5 MA\r\n\r\n");
    assert_eq!(rewrite(binary()), "ms bjphIGI= 0 b C5 MA\r\n\r\n");
    assert_eq!(written(&Request::Clock), "stats\r\n");
    assert_eq!(written(&Request::Settings), "stats settings\r\n");
    assert_eq!(written(&Request::Ping), "mn\r\n");
}

/// The outcome of the bytes in one piece, after it was checked that it is the same byte by byte.
fn check(input: &[u8]) -> Result<Step, Fault> {
    let whole = decode(input);
    for length in 0..input.len() {
        match decode(&input[..length]) {
            Ok(Step::More(missing)) => {
                assert!(missing > 0, "something is missing");
                if let Ok(Step::Whole(_, end)) = whole {
                    assert!(length + missing <= end, "no more is asked for than comes");
                }
            }
            early => {
                assert_eq!(early, whole, "what follows changes nothing");
                break;
            }
        }
    }
    whole
}

fn one(input: &str) -> Reply {
    match check(input.as_bytes()) {
        Ok(Step::Whole(reply, length)) if length == input.len() => reply,
        other => panic!("{input:?}: {other:?}"),
    }
}

#[test]
fn replies_are_read() {
    let flags = Flags { cas: 3, remaining: Some(29), client: 1, ..Flags::default() };
    let both = Flags { won: true, stale: true, ..flags };
    let value = |data: &'static str, flags| Reply::Value { data: data.into(), flags };
    assert_eq!(one("VA 2 c3 t29 f1 X W\r\nhi\r\n"), value("hi", both));
    assert_eq!(one("VA 4 s4 c3 t29 f1 Oabc new\r\na\r\nb\r\n"), value("a\r\nb", flags));
    assert_eq!(one("VA 0\r\n\r\n"), value("", Flags::default()));
    let stub = Flags { cas: 1, taken: true, ..Flags::default() };
    assert_eq!(one("VA 0 c1 t-1 f0 Z\r\n\r\n"), value("", stub));
    assert_eq!(one("HD c77\r\n"), Reply::Done(Flags { cas: 77, ..Flags::default() }));
    assert_eq!(one("EN\r\n"), Reply::Missing);
    assert_eq!(one("NF\r\n"), Reply::Missing);
    assert_eq!(one("EX\r\n"), Reply::Exists);
    assert_eq!(one("NS\r\n"), Reply::NotStored);
    assert_eq!(one("MN\r\n"), Reply::Pong);
    assert_eq!(one("ERROR\r\n"), Reply::Failed(Failure::Unknown("".into())));
    let words = |words: &str| words.into();
    assert_eq!(one("CLIENT_ERROR bad x\r\n"), Reply::Failed(Failure::Client(words("bad x"))));
    assert_eq!(one("SERVER_ERROR no y\r\n"), Reply::Failed(Failure::Server(words("no y"))));
    let stats = Stats {
        time: Some(1_800_000_000),
        item_size_max: Some(1024),
        version: Some([1, 6, 18]),
        keeps_items: true,
    };
    assert_eq!(
        one("STAT pid 1\r\nSTAT time 1800000000\r\nSTAT version 1.6.18_5-dirty\r\n\
             STAT item_size_max 1024\r\nSTAT memory_file /x y\r\nSTAT empty \r\nEND\r\n"),
        Reply::Stats(stats)
    );
    assert_eq!(one("STAT memory_file (null)\r\nEND\r\n"), Reply::Stats(Stats::default()));
}

#[test]
fn what_is_no_reply_is_a_fault() {
    for (input, fault) in [
        ("HELLO\r\n", Fault::Malformed),
        ("\r\n", Fault::Malformed),
        ("EN\n", Fault::Malformed),
        ("VA\r\n", Fault::Malformed),
        ("VA x\r\n", Fault::Malformed),
        ("VA -1\r\n", Fault::Malformed),
        ("VA +1\r\nx\r\n", Fault::Malformed),
        ("VA 1 cx\r\nx\r\n", Fault::Malformed),
        ("VA 1 t-2\r\nx\r\n", Fault::Malformed),
        ("VA 1 f4294967296\r\nx\r\n", Fault::Malformed),
        ("VA 67108865\r\n", Fault::ValueTooLong),
        ("VA 18446744073709551616\r\n", Fault::Malformed),
        ("VA 1\r\nxy", Fault::Unterminated),
        ("VA 1\r\nx\rz", Fault::Unterminated),
        ("STAT a b\r\nHD\r\n", Fault::Malformed),
    ] {
        assert_eq!(check(input.as_bytes()), Err(fault), "{input:?}");
    }
}

#[test]
fn lines_and_lists_are_taken_up_to_their_limits() {
    let line = |bytes: usize| format!("CLIENT_ERROR {}\r\n", "x".repeat(bytes - 13));
    assert!(matches!(check(line(LINE_BYTES_MAX).as_bytes()), Ok(Step::Whole(..))));
    assert_eq!(check(line(LINE_BYTES_MAX + 1).as_bytes()), Err(Fault::LineTooLong));
    let list = |lines: usize| format!("{}END\r\n", "STAT abcdefg 01\r\n".repeat(lines));
    assert!(matches!(decode(list(3_000).as_bytes()), Ok(Step::Whole(..))));
    assert_eq!(decode(list(4_000).as_bytes()), Err(Fault::StatsTooLong));
}

fn replies() -> impl Strategy<Value = (Vec<u8>, Reply)> {
    let flags = (any::<u64>(), prop::option::of(any::<u32>()), any::<u32>(), any::<[bool; 3]>());
    let data = prop::collection::vec(any::<u8>(), 0..40);
    (flags, data, 0..8_u8).prop_map(
        |((cas, remaining, client, [won, taken, stale]), data, kind)| {
            let flags = Flags { cas, remaining, client, won, taken, stale };
            let remaining = remaining.map_or_else(|| "-1".to_owned(), |t| t.to_string());
            let mut words = format!("c{cas} t{remaining} f{client}");
            for (flag, word) in [(won, " W"), (stale, " X"), (taken, " Z")] {
                words += if flag { word } else { "" };
            }
            let line = |line: &str| format!("{line}\r\n").into_bytes();
            match kind {
                0 => (line(&format!("HD {words}")), Reply::Done(flags)),
                1 => (line("EN"), Reply::Missing),
                2 => (line("EX"), Reply::Exists),
                3 => (line("STAT time 7\r\nEND"), {
                    Reply::Stats(Stats { time: Some(7), ..Stats::default() })
                }),
                _ => {
                    let head = line(&format!("VA {} {words}", data.len()));
                    let bytes = [&head[..], &data, b"\r\n"].concat();
                    (bytes, Reply::Value { data: Bytes::from(data), flags })
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn a_pipeline_of_replies_is_read_in_any_pieces(
        pipeline in prop::collection::vec(replies(), 1..6),
        pieces in prop::collection::vec(1..30_usize, 1..20),
    ) {
        let bytes: Vec<u8> = pipeline.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let (mut at, mut received, mut read) = (0, 0, Vec::new());
        let mut pieces = pieces.into_iter().cycle();
        while at < bytes.len() {
            match decode(&bytes[at..received]) {
                Ok(Step::Whole(reply, length)) => {
                    at += length;
                    read.push(reply);
                }
                Ok(Step::More(_)) => {
                    prop_assert!(received < bytes.len(), "all is there");
                    received = bytes.len().min(received + pieces.next().unwrap());
                }
                Err(fault) => prop_assert!(false, "{:?}", fault),
            }
        }
        let sent: Vec<_> = pipeline.into_iter().map(|(_, reply)| reply).collect();
        prop_assert_eq!(read, sent);
    }

    #[test]
    fn any_bytes_end_alike_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = check(&bytes);
    }

    #[test]
    fn nearly_replies_end_alike_in_any_pieces(
        (bytes, _) in replies(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n 0129-WXZVAEN"[..])],
    ) {
        let mut bytes = bytes;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = check(&bytes);
    }

    /// Whatever the key is, the server sees one line that it can't break out of.
    #[test]
    fn no_key_breaks_out_of_its_request(key in prop::collection::vec(any::<u8>(), 0..300)) {
        let request = Request::Get { name: Name::new("n", &key), ask: None };
        let written = written(&request);
        prop_assert_eq!(written.matches(['\r', '\n']).count(), 2);
        prop_assert_eq!(written.split(' ').next(), Some("mg"));
        let words = written.split(' ').count();
        prop_assert!(words == 6 || (words == 7 && written.contains(" b v ")));
    }
}
