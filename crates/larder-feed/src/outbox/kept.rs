//! What was applied and is kept a little longer, for who watches beside who follows.
//!
//! Who follows deletes what was applied. While somebody watches he does so later, by the time in
//! which who watches must have looked; who hasn't knows that he may have missed something. Whether
//! somebody watches is looked at after the place was noted up to which is deleted: who comes later
//! begins behind it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So long what was applied is kept for who watches.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// Who watches and hasn't looked for so long begins anew.
pub(crate) const LOOKS_WITHIN: Duration = Duration::from_secs(5);
/// So much may wait. What comes then is joined to the last, and kept for as long as that.
const KEPT_MAX: usize = 64;

/// The runtime's clock, which its timers go by. No answer's age depends on it.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What waits to be deleted, in order.
#[derive(Debug)]
pub(crate) struct Kept<T>(VecDeque<(Instant, T)>);

impl<T> Kept<T> {
    pub(crate) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// It may be deleted: later, while somebody watches.
    pub(crate) fn push(&mut self, what: T, is_watched: bool, join: impl FnOnce(T, T) -> T) {
        let at = now();
        let until = if is_watched { at + KEPT_FOR } else { at };
        let full = if self.0.len() >= KEPT_MAX { self.0.pop_back() } else { None };
        let what = match full {
            Some((_, last)) => join(last, what),
            None => what,
        };
        self.0.push_back((until, what));
    }

    /// What is to be deleted now.
    pub(crate) fn due(&mut self) -> Option<T> {
        let at = now();
        let is_due = self.0.front().is_some_and(|(until, _)| *until <= at);
        if is_due { self.0.pop_front().map(|(_, what)| what) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_somebody_watches_is_deleted_when_he_must_have_looked() {
        let mut kept = Kept::new();
        kept.push(1, false, u32::max);
        kept.push(2, true, u32::max);
        assert_eq!((kept.due(), kept.due()), (Some(1), None));
        tokio::time::advance(LOOKS_WITHIN).await;
        kept.push(3, true, u32::max);
        assert_eq!(kept.due(), None, "who has just looked in time");
        tokio::time::advance(KEPT_FOR - LOOKS_WITHIN).await;
        assert_eq!((kept.due(), kept.due()), (Some(2), None));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_bound_what_comes_is_joined_to_the_last() {
        let mut kept = Kept::new();
        for what in 0..100 {
            kept.push(what, true, u32::max);
        }
        tokio::time::advance(KEPT_FOR).await;
        let due: Vec<u32> = std::iter::from_fn(|| kept.due()).collect();
        assert_eq!((due.len(), due.last()), (KEPT_MAX, Some(&99)));
    }
}
