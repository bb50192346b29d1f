//! A journal in memory that forgets what wasn't durable when its process ends.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use larder_core::journal::{JournalStanding, Record, Records};
use larder_core::{BoxFuture, Error, ErrorKind, Journal, Result};
use tokio::sync::Notify;

/// Clones are the same journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestJournal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Record>,
    next: u64,
    durable_below: u64,
    /// What is appended stays where it is until it is let through.
    holds: bool,
    fails: bool,
    room: Option<usize>,
}

impl TestJournal {
    /// What the next process finds: all that was durable, and of the rest this much.
    pub(crate) fn after_the_end(&self, more: u64) -> Self {
        let state = self.0.state.lock().unwrap();
        let end = (state.durable_below + more).min(state.next);
        let mut records = state.records.clone();
        records.retain(|record| record.number < end);
        let state = State { records, next: end, durable_below: end, ..State::default() };
        Self(Arc::new(Inner { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// From now on nothing becomes durable, or everything that waits and all that comes.
    pub(crate) fn hold(&self, holds: bool) {
        self.change(|state| state.holds = holds);
    }

    /// From now on nothing can be made durable.
    pub(crate) fn fail(&self) {
        self.change(|state| state.fails = true);
    }

    /// So many records have room.
    pub(crate) fn room(&self, room: usize) {
        self.change(|state| state.room = Some(room));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.state.lock().unwrap();
        change(&mut state);
        if !state.holds && !state.fails {
            state.durable_below = state.next;
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.lock().unwrap())
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
        let mut result = Ok(0);
        self.change(|state| {
            result = if state.fails {
                Err(failed())
            } else if state.room.is_some_and(|room| state.records.len() >= room) {
                Err(Error::new(ErrorKind::Shed, "the journal is full"))
            } else {
                let number = state.next;
                state.next += 1;
                state.records.push(Record { number, bytes: Bytes::copy_from_slice(record) });
                Ok(number)
            };
        });
        result
    }

    fn durable(&self, number: u64) -> BoxFuture<'static, Result<()>> {
        let journal = self.clone();
        Box::pin(async move {
            loop {
                let changed = journal.0.changed.notified();
                match journal.look(|state| (state.durable_below > number, state.fails)) {
                    (true, _) => return Ok(()),
                    (_, true) => return Err(failed()),
                    _ => changed.await,
                }
            }
        })
    }

    fn durable_below(&self) -> u64 {
        self.look(|state| state.durable_below)
    }

    fn read_from(&self, number: u64) -> Result<Records> {
        let durable = |state: &State| {
            let wanted = number..state.durable_below;
            let records = state.records.iter().filter(|record| wanted.contains(&record.number));
            records.cloned().map(Ok).collect::<Vec<_>>()
        };
        Ok(Box::new(self.look(durable).into_iter()))
    }

    fn truncate_below(&self, number: u64) -> Result<()> {
        self.change(|state| state.records.retain(|record| record.number >= number));
        Ok(())
    }

    fn standing(&self) -> JournalStanding {
        self.look(|state| JournalStanding {
            first: state.records.first().map_or(state.next, |record| record.number),
            next: state.next,
            bytes: state.records.iter().map(|record| record.bytes.len() as u64).sum(),
        })
    }
}
