//! What those who append, those who wait and the thread that sends have in common: the records that
//! are needed, how far Redis has them, and what is wrong.
//!
//! All records that are needed are held here as well as in Redis: whichever of the two is lost, the
//! other has them.
//!
//! It knows neither Redis nor time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use larder_core::journal::{JournalStanding, Record};
use larder_core::sink::{WriteError, WriteFault};
use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, watch};

use super::options::{OVERHEAD_BYTES, Settings};

/// So many bytes are sent at once, or one record.
const BATCH_BYTES: u64 = 1 << 20;
/// And so many records.
const BATCH_MAX: usize = 1_024;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    state: Mutex<State>,
    /// Whoever sends waits here.
    pub(super) work: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct State {
    first: u64,
    next: u64,
    /// What is needed, in order.
    records: VecDeque<Record>,
    bytes: u64,
    /// What of that isn't durable yet.
    waiting_bytes: u64,
    /// What is sent next. After a loss it goes back.
    cursor: u64,
    durable_below: u64,
    /// Up to where Redis was told what is needed no more.
    told_first: u64,
    /// Numbers below this may be missing: it was accepted.
    accepted: u64,
    /// Nothing is left in Redis, and all is sent again.
    is_anew: bool,
    /// Why nothing has become durable for too long.
    late: Option<Error>,
    failed: Option<Error>,
    is_closing: bool,
}

/// What those who wait look at.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    durable_below: u64,
    /// What is below it has waited for too long.
    late_below: u64,
    has_failed: bool,
}

/// What was found in Redis.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) accepted: u64,
    pub(super) records: VecDeque<Record>,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Records below this number are needed no more.
    pub(super) first: u64,
    /// The log must have reached this number: what is before the records is there.
    pub(super) reached: u64,
    /// The number of the first record, or of the next one to come.
    pub(super) at: u64,
    pub(super) records: Vec<Bytes>,
    pub(super) accepted: u64,
    pub(super) is_anew: bool,
    /// So many records are in Redis when it is done.
    pub(super) count: u64,
    /// There is no hurry: it says no more than that we are alive.
    pub(super) is_idle: bool,
}

impl State {
    /// Where the first record stands whose number isn't below this one.
    fn index(&self, number: u64) -> usize {
        self.records.partition_point(|record| record.number < number)
    }

    fn progress(&self) -> Progress {
        Progress {
            durable_below: self.durable_below,
            late_below: if self.late.is_some() { self.next } else { 0 },
            has_failed: self.failed.is_some(),
        }
    }
}

fn cost(record: &[u8]) -> u64 {
    record.len() as u64 + OVERHEAD_BYTES
}

impl Shared {
    pub(super) fn new(settings: Settings, found: Found) -> Self {
        let Found { first, next, accepted, records } = found;
        let bytes = records.iter().map(|record| cost(&record.bytes)).sum();
        let state = State {
            first,
            next,
            records,
            bytes,
            waiting_bytes: 0,
            cursor: next,
            durable_below: next,
            told_first: first,
            accepted,
            is_anew: false,
            late: None,
            failed: None,
            is_closing: false,
        };
        let (progress, _) = watch::channel(state.progress());
        Self { settings, state: Mutex::new(state), work: Notify::new(), progress }
    }

