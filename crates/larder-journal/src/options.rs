//! What a user says of a journal, and how it is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

use crate::FileJournal;
use crate::files::Folder;
use crate::files::disk::DiskFolder;
use crate::format::{
    FRAME_BYTES, HEADER_BYTES, RECORD_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
use crate::omit::Omit;

/// When a record counts as durable, and so what is lost, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk: written and synced, many at once. Nothing that was durable is lost
    /// when the process is killed or the power fails, as long as the disk keeps what it says it
    /// has.
    #[default]
    Fsync,
    /// When it was handed to the operating system, which syncs it at least so often. Nothing is
    /// lost when the process is killed. When the power fails or the system crashes, what was
    /// appended in the last interval is, and in the time that a sync takes; its numbers are then
    /// given again.
    Interval(Duration),
    /// At once, while it is in the memory of the process alone: it is handed to the operating
    /// system as soon as possible, and synced when a segment is full and at the end. When the
    /// process is killed, what wasn't handed over yet is lost, at most
    /// [`waiting_bytes_max`](JournalOptions::waiting_bytes_max); when the power fails, at most a
    /// segment and that.
    Memory,
}

/// How a journal is opened, and its bounds.
///
/// ```
/// use larder_core::Journal;
/// use larder_journal::JournalOptions;
///
/// # let temporary = tempfile::tempdir().unwrap();
/// # let folder = temporary.path().join("journal");
/// let journal = JournalOptions::new(folder).bytes_max(256 << 20).open()?;
/// let number = journal.append(b"paid 7")?;
/// assert_eq!((number, journal.standing().next), (1, 2));
/// journal.close()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a journal is opened with `open`"]
pub struct JournalOptions {
    folder: PathBuf,
    settings: Settings,
}

/// What the parts of a journal are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) bytes_max: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) waiting_bytes_max: u64,
    pub(crate) waiters_max: usize,
    pub(crate) record_bytes_max: usize,
    /// How much is written ahead with zeros, in bytes.
    pub(crate) ahead_bytes: u64,
    pub(crate) accept_loss: bool,
    #[cfg(test)]
    pub(crate) omit: Option<Omit>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            bytes_max: 1 << 30,
            segment_bytes: 16 << 20,
            waiting_bytes_max: 32 << 20,
            waiters_max: 65_536,
            record_bytes_max: RECORD_BYTES_MAX,
            ahead_bytes: 1 << 20,
            accept_loss: false,
            #[cfg(test)]
            omit: None,
        }
    }
}

impl JournalOptions {
    /// A journal in a folder of its own, which is made if it isn't there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), settings: Settings::default() }
    }

    /// When a record counts as durable. By default when it is synced.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// How much it holds at most, in bytes; 1 GiB by default. Up to a MiB more is taken on the
    /// disk, since it writes ahead. A record that doesn't fit in is shed.
    ///
    /// Space is given back by whole segments, and never the last one, so up to two segments may be
    /// taken by what is needed no more.
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.settings.bytes_max = bytes;
        self
    }

    /// How long a segment gets, in bytes; 16 MiB by default, 64 KiB to 64 MiB. A record that is
    /// longer has a segment to itself.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.settings.segment_bytes = bytes;
        self
    }

    /// How much may wait in memory to become durable, in bytes; 32 MiB by default. Beyond it a
    /// record is shed.
    pub fn waiting_bytes_max(mut self, bytes: u64) -> Self {
        self.settings.waiting_bytes_max = bytes;
        self
    }

    /// The longest record, in bytes; 8 MiB by default and at most. A longer one is refused.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.record_bytes_max = bytes;
        self
    }

    /// Goes on with what is left although durable records were lost. Say so after reading which
    /// ones ([`Damage`](crate::Damage)), for this one time: what is lost then is lost for good.
    pub fn accept_loss(mut self, accept: bool) -> Self {
        self.settings.accept_loss = accept;
        self
    }

    /// Opens it, and recovers what is there. That reads all of it, and waits for the disk: no
    /// place for a thread that others need.
    ///
    /// # Errors
    ///
    /// `Config` when the options contradict each other. `Refused` when another process has it
    /// open; when durable records were lost, with a [`Damage`](crate::Damage) inside; when a later
    /// version wrote it. `Internal` when the folder can't be read or written.
    pub fn open(self) -> Result<FileJournal> {
        self.settings.check()?;
        let path = self.folder.display().to_string();
        let folder = DiskFolder::make(&self.folder).map_err(|error| {
            let message = format!("the folder {path} of the journal can't be made");
            Error::new(ErrorKind::Internal, message).caused_by(error)
        })?;
        let folder: Arc<dyn Folder> = Arc::new(folder);
        FileJournal::start(folder, &path, self.settings)
    }
}

impl Settings {
    /// Whether a test leaves this step out.
    #[cfg(test)]
    pub(crate) fn omits(&self, step: Omit) -> bool {
        self.omit == Some(step)
    }

    /// Whether a test leaves this step out.
    #[cfg(not(test))]
    #[allow(clippy::unused_self)] // The same call as in tests.
    pub(crate) const fn omits(&self, _: Omit) -> bool {
        false
    }

    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        let record = (FRAME_BYTES + self.record_bytes_max) as u64;
        let segment = self.segment_bytes.max(HEADER_BYTES as u64 + record);
        if self.record_bytes_max > RECORD_BYTES_MAX {
            return refuse(format!("a record has at most {RECORD_BYTES_MAX} bytes"));
        }
        if !(SEGMENT_BYTES_MIN as u64..=SEGMENT_BYTES_MAX as u64).contains(&self.segment_bytes) {
            return refuse(format!(
                "a segment has at least {SEGMENT_BYTES_MIN} and at most {SEGMENT_BYTES_MAX} bytes"
            ));
        }
        if self.bytes_max < 2 * segment {
            return refuse(format!(
                "a journal of {} bytes is too small for segments of {segment}: give it twice that",
                self.bytes_max
            ));
        }
        if self.waiting_bytes_max < record {
            return refuse(format!("{record} bytes must be allowed to wait: the longest record"));
        }
        if self.durability == Durability::Interval(Duration::ZERO) {
            return refuse("an interval of nothing: take Durability::Fsync".to_owned());
        }
        Ok(())
    }
}
