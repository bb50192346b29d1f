//! The permission to ask, which wants to be told how that went. What follows from an outcome is the
//! breaker's.

use std::time::Duration;

use larder_core::Moment;

use super::Breaker;

/// No permission: ask again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How long until the next probe may be made; while one is under way, the shortest rest.
    pub retry_after: Duration,
}

/// Permission to ask once. It wants to be told how that went; dropped untold it stands for an
/// outcome that nobody knows, and hands on the place of a probe.
#[derive(Debug)]
#[must_use = "dropped, it says that nobody knows how it went"]
pub struct Permission {
    breaker: Breaker,
    role: Role,
}

/// For what a permission was given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// To ask in this closed period.
    OfPeriod(u64),
    /// To probe.
    Probe,
    /// The outcome is told.
    Told,
}

impl Permission {
    pub(super) fn new(breaker: Breaker, role: Role) -> Self {
        Self { breaker, role }
    }

    /// Whether this is the one that finds out if it works again.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        matches!(self.role, Role::Probe)
    }

    /// It worked.
    pub fn succeeded(mut self, now: Moment) {
        match self.told() {
            Role::OfPeriod(period) => self.breaker.count_success(period, now),
            Role::Probe => self.breaker.probe_succeeded(),
            Role::Told => {}
        }
    }

    /// It failed in a way that speaks against the health of what was asked: it couldn't be
    /// reached, it took too long, it was overloaded.
    pub fn failed(mut self, now: Moment) {
        match self.told() {
            Role::OfPeriod(period) => self.breaker.count_error(period, now),
            Role::Probe => self.breaker.probe_failed(now),
            Role::Told => {}
        }
    }

    /// It failed in a way that says nothing about health, a bad question for instance. The next
    /// who asks may probe in its place.
    pub fn neutral(self) {
        drop(self);
    }

    fn told(&mut self) -> Role {
        std::mem::replace(&mut self.role, Role::Told)
    }
}

impl Drop for Permission {
    fn drop(&mut self) {
        if matches!(self.role, Role::Probe) {
            self.breaker.probe_told_nothing();
        }
    }
}
