//! The codec against arbitrary and nearly valid bytes: it never panics, keeps to its bounds, does
//! not depend on how bytes are cut into pieces, and agrees with a plain model and with the
//! `redis-protocol` crate.

#[path = "fuzz_codec/input.rs"]
mod input;
#[path = "fuzz_codec/model.rs"]
mod model;

use std::collections::{BTreeMap, BTreeSet};

use bolero::check;
use bolero::generator::{ValueGenerator, produce};
use bytes::Bytes;
use input::Choices;
use larder_resp::codec::{
    Decoder, Limits, Protocol, ProtocolError, Reply, ReplyLimits, Writer, decode_reply,
    encode_request,
};
use redis_protocol::resp2::types::OwnedFrame as Frame2;
use redis_protocol::resp3::types::{OwnedFrame as Frame3, VerbatimStringFormat};

/// Arbitrary bytes, at most `length_max` of them.
fn bytes(length_max: usize) -> impl ValueGenerator<Output = Vec<u8>> {
    produce::<Vec<u8>>().with().len(0..=length_max)
}

/// Feeds `input` to a decoder in pieces, as a socket does, and checks its promises on the way.
fn feed(
    input: &[u8],
    limits: Limits,
    mut pieces: impl FnMut() -> usize,
) -> (model::Requests, Result<(), ProtocolError>) {
    let mut decoder = Decoder::new(limits);
    let mut requests = Vec::new();
    let (mut begun, mut received, mut promised) = (0, 0, 0);
    loop {
        let rest = &input[begun..received];
        let outcome = decoder.decode(rest);
        // Eight bytes for each argument, of which one has at least two bytes, and the bytes
        // themselves; twice that while a vector grows; and what a vector begins with.
        assert!(decoder.heap_bytes() <= 10 * received + 64);
        assert!(decoder.heap_bytes() <= 10 * rest.len() + 64 + 5 * 1024);
        match outcome {
            Ok(Some(consumed)) => {
                assert!(consumed > 0 && begun + consumed >= promised);
                assert!(consumed <= limits.request_bytes_max as usize);
                requests.extend(decoder.request(rest).map(|request| {
                    assert_eq!(Some(request.name()), request.get(0));
                    assert_eq!(request.len(), request.iter().len());
                    assert!(request.len() <= limits.arguments_max as usize);
                    assert!(request.iter().all(|a| a.len() <= limits.bulk_bytes_max as usize));
                    request.iter().map(<[u8]>::to_vec).collect()
                }));
                begun += consumed;
            }
            Ok(None) => {
                assert!(decoder.request(rest).is_none());
                assert!(rest.len() <= limits.request_bytes_max as usize);
                let missing = decoder.missing(rest.len());
                assert!(missing >= 1);
                assert!(
                    rest.is_empty() || rest.len() + missing <= limits.request_bytes_max as usize
                );
                promised = received + missing;
                if received == input.len() {
                    return (requests, Ok(()));
                }
                received = input.len().min(received + pieces());
            }
            Err(error) => {
                assert_eq!(decoder.decode(input), Err(error));
                assert!(decoder.request(input).is_none());
                return (requests, Err(error));
            }
        }
    }
}

/// Checks that `input` is the same requests for the model and for the decoder, in one piece, byte
/// by byte, and in pieces of arbitrary lengths.
fn check_requests(input: &[u8], choices: &mut Choices<'_>) {
    let limits = input::limits(choices);
    let expected = model::decode(input, &limits);
    assert_eq!(feed(input, limits, || input.len()), expected);
    assert_eq!(feed(input, limits, || 1), expected);
    assert_eq!(feed(input, limits, || usize::from(choices.byte()) % 40 + 1), expected);
}

#[test]
fn arbitrary_bytes_are_decoded_as_the_model_does() {
    check!().with_iterations(40_000).with_generator(bytes(300)).for_each(|bytes: &Vec<u8>| {
        let mut rest = Choices(bytes);
        let mut choices = rest.split(30);
        let mut input = vec![choices.of(b"*$x")];
        input.extend_from_slice(rest.0);
        check_requests(&input, &mut choices);
    });
}

#[test]
fn nearly_valid_requests_are_decoded_as_the_model_does() {
    check!().with_iterations(40_000).with_generator(bytes(300)).for_each(|bytes: &Vec<u8>| {
        let mut rest = Choices(bytes);
        let mut choices = rest.split(60);
        let mut input = input::requests(&mut rest);
        input::mutate(&mut input, &mut choices);
        check_requests(&input, &mut choices);
    });
}

#[test]
fn valid_requests_come_out_as_they_went_in() {
    check!().with_iterations(20_000).with_generator(bytes(200)).for_each(|bytes: &Vec<u8>| {
        let mut rest = Choices(bytes);
        let mut choices = rest.split(30);
        let mut input = Vec::new();
        let mut expected = Vec::new();
        while !rest.is_empty() {
            let arguments = input::arguments(&mut rest);
            encode_request(&mut input, &arguments);
            expected.push(arguments);
        }
        let pieces = || usize::from(choices.byte()) + 1;
        assert_eq!(feed(&input, Limits::default(), pieces), (expected, Ok(())));
    });
}

