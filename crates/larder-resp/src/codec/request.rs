//! A decoded request: its arguments as slices, and the storage behind them.

use std::fmt;
use std::ops::Index;

/// Where an argument lies: from the first byte to behind the last.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

/// One whole request of a client: a name and its arguments, without a copy of either.
///
/// It is never empty: the name is there, though it may have no bytes.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    /// The first argument: what the client wants.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.slice(self.spans[0])
    }

    /// How many arguments there are, the name counted; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request has at least its name")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The argument at `index`; the name is at 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|&span| self.slice(span))
    }

    /// All arguments, beginning with the name.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone + use<'a> {
        let Self { bytes, spans } = *self;
        spans.iter().map(move |span| &bytes[span.start as usize..span.end as usize])
    }

    /// The request that the arguments from `index` on would be, if there are any.
    pub(crate) fn behind(&self, index: usize) -> Option<Self> {
        let spans = self.spans.get(index..).filter(|spans| !spans.is_empty())?;
        Some(Self { bytes: self.bytes, spans })
    }

    fn slice(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }
}

impl Index<usize> for Request<'_> {
    type Output = [u8];

    /// The argument at `index`.
    ///
    /// # Panics
    ///
    /// If there are not that many: check [`len`](Request::len) first.
    fn index(&self, index: usize) -> &[u8] {
        self.slice(self.spans[index])
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(<[u8]>::escape_ascii).map(Shown)).finish()
    }
}

/// An argument as text in quotes.
struct Shown<'a>(std::slice::EscapeAscii<'a>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// The arguments of the current request, as places in the input, or, when a quoted inline
/// request left them nowhere to point at, in a buffer of their own.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    spans: Vec<Span>,
    unquoted: Vec<u8>,
    home: Home,
}

/// Where the bytes of the arguments are.
#[derive(Clone, Copy, Debug, Default)]
enum Home {
    #[default]
    Input,
    Unquoted,
}

impl Arguments {
    /// So many spans are kept for the next request: 4 KiB.
    const SPANS_KEPT: usize = 512;
    /// So much of the buffer for unquoted arguments is kept for the next request.
    const UNQUOTED_BYTES_KEPT: usize = 1024;

    /// Forgets the arguments, and gives back what an unusually large request took.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        if self.spans.capacity() > Self::SPANS_KEPT {
            self.spans.shrink_to(Self::SPANS_KEPT);
        }
        if let Home::Unquoted = self.home {
            self.home = Home::Input;
            self.unquoted.clear();
            self.unquoted.shrink_to(Self::UNQUOTED_BYTES_KEPT);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Adds the argument at `start..end` of the input, or of the buffer for unquoted ones.
    ///
    /// The limits of a request are `u32`, so that both fit.
    #[inline]
    pub(super) fn push(&mut self, start: usize, end: usize) {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        self.spans.push(Span { start: start as u32, end: end as u32 });
    }

    /// Adds an argument that isn't a part of the input but what `write` leaves in a buffer. Then
    /// all of this request have to be.
    pub(super) fn push_unquoted<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        self.home = Home::Unquoted;
        let start = self.unquoted.len();
        write(&mut self.unquoted)?;
        self.push(start, self.unquoted.len());
        Ok(self.unquoted.len() - start)
    }

    /// The request that they are; `None` when there are none.
    #[inline]
    pub(super) fn request<'a>(&'a self, input: &'a [u8]) -> Option<Request<'a>> {
        let bytes = match self.home {
            Home::Input => input,
            Home::Unquoted => &self.unquoted,
        };
        (!self.spans.is_empty()).then_some(Request { bytes, spans: &self.spans })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.unquoted.capacity()
    }
}
