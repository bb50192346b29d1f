//! Acknowledged writes of a server: the journal is opened and replayed, what waits is applied at
//! the end, and all of it is said.
//!
//! A database that is down is waited for. A cache that another process owns isn't: two servers
//! that write behind would undo each other's writes, so the second one ends and says why.

mod log;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Journal, Result};
use larder_engine::Engine;
use larder_engine::behind::{Stopped, WriteBehind};
use larder_sql::WriteTables;
use tokio::time::{Instant, sleep};

pub(crate) use log::BehindLog;

use crate::compose::Source;
use crate::config::{Config, JournalConfig};
use crate::ready::Readiness;

/// How often a start that failed is tried again.
const START_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked how far a replay is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often at most the log says so, and why it isn't over.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A journal that is open, and what is written in it.
#[derive(Debug)]
pub struct OpenJournal {
    behind: WriteBehind,
    journal: Arc<dyn Journal>,
    path: PathBuf,
    stop_within: Duration,
    limit: u64,
    /// How many records it held when it was opened.
    held: u64,
}

impl OpenJournal {
    /// Opens the journal that `config` describes, on a thread where waiting for the disk does no
    /// harm.
    ///
    /// # Errors
    ///
    /// `Refused` when another process has it open, or durable records are lost; `Config` and
    /// `Internal` as [`JournalConfig::open`].
    pub async fn open(config: &JournalConfig) -> Result<Self> {
        let own = config.clone();
        let opened = tokio::task::spawn_blocking(move || own.open()).await.map_err(|error| {
            let message = "the journal couldn't be opened: the runtime is shutting down";
            Error::new(ErrorKind::Internal, message).caused_by(Error::from_loader(error.into()))
        })?;
        let journal = opened.map_err(|error| {
            let message = format!("the journal {} can't be opened", config.path.display());
            Error::new(error.kind(), message).caused_by(error)
        })?;
        let standing = journal.standing();
        let held = standing.next.saturating_sub(standing.first);
        let path = config.path.clone();
        tracing::info!(path = %path.display(), records = held, "the journal is open");
        let cut = journal.recovery().cut_bytes;
        if cut > 0 {
            tracing::info!(
                "{cut} bytes behind the last good record are cut off: they were being written when \
                 the last run ended, and nobody was told that they are durable"
            );
        }
        let journal: Arc<dyn Journal> = Arc::new(journal);
        let behind = WriteBehind::with(Arc::clone(&journal), config.bounds);
        let (stop_within, limit) = (config.stop_within, config.limit);
        Ok(Self { behind, journal, path, stop_within, limit, held })
    }

    /// What caches are written with.
    #[must_use]
    pub fn behind(&self) -> &WriteBehind {
        &self.behind
    }

