//! A clock that stands still until a test turns it.
//!
//! It knows no runtime: whoever sleeps is woken by the thread that turns the clock, under any
//! executor.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::{BoxFuture, Clock, Moment};

use crate::watched::Watched;

/// A [`Clock`] that moves only by [`advance`](ManualClock::advance). Clones are the same clock.
///
/// It starts an hour after its origin, so that code which takes the origin for "never" or
/// computes moments before the start doesn't pass by accident.
///
/// ```
/// use larder_core::Clock;
/// use larder_test::ManualClock;
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.now() - start, Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Watched<Hands>);

/// Whoever sleeps, by the moment to wake at; who came first is woken first.
type Sleepers = BTreeMap<(Moment, u64), Waker>;

#[derive(Debug)]
struct Hands {
    now: Moment,
    sleepers: Sleepers,
    next_id: u64,
}

impl ManualClock {
    /// What the clock shows first.
    pub const START: Moment = Moment::from_nanos(3_600_000_000_000);
    /// What the calendar shows first: 2026-01-01 00:00:00 UTC.
    pub const WALL_START: Duration = Duration::from_secs(1_767_225_600);

    /// A clock that shows [`START`](ManualClock::START).
    #[must_use]
    pub fn new() -> Self {
        let hands = Hands { now: Self::START, sleepers: BTreeMap::new(), next_id: 0 };
        Self(Watched::new(hands))
    }

    /// Turns the clock, and wakes everybody whose moment has come: who sleeps until an earlier
    /// moment first, and of those who sleep until the same one, who came first.
    ///
    /// All of them see the time after the whole turn. A test that wants them to see their own
    /// moment turns the clock in steps.
    pub fn advance(&self, duration: Duration) {
        let due = self.0.change(|hands| {
            hands.now = hands.now + duration;
            let later = hands.sleepers.split_off(&(hands.now, u64::MAX));
            std::mem::replace(&mut hands.sleepers, later)
        });
        due.into_values().for_each(Waker::wake);
    }

    /// How many futures of [`sleep_until`](Clock::sleep_until) have been polled and wait.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.0.read(|hands| hands.sleepers.len())
    }

    /// The earliest moment that somebody sleeps until.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        self.0.read(|hands| hands.sleepers.keys().next().map(|(moment, _)| *moment))
    }

    /// Waits until at least `count` sleep, so that turning the clock reaches them.
    ///
    /// # Panics
    ///
    /// When they don't within 30 seconds of the machine's time.
    pub async fn until_sleepers(&self, count: usize) {
        let seen = |hands: &Hands| format!("{} of {count} sleepers", hands.sleepers.len());
        self.0.until_soon(|hands| hands.sleepers.len() >= count, seen).await;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.0.read(|hands| hands.now)
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Self::WALL_START + (self.now() - Self::START)
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), moment, id: None })
    }
}

/// One wait. It is a sleeper from its first poll until its moment, or until it is dropped.
struct Sleep {
    clock: ManualClock,
    moment: Moment,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (moment, id) = (self.moment, self.id);
        let waker = context.waker().clone();
        let id = self.clock.0.change(|hands| {
            if hands.now >= moment {
                return None;
            }
            let id = id.unwrap_or(hands.next_id);
            hands.next_id = hands.next_id.max(id + 1);
            hands.sleepers.insert((moment, id), waker);
            Some(id)
        });
        self.id = id;
        if id.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.0.change(|hands| hands.sleepers.remove(&(self.moment, id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use super::*;

    /// A waker that writes down its name.
    struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    fn poll(sleep: &mut BoxFuture<'static, ()>, waker: &Waker) -> Poll<()> {
        sleep.as_mut().poll(&mut Context::from_waker(waker))
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn sleepers_are_woken_in_the_order_of_their_moments() {
        let clock = ManualClock::new();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let sleep = |name, seconds| {
            let waker = Waker::from(Arc::new(Named(name, Arc::clone(&woken))));
            let mut sleep = clock.sleep_until(ManualClock::START + SECOND * seconds);
            assert!(poll(&mut sleep, &waker).is_pending());
            (sleep, waker)
        };
        let mut all = [sleep("third", 3), sleep("first", 1), sleep("second", 2), sleep("too", 2)];
        assert_eq!((clock.sleepers(), clock.next_wake()), (4, Some(ManualClock::START + SECOND)));
        clock.advance(SECOND * 2);
        assert_eq!(*woken.lock().unwrap(), ["first", "second", "too"]);
        assert_eq!(clock.sleepers(), 1);
        clock.advance(SECOND - Duration::from_nanos(1));
        assert_eq!(woken.lock().unwrap().len(), 3);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(*woken.lock().unwrap(), ["first", "second", "too", "third"]);
        for (sleep, waker) in &mut all {
            assert!(poll(sleep, waker).is_ready());
        }
    }

    #[test]
    fn a_sleep_that_is_over_at_once_is_no_sleeper() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep_until(clock.now());
        assert!(poll(&mut sleep, Waker::noop()).is_ready());
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn a_dropped_sleep_is_forgotten_and_polling_twice_counts_once() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep_until(Moment::MAX);
        assert_eq!(clock.sleepers(), 0);
        assert!(poll(&mut sleep, Waker::noop()).is_pending());
        assert!(poll(&mut sleep, Waker::noop()).is_pending());
        assert_eq!(clock.sleepers(), 1);
        drop(sleep);
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn the_calendar_moves_with_the_clock() {
        let clock = ManualClock::default();
        let before = clock.wall();
        clock.clone().advance(SECOND * 90);
        assert_eq!(clock.wall().duration_since(before).unwrap(), SECOND * 90);
    }

    #[tokio::test]
    async fn a_test_waits_until_somebody_sleeps() {
        let clock = ManualClock::new();
        let sleeper = clock.clone();
        let task = tokio::spawn(async move {
            tokio::task::yield_now().await;
            sleeper.sleep_until(sleeper.now() + SECOND).await;
        });
        clock.until_sleepers(1).await;
        clock.advance(SECOND);
        task.await.unwrap();
    }
}
