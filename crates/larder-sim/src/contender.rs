//! Who is compared: the policies that larder ships, and the optimum.

use std::fmt;
use std::str::FromStr;

use larder_policy::{Chosen, PolicyKind};

use crate::{Future, Outcome, Requests, Unit, belady, replay};

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// [`belady`], which knows the future.
    Belady,
    /// A policy that larder ships.
    Policy(PolicyKind),
}

/// A name that no contender has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadContender;

impl fmt::Display for BadContender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Contender::all().map(Contender::name).collect();
        write!(f, "policies are {}", names.join(", "))
    }
}

impl std::error::Error for BadContender {}

impl FromStr for Contender {
    type Err = BadContender;

    fn from_str(name: &str) -> Result<Self, BadContender> {
        Self::all().find(|contender| contender.name() == name).ok_or(BadContender)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Contender {
    /// All of them: the optimum, larder's default, and the others.
    pub fn all() -> impl Iterator<Item = Self> {
        let default = PolicyKind::default();
        let others = PolicyKind::ALL.into_iter().filter(move |&kind| kind != default);
        let policies = std::iter::once(default).chain(others).map(Self::Policy);
        std::iter::once(Self::Belady).chain(policies)
    }

    /// The name by which it is chosen and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Belady => "belady",
            Self::Policy(kind) => kind.name(),
        }
    }

    /// Replays requests; the optimum needs their future, which is found where it isn't given.
    pub(crate) fn run(
        self,
        requests: &Requests,
        future: Option<&Future>,
        unit: Unit,
        capacity: u64,
        progress: impl FnMut(u64),
    ) -> Outcome {
        match self {
            Self::Belady => match future {
                Some(future) => belady(requests, future, unit, capacity, progress),
                None => belady(requests, &Future::of(requests), unit, capacity, progress),
            },
            Self::Policy(kind) => {
                replay(Chosen::of(kind, capacity), requests, unit, capacity, progress)
            }
        }
    }
}
