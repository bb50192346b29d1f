//! A journal from outside, while its owner runs or after it has ended.
//!
//! What is there is read as recovery reads it, and judged by the same rules; nothing is changed,
//! and the lock is left alone. While an owner appends and truncates no two files are read at the
//! same moment, so the order of reading matters: see `look`.

mod look;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use larder_core::Result;
use larder_core::journal::Records;

use crate::Damage;
use crate::files::Folder;
use crate::files::read_only::ReadOnlyFolder;
use look::Look;
use reader::ViewReader;

/// A journal that belongs to somebody else: it is read, and nothing of it is changed.
///
/// ```
/// use larder_core::Journal;
/// use larder_journal::{JournalOptions, JournalView};
///
/// # let temporary = tempfile::tempdir().unwrap();
/// # let folder = temporary.path();
/// let journal = JournalOptions::new(folder).open()?; // this may be another process
/// journal.append(b"paid 7")?;
/// journal.append(b"paid 8")?;
/// # while journal.durable_below() < 3 { std::thread::yield_now(); }
///
/// let view = JournalView::of(folder);
/// let status = view.status()?;
/// assert_eq!((status.pending, status.first, status.next), (2, 1, 3));
/// assert!(status.damage.is_none());
/// let texts: Vec<_> = view.records()?.map(|record| Ok(record?.bytes)).collect::<Result<_, _>>()?;
/// # fn wrong(_: larder_core::Error) {}
/// assert_eq!(texts, ["paid 7", "paid 8"]);
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # What it may see
///
/// Everything that was durable when it began to look, and perhaps more: what was written since,
/// and what isn't synced yet. What is being written at that moment is left out. What its owner
/// truncates meanwhile may be left out or not.
///
/// # Bounds
///
/// It takes memory for a segment, 64 MiB at most, and reads the whole journal for each answer: no
/// place for a thread that others need.
#[derive(Clone, Debug)]
pub struct JournalView {
    folder: Arc<dyn Folder>,
    path: String,
}

/// How a journal stands, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalStatus {
    /// Its name, as [`Journal::id`](larder_core::Journal::id) says it.
    pub id: String,
    /// The process that opened it last, as its lock file says. Whether that still runs isn't known.
    pub opened_by: String,
    /// How many records are there and may still be needed. Some of them may be done with: its
    /// owner says so late, since nothing depends on it.
    pub pending: u64,
    /// The number of the oldest record that may be needed; `next` where there is none.
    pub first: u64,
    /// The number behind the last record that is there.
    pub next: u64,
    /// Everything below this number is proven to have been durable. It lags behind what is.
    pub durable_below: u64,
    /// How many segments there are.
    pub segments: usize,
    /// How long they are together, in bytes, with what is written ahead.
    pub bytes: u64,
    /// How many bytes there are behind the last good record: one that is being written, or that was
    /// when its writer ended.
    pub tail_bytes: u64,
    /// Between which moments the oldest record was written.
    pub oldest: Option<Oldest>,
    /// What was durable and is gone.
    pub damage: Option<Damage>,
}

/// When the oldest record was written, as far as that is known. Records carry no time, so these are
/// the times of the file that it is in, by the clock of the file system: the more often segments
/// change, the closer they are. A file that was copied has other times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Not before the file was made, where the file system knows that.
    pub not_before: Option<SystemTime>,
    /// Not after the file was written to for the last time.
    pub not_after: SystemTime,
}

impl JournalView {
    /// The journal in `folder`. It is not read yet.
    #[must_use]
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        let path = folder.into();
        let shown = path.display().to_string();
        Self::over(Arc::new(ReadOnlyFolder::new(&path)), shown)
    }

    pub(crate) const fn over(folder: Arc<dyn Folder>, path: String) -> Self {
        Self { folder, path }
    }

    /// How it stands. Damage is no error here: it is what one wants to know.
    ///
    /// # Errors
    ///
    /// `Config` when there is no journal. `Refused` when a later version wrote it, when a segment
    /// of another journal lies in its folder, or when it changes faster than it can be read.
    /// `Internal` when a file can't be read.
    pub fn status(&self) -> Result<JournalStatus> {
        let look = Look::take(&*self.folder, &self.path)?;
        Ok(look.status(self.folder.holder()))
    }

    /// The records that may still be needed, in order: those that are there when this is called.
    ///
    /// # Errors
    ///
    /// As [`status`](Self::status). What is lost is left out.
    pub fn records(&self) -> Result<Records> {
        let look = Look::take(&*self.folder, &self.path)?;
        Ok(Box::new(ViewReader::new(self.folder.clone(), self.path.clone(), &look)))
    }
}
