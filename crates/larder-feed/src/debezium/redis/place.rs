//! Places in streams.

use std::fmt;
use std::str::FromStr;

/// The number of an entry, as Redis has it: milliseconds, and a count within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64, u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (millis, count) = text.split_once('-').ok_or(())?;
        Ok(Self(millis.parse().map_err(|_| ())?, count.parse().map_err(|_| ())?))
    }
}

/// A place in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    /// The last entry before it.
    pub(super) id: Id,
    /// So many entries were ever added before it.
    pub(super) count: u64,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its last entry, also where that is gone.
    pub(super) end: At,
    /// So many entries are in it.
    pub(super) length: u64,
}

impl Standing {
    /// Where reading begins anew, if entries behind this place are gone.
    pub(super) fn lost(&self, at: At) -> Option<At> {
        // Entries are trimmed in their order, so what is gone are the first.
        let gone = self.end.count.saturating_sub(self.length);
        if self.end.id < at.id || self.end.count < at.count {
            // It was made anew.
            return Some(At { id: Id::default(), count: gone });
        }
        (gone > at.count).then_some(At { id: at.id, count: gone })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u64, count: u64) -> At {
        At { id: Id(id, 0), count }
    }

    #[test]
    fn what_was_trimmed_behind_the_place_is_lost_and_before_it_is_not() {
        let standing = |length| Standing { end: at(10, 10), length };
        for length in 5..=10 {
            assert_eq!(standing(length).lost(at(5, 5)), None, "{length}");
        }
        assert_eq!(standing(4).lost(at(5, 5)), Some(at(5, 6)));
        assert_eq!(standing(0).lost(at(10, 10)), None);
        assert_eq!(standing(0).lost(at(5, 5)), Some(at(5, 10)));
    }

    #[test]
    fn a_stream_that_ends_before_the_place_was_made_anew() {
        let standing = Standing { end: at(3, 3), length: 2 };
        assert_eq!(standing.lost(at(5, 2)), Some(at(0, 1)));
        assert_eq!(standing.lost(at(2, 5)), Some(at(0, 1)));
        assert_eq!(Standing::default().lost(at(0, 0)), None);
    }

    #[test]
    fn ids_are_read_and_written() {
        assert_eq!("12-3".parse(), Ok(Id(12, 3)));
        assert_eq!(Id(12, 3).to_string(), "12-3");
        assert!("9-0".parse::<Id>() < "10-0".parse::<Id>());
        for text in ["", "1", "1-", "-1", "a-b"] {
            assert_eq!(text.parse::<Id>(), Err(()));
        }
    }
}
