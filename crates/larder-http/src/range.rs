//! Which bytes of a stored whole response a request asks for (RFC 9110 section 14).

use http::header::RANGE;
use http::{HeaderMap, HeaderValue};

use crate::fields::{digits, split, trim};

/// The parts that are sent; a request for more is answered with the whole.
const PARTS_MAX: usize = 16;

/// Some bytes of a body: from `first` to `last`, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl Part {
    /// So many bytes from `first` on; none if there are none, or if they end beyond 2^64.
    pub(crate) fn of(first: u64, bytes: u64) -> Option<Self> {
        let behind = bytes.checked_sub(1)?;
        Some(Self { first, last: first.checked_add(behind)? })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn bytes(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The Content-Range of these bytes of a body that is `length` bytes long.
    #[must_use]
    pub fn to_value(self, length: u64) -> HeaderValue {
        content_range(&format!("bytes {}-{}/{length}", self.first, self.last))
    }
}

/// What of a body to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// All of it, with the stored status.
    Whole,
    /// These parts with 206, in the order in which they are asked for; none overlaps another.
    Parts(Vec<Part>),
    /// Nothing: 416 with [`unsatisfied`].
    Unsatisfiable,
}

/// Which bytes of a body of `length` bytes a GET with these fields asks for.
///
/// Two ranges that overlap become one, in the place of the first (RFC 9110 section 15.3.7.2). A
/// Range that can't be read, has another unit, more than two ranges that overlap others, or more
/// than 16 of them, is ignored (section 14.2 leaves that to the server). So what is sent is never
/// more than the body.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::{Part, Ranges, ranges};
///
/// let mut request = HeaderMap::new();
/// request.insert("range", "bytes=0-4, -2".parse().unwrap());
/// let parts = vec![Part { first: 0, last: 4 }, Part { first: 8, last: 9 }];
/// assert_eq!(ranges(&request, 10), Ranges::Parts(parts));
/// ```
#[must_use]
pub fn ranges(request: &HeaderMap, length: u64) -> Ranges {
    let mut lines = request.get_all(RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Ranges::Whole };
    let Some(asked) = read(line.as_bytes()) else { return Ranges::Whole };
    let mut parts: Vec<Part> = asked.iter().filter_map(|asked| asked.part(length)).collect();
    let overlaps = |&at: &usize| {
        let others = parts.iter().enumerate().filter(|(other, _)| *other != at);
        others.into_iter().any(|(_, other)| parts[at].overlaps(*other))
    };
    let overlapping: Vec<usize> = (0..parts.len()).filter(overlaps).collect();
    match *overlapping {
        [] => {}
        [one, other] => {
            let (one_part, other_part) = (parts[one], parts.remove(other));
            let first = one_part.first.min(other_part.first);
            parts[one] = Part { first, last: one_part.last.max(other_part.last) };
        }
        _ => return Ranges::Whole,
    }
    if parts.is_empty() { Ranges::Unsatisfiable } else { Ranges::Parts(parts) }
}

/// The Content-Range of a 416 about a body of `length` bytes.
#[must_use]
pub fn unsatisfied(length: u64) -> HeaderValue {
    content_range(&format!("bytes */{length}"))
}

fn content_range(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a word, digits and marks")
}

enum Asked {
    From { first: u64, last: u64 },
    Last(u64),
}

impl Asked {
    /// What there is of it.
    fn part(&self, length: u64) -> Option<Part> {
        let end = length.checked_sub(1)?;
        match *self {
            Self::From { first, last } => {
                (first <= end).then(|| Part { first, last: last.min(end) })
            }
            Self::Last(0) => None,
            Self::Last(bytes) => Some(Part { first: length.saturating_sub(bytes), last: end }),
        }
    }
}

fn read(text: &[u8]) -> Option<Vec<Asked>> {
    let (unit, set) = text.split_at(text.iter().position(|&byte| byte == b'=')?);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut members = Vec::new();
    split(&set[1..], &mut members).ok()?;
    if members.is_empty() || members.len() > PARTS_MAX {
        return None;
    }
    members.into_iter().map(asked).collect()
}

fn asked(member: &[u8]) -> Option<Asked> {
    let (first, last) = member.split_at(member.iter().position(|&byte| byte == b'-')?);
    let (first, last) = (trim(first), trim(&last[1..]));
    let number = |text| digits(text, u64::MAX);
    if first.is_empty() {
        return number(last).map(Asked::Last);
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    (first <= last).then_some(Asked::From { first, last })
}
