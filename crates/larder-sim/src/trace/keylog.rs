//! larder's own log of sampled keys, a text:
//!
//! ```text
//! larder-keys 1 sample=0.01
//! 1764000000123 r 9f86d081884c7d65 512 60000
//! 1764000000124 x 9f86d081884c7d65
//! +8231
//! ```
//!
//! The first line holds the version and which part of all keys is in the log. A key is in it
//! with all its requests or with none, so that hit ratios scale. Each line is a request: the time
//! in milliseconds, `r`, `w` or `x` (read, written, removed), the key's hash as 16 hexadecimal
//! digits, and perhaps the size in bytes and the ttl in milliseconds, 0 for none. `+` with a
//! number counts the reads of all keys, sampled or not, since the last such line; with these the
//! hit ratios are adjusted for the luck of the sample. The first line may come again, where
//! logs were appended to each other.

use super::fault::{Faults, TraceError};
use super::lines::{Lines, number, words};
use super::{Decode, Format, Input};
use crate::request::{Op, Request, numbered};

/// What every key log begins with.
pub(super) const BEGINNING: &[u8] = b"larder-keys ";

const WRONG_HEADING: &str = "its first line isn't `larder-keys 1 sample=` and a number up to 1";

pub(super) struct KeyLog<'a> {
    lines: Lines<'a>,
    sample: f64,
    reads: Option<u64>,
}

impl<'a> KeyLog<'a> {
    /// Reads the first line.
    pub(super) fn begin(input: Input<'a>, faults: &mut Faults) -> Result<Self, TraceError> {
        let mut lines = Lines::new(input);
        let sample = if lines.advance(faults)? { sample(lines.line()) } else { None };
        let sample = sample.ok_or(TraceError::Malformed(Format::KeyLog, WRONG_HEADING))?;
        Ok(Self { lines, sample, reads: None })
    }
}

impl Decode for KeyLog<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        while self.lines.advance(faults)? {
            let line = self.lines.line();
            if line.starts_with(BEGINNING) {
                if sample(line) != Some(self.sample) {
                    let wrong = "the sample changes in the middle: simulate the parts one by one";
                    return Err(TraceError::Malformed(Format::KeyLog, wrong));
                }
            } else if let Some(count) = line.strip_prefix(b"+") {
                match number(count).and_then(|more| self.reads.unwrap_or(0).checked_add(more)) {
                    Some(reads) => self.reads = Some(reads),
                    None => self.lines.refuse("it counts no reads", faults),
                }
            } else if let Some(request) = request(line) {
                return Ok(Some(request));
            } else {
                self.lines.refuse("it isn't a time, r, w or x, a key, a size and a ttl", faults);
            }
        }
        Ok(None)
    }

    fn sample(&self) -> f64 {
        self.sample
    }

    fn reads(&self) -> Option<u64> {
        self.reads
    }
}

/// The sample that a first line declares.
fn sample(line: &[u8]) -> Option<f64> {
    let mut words = words(line);
    let fixed = words.next() == Some(b"larder-keys") && words.next() == Some(b"1");
    let sample = str::from_utf8(words.next()?.strip_prefix(b"sample=")?).ok()?;
    let sample: f64 = sample.parse().ok()?;
    (fixed && words.next().is_none() && sample > 0.0 && sample <= 1.0).then_some(sample)
}

fn request(line: &[u8]) -> Option<Request> {
    let mut words = words(line);
    let time_ms = number(words.next()?)?;
    let op = match words.next()? {
        b"r" => Op::Read,
        b"w" => Op::Write,
        b"x" => Op::Remove,
        _ => return None,
    };
    let digits = words.next()?;
    if digits.len() != 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let hash = u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    let mut optional = || words.next().map_or(Some(None), |word| number(word).map(Some));
    let (size, ttl_ms) = (optional()?, optional()?);
    let request = Request {
        // The low hashes are those in the sample: mixed again, all bits are.
        key: numbered(hash),
        op,
        size: size.map(|size| u32::try_from(size).unwrap_or(u32::MAX)),
        time_ms: Some(time_ms),
        ttl_ms: ttl_ms.filter(|&ttl| ttl > 0),
    };
    words.next().is_none().then_some(request)
}
