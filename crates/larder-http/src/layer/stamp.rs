//! What tells the list of a URI's variants, or that of a path, from those before and after it: its
//! *stamp*, which is in the keys of all that it leads to. And which responses may stand under it.
//!
//! What invalidates a URI strikes its lists alone: the next one has another stamp. That must hold
//! where processes share lists, and one hears a little later of what another one struck. Meanwhile
//! it may read a list that was made after the strike, or make one by a fetch that began after it;
//! under this a response that was fetched before the strike would be found for ever. So
//!
//! - a response is stored under a list that was known before its origin was asked, or that this
//!   process made by an earlier fetch, or by its own. If the tier holds that list later, no strike
//!   lies between that fetch and now;
//! - no list comes back into the tier under a stamp that was struck there. One that another is made
//!   out of has its stamp only where the tier held that one when it granted the lease.
//!
//! A list that was made without a lease is in no tier: it is gone when the strike is heard of, and
//! everything may be stored under it.

use std::hash::{BuildHasher, RandomState};

use larder_core::Moment;

use super::keep::ResponseTicket;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    number: u64,
    made: Made,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// Here, and other processes don't know of it.
    Alone,
    /// Here, to be shared, by a fetch that began then.
    Shared(Moment),
    /// Elsewhere.
    Elsewhere,
}

/// What was known of a list when the origin was asked for a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its stamp, if there was one.
    pub(super) stamp: Option<u64>,
    /// No later than the origin was asked.
    pub(super) at: Moment,
}

impl Stamp {
    /// That of a list that is filled with this ticket: a number that no other list of its key has,
    /// in whatever process, for all that is likely.
    pub(super) fn made(ticket: &ResponseTicket) -> Self {
        let number = RandomState::new().hash_one((ticket.key(), ticket.taken_at()));
        let made = match ticket.is_leased() {
            true => Made::Shared(ticket.taken_at()),
            false => Made::Alone,
        };
        Self { number, made }
    }

    /// That of a list that was read from the shared tier.
    pub(super) fn read(number: u64) -> Self {
        Self { number, made: Made::Elsewhere }
    }

    pub(super) fn number(self) -> u64 {
        self.number
    }

    /// Whether a response may be stored under its list of which so much was known.
    pub(super) fn takes(self, known: Known) -> bool {
        let is_known = known.stamp == Some(self.number);
        is_known
            || match self.made {
                Made::Alone => true,
                // Of two at the same moment nobody knows which was first.
                Made::Shared(at) => at < known.at,
                Made::Elsewhere => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_what_was_asked_for_after_it() {
        let at = Moment::from_nanos;
        let stamp = |made| Stamp { number: 7, made };
        let cases = [
            (Made::Alone, [true, true, true]),
            (Made::Shared(at(2)), [false, false, true]),
            (Made::Elsewhere, [false, false, false]),
        ];
        for (made, takes) in cases {
            for (asked, takes) in (1..4).zip(takes) {
                let known = |stamp| Known { stamp, at: at(asked) };
                assert_eq!(stamp(made).takes(known(None)), takes, "{made:?} {asked}");
                assert_eq!(stamp(made).takes(known(Some(6))), takes, "{made:?} {asked}");
                assert!(stamp(made).takes(known(Some(7))), "{made:?} {asked}");
            }
        }
    }
}
