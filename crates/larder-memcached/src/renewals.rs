//! Leases that were made longer: what their items' numbers are now.
//!
//! A lease is made longer by putting a new stub in the place of its own, which has another CAS.
//! The token in the holder's hands can't change, so the number is looked up here.

use std::collections::HashMap;
use std::collections::VecDeque;

use larder_core::sync::Mutex;

/// How many renewed leases are remembered. Of further ones the first renewed is forgotten: it is
/// void, and its stub ends with its time.
const RENEWED_MAX: usize = 1_024;

/// The leases that were made longer.
#[derive(Debug, Default)]
pub(crate) struct Renewals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<Id, u64>,
    /// In the order of their first renewals; may name some that are gone.
    order: VecDeque<Id>,
}

/// A lease, by what its token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    /// The connection that it was taken over.
    pub(crate) generation: u32,
    /// The number that it was taken with.
    pub(crate) cas: u64,
}

impl Renewals {
    /// The number that the lease's item has now.
    pub(crate) fn number(&self, lease: Id) -> u64 {
        self.0.lock().numbers.get(&lease).copied().unwrap_or(lease.cas)
    }

    /// Notes that the lease's item has the number `cas` now.
    pub(crate) fn renew(&self, lease: Id, cas: u64) {
        let known = &mut *self.0.lock();
        if known.numbers.insert(lease, cas).is_some() {
            return;
        }
        known.order.push_back(lease);
        while known.order.len() > RENEWED_MAX {
            if let Some(first) = known.order.pop_front() {
                known.numbers.remove(&first);
            }
        }
    }

    /// Forgets the lease, and returns the number that its item has now.
    pub(crate) fn end(&self, lease: Id) -> u64 {
        self.0.lock().numbers.remove(&lease).unwrap_or(lease.cas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(cas: u64) -> Id {
        Id { generation: 1, cas }
    }

    #[test]
    fn a_lease_keeps_its_name_through_all_its_renewals() {
        let renewals = Renewals::default();
        assert_eq!(renewals.number(id(5)), 5);
        renewals.renew(id(5), 8);
        renewals.renew(id(5), 9);
        assert_eq!(renewals.number(id(5)), 9);
        assert_eq!(renewals.number(Id { generation: 2, cas: 5 }), 5);
        assert_eq!(renewals.end(id(5)), 9);
        assert_eq!(renewals.end(id(5)), 5);
    }

    #[test]
    fn at_the_limit_the_first_renewed_is_forgotten() {
        let renewals = Renewals::default();
        (0..=RENEWED_MAX as u64).for_each(|cas| renewals.renew(id(cas), 1_000_000 + cas));
        assert_eq!(renewals.number(id(0)), 0);
        assert_eq!(renewals.number(id(1)), 1_000_001);
        assert_eq!(renewals.0.lock().numbers.len(), RENEWED_MAX);
    }
}
