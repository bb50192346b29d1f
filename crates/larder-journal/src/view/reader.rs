//! The records that a look has found, one behind the other.
//!
//! What was found good doesn't change any more; it may only be removed, when it is needed no more.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::Result;
use larder_core::journal::Record;

use super::look::{Look, unreadable};
use crate::files::{Folder, read_whole};
use crate::format::{FRAME_BYTES, Frame, Identity, SEGMENT_BYTES_MAX, Seed, segment_name};
use crate::options::Settings;
use crate::scan::Run;

/// A segment in memory at a time.
#[derive(Debug)]
pub(super) struct ViewReader {
    folder: Arc<dyn Folder>,
    path: String,
    identity: Identity,
    first: u64,
    left: VecDeque<(u64, Run)>,
    open: Option<Open>,
}

/// A part of a segment that is being read.
#[derive(Debug)]
struct Open {
    seed: Seed,
    bytes: Bytes,
    /// Where the next record begins, and where the last one ends.
    at: usize,
    to: usize,
}

impl ViewReader {
    pub(super) fn new(folder: Arc<dyn Folder>, path: String, look: &Look) -> Self {
        let left = look.parts().collect();
        Self { folder, path, identity: look.identity, first: look.first, left, open: None }
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(open) = &mut self.open else {
                let Some((segment, run)) = self.left.pop_front() else { return Ok(None) };
                self.open = self.part(segment, run)?;
                continue;
            };
            if open.at >= open.to {
                self.open = None;
                continue;
            }
            let record = open.next()?;
            if record.number >= self.first {
                return Ok(Some(record));
            }
        }
    }

    fn part(&self, segment: u64, run: Run) -> io::Result<Option<Open>> {
        let file = match self.folder.open(&segment_name(segment)) {
            Ok(file) => file,
            // It is needed no more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = read_whole(&*file, run.to.min(SEGMENT_BYTES_MAX))?.into();
        let seed = Seed::new(&self.identity, segment, &Settings::default());
        Ok(Some(Open { seed, bytes, at: run.from, to: run.to }))
    }
}

impl Open {
    fn next(&mut self) -> io::Result<Record> {
        let odd = || io::Error::from(io::ErrorKind::InvalidData);
        let rest = self.bytes.get(self.at..).ok_or_else(odd)?;
        let frame = Frame::decode(rest, &self.seed).ok_or_else(odd)?;
        let payload = self.at + FRAME_BYTES;
        let end = payload + frame.length;
        let found = self.bytes.get(payload..end).filter(|found| frame.fits(found, &self.seed));
        // A copy, so that who keeps it keeps no segment.
        let bytes = Bytes::copy_from_slice(found.ok_or_else(odd)?);
        self.at = end;
        Ok(Record { number: frame.number, bytes })
    }
}

impl Iterator for ViewReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().map_err(|error| unreadable(&self.path, error)).transpose();
        if !matches!(read, Some(Ok(_))) {
            // Nothing comes after an error, or after the end.
            self.left.clear();
            self.open = None;
        }
        read
    }
}
