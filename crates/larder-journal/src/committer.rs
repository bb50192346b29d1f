//! The thread that writes: the only one that changes files while a journal is open.
//!
//! After a write or a sync that failed nothing is written any more, and nothing is tried a second
//! time: a system may take what it could not write for written, so that a second sync succeeds and
//! proves nothing ("PostgreSQL's fsync() surprise", LWN 2018; Rebello, Patel, Alagappan,
//! Arpaci-Dusseau, Arpaci-Dusseau, "Can Applications Recover from fsync Failures?", USENIX ATC
//! 2020). Opening it anew reads what there is and writes it once more: see `recovery`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::steps::{Step, reach};
use larder_core::{Error, ErrorKind};

use crate::log::{Chunk, Log};
use crate::options::Durability;
use crate::shared::{Awake, Shared};

pub(crate) struct Committer {
    shared: Arc<Shared>,
    log: Log,
    /// Since when something is written and not synced, where that is to be bounded.
    unsynced_since: Option<Instant>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, log: Log) -> Self {
        Self { shared, log, unsynced_since: None }
    }

    /// Works until the journal is closed.
    pub(crate) fn run(mut self) {
        loop {
            match self.shared.wait_for_work(self.sync_in()) {
                Awake::ForWork => self.turn(),
                Awake::ForSync => self.sync(),
                Awake::ToEnd => return self.end(),
            }
        }
    }

    /// Does what there is to do now: one write and one sync for all that has gathered, unless a
    /// segment got full.
    pub(crate) fn turn(&mut self) {
        let mut job = self.shared.take_job();
        if !job.chunks.is_empty()
            && let Err(error) = self.commit(&mut job.chunks)
        {
            self.fail("written", error, false);
        }
        let mark = self.log.mark.slot();
        if (job.first > mark.first || !job.segments.is_empty())
            && let Err(error) = self.clear(job.first, &job.segments)
        {
            self.fail("marked", error, true);
        }
        self.testify();
    }

    /// Syncs what is written and isn't synced yet.
    pub(crate) fn sync(&mut self) {
        self.unsynced_since = None;
        if self.shared.failure().is_some() {
            return;
        }
        let (written, _) = self.shared.progress();
        match self.log.sync() {
            Ok(()) => self.shared.advance(written, written, VecDeque::new()),
            Err(error) => self.fail("synced", error, false),
        }
    }

    /// Writes and syncs everything, whatever durability was chosen.
    pub(crate) fn end(mut self) {
        while !self.shared.is_idle() {
            self.turn();
        }
        self.sync();
        if self.shared.failure().is_none() {
            let first = self.shared.standing().first;
            let (_, synced) = self.shared.progress();
            let done = self.log.mark.write(first, synced).and_then(|()| self.log.mark.sync());
            if let Err(error) = done {
                self.fail("marked", error, true);
            }
        }
    }

    fn commit(&mut self, chunks: &mut VecDeque<Chunk>) -> io::Result<()> {
        let mut below = 0;
        for chunk in chunks.iter_mut() {
            self.log.write(chunk)?;
            below = chunk.below;
        }
        reach(Step::Fsync);
        let synced = match self.log.settings.durability {
            Durability::Fsync => {
                self.log.sync()?;
                below
            }
            Durability::Interval(_) => {
                self.unsynced_since.get_or_insert_with(Instant::now);
                0
            }
            Durability::Memory => 0,
        };
        reach(Step::Publish);
        self.shared.advance(below, synced, std::mem::take(chunks));
        Ok(())
    }

    fn clear(&mut self, first: u64, segments: &[u64]) -> io::Result<()> {
        let (_, synced) = self.shared.progress();
        self.log.mark.write(first, synced)?;
        reach(Step::Mark);
        if !segments.is_empty() {
            self.log.remove(segments)?;
        }
        self.shared.removed(first, segments);
        Ok(())
    }

    /// Where nothing else is to be done, notes how far everything is durable: no later record says
    /// so yet.
    fn testify(&mut self) {
        let (_, synced) = self.shared.progress();
        let mark = self.log.mark.slot();
        if synced > mark.witness
            && self.shared.is_idle()
            && self.shared.failure().is_none()
            && let Err(error) = self.log.mark.write(mark.first, synced)
        {
            self.fail("marked", error, true);
        }
    }

    fn sync_in(&self) -> Option<Duration> {
        match (self.log.settings.durability, self.unsynced_since) {
            (Durability::Interval(interval), Some(since)) => {
                Some(interval.saturating_sub(since.elapsed()))
            }
            _ => None,
        }
    }

    fn fail(&self, what: &str, error: io::Error, is_mark: bool) {
        let path = &self.log.path;
        let message = if error.kind() == io::ErrorKind::StorageFull {
            format!(
                "the disk is full, and the journal in {path} can't be {what}: make room, then \
                 open it anew; until then it takes nothing"
            )
        } else {
            format!(
                "the journal in {path} can't be {what}: it takes nothing until it is opened anew"
            )
        };
        self.shared.fail(Error::new(ErrorKind::Internal, message).caused_by(error), is_mark);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // Nobody else would ever wake those who wait.
        if std::thread::panicking() {
            let message = "the thread that writes the journal has panicked";
            self.shared.fail(Error::new(ErrorKind::Internal, message), true);
        }
    }
}
