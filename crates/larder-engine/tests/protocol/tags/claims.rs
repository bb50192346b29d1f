//! What is claimed of every state.

use stateright::Property;

use super::state::{Stage, State};
use super::{Marks, Omit};
use crate::claims::Claim;
use crate::state::Version;

pub(super) fn property(claim: Claim) -> Property<Marks> {
    Property::always(
        claim.name(),
        match claim {
            Claim::P1 => |model, state| every_answer(model, state, |v, promised, _| v >= promised),
            Claim::S3 => |model, state| every_answer(model, state, |v, _, own| v >= own),
            _ => panic!("marks void nothing: only answers are checked"),
        },
    )
}

impl Marks {
    /// What who asks now is promised at least.
    pub(super) fn promised(&self, state: &State) -> Version {
        let too_old = |&version: &usize| state.counts[version] == self.oldest();
        (1..state.counts.len()).rev().find(too_old).unwrap_or(0) as Version
    }
}

/// Whether everything that somebody could be given in this state is right, by what was promised
/// and what was written here.
fn every_answer(
    model: &Marks,
    state: &State,
    is_right: impl Fn(Version, Version, Version) -> bool,
) -> bool {
    let (reader, window) = (&state.reader, model.bounds.window);
    let hit = reader.memory.is_none_or(|held| {
        let is_verified = model.bounds.counts && held.verified == model.verified(reader);
        let stands = is_verified || reader.mark <= held.clock;
        let is_fresh = held.as_of.min(reader.horizon) <= window;
        !stands || !is_fresh || is_right(held.version, model.promised(state), reader.own)
    });
    let answer = reader.flight.is_none_or(|flight| {
        let Stage::Ready(version) = flight.stage else { return true };
        let joiner = flight.joiner.is_none_or(|joiner| {
            let lifts = model.omits(Omit::ResultKeepsAsOf);
            let lag = if lifts { joiner.lag.min(reader.horizon) } else { joiner.lag };
            let stands = joiner.mark <= flight.clock || model.omits(Omit::MarksOfJoiner);
            lag > window || !stands || is_right(version, joiner.promised, joiner.own)
        });
        joiner && is_right(version, flight.promised, flight.own)
    });
    hit && answer
}
