//! Belady's optimum: what a cache could have hit that knew the future.
//!
//! An entry that is read again later than every other leaves first, and a value that would itself
//! be that entry is not kept at all. For entries of one size that never expire nothing can hit
//! more (Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
//! Journal 1966; with bypass: Mattson et al. 1970). For entries of different sizes the true
//! optimum is NP-hard, and this is a good policy that knows the future and no bound; the same
//! holds where entries expire, since to refill one early may pay.

use std::collections::BinaryHeap;

use crate::outcome::Hit;
use crate::replay::REQUESTS_AT_ONCE;
use crate::request::Op;
use crate::{Outcome, Requests, Unit};

/// When nothing reads a value again.
const NEVER: u32 = u32::MAX;

/// Which request reads each value again, before it is overwritten or removed.
///
/// One serves the replays of all capacities. Memory: 4 bytes a request.
#[derive(Clone, Debug)]
pub struct Future(Vec<u32>);

impl Future {
    /// Looks ahead from each of these requests.
    pub fn of(requests: &Requests) -> Self {
        let columns = &requests.columns;
        let mut next_of = vec![NEVER; requests.keys()];
        let mut next = vec![NEVER; columns.len()];
        for (at, &key) in columns.keys().iter().enumerate().rev() {
            let coming = &mut next_of[key as usize];
            next[at] = *coming;
            *coming = if columns.op(at) == Op::Read { at as u32 } else { NEVER };
        }
        Self(next)
    }
}

/// Replays requests through a cache that knows their future.
///
/// `progress` is told now and then how many more requests were replayed. Memory: 13 bytes for
/// each key of the trace, 16 more where entries expire, and up to 16 for each entry held.
pub fn belady(
    requests: &Requests,
    future: &Future,
    unit: Unit,
    capacity: u64,
    mut progress: impl FnMut(u64),
) -> Outcome {
    let mut cache = Cache::new(requests, capacity);
    let columns = &requests.columns;
    for (at, &key) in columns.keys().iter().enumerate() {
        if at % REQUESTS_AT_ONCE == 0 && at > 0 {
            progress(REQUESTS_AT_ONCE as u64);
        }
        let (size, times) = (columns.size(at), columns.times(at));
        let held = cache.take(key);
        let live = held.filter(|held| held.expires_ms > times.now_ms);
        let op = columns.op(at);
        if op == Op::Read {
            cache.outcome.read(if live.is_some() { Hit::Yes } else { Hit::No }, size);
        }
        let weight = match unit {
            Unit::Entries => 1,
            Unit::Bytes => size.max(1),
        };
        let value = match (op, live) {
            (Op::Remove, _) => continue,
            (Op::Read, Some(value)) => value,
            _ => Value { weight, expires_ms: times.expires_ms },
        };
        let next = future.0[at];
        if next != NEVER && columns.times(next as usize).now_ms < value.expires_ms {
            cache.keep(key, next, value);
        }
    }
    progress((columns.len() % REQUESTS_AT_ONCE) as u64);
    cache.outcome
}

#[derive(Clone, Copy)]
struct Value {
    weight: u32,
    expires_ms: u64,
}

struct Cache<'a> {
    requests: &'a Requests,
    capacity: u64,
    held: u64,
    count: usize,
    /// The next read of each key's value; [`NEVER`] where it isn't held.
    next_of: Vec<u32>,
    weights: Vec<u32>,
    /// When each key's value expires; empty where none does.
    expires_ms: Vec<u64>,
    /// The next reads, the latest first. Those of values that have gone stay behind until they
    /// are the most.
    order: BinaryHeap<u32>,
    outcome: Outcome,
}

impl<'a> Cache<'a> {
    fn new(requests: &'a Requests, capacity: u64) -> Self {
        let keys = requests.keys();
        Self {
            requests,
            capacity,
            held: 0,
            count: 0,
            next_of: vec![NEVER; keys],
            weights: vec![0; keys],
            expires_ms: vec![u64::MAX; if requests.expire() { keys } else { 0 }],
            order: BinaryHeap::new(),
            outcome: Outcome::new(requests),
        }
    }

    /// Takes a key's value out, if it is held.
    fn take(&mut self, key: u32) -> Option<Value> {
        let key = key as usize;
        if std::mem::replace(&mut self.next_of[key], NEVER) == NEVER {
            return None;
        }
        let weight = self.weights[key];
        self.held -= u64::from(weight);
        self.count -= 1;
        let expires_ms = self.expires_ms.get(key).copied().unwrap_or(u64::MAX);
        Some(Value { weight, expires_ms })
    }

    /// Keeps a value until its next read, unless all that are held are read before.
    fn keep(&mut self, key: u32, next: u32, value: Value) {
        if u64::from(value.weight) > self.capacity {
            self.outcome.refused += 1;
            return;
        }
        self.next_of[key as usize] = next;
        self.weights[key as usize] = value.weight;
        if let Some(expires_ms) = self.expires_ms.get_mut(key as usize) {
            *expires_ms = value.expires_ms;
        }
        self.held += u64::from(value.weight);
        self.count += 1;
        self.order.push(next);
        while self.held > self.capacity {
            let latest = self.order.pop().expect("what is held is in the order");
            let key = self.requests.columns.keys()[latest as usize];
            if self.next_of[key as usize] == latest {
                self.take(key);
                self.outcome.evicted += 1;
            }
        }
        if self.order.len() > 2 * self.count + 64 {
            let (keys, next_of) = (self.requests.columns.keys(), &self.next_of);
            self.order.retain(|&next| next_of[keys[next as usize] as usize] == next);
        }
    }
}
