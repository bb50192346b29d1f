//! What those who append, those who wait and the thread that writes have in common: one lock, held
//! for as long as it takes to copy a record.
//!
//! Group commit (DeWitt, Katz, Olken, Shapiro, Stonebraker, Wood, "Implementation Techniques for
//! Main Memory Database Systems", SIGMOD 1984): while one batch is being made durable the next one
//! gathers, however many append. Nobody waits for a timer.
//!
//! It doesn't know files.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use larder_core::journal::JournalStanding;
use larder_core::steps::{Step, reach};
use larder_core::sync::{Condvar, Mutex};
use larder_core::{Error, ErrorKind, Result};

use crate::format::{FRAME_BYTES, Frame, HEADER_BYTES, Identity, Seed, checksum};
use crate::log::Chunk;
use crate::omit::Omit;
use crate::options::Settings;
use crate::state::{Segment, State};
use crate::waiters::Ticket;

/// The part of a buffer that is kept for the next batch, in bytes.
const SPARE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) settings: Settings,
    state: Mutex<State>,
    /// The thread that writes waits here.
    work: Condvar,
    /// Readers of what is not written yet wait here.
    progress: Condvar,
}

/// What recovery found.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) first: u64,
    pub(crate) next: u64,
    pub(crate) segments: VecDeque<Segment>,
}

/// What the thread that writes is to do.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) chunks: VecDeque<Chunk>,
    /// Records below this number are needed no more.
    pub(crate) first: u64,
    /// Segments that hold only such records.
    pub(crate) segments: Vec<u64>,
}

/// Why the thread that writes is awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awake {
    ForWork,
    ForSync,
    ToEnd,
}

/// Where a record is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first number of its segment.
    pub(crate) segment: u64,
    /// The number behind its last one.
    pub(crate) below: u64,
    /// The number itself, or the next one that is there and needed.
    pub(crate) number: u64,
}

impl Shared {
    pub(crate) fn new(identity: Identity, settings: Settings, standing: Standing) -> Self {
        let bytes = standing.segments.iter().map(|segment| segment.bytes).sum();
        let (first, next) = (standing.first, standing.next);
        let state = State {
            first,
            next,
            written: next,
            synced: next,
            segments: standing.segments,
            bytes,
            cleared: first,
            ..State::default()
        };
        let (work, progress) = (Condvar::default(), Condvar::default());
        Self { identity, settings, state: Mutex::new(state), work, progress }
    }

