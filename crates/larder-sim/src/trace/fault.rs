//! What is wrong with a trace, and where.
//!
//! A bad line ends nothing: it is left out and noted here. Whoever reads the trace decides
//! whether that is acceptable.

use std::fmt;
use std::io;

use super::Format;

/// How many faults are kept to be shown; the rest are only counted.
pub const FAULTS_SHOWN: usize = 5;

/// How much of a bad line is kept, in bytes.
const EXCERPT_BYTES: usize = 80;

/// Where in a trace something is, after decompression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line, counted from 1.
    Line(u64),
    /// A byte, counted from 0.
    Byte(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Byte(offset) => write!(f, "byte {offset}"),
        }
    }
}

/// A line or record that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub place: Place,
    /// What is wrong with it.
    pub wrong: &'static str,
    /// Its beginning, as text; empty where there is none to show.
    pub excerpt: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.wrong)?;
        if self.excerpt.is_empty() { Ok(()) } else { write!(f, ": {}", self.excerpt) }
    }
}

/// All that was left out: the number, and the first few.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    count: u64,
    first: Vec<Fault>,
}

impl Faults {
    /// How many lines or records were left out.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first of them, at most [`FAULTS_SHOWN`].
    pub fn first(&self) -> &[Fault] {
        &self.first
    }

    pub(super) fn note(&mut self, place: Place, wrong: &'static str, content: &[u8]) {
        self.count += 1;
        if self.first.len() < FAULTS_SHOWN {
            let shown = &content[..content.len().min(EXCERPT_BYTES)];
            let mut excerpt = shown.escape_ascii().to_string();
            if shown.len() < content.len() {
                excerpt.push('…');
            }
            self.first.push(Fault { place, wrong, excerpt });
        }
    }
}

/// Why a trace can't be read any further.
#[derive(Debug)]
pub enum TraceError {
    /// The input, or its decompression, failed.
    Io(io::Error),
    /// Neither its content nor its name tells in which format it is.
    Unknown,
    /// It isn't what its format demands, and nothing can be made of the rest.
    Malformed(Format, &'static str),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "can't be read: {error}"),
            Self::Unknown => f.write_str("can't tell in which format it is: name the format"),
            Self::Malformed(format, wrong) => write!(f, "is no trace in format {format}: {wrong}"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Unknown | Self::Malformed(..) => None,
        }
    }
}

impl From<io::Error> for TraceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
