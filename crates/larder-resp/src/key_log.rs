//! The key log: what clients do to a sample of the keys, noted for the simulator.
//!
//! A key is in the log with all its requests or with none, by its hash, so that hit ratios scale.
//! The hash is SipHash under a key that is drawn at random and kept by nobody: who has the log
//! can't tell from it which keys there are. Nobody waits here: notes go into a queue, and what
//! finds no place in it is left out and counted. Invalidations that name no key (tags, prefixes,
//! whole caches) aren't in it. Who takes them out, and how they are written,
//! is not known here.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

use larder_core::freshness::Loaded;
use larder_core::sync::Counter;
use larder_core::{Answer, Clock, Moment, Result, Value, Window};

/// How many notes wait at most to be taken out. They have 3.5 MiB, from the start.
pub const NOTES_MAX: usize = 65_536;

/// The shortest lifetime that is noted: 0 stands for none.
const TTL_MIN: Duration = Duration::from_millis(1);

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It is read, whether it was held or not.
    Read,
    /// A value is stored, or gets another expiry.
    Write,
    /// It is deleted or invalidated.
    Remove,
}

/// One request of a key in the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// When, in milliseconds since 1970. A wall clock that is set meanwhile doesn't change it.
    pub time_ms: u64,
    /// What was done.
    pub op: Op,
    /// The key's hash.
    pub hash: u64,
    /// How long the value is, in bytes; 0 where there is none.
    pub size: usize,
    /// How long what this request fills is held at most, in milliseconds; 0 for ever.
    pub ttl_ms: u64,
}

/// Notes the requests of a sample of the keys.
pub struct KeyLog {
    sample: f64,
    /// The highest hash in the sample.
    threshold: u64,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    started: Moment,
    /// When that was, since 1970.
    started_wall: Duration,
    notes: SyncSender<Note>,
    lost: Counter,
    lost_reads: Counter,
}

impl KeyLog {
    /// A log of this part of all keys, from 0 to 1, and where its notes are taken out.
    pub fn new(sample: f64, clock: &Arc<dyn Clock>) -> (Self, Receiver<Note>) {
        let (notes, taken) = sync_channel(NOTES_MAX);
        let log = Self {
            sample,
            // A conversion to an integer ends at its bounds: all keys are all hashes.
            threshold: (sample * u64::MAX as f64) as u64,
            hasher: RandomState::new(),
            clock: Arc::clone(clock),
            started: clock.now(),
            started_wall: clock.wall().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
            notes,
            lost: Counter::default(),
            lost_reads: Counter::default(),
        };
        (log, taken)
    }

    /// Which part of all keys is in it.
    #[must_use]
    pub fn sample(&self) -> f64 {
        self.sample
    }

    /// Requests of keys in the sample that were left out so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// How many of them were reads.
    #[must_use]
    pub fn lost_reads(&self) -> u64 {
        self.lost_reads.get()
    }

    /// Counts a note that was taken out and can't be written.
    pub fn lose(&self, op: Op) {
        self.lost.add(1);
        if op == Op::Read {
            self.lost_reads.add(1);
        }
    }

    /// Notes a request, if its key is in the sample. `ttl` is asked only then; `None` for ever.
    #[inline]
    pub(crate) fn note(
        &self,
        op: Op,
        key: &[u8],
        size: usize,
        ttl: impl FnOnce() -> Option<Duration>,
    ) {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        if hash <= self.threshold {
            self.push(op, hash, size, ttl());
        }
    }

    /// Notes what a read of a declared key came to. Of a read that failed nothing is kept.
    pub(crate) fn answered(&self, key: &[u8], window: &Window, answer: &Result<Answer<Value>>) {
        match answer {
            Ok(answer) => self.loaded(Op::Read, key, window, answer.value.as_ref().map(size)),
            Err(_) => self.note(Op::Read, key, 0, || Some(TTL_MIN)),
        }
    }

    /// Notes a read or a fill of a declared key, whose value has this size; `None` is an absence.
    pub(crate) fn loaded(&self, op: Op, key: &[u8], window: &Window, size: Option<usize>) {
        self.note(op, key, size.unwrap_or(0), || {
            // With the mean of the jitter: an entry is held as long as the next one on average.
            let mean = u32::MAX / 2 + 1;
            let times = window.times(&Loaded::at(Moment::ZERO, size.is_some(), mean));
            Some(window.surely_gone_after(&times) - Moment::ZERO)
        });
    }

    /// Notes a request of a plain key, whose value has this size and expires at `until`.
    pub(crate) fn plain(&self, op: Op, key: &[u8], size: usize, until: Moment, now: Moment) {
        self.note(op, key, size, || (until != Moment::MAX).then(|| until - now));
    }

    /// Notes that a key was deleted or invalidated.
    pub(crate) fn removed(&self, key: &[u8]) {
        self.note(Op::Remove, key, 0, || None);
    }

    fn push(&self, op: Op, hash: u64, size: usize, ttl: Option<Duration>) {
        let time = self.started_wall + (self.clock.now() - self.started);
        let ttl = ttl.map_or(Duration::ZERO, |ttl| ttl.max(TTL_MIN));
        let note = Note { time_ms: millis(time), op, hash, size, ttl_ms: millis(ttl) };
        if self.notes.try_send(note).is_err() {
            self.lose(op);
        }
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLog").field("sample", &self.sample).finish_non_exhaustive()
    }
}

/// How long a value is.
pub(crate) fn size(value: &Value) -> usize {
    value.bytes.len()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