    pub(crate) fn append(&self, record: &[u8]) -> Result<u64> {
        let settings = &self.settings;
        if record.len() > settings.record_bytes_max {
            let (is, max) = (record.len(), settings.record_bytes_max);
            let message = format!("a record of {is} bytes is longer than the {max} that are taken");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let payload_checksum = checksum(record);
        let bytes = (FRAME_BYTES + record.len()) as u64;
        let mut state = self.state.lock();
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        if state.waiting_bytes + bytes > settings.waiting_bytes_max {
            let message = "too much waits to be written to the journal";
            let soon = Duration::from_millis(10);
            return Err(Error::new(ErrorKind::Shed, message).retry_after(soon));
        }
        let last = state.segments.back().copied();
        let fits = last.filter(|last| {
            last.bytes + bytes <= settings.segment_bytes || last.bytes <= HEADER_BYTES as u64
        });
        let header_bytes = if fits.is_some() { 0 } else { HEADER_BYTES as u64 };
        if state.bytes + header_bytes + bytes > settings.bytes_max {
            let message = format!("the journal is full: {} bytes", settings.bytes_max);
            let later = Duration::from_secs(1);
            return Err(Error::new(ErrorKind::Shed, message).retry_after(later));
        }
        let number = state.next;
        let segment = fits.map_or(number, |segment| segment.first);
        if fits.is_none() {
            state.begin_segment(self.identity);
        }
        let frame = Frame { length: record.len(), number, witness: state.synced, payload_checksum };
        let frame = frame.encode(&Seed::new(&self.identity, segment, settings));
        state.put(&frame, record);
        drop(state);
        reach(Step::Append);
        self.work.notify_one();
        Ok(number)
    }

    /// Every record below this number is durable, as durability was chosen.
    pub(crate) fn durable_below(&self) -> u64 {
        self.state.lock().durable_below(self.settings.durability)
    }

    /// Whether the record of this number is durable; if not yet, `waker` is woken when that may
    /// have changed.
    pub(crate) fn poll_durable(
        &self,
        number: u64,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Option<Result<()>> {
        let mut state = self.state.lock();
        if number < state.durable_below(self.settings.durability) {
            return Some(Ok(()));
        }
        if let Some(failed) = &state.failed {
            return Some(Err(failed.clone()));
        }
        if number >= state.next {
            let message = format!("no record {number} was appended to the journal");
            return Some(Err(Error::new(ErrorKind::Refused, message)));
        }
        if ticket.is_some_and(|ticket| state.waiters.renew(ticket, waker)) {
            return None;
        }
        if state.waiters.len() >= self.settings.waiters_max {
            let message = "too many wait for the journal";
            let soon = Duration::from_millis(10);
            return Some(Err(Error::new(ErrorKind::Shed, message).retry_after(soon)));
        }
        *ticket = Some(state.waiters.add(number, waker));
        None
    }

    pub(crate) fn take_back(&self, ticket: Ticket) {
        self.state.lock().waiters.take_back(ticket);
    }

    pub(crate) fn truncate_below(&self, number: u64) -> Result<()> {
        let mut state = self.state.lock();
        if state.mark_failed
            && let Some(failed) = &state.failed
        {
            return Err(failed.clone());
        }
        // What isn't durable may come again after a crash, under the same numbers.
        let number = number.min(state.durable_below(self.settings.durability)).min(state.written);
        if number > state.first {
            state.first = number;
            drop(state);
            self.work.notify_one();
        }
        Ok(())
    }

    pub(crate) fn standing(&self) -> JournalStanding {
        let state = self.state.lock();
        JournalStanding { first: state.first, next: state.next, bytes: state.bytes }
    }

    /// Where the record of this number is, or the next one that is there and needed.
    pub(crate) fn place(&self, number: u64) -> Option<Place> {
        let state = self.state.lock();
        let number = number.max(state.first);
        let at = state.segments.partition_point(|segment| segment.below <= number);
        let &Segment { first, below, .. } = state.segments.get(at)?;
        Some(Place { segment: first, below, number: number.max(first) })
    }

    /// Waits until everything below this number can be read.
    pub(crate) fn wait_until_written(&self, below: u64) -> Result<()> {
        let mut state = self.state.lock();
        while state.written < below {
            if let Some(failed) = &state.failed {
                return Err(failed.clone());
            }
            state = self.progress.wait(state);
        }
        Ok(())
    }

    /// Waits until there is something to do, or for so long.
    pub(crate) fn wait_for_work(&self, sync_in: Option<Duration>) -> Awake {
        if sync_in == Some(Duration::ZERO) {
            return Awake::ForSync;
        }
        let mut state = self.state.lock();
        if !state.has_work() && !state.is_closing {
            state = match sync_in {
                Some(time) => self.work.wait_at_most(state, time),
                None => self.work.wait(state),
            };
        }
        if state.is_closing { Awake::ToEnd } else { Awake::ForWork }
    }

    /// What is to be done now. Segments are only named when their records are below the mark.
    pub(crate) fn take_job(&self) -> Job {
        let mut state = self.state.lock();
        let chunks = std::mem::take(&mut state.gathered);
        let first = state.first;
        let removable = state.segments.iter().zip(state.segments.iter().skip(1));
        let removable = removable.take_while(|(_, next)| next.first <= first);
        let segments = removable.map(|(segment, _)| segment.first).collect();
        Job { chunks, first, segments }
    }

    /// Says that everything below these numbers was written, or synced, and takes the buffers
    /// back.
    pub(crate) fn advance(&self, written: u64, synced: u64, done: VecDeque<Chunk>) {
        let mut state = self.state.lock();
        state.written = state.written.max(written);
        state.synced = state.synced.max(synced);
        state.waiting_bytes = state.gathered.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        for mut chunk in done {
            if chunk.bytes.capacity() <= SPARE_BYTES_MAX {
                chunk.bytes.clear();
                state.spare = chunk.bytes;
            }
        }
        let below = state.durable_below(self.settings.durability);
        let woken = state.waiters.below(below);
        drop(state);
        self.progress.notify_all();
        if !self.settings.omits(Omit::Wake) {
            woken.for_each(Waker::wake);
        }
    }

    /// What was synced and what was only written.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.written, state.synced)
    }

    /// Says that everything below this number was removed, as far as it fills segments.
    pub(crate) fn removed(&self, first: u64, segments: &[u64]) {
        let mut state = self.state.lock();
        state.cleared = first;
        for _ in segments {
            if let Some(segment) = state.segments.pop_front() {
                state.bytes -= segment.bytes;
            }
        }
    }

    /// From now on nothing is written, and everybody hears of it.
    pub(crate) fn fail(&self, error: Error, is_mark: bool) {
        let mut state = self.state.lock();
        state.mark_failed |= is_mark;
        state.failed.get_or_insert(error);
        state.gathered.clear();
        state.waiting_bytes = 0;
        let woken = state.waiters.below(u64::MAX);
        drop(state);
        self.progress.notify_all();
        woken.for_each(Waker::wake);
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.state.lock().failed.clone()
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.state.lock().has_work()
    }

    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.work.notify_one();
    }
}
