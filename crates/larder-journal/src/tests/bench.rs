//! A journal on a simulated machine, whose thread is the test itself: it takes its turns when it
//! is told to.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use larder_core::{ErrorKind, Journal, Result};

use super::simulated::Machine;
use crate::committer::Committer;
use crate::options::Settings;
use crate::{Damage, FileJournal};

/// Segments of 2 KiB, and little room: every limit is near.
pub(crate) fn settings() -> Settings {
    Settings {
        bytes_max: 64 << 10,
        segment_bytes: 2 << 10,
        waiting_bytes_max: 16 << 10,
        waiters_max: 100,
        record_bytes_max: 1500,
        ahead_bytes: 700,
        ..Settings::default()
    }
}

pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) life: u64,
    pub(crate) settings: Settings,
    pub(crate) journal: FileJournal,
    pub(crate) committer: Committer,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::open(&Machine::new(7), settings()).unwrap()
    }

    pub(crate) fn open(machine: &Machine, settings: Settings) -> Result<Self> {
        let life = machine.life();
        let (journal, committer) = FileJournal::recover(machine.folder(), "a folder", settings)?;
        Ok(Self { machine: machine.clone(), life, settings, journal, committer })
    }

    /// Whether the power was cut, or it was killed.
    pub(crate) fn has_died(&self) -> bool {
        self.machine.is_dead(self.life)
    }

    /// A process that begins when this one has ended.
    pub(crate) fn reopen(self) -> Result<Self> {
        let (machine, settings) = (self.machine.clone(), self.settings);
        drop(self);
        Self::open(&machine, settings)
    }

    pub(crate) fn cut_power(self) -> Result<Self> {
        self.machine.cut_power();
        self.reopen()
    }

    pub(crate) fn kill(self) -> Result<Self> {
        self.machine.kill();
        self.reopen()
    }

    pub(crate) fn close(self) -> Result<()> {
        self.committer.end();
        self.journal.close()
    }

    /// Appends records of these lengths, and lets them become durable.
    pub(crate) fn commit(&mut self, lengths: &[usize]) {
        for &length in lengths {
            let number = self.journal.standing().next;
            let mut appended = self.journal.append(&record(number, length));
            if appended.as_ref().is_err_and(|error| error.kind() == ErrorKind::Shed) {
                self.committer.turn();
                appended = self.journal.append(&record(number, length));
            }
            assert_eq!(appended.unwrap(), number);
        }
        self.committer.turn();
        assert_eq!(self.journal.durable_below(), self.journal.standing().next);
    }

    /// The numbers that are there. The records are those that [`commit`](Self::commit) appends.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let records = self.journal.read_from(0).unwrap();
        records
            .map(|found| {
                let found = found.unwrap();
                assert_eq!(found.bytes, record(found.number, found.bytes.len()));
                found.number
            })
            .collect()
    }
}

/// What is appended under a number.
pub(crate) fn record(number: u64, length: usize) -> Vec<u8> {
    number.to_be_bytes().into_iter().cycle().take(length).collect()
}

/// The damage inside an error.
pub(crate) fn damage<T>(opened: Result<T>) -> Damage {
    let error = opened.err().expect("nothing was complained about");
    error.downcast_ref::<Damage>().unwrap_or_else(|| panic!("{}", error.chain())).clone()
}

/// One poll.
pub(crate) fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
