//! Whether a build is due: arithmetic on counts and moments, without a lock or a clock.

use std::time::Duration;

use larder_core::Moment;

/// The pause after the first failed build; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause after a failed build.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why a build is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildCause {
    /// The filter was never built.
    NeverFilled,
    /// Something unnameable changed.
    Void,
    /// It holds twice as many keys as were planned.
    Full,
    /// The last build began longer ago than `rebuild_after`.
    Old,
}

/// What is decided upon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Whether a build is under way.
    pub(super) running: bool,
    /// No build begins earlier.
    pub(super) paused_until: Moment,
    /// Whether there ever was a generation; if there is none now, it was voided.
    pub(super) built_before: bool,
    /// What the current generation holds, if there is one.
    pub(super) filled: Option<Filled>,
}

/// A generation, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    pub(super) keys: u64,
    pub(super) keys_planned: u64,
    /// When its build began.
    pub(super) began: Moment,
}

/// Why a build is due at `now`, if one is.
pub(super) fn due(
    situation: &Situation,
    rebuild_after: Duration,
    now: Moment,
) -> Option<BuildCause> {
    if situation.running || now < situation.paused_until {
        return None;
    }
    match situation.filled {
        None if situation.built_before => Some(BuildCause::Void),
        None => Some(BuildCause::NeverFilled),
        Some(filled) if filled.keys >= filled.keys_planned.saturating_mul(2) => {
            Some(BuildCause::Full)
        }
        Some(filled) if now - filled.began > rebuild_after => Some(BuildCause::Old),
        Some(_) => None,
    }
}

/// The pause after a build that failed, `failures` being how many did in a row.
pub(super) fn pause_after_failure(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

/// The pause after a build that took so long and did not fail: whatever fills or voids the
/// filter, its list is read at most half of the time.
pub(super) fn pause_after(took: Duration) -> Duration {
    took.max(PAUSE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);
    const NOW: Moment = Moment::from_nanos(1_000_000_000_000_000);

    /// Whether a build is due for `keys` of 1,000 planned ones, begun so long ago.
    fn filled(keys: u64, age: Duration) -> Option<BuildCause> {
        let filled = Filled { keys, keys_planned: 1_000, began: NOW.before(age) };
        let situation = Situation {
            running: false,
            paused_until: Moment::ZERO,
            built_before: true,
            filled: Some(filled),
        };
        due(&situation, DAY, NOW)
    }

    #[test]
    fn a_filter_is_full_at_twice_the_planned_size_and_old_after_a_day() {
        assert_eq!(filled(1_999, DAY), None);
        assert_eq!(filled(2_000, DAY), Some(BuildCause::Full));
        assert_eq!(filled(0, DAY + Duration::from_nanos(1)), Some(BuildCause::Old));
    }

    #[test]
    fn without_a_generation_a_build_is_due_once_nobody_builds_and_the_pause_is_over() {
        let empty =
            Situation { running: false, paused_until: NOW, built_before: false, filled: None };
        assert_eq!(due(&empty, DAY, NOW), Some(BuildCause::NeverFilled));
        assert_eq!(
            due(&Situation { built_before: true, ..empty }, DAY, NOW),
            Some(BuildCause::Void)
        );
        assert_eq!(due(&Situation { running: true, ..empty }, DAY, NOW), None);
        let paused = Situation { paused_until: NOW + Duration::from_nanos(1), ..empty };
        assert_eq!(due(&paused, DAY, NOW), None);
    }

    #[test]
    fn pauses_double_from_a_second_to_a_minute() {
        let pauses = (1..=8).map(|failures| pause_after_failure(failures).as_secs());
        assert!(pauses.eq([1, 2, 4, 8, 16, 32, 60, 60]));
        assert_eq!(pause_after_failure(u32::MAX), PAUSE_MAX);
        assert_eq!([pause_after(Duration::ZERO), pause_after(SECOND * 7)], [SECOND, SECOND * 7]);
    }
}
