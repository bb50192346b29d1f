//! A transaction while it is received.

use larder_core::feed::Notice;

use crate::gathered::Gathered;
use crate::pgoutput::Lsn;

/// What was received of a transaction so far.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Its number, without the epoch.
    pub(super) number: u32,
    gathered: Gathered,
}

/// One that was committed, and may not be visible yet.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) number: u32,
    pub(super) notices: Vec<Notice>,
    pub(super) bytes: usize,
    /// The place behind it.
    pub(super) end: Lsn,
    /// When it was committed, in microseconds since the year 2000, by the server's clock.
    pub(super) micros: i64,
}

impl Transaction {
    pub(super) fn begin(number: u32) -> Self {
        Self { number, gathered: Gathered::default() }
    }

    pub(super) fn push(&mut self, notice: Notice) {
        self.gathered.push(notice);
    }

    pub(super) fn commit(self, end: Lsn, micros: i64) -> Committed {
        let (notices, bytes) = self.gathered.finish();
        Committed { number: self.number, notices, bytes, end, micros }
    }
}
