//! From the bytes of a client to its requests, in as many pieces as they arrive in.
//!
//! The decoder remembers where it stopped and never looks at a byte twice; the arguments are
//! places in the input, not copies. It doesn't know what a request means.

use super::line::{self, SHORT_LINE_BYTES_MAX, short_number};
use super::request::Arguments;
use super::{Limits, ProtocolError, Request, inline};

/// Turns what a client sends into requests: arrays of bulk strings, and inline requests.
///
/// # Bounds
///
/// [`Limits`] bound everything. Memory is taken for arguments that have arrived, never for
/// declared ones: eight bytes for each, and the bytes themselves for those of a quoted inline
/// request. What an unusually large request took is given back at the next call of
/// [`decode`](Decoder::decode); 5 KiB at most are kept.
///
/// # Example
///
/// A pipeline of two requests and a part of a third, with an empty line in between:
///
/// ```
/// use larder_resp::codec::{Decoder, Limits};
///
/// let mut decoder = Decoder::new(Limits::default());
/// let mut rest = &b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n\r\nset b 'x y'\r\n*1\r\n$4\r\nPI"[..];
/// let mut requests = Vec::new();
/// while let Some(consumed) = decoder.decode(rest)? {
///     if let Some(request) = decoder.request(rest) {
///         requests.push(format!("{request:?}"));
///     }
///     rest = &rest[consumed..];
/// }
/// assert_eq!(requests, [r#"["GET", "a"]"#, r#"["set", "b", "x y"]"#]);
/// assert_eq!(rest, b"*1\r\n$4\r\nPI");
/// assert_eq!(decoder.missing(rest.len()), 4);
/// # Ok::<(), larder_resp::codec::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    state: State,
    arguments: Arguments,
}

/// What comes next in the input. `scanned` bytes are known not to hold the end of the line.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The first byte of a request.
    Start,
    /// The rest of an inline request.
    Inline { scanned: usize },
    /// The rest of the line with the number of arguments.
    Count { scanned: usize },
    /// The line with the length of an argument, which begins at `at`; `left` arguments with it.
    Length { left: usize, at: usize, scanned: usize },
    /// The bytes of an argument; `left` arguments with it.
    Bulk { left: usize, start: usize, end: usize },
    /// Nothing any more.
    Failed(ProtocolError),
}

/// The shortest that an argument can be: `$0`, and two ends of lines.
const ARGUMENT_BYTES_MIN: usize = 6;

