//! The grammar of replies: one token after the other, held to the limits.
//!
//! A token is a whole value, or the header of an aggregate. How tokens make up a reply is the
//! caller's affair.

use super::line::canonical;
use super::{ReplyError, ReplyLimits};

/// A value, or the header of an aggregate with the number of its elements or pairs.
pub(super) enum Token<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Bulk(&'a [u8]),
    Null,
    NullArray,
    Double(f64),
    Boolean(bool),
    BigNumber(&'a [u8]),
    Verbatim([u8; 3], &'a [u8]),
    Array(usize),
    Map(usize),
    Set(usize),
    Push(usize),
    Attribute(usize),
}

/// Why there is no next token.
pub(super) enum Stop {
    /// The input ends before the token does.
    Partial,
    /// There can be none.
    Fault(ReplyError),
}

impl From<ReplyError> for Stop {
    fn from(error: ReplyError) -> Self {
        Self::Fault(error)
    }
}

/// Reads the tokens of one reply.
pub(super) struct Reader<'a> {
    input: &'a [u8],
    limits: &'a ReplyLimits,
    at: usize,
    /// Elements that aggregates have declared so far.
    elements: u64,
    /// Values that were declared and not begun.
    pending: u64,
}

/// The shortest that a value can be: a mark and CR LF.
const VALUE_BYTES_MIN: u64 = 3;

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8], limits: &'a ReplyLimits) -> Self {
        Self { input, limits, at: 0, elements: 0, pending: 1 }
    }

    /// How many bytes the tokens so far have.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The depth inside an aggregate that is itself at `depth`.
    pub(super) fn deeper(&self, depth: u8) -> Result<u8, ReplyError> {
        let depth_max = self.limits.depth_max;
        if depth < depth_max { Ok(depth + 1) } else { Err(ReplyError::TooDeep { depth_max }) }
    }

    /// The next token.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Stop> {
        let &kind = self.input.get(self.at).ok_or(Stop::Partial)?;
        if !b"+-:$*_,#(!=%~>|".contains(&kind) {
            return Err(ReplyError::UnknownType { got: kind }.into());
        }
        self.pending -= 1;
        let line = self.line()?;
        let malformed = ReplyError::Malformed { kind };
        Ok(match kind {
            b'+' => Token::Simple(line),
            b'-' => Token::Error(line),
            b':' => Token::Integer(parsed(line).ok_or(malformed)?),
            b',' => Token::Double(parsed(line).ok_or(malformed)?),
            b'#' => Token::Boolean(truth(line).ok_or(malformed)?),
            b'(' => Token::BigNumber(digits(line).ok_or(malformed)?),
            b'_' if line.is_empty() => Token::Null,
            b'$' if line == b"-1" => Token::Null,
            b'*' if line == b"-1" => Token::NullArray,
            b'$' => Token::Bulk(self.bulk(kind, line)?),
            b'!' => Token::Error(self.bulk(kind, line)?),
            b'=' => {
                let text = self.bulk(kind, line)?;
                let (format, text) = text.split_first_chunk().ok_or(malformed)?;
                Token::Verbatim(*format, text.strip_prefix(b":").ok_or(malformed)?)
            }
            b'*' => Token::Array(self.aggregate(kind, line, 1)?),
            b'~' => Token::Set(self.aggregate(kind, line, 1)?),
            b'>' => Token::Push(self.aggregate(kind, line, 1)?),
            b'%' => Token::Map(self.aggregate(kind, line, 2)?),
            b'|' => {
                self.pending += 1;
                Token::Attribute(self.aggregate(kind, line, 2)?)
            }
            _ => return Err(malformed.into()),
        })
    }

    /// The rest of a line behind its mark, without its end.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let start = self.at + 1;
        let bytes_max = self.limits.line_bytes_max;
        // Nothing behind the limit of the whole reply is looked at, nor waited for.
        let window = bytes_max.min(self.limits.reply_bytes_max.saturating_sub(start as u32 + 2));
        let rest = &self.input[start..];
        let end = rest.iter().take(window as usize + 1).position(|b| matches!(b, b'\r' | b'\n'));
        match (end, end.and_then(|end| rest.get(end..end + 2))) {
            (Some(end), Some(b"\r\n")) => {
                self.at = start + end + 2;
                self.fits(0)?;
                Ok(&rest[..end])
            }
            (Some(_), Some(_)) => Err(ReplyError::Unterminated.into()),
            (None, _) if rest.len() > window as usize && window == bytes_max => {
                Err(ReplyError::LineTooLong { bytes_max }.into())
            }
            (None, _) if rest.len() > window as usize => Err(self.too_big().into()),
            _ => Err(Stop::Partial),
        }
    }

    /// The string whose declared length is in `line`.
    fn bulk(&mut self, kind: u8, line: &[u8]) -> Result<&'a [u8], Stop> {
        let length = self.length(kind, line)?;
        let bytes_max = self.limits.bulk_bytes_max;
        if length > u64::from(bytes_max) {
            return Err(ReplyError::BulkTooBig { bytes_max }.into());
        }
        self.fits(length + 2)?;
        // At most `bulk_bytes_max`, so that it is a length of memory too.
        let end = self.at + length as usize;
        match self.input.get(end..end + 2) {
            Some(b"\r\n") => {
                let bytes = &self.input[self.at..end];
                self.at = end + 2;
                Ok(bytes)
            }
            Some(_) => Err(ReplyError::Unterminated.into()),
            None => Err(Stop::Partial),
        }
    }

    /// The number of elements, or of pairs, of an aggregate whose elements have `parts` values.
    fn aggregate(&mut self, kind: u8, line: &[u8], parts: u64) -> Result<usize, Stop> {
        let count = self.length(kind, line)?;
        let elements_max = self.limits.elements_max;
        self.elements = self.elements.saturating_add(count.saturating_mul(parts));
        if self.elements > u64::from(elements_max) {
            return Err(ReplyError::TooManyElements { elements_max }.into());
        }
        self.pending += count * parts;
        self.fits(0)?;
        // At most `elements_max`, so that it fits.
        Ok(count as usize)
    }

    fn length(&self, kind: u8, line: &[u8]) -> Result<u64, ReplyError> {
        match line {
            b"?" if b"$*%~>|".contains(&kind) => Err(ReplyError::Streamed),
            _ => canonical(line)
                .and_then(|length| u64::try_from(length).ok())
                .ok_or(ReplyError::Malformed { kind }),
        }
    }

    /// Whether `bytes`, and after them the values that are still to come, have room in the reply.
    fn fits(&self, bytes: u64) -> Result<(), ReplyError> {
        let end = self.at as u64 + bytes + self.pending * VALUE_BYTES_MIN;
        let fits = end <= u64::from(self.limits.reply_bytes_max);
        if fits { Ok(()) } else { Err(self.too_big()) }
    }

    fn too_big(&self) -> ReplyError {
        ReplyError::TooBig { bytes_max: self.limits.reply_bytes_max }
    }
}

fn parsed<T: std::str::FromStr>(line: &[u8]) -> Option<T> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

fn truth(line: &[u8]) -> Option<bool> {
    match line {
        b"t" => Some(true),
        b"f" => Some(false),
        _ => None,
    }
}

/// The line, if it is a whole number of any size.
fn digits(line: &[u8]) -> Option<&[u8]> {
    let digits = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(line)
}
