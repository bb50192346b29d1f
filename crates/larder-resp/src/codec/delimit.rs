//! Where replies end, without reading or holding them.
//!
//! Whoever passes replies on needs their ends and nothing else. A [`Delimiter`] sees each byte
//! once, in whatever pieces they come, and remembers a few numbers: how long a reply may be is
//! its caller's affair, and so is what becomes of its bytes.

use super::ReplyError;
use super::line::canonical;

/// Finds the ends of replies in a stream of bytes.
///
/// ```
/// use larder_resp::codec::{Delimited, Delimiter};
///
/// let mut delimiter = Delimiter::default();
/// assert_eq!(delimiter.feed(b"*2\r\n$2\r\nA"), Ok(Delimited::Open));
/// assert_eq!(delimiter.feed(b"B\r\n:1\r\n+OK\r\n"), Ok(Delimited::Ended(7)));
/// assert_eq!(delimiter.feed(b"+OK\r\n"), Ok(Delimited::Ended(5)));
/// ```
#[derive(Debug, Default)]
pub struct Delimiter {
    /// How many values of the current reply haven't ended; 0 between replies.
    values: u64,
    state: State,
}

/// What a piece of a stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimited {
    /// The current reply ends behind so many bytes of the piece; the rest is to be fed again.
    Ended(usize),
    /// All of the piece belongs to the current reply, and more of it is to come.
    Open,
}

/// What comes next in the stream.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// The first byte of a value.
    #[default]
    Mark,
    /// The rest of a line; with the beginning of what stands in it.
    Line { mark: u8, text: [u8; TEXT_BYTES_MAX], length: usize, ends: bool },
    /// So many bytes of a string, its end of line counted.
    Bytes { mark: u8, left: u64 },
}

/// The longest number that a line can hold.
const TEXT_BYTES_MAX: usize = 20;

/// A value that is known to have ended, or what it goes on with.
enum Value {
    Ended,
    /// An aggregate with so many values.
    Holds(u64),
    /// A string of so many bytes.
    Bytes(u64),
}

impl Delimiter {
    /// Looks for the end of the current reply in the next piece of the stream.
    ///
    /// # Errors
    ///
    /// The bytes aren't the protocol, or are a streamed reply. Where the next reply would begin
    /// isn't known then.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Delimited, ReplyError> {
        let mut at = 0;
        while let Some(&next) = piece.get(at) {
            match self.state {
                State::Mark => {
                    if !b"+-:$*_,#(!=%~>|".contains(&next) {
                        return Err(ReplyError::UnknownType { got: next });
                    }
                    self.values = self.values.max(1);
                    let text = [0; TEXT_BYTES_MAX];
                    self.state = State::Line { mark: next, text, length: 0, ends: false };
                    at += 1;
                }
                State::Line { mark, ends: true, text, length } => {
                    if next != b'\n' {
                        return Err(ReplyError::Unterminated);
                    }
                    at += 1;
                    match value(mark, &text[..length.min(TEXT_BYTES_MAX)], length)? {
                        Value::Bytes(left) => {
                            self.state = State::Bytes { mark, left: left.saturating_add(2) };
                            continue;
                        }
                        Value::Holds(values) => self.values = self.values.saturating_add(values),
                        Value::Ended => {}
                    }
                    if self.ended() {
                        return Ok(Delimited::Ended(at));
                    }
                }
                State::Line { mark, mut text, length, ends: false } => {
                    let rest = &piece[at..];
                    let end = rest.iter().position(|&byte| byte == b'\r');
                    let line = &rest[..end.unwrap_or(rest.len())];
                    for (place, &byte) in text.iter_mut().skip(length).zip(line) {
                        *place = byte;
                    }
                    let length = length + line.len();
                    self.state = State::Line { mark, text, length, ends: end.is_some() };
                    at += line.len() + usize::from(end.is_some());
                }
                State::Bytes { mark, left } if left > 2 => {
                    let here = (left - 2).min((piece.len() - at) as u64);
                    self.state = State::Bytes { mark, left: left - here };
                    // Not more than the piece has.
                    at += here as usize;
                }
                State::Bytes { mark, left } => {
                    if next != if left == 2 { b'\r' } else { b'\n' } {
                        return Err(ReplyError::Unterminated);
                    }
                    at += 1;
                    self.state = State::Bytes { mark, left: left - 1 };
                    if left == 1 && self.ended() {
                        return Ok(Delimited::Ended(at));
                    }
                }
            }
        }
        Ok(Delimited::Open)
    }

    /// One value has ended; returns whether the reply has.
    fn ended(&mut self) -> bool {
        self.state = State::Mark;
        self.values -= 1;
        self.values == 0
    }
}

