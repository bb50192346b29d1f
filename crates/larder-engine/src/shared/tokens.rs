//! The horizon, learnt by echo.
//!
//! A process notes the time, sends a token behind everything that was published, and reads it
//! back: everything published before that time has then been applied here. No clocks need to
//! agree. When the bus stands still so does the horizon, and nothing has to be detected.

use std::collections::VecDeque;

use larder_core::Moment;
use larder_core::sync::Mutex;

/// So many tokens may be under way. With more the oldest is forgotten, and its echo means nothing.
const TOKENS_MAX: usize = 64;

/// The tokens that are under way.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Sent>);

#[derive(Debug, Default)]
struct Sent {
    last: u64,
    waiting: VecDeque<(u64, Moment)>,
}

impl Tokens {
    /// A token that was issued elsewhere goes under this number; the time was noted before.
    pub(crate) fn note(&self, number: u64, noted: Moment) {
        let mut sent = self.0.lock();
        if sent.waiting.len() == TOKENS_MAX {
            sent.waiting.pop_front();
        }
        sent.waiting.push_back((number, noted));
    }

    /// A new token, to be sent at `now` or later.
    pub(crate) fn issue(&self, now: Moment) -> u64 {
        let mut sent = self.0.lock();
        sent.last += 1;
        let number = sent.last;
        drop(sent);
        self.note(number, now);
        number
    }

    /// The horizon that the echo of a token proves, if it is one of those under way.
    pub(crate) fn echoed(&self, number: u64) -> Option<Moment> {
        let mut sent = self.0.lock();
        let at = sent.waiting.iter().position(|(waiting, _)| *waiting == number)?;
        sent.waiting.drain(..=at).next_back().map(|(_, issued_at)| issued_at)
    }

    /// Forgets all that are under way: what they would prove is about a stream that is over.
    pub(crate) fn forget(&self) {
        self.0.lock().waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn an_echo_proves_the_time_at_which_its_token_was_issued() {
        let tokens = Tokens::default();
        let (first, second) = (tokens.issue(at(10)), tokens.issue(at(20)));
        assert_eq!(tokens.echoed(second), Some(at(20)));
        assert_eq!(tokens.echoed(first), None, "an older one proves nothing more");
        assert_eq!(tokens.echoed(second), None);
        assert_eq!(tokens.echoed(99), None);
    }

    #[test]
    fn forgotten_tokens_prove_nothing_and_are_never_issued_again() {
        let tokens = Tokens::default();
        let old = tokens.issue(at(10));
        tokens.forget();
        assert_eq!(tokens.echoed(old), None);
        assert_ne!(tokens.issue(at(20)), old);
    }

    #[test]
    fn at_the_limit_the_oldest_is_forgotten() {
        let tokens = Tokens::default();
        let all: Vec<u64> = (0..=TOKENS_MAX as u64).map(|now| tokens.issue(at(now))).collect();
        assert_eq!(tokens.echoed(all[0]), None);
        assert_eq!(tokens.echoed(all[1]), Some(at(1)));
    }
}
