//! The body that is sent: held in memory, on its way, in the store of bodies, or passed through.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use larder_core::{BoxFuture, LoadError};

use super::arriving::{READ_BYTES, Reader};
use super::body_store::BodyReader;

/// The body of a response of a [`CacheService`](super::CacheService).
///
/// Dropping it ends nothing for others: a body that is being stored is fetched to its end.
pub struct CacheBody(Kind);

enum Kind {
    /// What is left to be sent of one piece.
    Whole(Bytes),
    Arriving(Reader, Option<u64>),
    Pieces(Pieces),
    Passed(Pin<Box<dyn Body<Data = Bytes, Error = LoadError> + Send>>),
}

impl CacheBody {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Whole(Bytes::new()))
    }

    /// These bytes.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }

    /// What `reader` reads; so many bytes, if that is known.
    pub(super) fn arriving(reader: Reader, length: Option<u64>) -> Self {
        Self(Kind::Arriving(reader, length))
    }

    pub(super) fn pieces(pieces: Pieces) -> Self {
        Self(Kind::Pieces(pieces))
    }

    /// Another body, as it is, trailers included.
    pub fn passed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<LoadError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self(Kind::Passed(Box::pin(Passed(Box::pin(body)))))
    }
}

impl fmt::Debug for CacheBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Whole(_) => "whole",
            Kind::Arriving(..) => "arriving",
            Kind::Pieces(_) => "pieces",
            Kind::Passed(_) => "passed",
        };
        f.debug_tuple("CacheBody").field(&kind).finish()
    }
}

impl Body for CacheBody {
    type Data = Bytes;
    type Error = LoadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LoadError>>> {
        let data = |read: Option<Result<Bytes, LoadError>>| read.map(|read| read.map(Frame::data));
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Arriving(reader, left) => {
                let read = reader.poll_next(context);
                if let (Poll::Ready(Some(Ok(bytes))), Some(left)) = (&read, left) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                read.map(data)
            }
            Kind::Pieces(pieces) => pieces.poll_next(context).map(data),
            Kind::Passed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            // That all has come is known at the end only: it may yet break off.
            Kind::Arriving(..) => false,
            Kind::Pieces(pieces) => pieces.left == 0,
            Kind::Passed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Arriving(_, Some(left)) => SizeHint::with_exact(*left),
            Kind::Arriving(_, None) => SizeHint::new(),
            Kind::Pieces(pieces) => SizeHint::with_exact(pieces.left),
            Kind::Passed(body) => body.size_hint(),
        }
    }
}

/// Parts of stored bodies and what stands between them, one after the other.
pub(super) struct Pieces {
    pieces: VecDeque<Piece>,
    left: u64,
    reading: Option<BoxFuture<'static, Result<Bytes, LoadError>>>,
}

/// One of them.
pub(super) enum Piece {
    Bytes(Bytes),
    /// So many bytes from there on.
    Apart {
        body: Arc<dyn BodyReader>,
        at: u64,
        left: u64,
    },
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Apart { left, .. } => *left,
        }
    }
}

impl Pieces {
    pub(super) fn new(pieces: impl Into<VecDeque<Piece>>) -> Self {
        let pieces = pieces.into();
        let left = pieces.iter().map(Piece::length).sum();
        Self { pieces, left, reading: None }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, LoadError>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let Poll::Ready(read) = reading.as_mut().poll(context) else {
                    return Poll::Pending;
                };
                self.reading = None;
                return Poll::Ready(Some(read.and_then(|bytes| self.read(bytes))));
            }
            match self.pieces.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.pieces.pop_front();
                    self.left -= bytes.len() as u64;
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Piece::Apart { left: 0, .. }) => drop(self.pieces.pop_front()),
                Some(Piece::Apart { body, at, left }) => {
                    let max = usize::try_from(*left).unwrap_or(READ_BYTES).min(READ_BYTES);
                    self.reading = Some(body.read(*at, max));
                }
            }
        }
    }

    /// Goes on behind what was read.
    fn read(&mut self, mut bytes: Bytes) -> Result<Bytes, LoadError> {
        if let Some(Piece::Apart { at, left, .. }) = self.pieces.front_mut() {
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            if bytes.is_empty() {
                return Err("a stored body ends before its end".into());
            }
            *at += bytes.len() as u64;
            *left -= bytes.len() as u64;
            self.left -= bytes.len() as u64;
        }
        Ok(bytes)
    }
}

/// A body whose error is any.
struct Passed<B>(Pin<Box<B>>);

impl<B> Body for Passed<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<LoadError>,
{
    type Data = Bytes;
    type Error = LoadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LoadError>>> {
        self.0.as_mut().poll_frame(context).map(|read| read.map(|read| read.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
