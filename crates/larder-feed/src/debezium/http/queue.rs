//! Requests until they are answered.

use std::collections::VecDeque;

use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, oneshot};

use crate::debezium::records::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Record};

/// See the module's documentation.
pub(super) struct Queue {
    state: Mutex<State>,
    has_come: Notify,
    waiting_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    is_read: bool,
    /// So many records have come.
    number: u64,
    applied: u64,
    /// What wasn't delivered, in its order.
    waiting: VecDeque<Waiting>,
    /// What was, and isn't answered.
    delivered: VecDeque<(u64, usize, oneshot::Sender<()>)>,
    bytes: usize,
}

struct Waiting {
    records: Vec<Record>,
    bytes: usize,
    /// The number of its last record.
    number: u64,
    answer: oneshot::Sender<()>,
}

impl Queue {
    pub(super) fn new(waiting_max: usize, bytes_max: usize) -> Self {
        Self { state: Mutex::default(), has_come: Notify::new(), waiting_max, bytes_max }
    }

    /// Takes a request, and returns what is told when it has been applied; dropped when it won't
    /// be.
    pub(super) fn push(&self, records: Vec<Record>) -> Result<oneshot::Receiver<()>> {
        let len = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
        let bytes = records.iter().map(|record| len(&record.key) + len(&record.value)).sum();
        let (answer, is_applied) = oneshot::channel();
        let mut state = self.state.lock();
        let is_full = state.waiting.len() + state.delivered.len() >= self.waiting_max;
        if is_full || state.bytes + bytes > self.bytes_max {
            return Err(Error::new(ErrorKind::Shed, "too many records wait to be applied"));
        }
        state.bytes += bytes;
        state.number += records.len() as u64;
        let number = state.number;
        state.waiting.push_back(Waiting { records, bytes, number, answer });
        drop(state);
        self.has_come.notify_one();
        Ok(is_applied)
    }

    /// Whether nobody reads yet.
    pub(super) fn begin(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().is_read, true)
    }

    /// Nobody reads any more: what waits is to be posted again, so that its order stays.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.is_read = false;
        state.waiting.clear();
        state.delivered.clear();
        state.bytes = 0;
    }

    pub(super) fn applied(&self) -> u64 {
        self.state.lock().applied
    }

    /// Answers what was delivered up to here.
    pub(super) fn answer(&self, number: u64) {
        let mut state = self.state.lock();
        state.applied = state.applied.max(number);
        while state.delivered.front().is_some_and(|(last, ..)| *last <= number) {
            if let Some((_, bytes, answer)) = state.delivered.pop_front() {
                state.bytes -= bytes;
                // Whoever doesn't wait any more posts it again.
                let _ = answer.send(());
            }
        }
    }

    /// What comes next. Dropped, it takes nothing with it.
    pub(super) async fn next(&self) -> (u64, Vec<Record>) {
        loop {
            let has_come = self.has_come.notified();
            if let Some(batch) = self.take() {
                return batch;
            }
            has_come.await;
        }
    }

    fn take(&self) -> Option<(u64, Vec<Record>)> {
        let mut state = self.state.lock();
        let (mut batch, mut number, mut bytes) = (Vec::new(), 0, 0);
        while let Some(first) = state.waiting.front()
            && (batch.is_empty()
                || (batch.len() + first.records.len() <= BATCH_RECORDS_MAX
                    && bytes + first.bytes <= BATCH_BYTES_MAX))
        {
            let Some(first) = state.waiting.pop_front() else { break };
            batch.extend(first.records);
            bytes += first.bytes;
            number = first.number;
            state.delivered.push_back((number, first.bytes, first.answer));
        }
        (!batch.is_empty()).then_some((number, batch))
    }
}
