//! What is wrong with bytes that aren't the Redis protocol.
//!
//! Both errors are final: the place where the next request or reply begins is lost, so the
//! connection can only be closed.

use std::error::Error;
use std::fmt;

/// Why the bytes of a client are no request.
///
/// The text is the one that Redis 7 answers with, without the leading `ERR`, so that clients and
/// their users find what they know. Where Redis has no such check, the wording follows its style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The number of arguments isn't a number, or is more than `arguments_max`.
    InvalidMultibulkLength,
    /// More arguments than a client may send before it has authenticated.
    UnauthenticatedMultibulkLength,
    /// The length of an argument isn't a number, is more than `bulk_bytes_max`, or isn't the
    /// length of what follows.
    InvalidBulkLength,
    /// A longer argument than a client may send before it has authenticated.
    UnauthenticatedBulkLength,
    /// An argument doesn't begin with `$`.
    ExpectedBulk {
        /// What it begins with.
        got: u8,
    },
    /// A line of an inline request is longer than `inline_bytes_max`.
    InlineTooBig,
    /// The line with the number of arguments doesn't end.
    MultibulkCountTooBig,
    /// The line with the length of an argument doesn't end.
    BulkCountTooBig,
    /// A quote in an inline request isn't closed, or something follows right after it.
    UnbalancedQuotes,
    /// The whole request is longer than `request_bytes_max`.
    RequestTooBig {
        /// The limit.
        bytes_max: u32,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::InvalidMultibulkLength => f.write_str("invalid multibulk length"),
            Self::UnauthenticatedMultibulkLength => f.write_str("unauthenticated multibulk length"),
            Self::InvalidBulkLength => f.write_str("invalid bulk length"),
            Self::UnauthenticatedBulkLength => f.write_str("unauthenticated bulk length"),
            Self::ExpectedBulk { got } => {
                write!(f, "expected '$', got '{}'", std::ascii::escape_default(*got))
            }
            Self::InlineTooBig => f.write_str("too big inline request"),
            Self::MultibulkCountTooBig => f.write_str("too big mbulk count string"),
            Self::BulkCountTooBig => f.write_str("too big bulk count string"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            Self::RequestTooBig { bytes_max } => {
                write!(f, "too big request, at most {bytes_max} bytes are taken")
            }
        }
    }
}

impl Error for ProtocolError {}

/// Why the bytes of a server are no reply, or one that the reader doesn't take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyError {
    /// No type of reply begins with this byte.
    UnknownType {
        /// The byte.
        got: u8,
    },
    /// A streamed string or aggregate (`$?`, `*?`): no server that larder knows sends one.
    Streamed,
    /// A number, length or truth value that isn't one.
    Malformed {
        /// The byte that the reply or its element begins with.
        kind: u8,
    },
    /// A line or a string doesn't end with CR LF where it should.
    Unterminated,
    /// A line is longer than `line_bytes_max`.
    LineTooLong {
        /// The limit.
        bytes_max: u32,
    },
    /// A string is longer than `bulk_bytes_max`.
    BulkTooBig {
        /// The limit.
        bytes_max: u32,
    },
    /// The whole reply is longer than `reply_bytes_max`.
    TooBig {
        /// The limit.
        bytes_max: u32,
    },
    /// The aggregates of the reply declare more elements than `elements_max`.
    TooManyElements {
        /// The limit.
        elements_max: u32,
    },
    /// Aggregates stand inside one another more than `depth_max` deep.
    TooDeep {
        /// The limit.
        depth_max: u8,
    },
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType { got } => {
                write!(f, "no reply begins with '{}'", std::ascii::escape_default(*got))
            }
            Self::Streamed => f.write_str("streamed replies are not supported"),
            Self::Malformed { kind } => {
                write!(f, "malformed reply of type '{}'", std::ascii::escape_default(*kind))
            }
            Self::Unterminated => f.write_str("a part of the reply doesn't end with CR LF"),
            Self::LineTooLong { bytes_max } => {
                write!(f, "a line of the reply is longer than {bytes_max} bytes")
            }
            Self::BulkTooBig { bytes_max } => {
                write!(f, "a string of the reply is longer than {bytes_max} bytes")
            }
            Self::TooBig { bytes_max } => {
                write!(f, "the reply is longer than {bytes_max} bytes")
            }
            Self::TooManyElements { elements_max } => {
                write!(f, "the reply has more than {elements_max} elements")
            }
            Self::TooDeep { depth_max } => {
                write!(f, "the reply is nested deeper than {depth_max} levels")
            }
        }
    }
}

impl Error for ReplyError {}
