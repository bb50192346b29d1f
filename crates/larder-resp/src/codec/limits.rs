//! How much a decoder takes before it refuses.
//!
//! Lengths are `u32`, so that a position inside a request or reply always fits four bytes.

use super::ProtocolError;

/// How much of a request a [`Decoder`](super::Decoder) takes.
///
/// A request that is exactly at a limit is taken; what is one above it ends with the
/// [`ProtocolError`] named there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an inline request before its line feed, and of any line with a count. 64 KiB by
    /// default; above it [`InlineTooBig`](ProtocolError::InlineTooBig),
    /// [`MultibulkCountTooBig`](ProtocolError::MultibulkCountTooBig) or
    /// [`BulkCountTooBig`](ProtocolError::BulkCountTooBig).
    pub inline_bytes_max: u32,
    /// Arguments of a request, its name counted. 1,048,576 by default; above it
    /// [`InvalidMultibulkLength`](ProtocolError::InvalidMultibulkLength).
    pub arguments_max: u32,
    /// Bytes of one argument. 16 MiB by default; above it
    /// [`InvalidBulkLength`](ProtocolError::InvalidBulkLength).
    pub bulk_bytes_max: u32,
    /// Bytes of a whole request with all its framing; 0 counts as 1. 64 MiB by default; above it
    /// [`RequestTooBig`](ProtocolError::RequestTooBig), as soon as the declared lengths leave no
    /// other way. Whoever waits for the rest of a request never holds more bytes than this.
    pub request_bytes_max: u32,
    /// Whose limits these are: it decides about the words of a refusal and about nothing else.
    pub client: Client,
}

/// Whether a client has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It has, or needn't.
    Authenticated,
    /// It hasn't yet.
    Unauthenticated,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inline_bytes_max: 64 * 1024,
            arguments_max: 1024 * 1024,
            bulk_bytes_max: 16 * 1024 * 1024,
            request_bytes_max: 64 * 1024 * 1024,
            client: Client::Authenticated,
        }
    }
}

impl Limits {
    /// The limits of a client that hasn't authenticated yet, those of Redis: 10 arguments of at
    /// most 16 KiB, enough for every way to do so.
    #[must_use]
    pub const fn unauthenticated() -> Self {
        Self {
            inline_bytes_max: 64 * 1024,
            arguments_max: 10,
            bulk_bytes_max: 16 * 1024,
            request_bytes_max: 256 * 1024,
            client: Client::Unauthenticated,
        }
    }

    /// The refusal of more than `arguments_max` arguments.
    #[cold]
    pub(super) const fn too_many_arguments(&self) -> ProtocolError {
        match self.client {
            Client::Authenticated => ProtocolError::InvalidMultibulkLength,
            Client::Unauthenticated => ProtocolError::UnauthenticatedMultibulkLength,
        }
    }

    /// The refusal of an argument of more than `bulk_bytes_max` bytes.
    #[cold]
    pub(super) const fn bulk_too_long(&self) -> ProtocolError {
        match self.client {
            Client::Authenticated => ProtocolError::InvalidBulkLength,
            Client::Unauthenticated => ProtocolError::UnauthenticatedBulkLength,
        }
    }

    /// The refusal of more than `request_bytes_max` bytes.
    #[cold]
    pub(super) const fn request_too_big(&self) -> ProtocolError {
        ProtocolError::RequestTooBig { bytes_max: self.request_bytes_max }
    }
}

/// How much of a reply [`decode_reply`](super::decode_reply) takes.
///
/// A reply that is exactly at a limit is taken; one above it ends with the
/// [`ReplyError`](super::ReplyError) that carries the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Bytes of a line: a simple string, an error, a number. 64 KiB by default.
    pub line_bytes_max: u32,
    /// Bytes of one string with a declared length. 16 MiB by default.
    pub bulk_bytes_max: u32,
    /// Bytes of a whole reply with all its framing. 64 MiB by default. Whoever waits for the
    /// rest of a reply never holds more bytes than this.
    pub reply_bytes_max: u32,
    /// Elements of all aggregates of a reply together; a map has two for each pair. 1,048,576 by
    /// default.
    pub elements_max: u32,
    /// How deep aggregates may stand inside one another: an array of integers is one deep. 32 by
    /// default. What follows an attribute counts as inside it.
    pub depth_max: u8,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self {
            line_bytes_max: 64 * 1024,
            bulk_bytes_max: 16 * 1024 * 1024,
            reply_bytes_max: 64 * 1024 * 1024,
            elements_max: 1024 * 1024,
            depth_max: 32,
        }
    }
}