fn reply_limits(choices: &mut Choices<'_>) -> ReplyLimits {
    let default = ReplyLimits::default();
    let tiny = ReplyLimits {
        line_bytes_max: 6,
        bulk_bytes_max: 9,
        reply_bytes_max: 60,
        elements_max: 5,
        depth_max: 2,
    };
    let small = ReplyLimits { reply_bytes_max: 12, ..default };
    choices.of(&[default, default, tiny, small])
}

/// Checks that a part of `input` is never another reply or error than the whole, and that a reply
/// takes no more memory than its bytes allow.
fn check_reply(input: &[u8], limits: &ReplyLimits) -> Option<(Reply, usize)> {
    let whole = decode_reply(input, limits);
    // As text, because a NaN is not equal to itself.
    let text = format!("{whole:?}");
    let mut ended = false;
    for length in 0..=input.len() {
        let part = decode_reply(&input[..length], limits);
        if ended || !matches!(part, Ok(None)) {
            ended = true;
            assert_eq!(format!("{part:?}"), text, "{length} bytes of {}", input.escape_ascii());
        } else {
            assert!(length <= limits.reply_bytes_max as usize);
        }
    }
    let found = whole.ok().flatten();
    if let Some((reply, length)) = &found {
        assert!(*length <= limits.reply_bytes_max as usize);
        // A value has at least three bytes, and its place in a vector.
        assert!(heap_bytes(reply) <= length * (size_of::<Reply>().div_ceil(3) + 1));
    }
    found
}

fn heap_bytes(reply: &Reply) -> usize {
    let pairs_bytes = |pairs: &Vec<(Reply, Reply)>| {
        let inside: usize = pairs.iter().map(|(k, v)| heap_bytes(k) + heap_bytes(v)).sum();
        pairs.capacity() * size_of::<(Reply, Reply)>() + inside
    };
    match reply {
        Reply::Array(replies) | Reply::Set(replies) | Reply::Push(replies) => {
            let inside: usize = replies.iter().map(heap_bytes).sum();
            replies.capacity() * size_of::<Reply>() + inside
        }
        Reply::Map(pairs) => pairs_bytes(pairs),
        Reply::Attributed { attributes, reply } => {
            pairs_bytes(attributes) + size_of::<Reply>() + heap_bytes(reply)
        }
        Reply::Simple(bytes)
        | Reply::Error(bytes)
        | Reply::Bulk(bytes)
        | Reply::BigNumber(bytes)
        | Reply::Verbatim { text: bytes, .. } => bytes.len(),
        _ => 0,
    }
}

#[test]
fn arbitrary_replies_do_not_depend_on_how_they_are_cut() {
    check!().with_iterations(40_000).with_generator(bytes(200)).for_each(|bytes: &Vec<u8>| {
        let mut choices = Choices(bytes);
        let limits = reply_limits(&mut choices);
        let mut input = vec![choices.of(b"+-:$*_,#(!=%~>|")];
        input.extend_from_slice(choices.0);
        check_reply(&input, &limits);
    });
}

#[test]
fn nearly_valid_replies_do_not_depend_on_how_they_are_cut_and_mean_the_same_to_redis_protocol() {
    check!().with_iterations(40_000).with_generator(bytes(200)).for_each(|bytes: &Vec<u8>| {
        let mut rest = Choices(bytes);
        let mut choices = rest.split(30);
        let limits = reply_limits(&mut choices);
        let protocol = choices.of(&[Protocol::Resp2, Protocol::Resp3]);
        let reply = input::reply(&mut rest, 4);
        let mut input = Vec::new();
        input::write(&reply, &mut Writer::new(&mut input, protocol));
        input::mutate(&mut input, &mut choices);
        if let Some(found) = check_reply(&input, &limits) {
            compare(&input, &found);
        }
    });
}

#[test]
fn replies_come_out_as_they_went_in() {
    check!().with_iterations(40_000).with_generator(bytes(200)).for_each(|bytes: &Vec<u8>| {
        let reply = input::reply(&mut Choices(bytes), 5);
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut input = Vec::new();
            input::write(&reply, &mut Writer::new(&mut input, protocol));
            let expected = (input::as_read(&reply, protocol), input.len());
            assert_eq!(decode_reply(&input, &ReplyLimits::default()), Ok(Some(expected.clone())));
            compare(&input, &expected);
        }
    });
}

#[test]
fn every_double_comes_out_as_it_went_in() {
    check!().with_iterations(20_000).with_type::<u64>().cloned().for_each(|bits| {
        let number = f64::from_bits(bits);
        let mut input = Vec::new();
        Writer::new(&mut input, Protocol::Resp3).double(number);
        let found = decode_reply(&input, &ReplyLimits::default());
        let Ok(Some((Reply::Double(found), _))) = found else { panic!("{number}: {found:?}") };
        assert!(found.to_bits() == bits || found.is_nan() && number.is_nan());
    });
}

