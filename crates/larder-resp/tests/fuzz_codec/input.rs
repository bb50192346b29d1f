//! From arbitrary bytes to bytes that are nearly the protocol.

use bytes::Bytes;
use larder_resp::codec::{Client, Limits, Protocol, Reply, Verbatim, Writer, encode_request};

/// Choices, made by arbitrary bytes; when these are used up, all choices are the first one.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % bound.max(1)
    }

    pub(crate) fn of<T: Copy>(&mut self, options: &[T]) -> T {
        options[usize::from(self.byte()) % options.len()]
    }

    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The first `length` of the bytes, as choices of their own.
    pub(crate) fn split(&mut self, length: usize) -> Self {
        Self(self.take(length))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(crate) fn limits(choices: &mut Choices<'_>) -> Limits {
    let tiny = Limits {
        inline_bytes_max: 16,
        arguments_max: 3,
        bulk_bytes_max: 12,
        request_bytes_max: 48,
        client: Client::Authenticated,
    };
    let usual = Limits::default();
    let unusual = choices.of(&[
        Limits::unauthenticated(),
        tiny,
        Limits { inline_bytes_max: 1, request_bytes_max: 300, ..tiny },
        Limits { request_bytes_max: 11, ..usual },
        Limits { inline_bytes_max: 0, arguments_max: 0, request_bytes_max: 1, ..tiny },
    ]);
    choices.of(&[usual, unusual])
}

const FRAGMENTS: &[&[u8]] = &[
    b"*",
    b"$",
    b"\r\n",
    b"\r",
    b"\n",
    b"*1\r\n",
    b"*2\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*10\r\n",
    b"*11\r\n",
    b"*1048576\r\n",
    b"*1048577\r\n",
    b"$0\r\n",
    b"$1\r\n",
    b"$3\r\n",
    b"$12\r\n",
    b"$100\r\n",
    b"$16384\r\n",
    b"$16385\r\n",
    b"$99999999\r\n",
    b"$-1\r\n",
    b"$01\r\n",
    b"GET",
    b"0",
    b"1",
    b"9",
    b"-",
    b" ",
    b"\t",
    b"\x0b",
    b"\"",
    b"'",
    b"\\x4f",
    b"\\n",
    b"\\",
    b"\0",
    b"+",
    b":",
    b",",
    b"#t\r\n",
    b"_\r\n",
    b"(",
    b"!",
    b"=",
    b"=7\r\n",
    b"txt:",
    b"%1\r\n",
    b"~2\r\n",
    b">1\r\n",
    b"|1\r\n",
    b"|0\r\n",
    b"$?\r\n",
    b"*?\r\n",
    b".5",
    b"e9",
    b"inf",
    b"nan",
];

/// A pipeline of valid requests, fragments of the protocol and anything, with a few changes.
pub(crate) fn requests(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !choices.is_empty() {
        match choices.below(8) {
            0..4 => encode_request(&mut bytes, &arguments(choices)),
            4 => {
                let words = (0..choices.below(4)).flat_map(|_| choices.of(FRAGMENTS)).copied();
                bytes.extend(words.filter(|byte| *byte != b'\n'));
                bytes.extend_from_slice(b"\r\n");
            }
            5 | 6 => bytes.extend_from_slice(choices.of(FRAGMENTS)),
            _ => bytes.extend_from_slice(choices.take(5)),
        }
    }
    bytes
}

/// The arguments of one request.
pub(crate) fn arguments(choices: &mut Choices<'_>) -> Vec<Vec<u8>> {
    let count = choices.of(&[2, 1, 3, 2, 9, 10, 12]);
    let argument = |_| {
        let length = choices.of(&[3, 0, 1, 4, 9, 10, 12, 99, 100, 999, 1000]);
        let mut argument = choices.take(length.min(6)).to_vec();
        argument.resize(length, b'x');
        argument
    };
    (0..count).map(argument).collect()
}

/// Changes, takes out and puts in a few bytes.
pub(crate) fn mutate(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    for _ in 0..choices.below(4) {
        let at = choices.below(bytes.len() + 1);
        let fragment = choices.of(FRAGMENTS);
        let end = bytes.len().min(at + choices.below(3));
        bytes.splice(at..end, fragment.iter().copied());
    }
}

/// A reply as RESP3 can say it.
pub(crate) fn reply(choices: &mut Choices<'_>, depth: usize) -> Reply {
    let deeper = if depth == 0 || choices.is_empty() { 8 } else { 12 };
    match choices.below(deeper) {
        0 => Reply::Bulk(Bytes::copy_from_slice(choices.take(7))),
        1 => Reply::Integer(i64::from_le_bytes(word(choices))),
        2 => Reply::Simple(line(choices)),
        3 => Reply::Error(Bytes::from([b"ERR ", &line(choices)[..]].concat())),
        4 => Reply::Null,
        5 => Reply::Boolean(choices.byte() > 127),
        6 => Reply::Double(
            i32::from_le_bytes(*choices.take(4).first_chunk().unwrap_or(&[9; 4])) as f64 / 8.0,
        ),
        7 if choices.byte() > 127 => {
            Reply::BigNumber(Bytes::from(format!("{}00000", u64::from_le_bytes(word(choices)))))
        }
        7 => Reply::Verbatim {
            format: choices.of(&[*b"txt", *b"mkd"]),
            text: Bytes::copy_from_slice(choices.take(7)),
        },
        8 => Reply::Array(replies(choices, depth)),
        9 => Reply::Set(replies(choices, depth)),
        10 => Reply::Push(replies(choices, depth)),
        _ => {
            let pair = |_| (reply(choices, depth - 1), reply(choices, depth - 1));
            Reply::Map((0..2).map(pair).collect())
        }
    }
}

fn replies(choices: &mut Choices<'_>, depth: usize) -> Vec<Reply> {
    (0..choices.below(4)).map(|_| reply(choices, depth - 1)).collect()
}

fn word(choices: &mut Choices<'_>) -> [u8; 8] {
    *choices.take(8).first_chunk().unwrap_or(&[200; 8])
}

fn line(choices: &mut Choices<'_>) -> Bytes {
    choices.take(5).iter().map(|byte| b' ' + byte % 95).collect()
}

/// Writes `reply` as a server would.
pub(crate) fn write(reply: &Reply, writer: &mut Writer<'_>) {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("it was made of text");
    match reply {
        Reply::Simple(line) => writer.simple(&text(line)),
        Reply::Error(line) => {
            let line = text(line);
            let (code, message) = line.split_once(' ').expect("it was made with a code");
            writer.error(code, message);
        }
        Reply::Integer(number) => writer.integer(*number),
        Reply::Bulk(bytes) => writer.bulk(bytes),
        Reply::Null => writer.null(),
        Reply::NullArray => writer.null_array(),
        Reply::Double(number) => writer.double(*number),
        Reply::Boolean(value) => writer.boolean(*value),
        Reply::BigNumber(digits) => writer.big_number(&text(digits)),
        Reply::Verbatim { format, text } => {
            let kind = if format == b"txt" { Verbatim::Text } else { Verbatim::Markdown };
            writer.verbatim(kind, text);
        }
        Reply::Array(replies) => {
            writer.array(replies.len());
            replies.iter().for_each(|reply| write(reply, writer));
        }
        Reply::Set(replies) => {
            writer.set(replies.len());
            replies.iter().for_each(|reply| write(reply, writer));
        }
        Reply::Push(replies) => {
            writer.push(replies.len());
            replies.iter().for_each(|reply| write(reply, writer));
        }
        Reply::Map(pairs) => {
            writer.map(pairs.len());
            for (key, value) in pairs {
                write(key, writer);
                write(value, writer);
            }
        }
        Reply::Attributed { .. } => unreachable!("no server of ours says anything about a reply"),
    }
}

/// What a client of this version reads when a server writes `reply`.
pub(crate) fn as_read(reply: &Reply, protocol: Protocol) -> Reply {
    if protocol == Protocol::Resp3 {
        return reply.clone();
    }
    let all = |replies: &[Reply]| replies.iter().map(|reply| as_read(reply, protocol)).collect();
    match reply {
        Reply::Boolean(value) => Reply::Integer((*value).into()),
        Reply::Double(number) => Reply::Bulk(Bytes::from(number.to_string())),
        Reply::BigNumber(text) | Reply::Verbatim { text, .. } => Reply::Bulk(text.clone()),
        Reply::Array(replies) | Reply::Set(replies) | Reply::Push(replies) => {
            Reply::Array(all(replies))
        }
        Reply::Map(pairs) => {
            let flat = pairs.iter().flat_map(|(key, value)| [key, value]);
            Reply::Array(flat.map(|reply| as_read(reply, protocol)).collect())
        }
        other => other.clone(),
    }
}
