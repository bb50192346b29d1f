//! What is claimed of every state. An answer that could be given in a state is checked there: who
//! hits memory, who leads a flight, who joined it.

use stateright::Property;

use super::bounds::{Changes, Omit};
use super::model::Protocol;
use super::state::{At, Lease, Least, Stage, State, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The shared tier has nothing fresh that is older than what was announced.
    S1,
    /// Nor has memory, once the bus has delivered everything.
    S2,
    /// Who wrote reads at least that, however the write returned.
    S3,
    /// The promise (with announcements alone it is S4).
    P1,
    /// One filler for a lease, and none when it is void.
    S6,
    /// When faults stop, the next get leaves what the source has in the shared tier.
    V1,
}

impl Claim {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::P1 => "P1",
            Self::S6 => "S6",
            Self::V1 => "V1",
        }
    }

    pub(crate) fn property(self) -> Property<Protocol> {
        Property::always(
            self.name(),
            match self {
                Self::S1 => shared_is_not_older,
                Self::S2 => memory_is_not_older,
                Self::S3 => {
                    |model, state| every_answer(model, state, |version, least| version >= least.own)
                }
                Self::P1 => |model, state| {
                    every_answer(model, state, |version, least| version >= least.promised)
                },
                Self::S6 => one_fills,
                Self::V1 => Protocol::recovers,
            },
        )
    }
}

/// The newest version whose announcement is done.
fn announced(model: &Protocol, state: &State) -> Version {
    match model.bounds.changes {
        Changes::Unknown => 0,
        Changes::Feed => state.owner.position,
        Changes::Announced | Changes::AnnouncedTooLate => {
            let is_done = |&version: &u8| {
                let counts = state.counts[usize::from(version)] != super::state::NEVER;
                let pends = state.writers[usize::from(version)].is_some();
                counts && (!pends || model.bounds.changes == Changes::Announced)
            };
            (1..=state.head).rev().find(is_done).unwrap_or(0)
        }
    }
}

fn shared_is_not_older(model: &Protocol, state: &State) -> bool {
    let is_served = |entry: &&super::state::Entry| {
        !entry.is_stale && (!entry.is_of_old_run || model.omits(Omit::RunAtHit))
    };
    let entry = state.shared.entry.as_ref().filter(is_served);
    entry.is_none_or(|entry| entry.version >= announced(model, state))
}

fn memory_is_not_older(model: &Protocol, state: &State) -> bool {
    model.readers().map(|process| &state.processes[process]).all(|reader| {
        let is_drained = !reader.missed && !reader.queue.invalidates();
        let held = reader.memory.filter(|held| is_drained && !held.is_stale);
        held.is_none_or(|held| held.version >= announced(model, state))
    })
}

fn one_fills(model: &Protocol, state: &State) -> bool {
    let places = || (0..2).flat_map(|process| (0..2).map(move |place| At(process, place)));
    let flights =
        || places().filter_map(|at| state.processes[at.0].flights[at.1].map(|flight| (at, flight)));
    let live = flights().filter(|(_, flight)| flight.lease == Lease::Live).count();
    live <= 1
        && flights().all(|(at, flight)| {
            let fills = matches!(flight.stage, Stage::Loaded(_));
            !fills || !model.is_stored(state, at, &flight) || flight.lease == Lease::Live
        })
}

/// Whether everything that somebody could be given in this state is right.
fn every_answer(
    model: &Protocol,
    state: &State,
    is_right: impl Fn(Version, Least) -> bool,
) -> bool {
    let window = model.bounds.window;
    model.readers().all(|process| {
        let reader = &state.processes[process];
        let hit = reader.memory.is_none_or(|held| {
            model.as_of_held(held, reader.horizon) > window
                || is_right(held.version, model.least(state, process))
        });
        let half_hit = reader.hit.is_none_or(|hit| {
            let (entry, horizon) = match hit.entry {
                Some(entry) => (Some(entry), reader.horizon),
                None => (reader.memory, hit.horizon),
            };
            entry.is_none_or(|held| {
                model.as_of_held(held, horizon) > window || is_right(held.version, hit.least)
            })
        });
        let flights = reader.flights.iter().flatten().all(|flight| match flight.stage {
            Stage::Started => state.shared.entry.is_none_or(|entry| {
                let lifts = model.omits(Omit::FrozenInShared);
                let as_of = if lifts { flight.as_of.min(entry.age) } else { entry.age };
                !entry.is_stale || as_of > window || is_right(entry.version, flight.least)
            }),
            Stage::Ready(version) => {
                let joiner = flight.joiner.is_none_or(|joiner| {
                    let lift = if model.omits(Omit::ResultKeepsAsOf) {
                        reader.horizon
                    } else {
                        joiner.lag
                    };
                    let takes = joiner.lag.min(lift) <= window || model.omits(Omit::JoinerAge);
                    !takes || is_right(version, joiner.least)
                });
                joiner && is_right(version, flight.least)
            }
            _ => true,
        });
        hit && half_hit && flights
    })
}
