//! What is claimed of every state.

use stateright::Property;

use super::Intents;
use super::state::{Kind, Stage, State, Step, Writer};
use crate::claims::Claim;
use crate::state::Version;

pub(super) fn property(claim: Claim) -> Property<Intents> {
    Property::always(
        claim.name(),
        match claim {
            Claim::S1 => {
                |_, state: &State| state.tier.entry.is_none_or(|entry| entry.version >= done(state))
            }
            Claim::S2 => |_, state: &State| {
                let reader = &state.reader;
                let is_drained = reader.queue.is_drained() && reader.writers == 0 && !reader.missed;
                // What the tier had no word on lives no longer than the promise.
                let held = reader.memory.filter(|held| is_drained && !held.is_brief);
                held.is_none_or(|held| held.version >= done(state))
            },
            Claim::P1 => |model, state| every_answer(model, state, |v, promised, _| v >= promised),
            Claim::S3 => |model, state| every_answer(model, state, |v, _, own| v >= own),
            // Nobody may fill while a writer may commit.
            Claim::S6 => |_, state: &State| state.tier.intents == 0 || state.tier.lease.is_none(),
            Claim::V1 => panic!("every intent ends by time, so no key stays as it is"),
        },
    )
}

impl Intents {
    /// Whether a commit counts for the promise: from the commit, if it was announced before;
    /// otherwise from its announcement.
    pub(super) fn counts(&self, writer: &Writer) -> bool {
        writer.kind != Kind::Plain || writer.stage == Stage::Ended
    }
}

/// The newest version whose write is over, or whose writer is gone, and its intent with it.
fn done(state: &State) -> Version {
    let is_done = |at: usize, writer: &Writer| match writer.stage {
        Stage::Ended => true,
        Stage::Crashed | Stage::GivenUp => state.tier.intents >> at & 1 == 0,
        Stage::Idle | Stage::Begun | Stage::Committed => false,
    };
    let writers = state.writers.iter().enumerate();
    let done = writers.filter_map(|(at, writer)| writer.filter(|writer| is_done(at, writer)));
    done.filter_map(|writer| writer.committed).map(|(version, _)| version).max().unwrap_or(0)
}

/// Whether everything that somebody could be given in this state is right, by what was promised
/// and what was written here.
fn every_answer(
    model: &Intents,
    state: &State,
    is_right: impl Fn(Version, Version, Version) -> bool,
) -> bool {
    let (reader, window) = (&state.reader, model.bounds.window);
    let hit = reader.memory.is_none_or(|held| {
        model.as_of_held(held, reader.horizon) > window
            || is_right(held.version, model.promised(state), reader.own)
    });
    let answer = reader.flight.is_none_or(|flight| match flight.step {
        Step::Ready(version) => is_right(version, flight.promised, flight.own),
        _ => true,
    });
    hit && answer
}
