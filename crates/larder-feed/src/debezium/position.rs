//! Positions of this feed: how far it was told, and which beat was passed.
//!
//! A beat's place among the records isn't known before it arrives, so where the log ends is named
//! by the beat, and not by a number of the transport. Within one reading both only grow.

use larder_core::feed::FeedPosition;

use super::records::Place;

const NUMBER_BITS: u32 = 56;
const LOG_BITS: u32 = 32;

/// 40 bits for the beat, 56 for the transport's number, 32 for its log, from the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// This beat of the feed was passed.
    pub(super) beat: u64,
    /// Everything up to here was told.
    pub(super) place: Place,
}

impl Position {
    /// The place that is passed when this beat is, whatever was told until then.
    pub(super) fn end(beat: u64) -> FeedPosition {
        Self { beat, place: Place { log: 0, number: 0 } }.packed()
    }

    pub(super) fn packed(self) -> FeedPosition {
        let number = u128::from(self.place.number & ((1 << NUMBER_BITS) - 1));
        let beat = u128::from(self.beat) << (NUMBER_BITS + LOG_BITS);
        FeedPosition(beat | number << LOG_BITS | u128::from(self.place.log))
    }

    #[allow(clippy::cast_possible_truncation)] // Each part is cut out.
    pub(super) fn of(position: FeedPosition) -> Self {
        let number = (position.0 >> LOG_BITS) as u64 & ((1 << NUMBER_BITS) - 1);
        let place = Place { log: position.0 as u32, number };
        Self { beat: (position.0 >> (NUMBER_BITS + LOG_BITS)) as u64, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(beat: u64, number: u64) -> FeedPosition {
        Position { beat, place: Place { log: u32::MAX, number } }.packed()
    }

    #[test]
    fn an_end_is_passed_with_its_beat_and_not_before() {
        let largest = (1 << NUMBER_BITS) - 1;
        assert!(at(6, largest) < Position::end(7));
        assert!(Position::end(7) <= at(7, 0));
        assert!(at(7, 3) < at(7, 4));
    }

    #[test]
    fn what_was_packed_is_what_comes_out() {
        let position = Position { beat: 9, place: Place { log: 0xdead_beef, number: 1 << 55 } };
        assert_eq!(Position::of(position.packed()), position);
    }
}
