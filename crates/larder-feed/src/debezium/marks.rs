//! Places that were delivered, until they are acknowledged.

use std::collections::VecDeque;

/// So many are remembered. Beyond it every other one is forgotten, so that less is acknowledged at
/// once.
const MARKS_MAX: usize = 4_096;

/// What a transport reached with each batch that isn't acknowledged.
#[derive(Debug)]
pub(super) struct Marks<P> {
    marks: VecDeque<(u64, P)>,
}

impl<P> Default for Marks<P> {
    fn default() -> Self {
        Self { marks: VecDeque::new() }
    }
}

impl<P> Marks<P> {
    /// The batch of this number was delivered, and reaches this place.
    pub(super) fn deliver(&mut self, number: u64, place: P) {
        if self.marks.len() == MARKS_MAX {
            let mut is_kept = true;
            self.marks.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.marks.push_back((number, place));
    }

    /// The place of the last batch.
    #[cfg(feature = "nats")]
    pub(super) fn last_mut(&mut self) -> Option<&mut P> {
        self.marks.back_mut().map(|(_, place)| place)
    }

    /// What is reached when everything up to this batch is acknowledged; `None` where nothing new
    /// is.
    pub(super) fn acknowledge(&mut self, number: u64) -> Option<(u64, P)> {
        let mut reached = None;
        while self.marks.front().is_some_and(|(first, _)| *first <= number) {
            reached = self.marks.pop_front();
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_the_last_place_that_was_reached() {
        let mut marks = Marks::default();
        for number in [3, 5, 9] {
            marks.deliver(number, number * 10);
        }
        assert_eq!(marks.acknowledge(2), None);
        assert_eq!(marks.acknowledge(6), Some((5, 50)));
        assert_eq!(marks.acknowledge(6), None);
        assert_eq!(marks.acknowledge(u64::MAX), Some((9, 90)));
    }

    #[test]
    fn beyond_the_limit_less_is_acknowledged_at_once_and_never_too_much() {
        let mut marks = Marks::default();
        let last = 3 * MARKS_MAX as u64;
        for number in 1..=last {
            marks.deliver(number, number);
            assert!(marks.marks.len() <= MARKS_MAX);
        }
        for number in (1..last).step_by(97) {
            assert!(
                marks.acknowledge(number).is_none_or(|(at, place)| at <= number && place == at)
            );
        }
        assert_eq!(marks.acknowledge(last), Some((last, last)));
    }
}