impl Decoder {
    /// A decoder for one connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Start, arguments: Arguments::default() }
    }

    /// Changes the limits, for the requests that begin after this: a client has authenticated.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Looks for the end of the request that begins where `input` does.
    ///
    /// `Some(consumed)` means that the first `consumed` bytes are done with: they are the request
    /// that [`request`](Decoder::request) now returns, or, when it returns none, something blank
    /// that needs no answer. The next call takes the bytes behind them.
    ///
    /// `None` means that more is needed. The next call takes the same bytes and more behind them;
    /// what was looked at is not looked at again.
    ///
    /// # Errors
    ///
    /// The bytes aren't the protocol, or exceed the [`Limits`]. The same bytes end in the same
    /// error in however many pieces they arrive. It is final: the connection is to be closed, and
    /// every further call returns the same error.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let outcome = match self.state {
            State::Start => self.start(input),
            _ => self.resume(input),
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
        outcome
    }

    /// The request that the last [`decode`](Decoder::decode) found the end of: pass the same
    /// `input` again. `None` if that was blank: an empty line, or an array without elements; and
    /// after any other outcome.
    ///
    /// # Panics
    ///
    /// The request does, when its arguments are read, if `input` is shorter than that of
    /// `decode`.
    #[inline]
    #[must_use]
    pub fn request<'a>(&'a self, input: &'a [u8]) -> Option<Request<'a>> {
        match self.state {
            State::Start => self.arguments.request(input),
            _ => None,
        }
    }

    /// How many bytes more than these `received` the current request has at least, after
    /// [`decode`](Decoder::decode) returned `None` for them; at least 1.
    ///
    /// It is what the client has declared, never beyond `request_bytes_max`, and a hint for the
    /// size of the next read. Whoever reserves memory by it trusts the client that far.
    #[must_use]
    pub fn missing(&self, received: usize) -> usize {
        let end = match self.state {
            State::Length { left, at, .. } => at + left * ARGUMENT_BYTES_MIN,
            State::Bulk { left, end, .. } => end + 2 + (left - 1) * ARGUMENT_BYTES_MIN,
            _ => received,
        };
        end.saturating_sub(received).max(1)
    }

    /// How many bytes the decoder holds on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.arguments.heap_bytes()
    }

    #[inline]
    fn start(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        self.arguments.clear();
        if let Some((left, at)) = short_number(input, b'*')
            && left > 0
            && self.count_fits(left, at)
        {
            return self.bulks(input, left, at);
        }
        match input {
            [] => Ok(None),
            [b'*', ..] => self.count(input, 1),
            _ => self.inline(input, 0),
        }
    }

    /// Goes on where the last call stopped.
    fn resume(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        match self.state {
            State::Start => self.start(input),
            State::Inline { scanned } => self.inline(input, scanned),
            State::Count { scanned } => self.count(input, scanned),
            State::Length { left, at, scanned } => match self.length(input, left, at, scanned)? {
                Some((length, start)) => self.resume_bulk(input, left, start, start + length),
                None => Ok(None),
            },
            State::Bulk { left, start, end } => self.resume_bulk(input, left, start, end),
            State::Failed(error) => Err(error),
        }
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError) {
        self.state = State::Failed(error);
        self.arguments.clear();
    }

    fn resume_bulk(
        &mut self,
        input: &[u8],
        left: usize,
        start: usize,
        end: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        match self.bulk(input, left, start, end)? {
            Some(at) => self.bulks(input, left - 1, at),
            None => Ok(None),
        }
    }

    fn inline(&mut self, input: &[u8], scanned: usize) -> Result<Option<usize>, ProtocolError> {
        let bytes_max =
            self.limits.inline_bytes_max.min(self.limits.request_bytes_max.saturating_sub(1));
        let Some(feed) = line::find(input, b'\n', scanned, bytes_max as usize) else {
            if input.len() > bytes_max as usize {
                return Err(ProtocolError::InlineTooBig);
            }
            self.state = State::Inline { scanned: input.len() };
            return Ok(None);
        };
        let line = &input[..feed];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        inline::split(line, &self.limits, &mut self.arguments)?;
        self.state = State::Start;
        Ok(Some(feed + 1))
    }

    fn count(&mut self, input: &[u8], scanned: usize) -> Result<Option<usize>, ProtocolError> {
        let too_long = ProtocolError::MultibulkCountTooBig;
        let invalid = ProtocolError::InvalidMultibulkLength;
        let at = match self.line(input, 0, scanned, too_long)? {
            Line::Ended(at) => at,
            Line::Open(scanned) => {
                self.state = State::Count { scanned };
                return Ok(None);
            }
        };
        let count = line::number(&input[..at]).ok_or(invalid)?;
        let Ok(left @ 1..) = usize::try_from(count) else {
            self.state = State::Start;
            return Ok(Some(at));
        };
        if left > self.limits.arguments_max as usize {
            return Err(self.limits.too_many_arguments());
        }
        if !self.count_fits(left, at) {
            return Err(self.limits.request_too_big());
        }
        self.bulks(input, left, at)
    }

    /// Whether `left` arguments may follow behind the first `at` bytes.
    fn count_fits(&self, left: usize, at: usize) -> bool {
        left <= self.limits.arguments_max as usize
            && at as u64 + left as u64 * ARGUMENT_BYTES_MIN as u64
                <= u64::from(self.limits.request_bytes_max)
    }

    /// Reads the last `left` arguments, the first of which begins at `at`.
    #[inline]
    fn bulks(
        &mut self,
        input: &[u8],
        mut left: usize,
        mut at: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        while left > 0 {
            let short = short_number(&input[at..], b'$');
            let (length, start) = match short {
                Some((length, bytes)) if self.length_fits(length, left, at + bytes) => {
                    (length, at + bytes)
                }
                _ => match self.length(input, left, at, at)? {
                    Some(found) => found,
                    None => return Ok(None),
                },
            };
            match self.bulk(input, left, start, start + length)? {
                Some(behind) => at = behind,
                None => return Ok(None),
            }
            left -= 1;
        }
        self.state = State::Start;
        Ok(Some(at))
    }

    /// Reads the line at `at`: the length of the argument and where that begins.
    #[inline(never)]
    fn length(
        &mut self,
        input: &[u8],
        left: usize,
        at: usize,
        scanned: usize,
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        if let Some(&got) = input.get(at)
            && got != b'$'
        {
            return Err(ProtocolError::ExpectedBulk { got });
        }
        let start = match self.line(input, at, scanned, ProtocolError::BulkCountTooBig)? {
            Line::Ended(start) => start,
            Line::Open(scanned) => {
                self.state = State::Length { left, at, scanned };
                return Ok(None);
            }
        };
        let length =
            line::number(&input[at..start]).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(ProtocolError::InvalidBulkLength)?;
        if length > self.limits.bulk_bytes_max as usize {
            return Err(self.limits.bulk_too_long());
        }
        if !self.length_fits(length, left, start) {
            return Err(self.limits.request_too_big());
        }
        Ok(Some((length, start)))
    }

    /// Whether an argument of `length` may follow behind the first `start` bytes, as the first of
    /// the last `left`.
    #[inline]
    fn length_fits(&self, length: usize, left: usize, start: usize) -> bool {
        let others = (left as u64 - 1) * ARGUMENT_BYTES_MIN as u64;
        length <= self.limits.bulk_bytes_max as usize
            && start as u64 + length as u64 + 2 + others <= u64::from(self.limits.request_bytes_max)
    }

    /// Takes the argument at `start..end`, if it is all there; returns what is behind it.
    #[inline]
    fn bulk(
        &mut self,
        input: &[u8],
        left: usize,
        start: usize,
        end: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        match input.get(end..end + 2) {
            Some(b"\r\n") => {
                self.arguments.push(start, end);
                Ok(Some(end + 2))
            }
            // Redis skips these two bytes unseen. Then one wrong length turns the data of a
            // client into requests.
            Some(_) => Err(ProtocolError::InvalidBulkLength),
            None => {
                self.state = State::Bulk { left, start, end };
                Ok(None)
            }
        }
    }

    /// Looks for the end of the line that begins at `start`: a carriage return and the byte after
    /// it, which [`line::number`] looks at.
    fn line(
        &self,
        input: &[u8],
        start: usize,
        scanned: usize,
        too_long: ProtocolError,
    ) -> Result<Line, ProtocolError> {
        // With this bound no more than `request_bytes_max` bytes ever wait for a line to end.
        let last = (start + (self.limits.inline_bytes_max as usize).max(SHORT_LINE_BYTES_MAX))
            .min((self.limits.request_bytes_max as usize).saturating_sub(2));
        match line::find(input, b'\r', scanned, last) {
            Some(at) if at + 2 <= input.len() => Ok(Line::Ended(at + 2)),
            Some(at) => Ok(Line::Open(at)),
            None if input.len() > last => Err(too_long),
            None => Ok(Line::Open(input.len())),
        }
    }
}

/// What [`Decoder::line`] found.
enum Line {
    /// The line ends before this.
    Ended(usize),
    /// It doesn't end in the bytes before this.
    Open(usize),
}
