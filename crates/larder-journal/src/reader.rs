//! Reading records in order, while others are being appended.
//!
//! A reader holds one open segment and a window of it, or one record if that is longer. What is
//! truncated while it reads may be left out: it then goes on at the oldest record that is still
//! needed. A segment that it has open stays readable to its end, removed or not.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::journal::Record;
use larder_core::{Error, ErrorKind, Result};

use crate::files::{File, Folder};
use crate::format::{FRAME_BYTES, Frame, HEADER_BYTES, Seed, segment_name};
use crate::shared::{Place, Shared};

/// How much is read at once, in bytes.
const WINDOW_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    folder: Arc<dyn Folder>,
    /// The number that comes next, or the oldest one that is needed then.
    next: u64,
    /// The number behind the last.
    end: u64,
    open: Option<Open>,
}

/// A segment that is being read.
#[derive(Debug)]
struct Open {
    file: Box<dyn File>,
    seed: Seed,
    /// The number of the record at `at`.
    number: u64,
    /// The number behind the last.
    below: u64,
    at: u64,
    window: Vec<u8>,
    /// Where in the file the window begins.
    from: u64,
}

impl Reader {
    /// Reads from `number` to below `end`.
    pub(crate) fn new(shared: Arc<Shared>, folder: Arc<dyn Folder>, number: u64, end: u64) -> Self {
        Self { shared, folder, next: number, end, open: None }
    }

    fn read(&mut self) -> Result<Option<Record>> {
        self.shared.wait_until_written(self.end)?;
        while self.next < self.end {
            let Some(open) = &mut self.open else {
                self.open()?;
                continue;
            };
            if open.number >= open.below {
                self.open = None;
                continue;
            }
            let number = open.number;
            let record = open.read().map_err(|error| unreadable(number, error))?;
            if number >= self.next {
                self.next = number + 1;
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Opens the segment that has the next record, or goes on behind it.
    fn open(&mut self) -> Result<()> {
        let mut failed = None;
        loop {
            let Some(place) = self.shared.place(self.next) else {
                self.next = self.end;
                return Ok(());
            };
            let Place { segment, below, number } = place;
            self.next = number;
            if self.next >= self.end {
                return Ok(());
            }
            if failed == Some(place) {
                return Err(unreadable(number, io::ErrorKind::NotFound.into()));
            }
            match self.folder.open(&segment_name(segment)) {
                Ok(file) => {
                    let seed = Seed::new(&self.shared.identity, segment, &self.shared.settings);
                    let (window, from, at) = (Vec::new(), 0, HEADER_BYTES as u64);
                    let number = segment;
                    self.open = Some(Open { file, seed, number, below, at, window, from });
                    return Ok(());
                }
                // Removed in between: then an older place is not asked for again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => failed = Some(place),
                Err(error) => return Err(unreadable(number, error)),
            }
        }
    }
}

impl Open {
    fn read(&mut self) -> io::Result<Record> {
        let seed = self.seed;
        let header = self.bytes(FRAME_BYTES)?;
        let frame = Frame::decode(header, &seed).filter(|frame| frame.number == self.number);
        let Some(frame) = frame else { return Err(io::ErrorKind::InvalidData.into()) };
        let payload = self.bytes(FRAME_BYTES + frame.length)?;
        let payload = &payload[FRAME_BYTES..];
        if !frame.fits(payload, &seed) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let bytes = Bytes::copy_from_slice(payload);
        self.at += (FRAME_BYTES + frame.length) as u64;
        self.number += 1;
        Ok(Record { number: frame.number, bytes })
    }

    /// The next bytes, which remain the next ones.
    fn bytes(&mut self, length: usize) -> io::Result<&[u8]> {
        let skipped = usize::try_from(self.at - self.from).unwrap_or(usize::MAX);
        if self.window.len() < skipped.saturating_add(length) {
            self.window.resize(length.max(WINDOW_BYTES), 0);
            let read = self.file.read(&mut self.window, self.at)?;
            self.window.truncate(read);
            self.window.shrink_to(length.max(WINDOW_BYTES));
            self.from = self.at;
            return self.window.get(..length).ok_or(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(&self.window[skipped..skipped + length])
    }
}

impl Iterator for Reader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().transpose();
        if !matches!(read, Some(Ok(_))) {
            // Nothing comes after an error, or after the end.
            self.next = self.end;
            self.open = None;
            self.end = 0;
        }
        read
    }
}

fn unreadable(number: u64, error: io::Error) -> Error {
    let message = format!("record {number} of the journal can't be read");
    Error::new(ErrorKind::Internal, message).caused_by(error)
}
