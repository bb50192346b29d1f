//! Who waits for which record to become durable.

use std::collections::BTreeMap;
use std::task::Waker;

/// Wakers, by the number that they wait for. What each has is a ticket, to be changed or taken
/// back.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    all: BTreeMap<Ticket, Waker>,
    next: u64,
}

/// The number that is waited for, and which of those who do.
pub(crate) type Ticket = (u64, u64);

impl Waiters {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn add(&mut self, number: u64, waker: &Waker) -> Ticket {
        let ticket = (number, self.next);
        self.next += 1;
        self.all.insert(ticket, waker.clone());
        ticket
    }

    /// Whether the ticket was still there.
    pub(crate) fn renew(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        let known = self.all.get_mut(&ticket);
        known.map(|known| known.clone_from(waker)).is_some()
    }

    pub(crate) fn take_back(&mut self, ticket: Ticket) {
        self.all.remove(&ticket);
    }

    /// Those who wait for a number below this one. They are to be woken outside of any lock.
    pub(crate) fn below(&mut self, number: u64) -> impl Iterator<Item = Waker> + use<> {
        let others = self.all.split_off(&(number, 0));
        std::mem::replace(&mut self.all, others).into_values()
    }
}
