//! The breaker against a list of everything that happened.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Success,
    Error,
    Neutral,
    NeverTold,
}

#[derive(Clone, Debug)]
enum Step {
    Ask,
    AskWithoutProbing,
    Tell(Index, Outcome),
    Wait(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed,
    Resting { since: u64, rest: u64 },
    Probing { rest: u64 },
}

/// Nothing is forgotten: what was told, when, and in which period.
struct Model {
    bounds: BreakerBounds,
    now: u64,
    phase: Phase,
    /// Begins anew whenever it opens or closes.
    period: usize,
    told: Vec<(usize, u64, bool)>,
    probes_succeeded: u32,
}

impl Model {
    fn new(bounds: BreakerBounds) -> Self {
        let (now, phase, told) = (0, Phase::Closed, Vec::new());
        Self { bounds, now, phase, period: 0, told, probes_succeeded: 0 }
    }

    fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => Closed,
            Phase::Resting { since, rest } if self.now < since + rest => Open,
            Phase::Resting { .. } | Phase::Probing { .. } => HalfOpen,
        }
    }

    /// The period of the permission and whether it is to probe, or how long to wait.
    fn ask(&mut self, may_probe: bool) -> Result<(usize, bool), u64> {
        let shortest = millis(self.bounds.probe_after);
        match self.phase {
            Phase::Closed => Ok((self.period, false)),
            Phase::Resting { since, rest } if self.now < since + rest => {
                Err(since + rest - self.now)
            }
            Phase::Resting { rest, .. } if may_probe => {
                self.phase = Phase::Probing { rest };
                Ok((self.period, true))
            }
            Phase::Resting { .. } | Phase::Probing { .. } => Err(shortest),
        }
    }

    fn tell(&mut self, (period, probe): (usize, bool), outcome: Outcome) {
        match (self.phase, outcome) {
            _ if period != self.period => {}
            (Phase::Probing { .. }, _) if !probe => {}
            (Phase::Closed, Outcome::Success) => self.told.push((period, self.now, true)),
            (Phase::Closed, Outcome::Error) => {
                self.told.push((period, self.now, false));
                if self.fails() {
                    self.rest(millis(self.bounds.probe_after));
                    self.period += 1;
                }
            }
            (Phase::Probing { .. }, Outcome::Success) => {
                self.probes_succeeded += 1;
                if self.probes_succeeded == self.bounds.probes {
                    self.phase = Phase::Closed;
                    self.period += 1;
                } else {
                    self.phase = Phase::Resting { since: 0, rest: self.rest_in_force() };
                }
            }
            (Phase::Probing { rest }, Outcome::Error) => {
                self.rest((rest * 2).min(millis(self.bounds.probe_after_max)));
            }
            (Phase::Probing { rest }, Outcome::Neutral | Outcome::NeverTold) => {
                self.phase = Phase::Resting { since: 0, rest };
            }
            _ => {}
        }
    }

    fn rest(&mut self, rest: u64) {
        self.phase = Phase::Resting { since: self.now, rest };
        self.probes_succeeded = 0;
    }

    fn rest_in_force(&self) -> u64 {
        match self.phase {
            Phase::Closed => 0,
            Phase::Resting { rest, .. } | Phase::Probing { rest } => rest,
        }
    }

    /// By the rule: the current tenth of the window and the nine before it.
    fn fails(&self) -> bool {
        let tenth =
            |millis: u64| at(millis).as_nanos() / (self.bounds.window.as_nanos() / 10) as u64;
        let counts = |&&(period, told_at, _): &&(usize, u64, bool)| {
            period == self.period && tenth(self.now) - tenth(told_at) < 10
        };
        let all = self.told.iter().filter(counts).count();
        let errors = self.told.iter().filter(counts).filter(|&&(_, _, success)| !success).count();
        errors >= self.bounds.errors_min as usize
            && errors as f64 >= self.bounds.error_share * all as f64
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

fn bounds() -> impl Strategy<Value = BreakerBounds> {
    let rest = (20_u64..100, 1_u64..5);
    let shares = select(vec![0.0, 0.25, 0.5, 0.75, 1.0]);
    (1_u32..5, shares, 50_u64..400, rest, 1_u32..4).prop_map(
        |(errors_min, error_share, window, (rest, times), probes)| BreakerBounds {
            errors_min,
            error_share,
            window: ms(window),
            probe_after: ms(rest),
            probe_after_max: ms(rest * times),
            probes,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Success),
        4 => Just(Outcome::Error),
        1 => Just(Outcome::Neutral),
        1 => Just(Outcome::NeverTold),
    ];
    let step = prop_oneof![
        4 => Just(Step::Ask),
        1 => Just(Step::AskWithoutProbing),
        4 => (any::<Index>(), outcome).prop_map(|(index, outcome)| Step::Tell(index, outcome)),
        2 => (0_u64..60).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_breaker_is_a_list_of_what_happened(bounds in bounds(), steps in steps()) {
        let breaker = Breaker::new(bounds).unwrap();
        let mut model = Model::new(bounds);
        let mut held = Vec::new();
        let (mut probes, mut refused) = (0, 0);
        for step in steps {
            match step {
                Step::Wait(millis) => model.now += millis,
                Step::Ask | Step::AskWithoutProbing => {
                    let may_probe = matches!(step, Step::Ask);
                    let now = at(model.now);
                    let asked =
                        if may_probe { breaker.ask(now) } else { breaker.ask_without_probing(now) };
                    match (asked, model.ask(may_probe)) {
                        (Ok(permission), Ok(modelled)) => {
                            prop_assert_eq!(permission.is_probe(), modelled.1);
                            probes += u64::from(modelled.1);
                            held.push((permission, modelled));
                        }
                        (Err(wait), Err(modelled)) => {
                            prop_assert_eq!(wait.retry_after, ms(modelled));
                            refused += 1;
                        }
                        (asked, modelled) => prop_assert!(false, "{asked:?}, not {modelled:?}"),
                    }
                }
                Step::Tell(_, _) if held.is_empty() => {}
                Step::Tell(index, outcome) => {
                    let (permission, modelled) = held.swap_remove(index.index(held.len()));
                    match outcome {
                        Outcome::Success => permission.succeeded(at(model.now)),
                        Outcome::Error => permission.failed(at(model.now)),
                        Outcome::Neutral => permission.neutral(),
                        Outcome::NeverTold => drop(permission),
                    }
                    model.tell(modelled, outcome);
                }
            }
            prop_assert_eq!(breaker.state(at(model.now)), model.state());
            // Each opening and each closing begins a period.
            prop_assert_eq!(breaker.opened(), model.period.div_ceil(2) as u64);
            prop_assert_eq!((breaker.probes(), breaker.refused()), (probes, refused));
        }
    }
}
