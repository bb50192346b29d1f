//! What a thread last knew of the time: how a hit tells it for a fraction of the price.
//!
//! The calendar's coarse clock costs a fraction of the precise one. It moves at every tick of the
//! kernel, and it jumps when the machine wakes up, before any program runs again. So as long as
//! it hasn't moved, the precise clock hasn't moved further than a tick, and the end of that tick
//! is late enough.
//!
//! Where the processor that keeps the time is held up (by a hypervisor, say) ticks are late. The
//! precise clock is asked again after a number of uses in any case, so that a thread that reads a
//! lot isn't misled for long.

use std::cell::Cell;
use std::time::Duration;

use larder_core::Moment;

/// The longest tick that kernels are built with.
const TICK_MAX: Duration = Duration::from_millis(10);
/// How often the precise clock is done without, at most.
const USES_MAX: u8 = 32;

#[derive(Clone, Copy)]
struct Recent {
    tick: u64,
    /// The end of that tick: what is fresh then is fresh now.
    end: Moment,
    uses_left: u8,
}

thread_local! {
    /// It is no state that anything shares: a copy of the clock, for the thread that read it.
    static RECENT: Cell<Recent> =
        const { Cell::new(Recent { tick: 0, end: Moment::ZERO, uses_left: 0 }) };
}

/// Now or at most a tick later; `precise` tells the time exactly.
#[inline]
pub(crate) fn about(precise: impl FnOnce() -> Moment) -> Moment {
    let tick = tick();
    let recent = RECENT.get();
    if recent.tick == tick && recent.uses_left > 0 {
        RECENT.set(Recent { uses_left: recent.uses_left - 1, ..recent });
        return recent.end;
    }
    let end = precise() + TICK_MAX;
    RECENT.set(Recent { tick, end, uses_left: USES_MAX });
    end
}

/// The calendar's coarse clock, as a number that changes with every tick.
#[inline]
fn tick() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precise_clock_is_asked_after_a_number_of_uses_in_any_case() {
        let asked = Cell::new(0);
        let precise = || {
            asked.set(asked.get() + 1);
            Moment::from_nanos(asked.get())
        };
        for _ in 0..=10 * (u64::from(USES_MAX) + 1) {
            let told = about(precise);
            assert_eq!(told, Moment::from_nanos(asked.get()) + TICK_MAX);
        }
        assert!(asked.get() >= 10, "{} times", asked.get());
    }
}
