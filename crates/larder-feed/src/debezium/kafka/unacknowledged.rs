//! What was delivered and isn't acknowledged, with the places that it reached.
//!
//! At most 1,024 batches are told apart; beyond that the oldest two count as one, which is
//! acknowledged when the later of them is. So nothing is acknowledged too early.

use std::collections::VecDeque;

const BATCHES_MAX: usize = 1_024;

/// A lane, and a place in it.
type Reached = (u32, i64);

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Unacknowledged {
    batches: VecDeque<(u64, Vec<Reached>)>,
    /// What counts as reached with the next batch.
    next: Vec<Reached>,
}

impl Unacknowledged {
    /// These places are reached when the next batch is acknowledged.
    pub(super) fn reach(&mut self, places: impl IntoIterator<Item = Reached>) {
        self.next.extend(places);
        if self.next.len() > BATCHES_MAX {
            last_of_each(&mut self.next);
        }
    }

    /// A batch was delivered.
    pub(super) fn deliver(&mut self, number: u64) {
        if self.batches.len() == BATCHES_MAX
            && let Some((_, mut oldest)) = self.batches.pop_front()
            && let Some((_, second)) = self.batches.front_mut()
        {
            oldest.append(second);
            last_of_each(&mut oldest);
            *second = oldest;
        }
        last_of_each(&mut self.next);
        self.batches.push_back((number, std::mem::take(&mut self.next)));
    }

    /// The places that are acknowledged with this batch, and weren't before.
    pub(super) fn acknowledge(&mut self, number: u64) -> Vec<Reached> {
        let mut places = Vec::new();
        while self.batches.front().is_some_and(|(oldest, _)| *oldest <= number) {
            places.extend(self.batches.pop_front().into_iter().flat_map(|(_, places)| places));
        }
        last_of_each(&mut places);
        places
    }
}

/// Keeps the last place of each lane.
fn last_of_each(places: &mut Vec<Reached>) {
    // A stable sort keeps later ones behind.
    places.sort_by_key(|(lane, _)| *lane);
    places.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            earlier.1 = later.1;
        }
        is_same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_acknowledged_with_everything_before_it_and_nothing_behind() {
        let mut open = Unacknowledged::default();
        open.reach([(1, 5), (0, 7)]);
        open.deliver(10);
        open.reach([(1, 9)]);
        open.deliver(11);
        open.reach([(0, 8)]);
        assert_eq!(open.acknowledge(9), []);
        assert_eq!(open.acknowledge(11), [(0, 7), (1, 9)]);
        // Reached, but behind the last batch.
        assert_eq!(open.acknowledge(u64::MAX), []);
        open.deliver(12);
        assert_eq!(open.acknowledge(12), [(0, 8)]);
    }

    #[test]
    fn the_last_place_of_a_lane_counts_even_if_it_is_lower() {
        let mut open = Unacknowledged::default();
        // A topic that was made anew begins again.
        open.reach([(1, 9), (1, 2)]);
        open.deliver(1);
        assert_eq!(open.acknowledge(1), [(1, 2)]);
    }

    #[test]
    fn at_the_limit_the_oldest_two_wait_for_the_later_of_them() {
        let mut open = Unacknowledged::default();
        for number in 0..=BATCHES_MAX as u64 {
            open.reach([(0, i64::try_from(number).unwrap())]);
            open.deliver(number);
        }
        assert_eq!(open.batches.len(), BATCHES_MAX);
        assert_eq!(open.acknowledge(0), []);
        assert_eq!(open.acknowledge(1), [(0, 1)]);
        for _ in 0..=BATCHES_MAX {
            open.reach([(0, 5), (1, 6)]);
        }
        assert!(open.next.len() <= BATCHES_MAX);
    }
}