/// What the line of a value says of it: `text` is its beginning, `length` how long it is.
fn value(mark: u8, text: &[u8], length: usize) -> Result<Value, ReplyError> {
    if !b"$*!=%~>|".contains(&mark) {
        return Ok(Value::Ended);
    }
    if text == b"?" {
        return Err(ReplyError::Streamed);
    }
    let number = if length <= TEXT_BYTES_MAX { canonical(text) } else { None };
    let count = match number {
        Some(-1) if matches!(mark, b'$' | b'*') => return Ok(Value::Ended),
        Some(number) => u64::try_from(number).map_err(|_| ReplyError::Malformed { kind: mark })?,
        None => return Err(ReplyError::Malformed { kind: mark }),
    };
    Ok(match mark {
        b'*' | b'~' | b'>' => Value::Holds(count),
        b'%' => Value::Holds(count.saturating_mul(2)),
        // What an attribute is about follows it.
        b'|' => Value::Holds(count.saturating_mul(2).saturating_add(1)),
        _ => Value::Bytes(count),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: [&[u8]; 16] = [
        b"+OK\r\n",
        b"-ERR no such thing\r\n",
        b":-42\r\n",
        b"$5\r\na\r\nb!\r\n",
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n",
        b"~1\r\n#t\r\n",
        b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
        b"|1\r\n+ttl\r\n:3\r\n*1\r\n,1.5\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"!5\r\nERR x\r\n",
        b"(12345678901234567890123456789\r\n",
    ];

    /// The lengths of the replies in a stream that comes in pieces of this size.
    fn lengths(stream: &[u8], piece: usize) -> Vec<usize> {
        let mut delimiter = Delimiter::default();
        let (mut found, mut length) = (Vec::new(), 0);
        for mut piece in stream.chunks(piece) {
            while !piece.is_empty() {
                match delimiter.feed(piece).unwrap() {
                    Delimited::Ended(bytes) => {
                        found.push(length + bytes);
                        length = 0;
                        piece = &piece[bytes..];
                    }
                    Delimited::Open => {
                        length += piece.len();
                        piece = &[];
                    }
                }
            }
        }
        assert_eq!(length, 0, "the last reply is whole");
        found
    }

    #[test]
    fn replies_end_at_the_same_place_in_whatever_pieces_they_come() {
        let stream = REPLIES.concat();
        let expected: Vec<_> = REPLIES.iter().map(|reply| reply.len()).collect();
        for piece in 1..=stream.len() {
            assert_eq!(lengths(&stream, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn it_agrees_with_the_reader_of_replies() {
        use crate::codec::{ReplyLimits, decode_reply};
        for reply in REPLIES {
            let read = decode_reply(reply, &ReplyLimits::default()).unwrap().unwrap();
            assert_eq!(read.1, reply.len());
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let check = |bytes: &[u8], error| {
            assert_eq!(Delimiter::default().feed(bytes), Err(error), "{}", bytes.escape_ascii());
        };
        check(b"?\r\n", ReplyError::UnknownType { got: b'?' });
        check(b"+OK\rx", ReplyError::Unterminated);
        check(b"$1\r\nabc", ReplyError::Unterminated);
        check(b"$1\r\na\rx", ReplyError::Unterminated);
        check(b"$?\r\n", ReplyError::Streamed);
        check(b"*-2\r\n", ReplyError::Malformed { kind: b'*' });
        check(b"%x\r\n", ReplyError::Malformed { kind: b'%' });
        check(b"$\r\n", ReplyError::Malformed { kind: b'$' });
        check(b"*000000000000000000001\r\n", ReplyError::Malformed { kind: b'*' });
    }

    #[test]
    fn a_declared_length_costs_nothing_and_overflows_nothing() {
        let mut delimiter = Delimiter::default();
        for _ in 0..4 {
            let piece = b"%9223372036854775807\r\n+k\r\n";
            assert_eq!(delimiter.feed(piece), Ok(Delimited::Open));
        }
    }
}
