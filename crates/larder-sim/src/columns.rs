//! Requests in columns, so that a trace takes no memory for what it doesn't tell.

use crate::request::{Op, Request};

/// The time of a request and the moment at which what it fills expires, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) now_ms: u64,
    pub(crate) expires_ms: u64,
}

impl Times {
    /// Of a request of which no time is known: it fills for ever.
    pub(crate) const UNKNOWN: Self = Self { now_ms: 0, expires_ms: u64::MAX };
}

/// 4 bytes a request; 1 more where there are other operations than reads, 4 more where sizes are
/// known, 16 more where anything expires.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    keys: Vec<u32>,
    /// Empty while all are reads.
    ops: Vec<Op>,
    /// Empty while no size is known.
    sizes: Vec<u32>,
    /// Empty while nothing expires.
    times: Vec<Times>,
}

impl Columns {
    /// Appends a request of the key with this number.
    pub(crate) fn push(&mut self, key: u32, request: &Request) {
        let before = self.keys.len();
        self.keys.push(key);
        put(&mut self.ops, before, Op::Read, (request.op != Op::Read).then_some(request.op));
        // Of an unknown size nothing is weighed but the entry itself.
        put(&mut self.sizes, before, 0, request.size);
        let expires = request
            .time_ms
            .zip(request.ttl_ms)
            .map(|(now_ms, ttl_ms)| Times { now_ms, expires_ms: now_ms.saturating_add(ttl_ms) });
        let now_ms = request.time_ms.unwrap_or(0);
        put(&mut self.times, before, Times { now_ms, ..Times::UNKNOWN }, expires);
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn keys(&self) -> &[u32] {
        &self.keys
    }

    pub(crate) fn op(&self, at: usize) -> Op {
        self.ops.get(at).copied().unwrap_or(Op::Read)
    }

    pub(crate) fn size(&self, at: usize) -> u32 {
        self.sizes.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn times(&self, at: usize) -> Times {
        self.times.get(at).copied().unwrap_or(Times::UNKNOWN)
    }

    pub(crate) fn have_sizes(&self) -> bool {
        !self.sizes.is_empty()
    }

    pub(crate) fn have_times(&self) -> bool {
        !self.times.is_empty()
    }

    /// Keeps the requests whose keys get a new number.
    pub(crate) fn renumber(&mut self, new: impl Fn(u32) -> Option<u32>) {
        let mut kept = 0;
        for at in 0..self.keys.len() {
            let Some(key) = new(self.keys[at]) else { continue };
            self.keys[kept] = key;
            move_value(&mut self.ops, kept, at);
            move_value(&mut self.sizes, kept, at);
            move_value(&mut self.times, kept, at);
            kept += 1;
        }
        self.keys.truncate(kept);
        self.ops.truncate(kept);
        self.sizes.truncate(kept);
        self.times.truncate(kept);
    }
}

/// Puts a value into a column, which begins with the first value that is given.
fn put<T: Copy>(column: &mut Vec<T>, before: usize, absent: T, given: Option<T>) {
    if given.is_some() && column.is_empty() {
        column.resize(before, absent);
    }
    // As long as the others, or not begun.
    if given.is_some() || (before > 0 && column.len() == before) {
        column.push(given.unwrap_or(absent));
    }
}

/// Moves a value to the front, in a column that has begun.
fn move_value<T: Copy>(column: &mut [T], to: usize, from: usize) {
    if !column.is_empty() {
        column[to] = column[from];
    }
}
