//! A journal in memory that forgets what wasn't durable when its process ends.
//!
//! It knows no runtime and no disk.

use bytes::Bytes;
use larder_core::journal::{JournalStanding, Record, Records};
use larder_core::{BoxFuture, Error, ErrorKind, Journal, Result};

use crate::watched::Watched;

/// A [`Journal`] in the hands of a test. Clones are the same journal.
///
/// ```
/// use larder_core::Journal;
/// use larder_test::TestJournal;
///
/// let journal = TestJournal::default();
/// journal.append(b"one")?;
/// journal.hold(true);
/// journal.append(b"two")?;
/// assert_eq!((journal.durable_below(), journal.standing().next), (1, 2));
/// assert_eq!(journal.after_the_end(0).standing().next, 1);
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TestJournal(Watched<State>);

#[derive(Debug, Default)]
struct State {
    records: Vec<Record>,
    next: u64,
    durable_below: u64,
    /// What is appended stays where it is until it is let through.
    holds: bool,
    fails: bool,
    /// Who waits is told that it takes too long.
    is_late: bool,
    room: Option<usize>,
}

impl Default for TestJournal {
    fn default() -> Self {
        Self(Watched::new(State::default()))
    }
}

impl TestJournal {
    /// What the next process finds: all that was durable, and of the rest this much.
    #[must_use]
    pub fn after_the_end(&self, more: u64) -> Self {
        let left = |state: &State| {
            let end = (state.durable_below + more).min(state.next);
            let mut records = state.records.clone();
            records.retain(|record| record.number < end);
            State { records, next: end, durable_below: end, ..State::default() }
        };
        Self(Watched::new(self.0.read(left)))
    }

    /// From now on nothing becomes durable, or everything that waits and all that comes.
    pub fn hold(&self, holds: bool) {
        self.change(|state| state.holds = holds);
    }

    /// From now on nothing becomes durable, and who waits is told so; or all goes on.
    pub fn be_late(&self, is_late: bool) {
        self.change(|state| (state.holds, state.is_late) = (is_late, is_late));
    }

    /// From now on nothing can be made durable.
    pub fn fail(&self) {
        self.change(|state| state.fails = true);
    }

    /// So many records have room.
    pub fn room(&self, room: usize) {
        self.change(|state| state.room = Some(room));
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        self.0.change(|state| {
            let result = change(state);
            if !state.holds && !state.fails {
                state.durable_below = state.next;
            }
            result
        })
    }
}

fn failed() -> Error {
    Error::new(ErrorKind::Internal, "the disk is gone")
}

impl Journal for TestJournal {
    fn id(&self) -> &str {
        "the journal of the tests"
    }

    fn append(&self, record: &[u8]) -> Result<u64> {
        self.change(|state| {
            if state.fails {
                return Err(failed());
            }
            if state.room.is_some_and(|room| state.records.len() >= room) {
                return Err(Error::new(ErrorKind::Shed, "the journal is full"));
            }
            let number = state.next;
            state.next += 1;
            state.records.push(Record { number, bytes: Bytes::copy_from_slice(record) });
            Ok(number)
        })
    }

    fn durable(&self, number: u64) -> BoxFuture<'static, Result<()>> {
        let journal = self.clone();
        Box::pin(async move {
            let is_durable = |state: &State| state.durable_below > number;
            journal.0.until(|state| is_durable(state) || state.fails || state.is_late).await;
            match journal.0.read(|state| (is_durable(state), state.fails)) {
                (true, _) => Ok(()),
                (_, true) => Err(failed()),
                _ => Err(Error::new(ErrorKind::Timeout, "not yet")),
            }
        })
    }

    fn durable_below(&self) -> u64 {
        self.0.read(|state| state.durable_below)
    }

    fn read_from(&self, number: u64) -> Result<Records> {
        let durable = |state: &State| {
            let wanted = number..state.durable_below;
            let records = state.records.iter().filter(|record| wanted.contains(&record.number));
            records.cloned().map(Ok).collect::<Vec<_>>()
        };
        Ok(Box::new(self.0.read(durable).into_iter()))
    }

    fn truncate_below(&self, number: u64) -> Result<()> {
        self.change(|state| state.records.retain(|record| record.number >= number));
        Ok(())
    }

    fn standing(&self) -> JournalStanding {
        self.0.read(|state| JournalStanding {
            first: state.records.first().map_or(state.next, |record| record.number),
            next: state.next,
            bytes: state.records.iter().map(|record| record.bytes.len() as u64).sum(),
        })
    }
}
