//! `[journal]` resolved: where acknowledged writes wait, and how many.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use humantime::format_duration;
use larder_engine::behind::BehindBounds;
use larder_journal::{Durability, FileJournal, JournalOptions};

use super::document::Written;
use super::findings::Reported;
use super::options::journal as options;
use super::scope::Scope;
use super::value::{Fault, OptionValue, size_text};

/// Where acknowledged writes wait until the database has them.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalConfig {
    /// Its folder; relative to where larder is started.
    pub path: PathBuf,
    /// When a write is acknowledged, and so what can be lost.
    pub durability: Durability,
    /// How much it takes on the disk, in bytes.
    pub limit: u64,
    /// How much of each cache may wait, and for how long.
    pub bounds: BehindBounds,
    /// How long what waits is applied when the server stops.
    pub stop_within: Duration,
}

/// The word for a durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fsync,
    Interval,
    Memory,
}

impl JournalConfig {
    /// Opens it, and recovers what is there: reads all of it, and waits for the disk.
    ///
    /// # Errors
    ///
    /// As [`JournalOptions::open`]: `Refused` when another process has it open, or durable records
    /// are lost.
    pub fn open(&self) -> larder_core::Result<FileJournal> {
        self.options().open()
    }

    /// How it is opened.
    pub fn options(&self) -> JournalOptions {
        JournalOptions::new(&self.path).durability(self.durability).bytes_max(self.limit)
    }

    /// `None` where there is to be none.
    pub(super) fn resolve(
        written: &Written,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Option<Self>, Reported> {
        if written.at.is_none() {
            return Ok(None);
        }
        let path = scope.required(written, &options::PATH);
        let durability = scope.or_default(written, &options::DURABILITY);
        let sync_every = scope.or_default(written, &options::SYNC_EVERY);
        let limit = scope.or_default(written, &options::LIMIT);
        let delay = scope.or_default(written, &options::DELAY);
        let batch_max = scope.or_default(written, &options::BATCH_MAX);
        let keys_max = scope.or_default(written, &options::KEYS_MAX);
        let bytes_max = scope.or_default(written, &options::BYTES_MAX);
        let stop_within = scope.or_default(written, &options::STOP_WITHIN);
        let (durability, sync_every) = (durability?, sync_every?.0);
        if durability != Kind::Interval && written.entry(&options::SYNC_EVERY.about).is_some() {
            scope.findings.warning(
                &written.place(&options::SYNC_EVERY.about),
                "`sync_every` never applies: it belongs to `durability = \"interval\"`",
                "leave it out, or set `durability = \"interval\"`",
            );
        }
        let durability = match durability {
            Kind::Fsync => Durability::Fsync,
            Kind::Interval => Durability::Interval(sync_every),
            Kind::Memory => Durability::Memory,
        };
        let default = BehindBounds::default();
        let (keys_max, batch_max) = (keys_max?.0, batch_max?.0);
        let slow_from = keys_max / 8 * 5;
        let bounds = BehindBounds {
            delay: delay?.0,
            batch_max,
            batch_from: default.batch_from.min(slow_from),
            slow_from,
            keys_max,
            bytes_max: usize::try_from(bytes_max?.0).unwrap_or(usize::MAX),
            ..default
        };
        let stop_within = stop_within?.0;
        Ok(Some(Self { path: path?.0.into(), durability, limit: limit?.0, bounds, stop_within }))
    }

    /// What is lost, and when, in words.
    fn loses(&self) -> String {
        match self.durability {
            Durability::Fsync => {
                "an acknowledged write is on the disk: nothing is lost when the process is killed \
                 or the power fails"
                    .to_owned()
            }
            Durability::Interval(every) => format!(
                "an acknowledged write is with the operating system: nothing is lost when the \
                 process is killed, and what was acknowledged in the last {} when the power fails",
                format_duration(every)
            ),
            Durability::Memory => {
                "an acknowledged write is in memory alone for a moment: when the process is killed \
                 at most 32MiB of them are lost, when the power fails 16MiB more"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for JournalConfig {
    /// In words, as a report says it: lines without the last line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = &self.bounds;
        writeln!(f, "journal: {}, at most {}", self.path.display(), size_text(self.limit))?;
        writeln!(f, "  {}", self.loses())?;
        writeln!(
            f,
            "  with {} keys of a cache waiting its writes slow down, with {} keys or {} they are \
             refused, and so they are when the journal is full",
            bounds.slow_from,
            bounds.keys_max,
            size_text(bounds.bytes_max as u64)
        )?;
        write!(
            f,
            "  when the server stops, what waits is applied for {} at most; the rest at the next \
             start",
            format_duration(self.stop_within)
        )
    }
}

impl OptionValue for Kind {
    const WHAT: &'static str = "`\"fsync\"`, `\"interval\"` or `\"memory\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "fsync" => Ok(Self::Fsync),
            "interval" => Ok(Self::Interval),
            "memory" => Ok(Self::Memory),
            _ => Err(Fault::new(
                "must be \"fsync\", \"interval\" or \"memory\"",
                "leave it out: \"fsync\" loses nothing",
            )),
        }
    }
}
