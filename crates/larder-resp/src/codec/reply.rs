//! From the bytes of a server to its replies: the client's side of the protocol.
//!
//! A reply is first walked to its end and only then built, so that a part of one costs no memory.
//! The walk begins anew at each call: this is for clients that read replies of a moderate size,
//! and the server's hot path is elsewhere.

use bytes::Bytes;

use super::reply_reader::{Reader, Stop, Token};
use super::{ReplyError, ReplyLimits};

/// A reply in either version of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A short text, `+OK`.
    Simple(Bytes),
    /// An error, whichever of the two forms it came in.
    Error(Bytes),
    /// A whole number.
    Integer(i64),
    /// A string of any bytes.
    Bulk(Bytes),
    /// No value: RESP3's null, RESP2's null string.
    Null,
    /// No array: RESP2 has a null of its own for that.
    NullArray,
    /// Replies in their order.
    Array(Vec<Self>),
    /// Keys and values, in the order in which they came.
    Map(Vec<(Self, Self)>),
    /// Replies whose order means nothing.
    Set(Vec<Self>),
    /// A message that answers no request.
    Push(Vec<Self>),
    /// A floating-point number.
    Double(f64),
    /// A truth value.
    Boolean(bool),
    /// The digits of a whole number of any size.
    BigNumber(Bytes),
    /// A text that is meant to be shown as it is.
    Verbatim {
        /// What the text is: `txt`, `mkd`.
        format: [u8; 3],
        /// The text.
        text: Bytes,
    },
    /// A reply with something said about it.
    Attributed {
        /// What is said.
        attributes: Vec<(Self, Self)>,
        /// The reply itself.
        reply: Box<Self>,
    },
}

/// Reads the reply that `input` begins with: the reply and how many bytes it has, or `None` if
/// its end isn't there yet.
///
/// ```
/// use larder_resp::codec::{Reply, ReplyLimits, decode_reply};
///
/// let limits = ReplyLimits::default();
/// assert_eq!(decode_reply(b":4", &limits), Ok(None));
/// assert_eq!(decode_reply(b":42\r\n+OK\r\n", &limits), Ok(Some((Reply::Integer(42), 5))));
/// ```
///
/// # Errors
///
/// The bytes aren't the protocol, exceed `limits`, or are a streamed reply. The same bytes end in
/// the same error, with however many behind them.
pub fn decode_reply(
    input: &[u8],
    limits: &ReplyLimits,
) -> Result<Option<(Reply, usize)>, ReplyError> {
    match decode(input, limits) {
        Ok(found) => Ok(Some(found)),
        Err(Stop::Partial) => Ok(None),
        Err(Stop::Fault(error)) => Err(error),
    }
}

fn decode(input: &[u8], limits: &ReplyLimits) -> Result<(Reply, usize), Stop> {
    let mut reader = Reader::new(input, limits);
    skip(&mut reader, 0)?;
    let reply = build(&mut Reader::new(input, limits))?;
    Ok((reply, reader.position()))
}

/// Walks over one reply that stands inside `depth` aggregates. It calls itself no deeper than
/// `depth_max`.
fn skip(reader: &mut Reader<'_>, depth: u8) -> Result<(), Stop> {
    let parts = match reader.token()? {
        Token::Array(elements) | Token::Set(elements) | Token::Push(elements) => elements,
        Token::Map(pairs) => pairs * 2,
        Token::Attribute(pairs) => pairs * 2 + 1,
        _ => return Ok(()),
    };
    let depth = reader.deeper(depth)?;
    (0..parts).try_for_each(|_| skip(reader, depth))
}

/// Builds one reply that [`skip`] has walked over: it is whole, not too deep, and its headers
/// declare what has arrived.
fn build(reader: &mut Reader<'_>) -> Result<Reply, Stop> {
    Ok(match reader.token()? {
        Token::Simple(text) => Reply::Simple(Bytes::copy_from_slice(text)),
        Token::Error(text) => Reply::Error(Bytes::copy_from_slice(text)),
        Token::Integer(number) => Reply::Integer(number),
        Token::Bulk(bytes) => Reply::Bulk(Bytes::copy_from_slice(bytes)),
        Token::Null => Reply::Null,
        Token::NullArray => Reply::NullArray,
        Token::Double(number) => Reply::Double(number),
        Token::Boolean(value) => Reply::Boolean(value),
        Token::BigNumber(digits) => Reply::BigNumber(Bytes::copy_from_slice(digits)),
        Token::Verbatim(format, text) => {
            Reply::Verbatim { format, text: Bytes::copy_from_slice(text) }
        }
        Token::Array(elements) => Reply::Array(build_all(reader, elements)?),
        Token::Set(elements) => Reply::Set(build_all(reader, elements)?),
        Token::Push(elements) => Reply::Push(build_all(reader, elements)?),
        Token::Map(pairs) => Reply::Map(build_pairs(reader, pairs)?),
        Token::Attribute(pairs) => Reply::Attributed {
            attributes: build_pairs(reader, pairs)?,
            reply: Box::new(build(reader)?),
        },
    })
}

fn build_all(reader: &mut Reader<'_>, elements: usize) -> Result<Vec<Reply>, Stop> {
    let mut replies = Vec::with_capacity(elements);
    for _ in 0..elements {
        replies.push(build(reader)?);
    }
    Ok(replies)
}

fn build_pairs(reader: &mut Reader<'_>, pairs: usize) -> Result<Vec<(Reply, Reply)>, Stop> {
    let mut replies = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        replies.push((build(reader)?, build(reader)?));
    }
    Ok(replies)
}