    /// How much it may take on the disk, in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether it held anything when it was opened: until that is replayed, a read would miss what
    /// was acknowledged.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.held > 0
    }

    /// Takes the caches over and replays what the journal holds, until that is done. A database
    /// that is down is waited for.
    ///
    /// # Errors
    ///
    /// What waiting doesn't help: another process owns a cache, the tables of larder are missing,
    /// the journal holds writes of a cache that isn't declared, or can't be read.
    pub async fn start(
        &self,
        engine: &Engine,
        tables: &[(String, WriteTables)],
        readiness: &Readiness,
    ) -> Result<()> {
        let mut told: Option<Instant> = None;
        loop {
            readiness.replaying(self.progress());
            let error = match self.attempt(engine, tables, readiness).await {
                Ok(()) => {
                    readiness.replayed();
                    return Ok(());
                }
                Err(error) => error,
            };
            if is_final(&error) {
                let message = "writes can't be taken behind";
                return Err(Error::new(error.kind(), message).caused_by(error));
            }
            readiness.replaying(error.chain());
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                tracing::warn!(
                    "no writes are taken behind yet, and it is tried again until they are: {}",
                    error.chain()
                );
                told = Some(Instant::now());
            }
            sleep(START_AGAIN).await;
        }
    }

    async fn attempt(
        &self,
        engine: &Engine,
        tables: &[(String, WriteTables)],
        readiness: &Readiness,
    ) -> Result<()> {
        for (source, tables) in tables {
            check_tables(source, tables).await?;
        }
        let mut starting = std::pin::pin!(self.behind.start(engine));
        let mut told = Instant::now();
        loop {
            tokio::select! {
                started = &mut starting => {
                    let replayed = started?;
                    tracing::info!(
                        records = replayed.records,
                        applied_before = replayed.before,
                        "the journal is replayed: writes are taken"
                    );
                    return Ok(());
                }
                () = sleep(LOOK_EVERY) => {}
            }
            readiness.replaying(self.progress());
            if told.elapsed() >= TELL_EVERY {
                tracing::info!("{}", self.progress());
                told = Instant::now();
            }
        }
    }

    /// Waits until what was acknowledged is with the operating system, whatever durability was
    /// chosen: what is in the memory of the process alone ends with it.
    async fn write_out(&self) {
        let journal = Arc::clone(&self.journal);
        let written = tokio::task::spawn_blocking(move || {
            let last = journal.standing().next.saturating_sub(1);
            // What can be read is written.
            journal.read_from(last)?.next().transpose().map(drop)
        });
        let error = match tokio::time::timeout(self.stop_within, written).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.chain(),
            Ok(Err(_)) => "the runtime is shutting down".to_owned(),
            Err(_) => "the disk is too slow".to_owned(),
        };
        tracing::error!("the journal {} isn't written to its end: {error}", self.path.display());
    }

    fn is_empty(&self) -> bool {
        let standing = self.behind.standing();
        standing.first == standing.next
    }

    /// How far the replay is, in words.
    fn progress(&self) -> String {
        let read = self.behind.records_read();
        format!("replaying, {read} of {} records read", self.held)
    }

    /// Applies what waits, as long as that may take, and says what is left.
    pub async fn stop(&self, engine: &Engine) {
        let path = self.path.display();
        match self.behind.stop(engine, self.stop_within).await {
            Ok(Stopped { left: 0 }) if self.is_empty() => {
                tracing::info!("everything that was acknowledged is applied");
            }
            Ok(Stopped { left }) => {
                self.write_out().await;
                tracing::warn!(
                    "the journal {path} holds what isn't applied yet, of {left} keys here: it is \
                     applied at the next start, with this journal"
                );
            }
            Err(error) => tracing::error!(
                "the journal {path} couldn't be told what is applied; it is read again at the next \
                 start: {}",
                error.chain()
            ),
        }
    }
}

/// The tables of the sources that have caches which are written behind.
#[must_use]
pub fn tables(config: &Config, sources: &[Source]) -> Vec<(String, WriteTables)> {
    let is_needed = |&(at, _): &(usize, &Source)| {
        config.caches.iter().any(|cache| cache.source == at && cache.is_behind())
    };
    let needed = sources.iter().enumerate().filter(is_needed);
    needed.map(|(_, source)| (source.name.clone(), WriteTables::of(&source.database))).collect()
}

/// Whether `source` has the tables of larder.
///
/// # Errors
///
/// `Config` when one is missing, with the SQL that makes them; when the database can't be asked.
pub async fn check_tables(source: &str, tables: &WriteTables) -> Result<()> {
    let status = tables.status().await?;
    if status.is_installed() {
        return Ok(());
    }
    let message = format!(
        "the source {source} lacks {}, where larder keeps what was applied beside the data; run \
         this there, and let larder select, insert, update and delete in them:\n\n{}",
        status.missing.join(", "),
        tables.ddl().trim()
    );
    Err(Error::new(ErrorKind::Config, message))
}

/// Whether it doesn't help to wait.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Config | ErrorKind::Refused | ErrorKind::Internal)
}
