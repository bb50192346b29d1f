//! A batch that was delivered, until everything in it can be read.

use std::collections::BTreeSet;

use larder_core::feed::Notice;

use crate::debezium::beat::View;
use crate::debezium::records::Record;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The transport's number of it.
    pub(super) number: u64,
    pub(super) notices: Vec<Notice>,
    /// It is a gap, for this reason.
    pub(super) reason: Option<String>,
    /// This beat is passed with it; zero is none.
    pub(super) beat: u64,
    /// When the first of it was committed, in milliseconds since 1970, by the database's clock.
    pub(super) millis: Option<i64>,
    pub(super) bytes: usize,
    /// What did it.
    transactions: BTreeSet<u64>,
    /// It isn't known what did some of it.
    by_anybody: bool,
    /// Whatever may have done that is below this number.
    begun_below: Option<u64>,
}

impl Held {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    pub(super) fn gap(number: u64, reason: String) -> Self {
        let mut held = Self::new(number);
        held.is_gap(reason);
        held
    }

    pub(super) fn beat(number: u64, beat: u64) -> Self {
        Self { beat, ..Self::new(number) }
    }

    pub(super) fn weigh(&mut self, record: &Record) {
        /// What a record takes beside what it says.
        const BESIDE: usize = 512;
        let len = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
        self.bytes += BESIDE + len(&record.key) + len(&record.value);
    }

    /// Anything may have been missed. What was may not be visible yet.
    pub(super) fn is_gap(&mut self, reason: String) {
        self.by_anybody = true;
        self.reason.get_or_insert(reason);
    }

    pub(super) fn tell(
        &mut self,
        notices: Vec<Notice>,
        transaction: Option<u64>,
        millis: Option<i64>,
    ) {
        if notices.is_empty() {
            return;
        }
        match transaction {
            Some(transaction) => drop(self.transactions.insert(transaction)),
            None => self.by_anybody = true,
        }
        self.millis = self.millis.or(millis);
        self.notices.extend(notices);
    }

    /// Whether it depends on what a reader sees.
    pub(super) fn needs_view(&self) -> bool {
        self.by_anybody || !self.transactions.is_empty()
    }

    /// Everything in it had begun when this was taken, if it is the first that it is shown.
    pub(super) fn look(&mut self, view: &View) {
        if self.by_anybody {
            self.begun_below.get_or_insert(view.begun_below);
        }
    }

    /// Whether a reader who begins now sees all of it.
    pub(super) fn is_seen(&self, view: &View) -> bool {
        let have_ended = self.begun_below.is_none_or(|number| view.ended_below >= number);
        have_ended && self.transactions.iter().all(|&number| (view.sees)(number))
    }
}
