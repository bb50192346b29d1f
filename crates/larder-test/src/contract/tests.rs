//! The checks themselves: the simulated tier passes them whatever it can do, and each of them
//! notices a tier that does one thing wrong.

mod defects;
mod wrong;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use larder_core::{Clock, Moment, SharedTier};

use super::*;
use crate::{ManualClock, SimShared};
use defects::{DEFECTS, Defect};
use wrong::Wrong;

/// In memory there is nothing to wait for; what lets others go first is over after some polls.
fn is_over(future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..1_000).any(|_| future.as_mut().poll(&mut context).is_ready())
}

#[test]
fn the_simulated_tier_keeps_the_contract_whatever_it_can_do() {
    let able = |change: fn(SimShared) -> SimShared| {
        let clock = ManualClock::new();
        let server = change(SimShared::new(Arc::new(clock.clone())));
        let (a, b) = (Arc::new(server.client()), Arc::new(server.client()));
        let subject = Subject::new([a.clone(), b.clone()], Passing::turned(clock));
        (subject, [a, b])
    };
    let all: [fn(SimShared) -> SimShared; 4] = [
        |server| server,
        |server| server.announcing(false),
        |server| server.with_abilities(|abilities| abilities.resolution = Duration::from_secs(1)),
        |server| {
            server.announcing(false).with_abilities(|abilities| {
                (abilities.marks, abilities.marks_stale) = (false, false);
                (abilities.key_bytes_max, abilities.envelope_bytes_max) = (250, 1 << 20);
            })
        },
    ];
    for change in all {
        // With its bus, and as one whose bus isn't known.
        let (subject, [a, b]) = able(change);
        assert!(is_over(check_tier(&subject.with_buses([a, b]))));
        assert!(is_over(check_tier(&able(change).0)));
    }
}

#[test]
fn it_may_be_checked_twice_and_by_several_at_once() {
    let clock = ManualClock::new();
    let server = SimShared::new(Arc::new(clock.clone()));
    for _ in 0..2 {
        let tiers = [(); 2].map(|()| Arc::new(server.client()) as Arc<dyn SharedTier>);
        assert!(is_over(check_tier(&Subject::new(tiers, Passing::turned(clock.clone())))));
    }
}

/// The behaviours that a tier with a defect doesn't have.
fn missing(defect: Option<Defect>) -> BTreeSet<&'static str> {
    let subject = || {
        let clock = ManualClock::new();
        let server = SimShared::new(Arc::new(clock.clone()));
        let wrong = || Arc::new(Wrong::new(&server, clock.clone(), defect));
        let (a, b) = (wrong(), wrong());
        Subject::new([a.clone(), b.clone()], Passing::turned(clock)).with_buses([a, b])
    };
    let fails = |check: &dyn Fn() -> bool| !catch_unwind(AssertUnwindSafe(check)).unwrap_or(false);
    let of_tier = TIER.iter().filter(|(_, check)| fails(&|| is_over(check(&subject()))));
    let of_bus = BUS.iter().filter(|(_, check)| {
        fails(&|| is_over(check(subject().buses().expect("it was given buses"))))
    });
    of_tier.map(|(name, _)| *name).chain(of_bus.map(|(name, _)| *name)).collect()
}

#[test]
fn each_defect_is_noticed_and_each_behaviour_notices_one() {
    assert_eq!(missing(None), BTreeSet::new());
    for (defect, behaviour) in DEFECTS {
        let missing = missing(Some(*defect));
        assert!(missing.contains(behaviour), "{defect:?} leaves {behaviour} alone: {missing:?}");
    }
    let noticing: BTreeSet<_> = DEFECTS.iter().map(|(_, behaviour)| *behaviour).collect();
    let of_tier = TIER.iter().map(|(name, _)| *name);
    let all: BTreeSet<_> = of_tier.chain(BUS.iter().map(|(name, _)| *name)).collect();
    assert_eq!(noticing, all);
}

/// A clock that moves whenever it is looked at, as on a slow machine.
struct Ticking(ManualClock);

impl Clock for Ticking {
    fn now(&self) -> Moment {
        self.0.advance(Duration::from_millis(1));
        self.0.now()
    }

    fn wall(&self) -> SystemTime {
        self.0.wall()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        self.0.sleep_until(moment)
    }
}

#[test]
fn time_that_goes_on_while_it_is_checked_does_no_harm() {
    let clock = ManualClock::new();
    let server = SimShared::new(Arc::new(Ticking(clock.clone())));
    let (a, b) = (Arc::new(server.client()), Arc::new(server.client()));
    let waited = Passing::waited(Duration::from_millis(200), move |time| {
        clock.advance(time);
        std::future::ready(())
    });
    let subject = Subject::new([a.clone(), b.clone()], waited).with_buses([a, b]);
    assert!(is_over(check_tier(&subject)));
}
