//! The windows of a cached function, refused at compile time where the cache would refuse them.
//!
//! The words are those of larder's own checks; a test holds them together.

use std::time::Duration;

use proc_macro2::Span;
use syn::{Error, Result};

/// A value and where it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// The windows, as far as they are given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Windows {
    pub(crate) max_staleness: Option<Given<Duration>>,
    pub(crate) fresh_for: Option<Given<Duration>>,
    pub(crate) stale_for: Option<Given<Duration>>,
    pub(crate) missing_for: Option<Given<Duration>>,
    pub(crate) jitter: Option<Given<Duration>>,
}

impl Windows {
    /// Refuses windows that can't be kept.
    pub(crate) fn check(&self) -> Result<()> {
        let stale_for = self.stale_for.map_or(Duration::ZERO, |given| given.value);
        let given = |window: Option<Given<Duration>>| window.map(|given| given.value);
        let (fresh_for, max_staleness) = match (given(self.fresh_for), given(self.max_staleness)) {
            (None, None) => {
                return Err(Error::new(
                    Span::call_site(),
                    "name the window: how stale may an answer be? Set max_staleness or fresh_for",
                ));
            }
            (Some(fresh_for), None) => (fresh_for, fresh_for.saturating_add(stale_for)),
            (None, Some(max_staleness)) => (max_staleness, max_staleness),
            (Some(fresh_for), Some(max_staleness)) => (fresh_for, max_staleness),
        };
        refuse(
            self.fresh_for,
            max_staleness,
            "fresh_for is longer than max_staleness: without a stream of changes nothing but age \
             bounds the staleness, so an entry can't stay fresh longer than the promise. Shorten \
             fresh_for or widen max_staleness",
        )?;
        refuse(
            self.jitter,
            fresh_for,
            "jitter is longer than fresh_for; it only ever shortens it",
        )?;
        refuse(
            self.missing_for,
            max_staleness,
            "missing_for is longer than max_staleness: absence is an answer too, and the promise \
             covers it. Shorten missing_for or widen max_staleness",
        )
    }
}

fn refuse(window: Option<Given<Duration>>, longest: Duration, message: &str) -> Result<()> {
    match window {
        Some(given) if given.value > longest => Err(Error::new(given.span, message)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder::core::freshness::{Declared, Window};

    fn given(seconds: Option<u64>) -> Option<Given<Duration>> {
        let value = Duration::from_secs(seconds?);
        Some(Given { value, span: Span::call_site() })
    }

    #[test]
    fn the_same_windows_are_refused_in_the_same_words_as_by_the_cache() {
        let seconds = [None, Some(0), Some(1), Some(40)];
        let mut refused = 0;
        for max in seconds {
            for fresh in seconds {
                for [stale, missing, jitter] in seconds
                    .into_iter()
                    .flat_map(|one| seconds.map(|two| [None, one, two]))
                    .chain(seconds.map(|one| [one, None, None]))
                {
                    let windows = Windows {
                        max_staleness: given(max),
                        fresh_for: given(fresh),
                        stale_for: given(stale),
                        missing_for: given(missing),
                        jitter: given(jitter),
                    };
                    let declared = Declared {
                        max_staleness: max.map(Duration::from_secs),
                        fresh_for: fresh.map(Duration::from_secs),
                        stale_for: stale.map(Duration::from_secs),
                        missing_for: missing.map(Duration::from_secs),
                        jitter: jitter.map(Duration::from_secs),
                        ..Declared::default()
                    };
                    let ours = windows.check().map_err(|error| error.to_string());
                    let theirs = Window::resolve(declared).map(drop);
                    assert_eq!(ours, theirs.map_err(|error| error.to_string()), "{declared:?}");
                    refused += usize::from(ours.is_err());
                }
            }
        }
        assert!(refused > 20, "{refused}");
    }
}
