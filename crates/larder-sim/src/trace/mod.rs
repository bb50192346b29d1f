//! Traces: what was asked of a cache, in order, in one of the forms that people have them in.
//!
//! A [`Trace`] reads a stream from beginning to end in constant memory. Lines and records that
//! can't be understood are left out and noted as [`Faults`]. Each format has its file; all have
//! the same shape. A trace doesn't know files: it reads what it is given.

mod arc;
mod bytes;
mod compression;
mod csv;
mod fault;
mod guess;
mod keylog;
mod keys;
mod lines;
mod lirs;
mod monitor;
mod oracle;
#[cfg(test)]
mod tests;
mod zzd;

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::str::FromStr;

pub use compression::Compression;
pub use csv::{BadColumns, Column, Columns};
pub use fault::{FAULTS_SHOWN, Fault, Faults, Place, TraceError};
pub use lines::LINE_BYTES_MAX;

use crate::request::Request;

/// How much is read at once, and how much is looked at to tell the format.
const BUFFER_BYTES: usize = 64 * 1024;

/// What a trace is read from.
type Input<'a> = Box<dyn BufRead + 'a>;

/// In which form a trace is. `docs/simulator.md` describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One key a line.
    Keys,
    /// Columns: key, size, time, ttl, op.
    Csv,
    /// Lines of the ARC paper's traces: first block, number of blocks.
    Arc,
    /// Lines of the LIRS paper's traces: a block.
    Lirs,
    /// libCacheSim's oracleGeneral records of 24 bytes.
    OracleGeneral,
    /// Varints of zigzag encoded differences.
    Zzd,
    /// What `redis-cli MONITOR` prints.
    Monitor,
    /// larder's own log of sampled keys.
    KeyLog,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Keys,
        Self::Csv,
        Self::Arc,
        Self::Lirs,
        Self::OracleGeneral,
        Self::Zzd,
        Self::Monitor,
        Self::KeyLog,
    ];

    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Csv => "csv",
            Self::Arc => "arc",
            Self::Lirs => "lirs",
            Self::OracleGeneral => "oracle-general",
            Self::Zzd => "zzd",
            Self::Monitor => "monitor",
            Self::KeyLog => "key-log",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no format has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFormat;

impl fmt::Display for BadFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
        write!(f, "formats are {}", names.join(", "))
    }
}

impl std::error::Error for BadFormat {}

impl FromStr for Format {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(BadFormat)
    }
}

/// What is known of a trace before it is read.
#[derive(Clone, Debug, Default)]
pub struct TraceOptions<'a> {
    /// The name of its file, from which the format may be told; empty where there is none.
    pub name: &'a str,
    /// Its format; `None` to tell it from the content and the name.
    pub format: Option<Format>,
    /// The columns, for [`Format::Csv`]; `None` to go by the first line.
    pub columns: Option<&'a Columns>,
}

/// A trace that is being read: an iterator of its requests, which ends after an error.
///
/// Memory: some buffers of 64 KiB, a line of up to [`LINE_BYTES_MAX`], and what decompression
/// needs, up to 128 MiB for zstd with the largest window.
///
/// ```
/// use larder_sim::{Trace, TraceOptions};
///
/// let mut trace = Trace::open(&b"ada\nben\n\nada\n"[..], &TraceOptions::default())?;
/// let keys = trace.by_ref().map(|request| request.map(|request| request.key));
/// let keys: Vec<u64> = keys.collect::<Result<_, _>>()?;
/// assert_eq!(keys.len(), 3);
/// assert_eq!(keys[0], keys[2]);
/// assert_eq!(trace.faults().first()[0].to_string(), "line 3: an empty line is no key");
/// # Ok::<(), larder_sim::TraceError>(())
/// ```
pub struct Trace<'a> {
    format: Format,
    compression: Compression,
    decode: Box<dyn Decode + 'a>,
    faults: Faults,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Going,
    Ended,
}

/// A format, being read.
trait Decode {
    /// The next request; `None` after the last.
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError>;

    /// Which part of all keys is in the trace.
    fn sample(&self) -> f64 {
        1.0
    }

    /// How many reads of all keys there were so far, where the trace counts them.
    fn reads(&self) -> Option<u64> {
        None
    }
}

impl<'a> Trace<'a> {
    /// Begins to read a trace, which may be compressed with gzip or zstd.
    ///
    /// # Errors
    ///
    /// When the input fails, when nothing tells the format, or when the beginning isn't that of
    /// the format.
    pub fn open(input: impl Read + 'a, options: &TraceOptions<'_>) -> Result<Self, TraceError> {
        let input = Box::new(BufReader::with_capacity(BUFFER_BYTES, input));
        let (compression, mut input) = compression::plain(input)?;
        let format = match options.format {
            Some(format) => format,
            None => {
                let head = peek(&mut input, BUFFER_BYTES)?;
                let format = guess::format(options.name, head.get_ref());
                input = Box::new(head.chain(input));
                format.ok_or(TraceError::Unknown)?
            }
        };
        let mut faults = Faults::default();
        let decode: Box<dyn Decode + 'a> = match format {
            Format::Keys => Box::new(keys::Keys::new(input)),
            Format::Csv => Box::new(csv::Csv::new(input, options.columns)),
            Format::Arc => Box::new(arc::Arc::new(input)),
            Format::Lirs => Box::new(lirs::Lirs::new(input)),
            Format::OracleGeneral => Box::new(oracle::Oracle::new(input)),
            Format::Zzd => Box::new(zzd::Zzd::new(input)),
            Format::Monitor => Box::new(monitor::Monitor::new(input)),
            Format::KeyLog => Box::new(keylog::KeyLog::begin(input, &mut faults)?),
        };
        Ok(Self { format, compression, decode, faults, state: State::Going })
    }

    /// In which format it is.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What it is compressed with.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// What was left out so far.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Which part of all keys the trace was sampled to when it was written: above 0, up to 1.
    pub fn sample(&self) -> f64 {
        self.decode.sample()
    }

    /// How many reads of all keys there were so far, where the trace counts them.
    pub fn reads(&self) -> Option<u64> {
        self.decode.reads()
    }
}

impl Iterator for Trace<'_> {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Ended {
            return None;
        }
        let next = self.decode.next(&mut self.faults).transpose();
        // Nothing can be made of what follows an error.
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        next
    }
}

impl fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Trace");
        fields.field("format", &self.format).field("compression", &self.compression);
        fields.field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// Takes the first `bytes` from the input, or fewer at its end.
fn peek(input: &mut Input<'_>, bytes: usize) -> io::Result<Cursor<Vec<u8>>> {
    let mut head = Vec::new();
    input.take(bytes as u64).read_to_end(&mut head)?;
    Ok(Cursor::new(head))
}
