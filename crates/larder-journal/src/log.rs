//! The files of an open journal, as its one writer writes them: the segment that grows, and the
//! mark.
//!
//! What must be durable before what:
//!
//! 1. A segment is synced before the next one is made. So that a segment is there proves that
//!    everything before it was durable.
//! 2. A segment's name is synced before anything in it counts as durable.
//! 3. The mark is synced before a segment below it is removed. That it is removed needn't be: one
//!    that comes back is below the mark.
//!
//! A segment is written ahead with zeros, in the same write as the records before them. A sync of
//! bytes that take the place of others changes nothing but bytes; one of bytes that make a file
//! longer must also write down that it got longer, and takes several times as long.

use std::io;
use std::sync::Arc;

use larder_core::steps::{Step, reach};

use crate::files::{File, Folder};
use crate::format::segment_name;
use crate::mark::Mark;
use crate::omit::Omit;
use crate::options::Settings;

/// Records that are to be written behind each other.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The first number of their segment.
    pub(crate) segment: u64,
    /// Where in the segment they begin. At 0 the segment is new, and its header comes first.
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
    /// The number behind the last.
    pub(crate) below: u64,
}

/// The segment that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) first: u64,
    pub(crate) file: Box<dyn File>,
    /// How long the file is.
    pub(crate) length: u64,
    pub(crate) is_synced: bool,
    pub(crate) is_name_synced: bool,
}

/// The files that are open to be written.
pub(crate) struct Log {
    pub(crate) folder: Arc<dyn Folder>,
    /// What the folder is called, for people.
    pub(crate) path: String,
    pub(crate) settings: Settings,
    pub(crate) active: Option<Active>,
    pub(crate) mark: Mark,
    /// Dropped when nothing is written any more.
    pub(crate) _lock: Box<dyn Send + Sync>,
}

impl Log {
    /// Writes a chunk with one write, and zeros ahead of what comes next.
    pub(crate) fn write(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        if self.active.as_ref().is_none_or(|active| active.first != chunk.segment) {
            if !self.settings.omits(Omit::SyncBeforeNextSegment) {
                self.sync()?;
            }
            let file = self.folder.create(&segment_name(chunk.segment))?;
            let first = chunk.segment;
            let (is_synced, is_name_synced) = (true, false);
            self.active = Some(Active { first, file, length: 0, is_synced, is_name_synced });
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        let end = chunk.at + chunk.bytes.len() as u64;
        let mut ahead = 0;
        if end > active.length && self.settings.ahead_bytes > 0 {
            let until = end.next_multiple_of(self.settings.ahead_bytes);
            ahead = until.min(self.settings.segment_bytes).saturating_sub(end);
        }
        let whole = chunk.bytes.len() + usize::try_from(ahead).unwrap_or(0);
        chunk.bytes.resize(whole, 0);
        active.is_synced = false;
        active.file.write(&chunk.bytes, chunk.at)?;
        active.length = active.length.max(end + ahead);
        Ok(())
    }

    /// Makes durable what was written, and the name of where it was.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if !active.is_synced && !self.settings.omits(Omit::SyncOfData) {
            active.file.sync()?;
        }
        active.is_synced = true;
        if !active.is_name_synced && !self.settings.omits(Omit::SyncOfName) {
            self.folder.sync()?;
        }
        active.is_name_synced = true;
        Ok(())
    }

    /// Removes segments, after the mark that says that they are needed no more is durable.
    pub(crate) fn remove(&mut self, segments: &[u64]) -> io::Result<()> {
        if !self.settings.omits(Omit::SyncOfMark) {
            self.mark.sync()?;
        }
        reach(Step::Truncate);
        for &first in segments {
            match self.folder.remove(&segment_name(first)) {
                // Somebody else removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }
}
