//! What waits for the feed to pass a place.

use std::collections::VecDeque;

use larder_core::Moment;
use larder_core::bus::ProcessId;
use larder_core::feed::FeedPosition;

/// So many questions may wait. With more the oldest is forgotten, and proves nothing.
const WAITING_MAX: usize = 256;

/// What passing a place proves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    /// This process knows everything that was committed before; zero where it asked nothing.
    pub(super) noted: Moment,
    /// So do these, of the times at which they sent their tokens.
    pub(super) tokens: Vec<(ProcessId, u64)>,
}

/// Where the log ended when somebody asked.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<(FeedPosition, Proof)>);

impl Waiting {
    /// Passing `end` proves this. Places come in the order in which they were asked for.
    pub(super) fn push(&mut self, end: FeedPosition, proof: Proof) {
        if self.0.len() == WAITING_MAX {
            self.0.pop_front();
        }
        self.0.push_back((end, proof));
    }

    /// What is proven when everything before `position` was applied.
    pub(super) fn passed(&mut self, position: FeedPosition) -> Option<Proof> {
        let mut proven: Option<Proof> = None;
        while self.0.front().is_some_and(|(end, _)| *end <= position) {
            let (_, proof) = self.0.pop_front()?;
            match &mut proven {
                None => proven = Some(proof),
                Some(all) => {
                    all.noted = all.noted.max(proof.noted);
                    // The later token of a process proves more.
                    all.tokens.retain(|(process, _)| {
                        proof.tokens.iter().all(|(later, _)| later != process)
                    });
                    all.tokens.extend(proof.tokens);
                }
            }
        }
        proven
    }

    /// Forgets them: what comes isn't of the log that they were asked of.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(noted: u64, tokens: &[(u64, u64)]) -> Proof {
        let tokens = tokens.iter().map(|&(process, number)| (ProcessId(process), number));
        Proof { noted: Moment::from_nanos(noted), tokens: tokens.collect() }
    }

    #[test]
    fn a_place_that_is_passed_proves_what_was_noted_before_it_was_asked_for() {
        let mut waiting = Waiting::default();
        waiting.push(FeedPosition(10), proof(1, &[(1, 5), (2, 7)]));
        waiting.push(FeedPosition(10), proof(2, &[(1, 6)]));
        waiting.push(FeedPosition(20), proof(3, &[]));
        assert_eq!(waiting.passed(FeedPosition(9)), None);
        assert_eq!(waiting.passed(FeedPosition(10)), Some(proof(2, &[(2, 7), (1, 6)])));
        assert_eq!(waiting.passed(FeedPosition(19)), None);
        waiting.forget();
        assert_eq!(waiting.passed(FeedPosition(20)), None);
    }

    #[test]
    fn at_the_limit_the_oldest_is_forgotten() {
        let mut waiting = Waiting::default();
        for at in 0..=WAITING_MAX as u64 {
            waiting.push(FeedPosition(u128::from(at)), proof(at + 1, &[]));
        }
        assert_eq!(waiting.passed(FeedPosition(0)), None);
        assert_eq!(waiting.passed(FeedPosition(1)), Some(proof(2, &[])));
    }
}