#[test]
fn any_text_in_an_error_is_one_line() {
    check!().with_iterations(20_000).with_generator(bytes(100)).for_each(|bytes: &Vec<u8>| {
        let text = String::from_utf8_lossy(bytes);
        let mut output = Vec::new();
        Writer::new(&mut output, Protocol::Resp3).error("ERR", &text);
        let found = decode_reply(&output, &ReplyLimits::default());
        assert!(matches!(found, Ok(Some((Reply::Error(_), length))) if length == output.len()));
    });
}

/// Compares what was found in `input` with what `redis-protocol` finds there, if it finds
/// anything.
fn compare(input: &[u8], (reply, length): &(Reply, usize)) {
    let Some(expected) = canonical(reply) else {
        return;
    };
    if let Ok(Some((frame, theirs))) = redis_protocol::resp2::decode::decode(input) {
        assert_eq!((from_resp2(frame), theirs), (expected.clone(), *length));
    }
    let decoded = redis_protocol::resp3::decode::complete::decode(input);
    if let Ok(Some((frame, theirs))) = decoded
        && let Some(frame) = from_resp3(frame)
    {
        assert_eq!((frame, theirs), (expected, *length));
    }
}

/// The reply as a text in which order counts only where it should. `None` if something in it has
/// no counterpart there: attributes, and keys that are there twice.
fn canonical(reply: &Reply) -> Option<String> {
    let all = |replies: &[Reply]| replies.iter().map(canonical).collect::<Option<Vec<_>>>();
    Some(match reply {
        Reply::Null | Reply::NullArray => "null".to_owned(),
        Reply::Array(replies) => format!("array {:?}", all(replies)?),
        Reply::Push(replies) => format!("push {:?}", all(replies)?),
        Reply::Set(replies) => {
            let set: BTreeSet<_> = all(replies)?.into_iter().collect();
            (set.len() == replies.len()).then(|| format!("set {set:?}"))?
        }
        Reply::Map(pairs) => {
            let pair = |(key, value)| Some((canonical(key)?, canonical(value)?));
            let pairs_of = pairs.iter().map(|(key, value)| pair((key, value)));
            let map = pairs_of.collect::<Option<BTreeMap<_, _>>>()?;
            (map.len() == pairs.len()).then(|| format!("map {map:?}"))?
        }
        Reply::Attributed { .. } => return None,
        other => format!("{other:?}"),
    })
}

fn from_resp2(frame: Frame2) -> String {
    let scalar = |reply| format!("{reply:?}");
    match frame {
        Frame2::SimpleString(text) => scalar(Reply::Simple(text.into())),
        Frame2::Error(text) => scalar(Reply::Error(text.into())),
        Frame2::Integer(number) => scalar(Reply::Integer(number)),
        Frame2::BulkString(bytes) => scalar(Reply::Bulk(bytes.into())),
        Frame2::Null => "null".to_owned(),
        Frame2::Array(frames) => {
            format!("array {:?}", frames.into_iter().map(from_resp2).collect::<Vec<_>>())
        }
    }
}

fn from_resp3(frame: Frame3) -> Option<String> {
    let scalar = |reply| Some(format!("{reply:?}"));
    match frame {
        Frame3::SimpleString { data, .. } => scalar(Reply::Simple(data.into())),
        Frame3::SimpleError { data, .. } => scalar(Reply::Error(data.into())),
        Frame3::BlobError { data, .. } => scalar(Reply::Error(data.into())),
        Frame3::BlobString { data, .. } => scalar(Reply::Bulk(data.into())),
        Frame3::Number { data, .. } => scalar(Reply::Integer(data)),
        Frame3::Double { data, .. } => scalar(Reply::Double(data)),
        Frame3::Boolean { data, .. } => scalar(Reply::Boolean(data)),
        Frame3::BigNumber { data, .. } => scalar(Reply::BigNumber(data.into())),
        Frame3::VerbatimString { data, format, .. } => scalar(Reply::Verbatim {
            format: match format {
                VerbatimStringFormat::Text => *b"txt",
                VerbatimStringFormat::Markdown => *b"mkd",
            },
            text: Bytes::from(data),
        }),
        Frame3::Null => Some("null".to_owned()),
        Frame3::Array { data, .. } => {
            let frames = data.into_iter().map(from_resp3).collect::<Option<Vec<_>>>()?;
            Some(format!("array {frames:?}"))
        }
        Frame3::Push { data, .. } => {
            let frames = data.into_iter().map(from_resp3).collect::<Option<Vec<_>>>()?;
            Some(format!("push {frames:?}"))
        }
        Frame3::Set { data, .. } => {
            let frames = data.into_iter().map(from_resp3).collect::<Option<BTreeSet<_>>>()?;
            Some(format!("set {frames:?}"))
        }
        Frame3::Map { data, .. } => {
            let pair = |(key, value)| Some((from_resp3(key)?, from_resp3(value)?));
            let frames = data.into_iter().map(pair).collect::<Option<BTreeMap<_, _>>>()?;
            Some(format!("map {frames:?}"))
        }
        Frame3::Hello { .. } | Frame3::ChunkedString(_) => None,
    }
}
