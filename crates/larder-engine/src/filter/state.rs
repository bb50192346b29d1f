//! What a filter's lock protects: the current generation, the one being built, and what becomes
//! of them.
//!
//! It knows no list and no clock. Nothing here waits or computes for long; what is freed is
//! handed out, to be freed without the lock.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, Moment};

use super::bits::Bits;
use super::due::{Filled, Situation, due, pause_after, pause_after_failure};
use super::{BuildCause, BuildState, FilterStats, Progress};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    current: Option<Generation>,
    build: Option<Claim>,
    /// Of the build that runs, else of the last one.
    progress: Option<Progress>,
    paused_until: Moment,
    /// Builds that failed since the last one that was done.
    failures: u32,
    /// Keys that the last complete reading gave.
    keys_listed: Option<u64>,
    done: u64,
    failed: u64,
    voided_builds: u64,
}

/// A generation that is in use.
#[derive(Debug)]
struct Generation {
    bits: Arc<Bits>,
    began: Moment,
}

/// A build that was claimed and has not ended.
#[derive(Debug)]
struct Claim {
    began: Moment,
    bits: BuildBits,
}

#[derive(Debug)]
enum BuildBits {
    /// No page was asked for yet: nothing that happens can be missed.
    NotYet,
    /// To be filled from the list and with what is announced.
    Filling(Arc<Bits>),
    /// A page may have been read before something unnameable changed.
    Voided,
}

impl BuildBits {
    fn taken(self) -> Option<Arc<Bits>> {
        match self {
            Self::Filling(bits) => Some(bits),
            Self::NotYet | Self::Voided => None,
        }
    }
}

impl State {
    pub(super) fn current(&self) -> Option<Arc<Bits>> {
        self.current.as_ref().map(|generation| Arc::clone(&generation.bits))
    }

    pub(super) fn building(&self) -> Option<Arc<Bits>> {
        match &self.build {
            Some(Claim { bits: BuildBits::Filling(bits), .. }) => Some(Arc::clone(bits)),
            _ => None,
        }
    }

    /// Takes the current generation away.
    pub(super) fn void_current(&mut self) -> Option<Arc<Bits>> {
        self.current.take().map(|generation| generation.bits)
    }

    /// Takes its bits away from a build that may have read something.
    pub(super) fn void_build(&mut self) -> Option<Arc<Bits>> {
        let voided = self.building()?;
        if let Some(build) = &mut self.build {
            build.bits = BuildBits::Voided;
        }
        Some(voided)
    }

    pub(super) fn due(&self, rebuild_after: Duration, now: Moment) -> Option<BuildCause> {
        let filled = self.current.as_ref().map(|generation| Filled {
            keys: generation.bits.keys(),
            keys_planned: generation.bits.plan().keys,
            began: generation.began,
        });
        let situation = Situation {
            running: self.build.is_some(),
            paused_until: self.paused_until,
            built_before: self.done > 0,
            filled,
        };
        due(&situation, rebuild_after, now)
    }

    /// Claims the build that is due. Returns whether one was.
    pub(super) fn claim(&mut self, rebuild_after: Duration, now: Moment) -> bool {
        let Some(cause) = self.due(rebuild_after, now) else { return false };
        self.build = Some(Claim { began: now, bits: BuildBits::NotYet });
        let state = BuildState::Reading;
        self.progress = Some(Progress { keys: 0, of: None, began: now, cause, state });
        true
    }

    /// How many keys a reading is likely to give, its list having counted so many; `None` if
    /// nothing is known.
    pub(super) fn keys_known(&self, count: Option<u64>) -> Option<u64> {
        let held = self.current.as_ref().map(|generation| generation.bits.keys());
        // What is held includes what was removed or never existed: a count knows better.
        count.or(held).max(self.keys_listed)
    }

    /// Gives the build its bits, before it asks for the first page.
    pub(super) fn fill(&mut self, bits: Arc<Bits>, of: Option<u64>) {
        if let Some(build) = &mut self.build {
            build.bits = BuildBits::Filling(bits);
        }
        if let Some(progress) = &mut self.progress {
            progress.of = of;
        }
    }

    /// Counts a page that was read and added. Returns whether there is use in going on.
    pub(super) fn page_added(&mut self, keys: usize) -> bool {
        if let Some(progress) = &mut self.progress {
            progress.keys += keys as u64;
        }
        matches!(&self.build, Some(build) if !matches!(build.bits, BuildBits::Voided))
    }

    /// Ends the build: with its bits in use, if it has read everything and wasn't voided. Also
    /// returns what is to be freed: what was in use before, or what was built in vain.
    pub(super) fn end(
        &mut self,
        outcome: Result<(), Error>,
        now: Moment,
    ) -> (BuildState, Option<Arc<Bits>>) {
        let Some(build) = self.build.take() else { return (BuildState::Voided, None) };
        let took = now - build.began;
        let (ended, freed) = match (outcome, build.bits) {
            (Err(error), bits) => {
                self.failures = self.failures.saturating_add(1);
                self.failed += 1;
                self.paused_until = now + pause_after_failure(self.failures);
                (BuildState::Failed(error), bits.taken())
            }
            (Ok(()), BuildBits::Filling(bits)) => {
                let replaced = self.current.replace(Generation { bits, began: build.began });
                self.failures = 0;
                self.done += 1;
                self.keys_listed = self.progress.as_ref().map(|progress| progress.keys);
                self.paused_until = now + pause_after(took);
                (BuildState::Done, replaced.map(|generation| generation.bits))
            }
            (Ok(()), BuildBits::NotYet | BuildBits::Voided) => {
                self.voided_builds += 1;
                self.paused_until = now + pause_after(took);
                (BuildState::Voided, None)
            }
        };
        if let Some(progress) = &mut self.progress {
            progress.state = ended.clone();
        }
        (ended, freed)
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        self.progress.clone()
    }

    /// Writes into `stats` what stands here, but for the rate.
    pub(super) fn report(&self, stats: &mut FilterStats) {
        stats.builds = self.done;
        stats.builds_failed = self.failed;
        stats.builds_voided = self.voided_builds;
        stats.bytes = self.building().map_or(0, |bits| bits.bytes());
        if let Some(Generation { bits, began }) = &self.current {
            stats.ready = true;
            stats.keys = bits.keys();
            stats.keys_planned = bits.plan().keys;
            stats.bytes += bits.bytes();
            stats.capped = bits.plan().capped;
            stats.built_from = Some(*began);
        }
    }
}