    pub(super) fn append(&self, record: &[u8]) -> Result<u64> {
        let settings = &self.settings;
        if record.len() > settings.record_bytes_max {
            let (is, max) = (record.len(), settings.record_bytes_max);
            let message = format!("a record of {is} bytes is longer than the {max} that are taken");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let bytes = Bytes::copy_from_slice(record);
        let cost = cost(record);
        let shed = |message: String, millis| {
            let soon = Duration::from_millis(millis);
            Err(Error::new(ErrorKind::Shed, message).retry_after(soon))
        };
        let mut state = self.state.lock();
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        if let Some(late) = &state.late {
            let message = format!("the journal {} takes nothing for now", settings.name);
            let shed = Error::new(ErrorKind::Shed, message).caused_by(late.clone());
            return Err(shed.retry_after(Duration::from_secs(1)));
        }
        if state.waiting_bytes + cost > settings.waiting_bytes_max {
            return shed("too much waits to be sent to the journal".to_owned(), 10);
        }
        if state.bytes + cost > settings.bytes_max {
            return shed(format!("the journal is full: {} bytes", settings.bytes_max), 1_000);
        }
        let number = state.next;
        state.next += 1;
        state.bytes += cost;
        state.waiting_bytes += cost;
        state.records.push_back(Record { number, bytes });
        drop(state);
        self.work.notify_one();
        Ok(number)
    }

    pub(super) async fn durable(&self, number: u64) -> Result<()> {
        let mut progress = {
            let state = self.state.lock();
            if number >= state.next {
                let message = format!("no record {number} was appended to the journal");
                return Err(Error::new(ErrorKind::Refused, message));
            }
            if number >= state.durable_below
                && self.progress.receiver_count() >= self.settings.waiters_max
            {
                let soon = Duration::from_millis(10);
                let message = "too many wait for the journal";
                return Err(Error::new(ErrorKind::Shed, message).retry_after(soon));
            }
            self.progress.subscribe()
        };
        let is_over = |progress: &Progress| {
            number < progress.durable_below || number < progress.late_below || progress.has_failed
        };
        // The sender lives as long as we do.
        let seen = progress.wait_for(is_over).await.map(|seen| *seen).unwrap_or_default();
        if number < seen.durable_below {
            return Ok(());
        }
        let state = self.state.lock();
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        let name = &self.settings.name;
        let message = format!("the journal {name} hasn't made it durable yet: it still may");
        let error = Error::new(ErrorKind::Timeout, message);
        let error = state.late.clone().map_or(error.clone(), |late| error.caused_by(late));
        let unknown = WriteError::new(WriteFault::Unknown, error.clone());
        Err(Error::new(ErrorKind::Timeout, error.to_string()).caused_by(unknown))
    }

    pub(super) fn durable_below(&self) -> u64 {
        self.state.lock().durable_below
    }

    /// The durable records from this number on.
    pub(super) fn read_from(&self, number: u64) -> Vec<Record> {
        let state = self.state.lock();
        let range = state.index(number)..state.index(state.durable_below).max(state.index(number));
        state.records.range(range).cloned().collect()
    }

    pub(super) fn truncate_below(&self, number: u64) -> Result<()> {
        let mut state = self.state.lock();
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        let number = number.min(state.durable_below);
        if number <= state.first {
            return Ok(());
        }
        let end = state.index(number);
        let gone: u64 = state.records.drain(..end).map(|record| cost(&record.bytes)).sum();
        state.bytes -= gone;
        state.first = number;
        // What was lost, and would have been sent again, is needed no more.
        state.cursor = state.cursor.max(number);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    pub(super) fn standing(&self) -> JournalStanding {
        let state = self.state.lock();
        JournalStanding { first: state.first, next: state.next, bytes: state.bytes }
    }

    /// What is to be sent now.
    pub(super) fn batch(&self) -> Batch {
        let state = self.state.lock();
        let start = state.index(state.cursor);
        let mut records = Vec::new();
        let (mut bytes, mut at) = (0, state.cursor);
        for record in state.records.range(start..).take(BATCH_MAX) {
            bytes += cost(&record.bytes);
            // Those of a batch follow each other; where a loss was accepted they don't.
            let follows = record.number == at + records.len() as u64;
            if !records.is_empty() && (bytes > BATCH_BYTES || !follows) {
                break;
            }
            if records.is_empty() {
                at = record.number;
            }
            records.push(record.bytes.clone());
        }
        // What is before the first that is needed may be there or not.
        let before = start.checked_sub(1).and_then(|before| state.records.get(before));
        Batch {
            first: state.first,
            reached: before.map_or(0, |before| before.number + 1),
            at,
            count: (start + records.len()) as u64,
            is_idle: records.is_empty()
                && state.first == state.told_first
                && state.durable_below >= state.next
                && !state.is_anew,
            records,
            accepted: state.accepted,
            is_anew: state.is_anew,
        }
    }

    /// Redis has everything below `next`, and enough replicas do if it is `durable`.
    pub(super) fn stored(&self, batch: &Batch, next: u64, durable: bool) {
        self.change(|state| {
            state.is_anew = false;
            state.told_first = batch.first;
            state.cursor = next.max(state.first);
            if durable && next > state.durable_below {
                let (start, end) = (state.index(state.durable_below), state.index(next));
                let records = state.records.range(start..end);
                let done: u64 = records.map(|record| cost(&record.bytes)).sum();
                state.waiting_bytes -= done;
                state.durable_below = next;
            }
            if durable {
                state.late = None;
            }
        });
    }

    /// Redis has lost what is from this number on: it is sent again.
    pub(super) fn rewind(&self, next: u64) {
        self.change(|state| state.cursor = next.max(state.first).min(state.cursor));
    }

    /// Redis has lost everything: it is sent again.
    pub(super) fn begin_anew(&self) {
        self.change(|state| {
            state.is_anew = true;
            state.cursor = state.first;
        });
    }

    /// Whoever waits has waited for too long.
    pub(super) fn be_late(&self, error: Error) {
        self.change(|state| state.late = Some(error));
    }

    /// From now on nothing is appended, and everybody hears of it.
    pub(super) fn fail(&self, error: Error) {
        self.change(|state| drop(state.failed.get_or_insert(error).clone()));
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.state.lock().failed.clone()
    }

    pub(super) fn close(&self) {
        self.state.lock().is_closing = true;
        self.work.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().is_closing
    }

    /// Changes the state, and tells those who wait.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        // Looked at once more, so that no older one comes after a newer one; and nobody is woken
        // under our lock.
        self.progress.send_modify(|progress| *progress = self.state.lock().progress());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::journal::RedisJournalOptions;
    use crate::options::RedisOptions;

    fn shared(waiters_max: usize, numbers: &[u64], next: u64) -> Shared {
        let options = RedisJournalOptions::new(RedisOptions::new("redis://a"), "j");
        let settings = Settings { waiters_max, ..options.settings };
        let record = |&number: &u64| Record { number, bytes: Bytes::from_static(b"x") };
        let records = numbers.iter().map(record).collect();
        Shared::new(settings, Found { first: 3, next, accepted: next, records })
    }

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Where a batch begins, how many it has, what must be there, and how many there are then.
    fn looks(batch: &Batch) -> (u64, usize, u64, u64) {
        (batch.at, batch.records.len(), batch.reached, batch.count)
    }

    #[test]
    fn too_many_who_wait_are_shed_and_who_goes_makes_room() {
        let shared = shared(2, &[], 3);
        let number = shared.append(b"a").unwrap();
        let mut first = Box::pin(shared.durable(number));
        let mut second = Box::pin(shared.durable(number));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        let Poll::Ready(Err(error)) = poll(shared.durable(number)) else { panic!("it waits") };
        assert_eq!(error.kind(), ErrorKind::Shed);
        assert!(error.retry_delay().is_some());
        drop(first);
        assert!(poll(shared.durable(number)).is_pending());
        shared.stored(&shared.batch(), number + 1, true);
        assert!(matches!(poll(second), Poll::Ready(Ok(()))));
    }

    #[test]
    fn what_is_sent_again_follows_its_numbers_and_their_holes() {
        let shared = shared(9, &[3, 4, 7, 8], 10);
        assert!(shared.batch().is_idle);
        shared.rewind(1);
        // Before the first that is needed nothing need be there.
        let batch = shared.batch();
        assert_eq!(looks(&batch), (3, 2, 0, 2));
        shared.stored(&batch, 5, true);
        let batch = shared.batch();
        assert_eq!(looks(&batch), (7, 2, 5, 4));
        shared.stored(&batch, 9, true);
        // The last number was lost, and isn't given again.
        assert_eq!(looks(&shared.batch()), (9, 0, 9, 4));
        assert_eq!(shared.append(b"a").unwrap(), 10);
        assert_eq!(looks(&shared.batch()), (10, 1, 9, 5));
    }

    #[test]
    fn what_is_truncated_is_not_sent_again() {
        let shared = shared(9, &[3, 4, 5], 6);
        shared.begin_anew();
        shared.truncate_below(5).unwrap();
        let batch = shared.batch();
        assert_eq!((looks(&batch), batch.first, batch.is_anew), ((5, 1, 0, 1), 5, true));
        shared.truncate_below(100).unwrap();
        let batch = shared.batch();
        assert_eq!((looks(&batch), batch.first), ((6, 0, 0, 0), 6));
        assert_eq!(shared.standing(), JournalStanding { first: 6, next: 6, bytes: 0 });
    }

    #[test]
    fn what_is_durable_stays_so_when_redis_has_lost_it() {
        let shared = shared(9, &[3, 4], 5);
        shared.rewind(3);
        shared.be_late(Error::new(ErrorKind::SharedDown, "it is down"));
        assert_eq!(shared.durable_below(), 5);
        assert!(matches!(poll(shared.durable(4)), Poll::Ready(Ok(()))));
        assert_eq!(shared.append(b"a").unwrap_err().kind(), ErrorKind::Shed);
        shared.stored(&shared.batch(), 5, true);
        shared.append(b"a").unwrap();
    }
}
