//! What the claims are about does happen: none of them holds because nothing can be reached.

use stateright::{Checker, Model, Property};

use crate::bounds::Bounds;
use crate::model::Protocol;
use crate::state::{Flight, Lease, Stage, State};

type Happens = fn(&Protocol, &State) -> bool;

fn any_flight(state: &State, is: impl Fn(&Flight) -> bool) -> bool {
    state.processes[0].flights.iter().flatten().any(is)
}

#[test]
fn every_rule_has_something_to_do() {
    let bounds = Bounds {
        writers: [true, true],
        joiners: true,
        losses: true,
        errors: true,
        restarts: 1,
        ..Bounds::LEAST
    };
    let reached: [(&'static str, Happens); 9] = [
        ("memory holds what only the horizon vouches for", |model, state| {
            let reader = &state.processes[0];
            let window = model.bounds.window;
            reader.memory.is_some_and(|held| held.as_of > window && reader.horizon <= window)
        }),
        ("the shared tier holds what only the horizon vouches for", |model, state| {
            let window = model.bounds.window;
            let old = state.shared.entry.filter(|entry| entry.age > window);
            any_flight(state, |flight| {
                let is_asking = flight.stage == Stage::Started;
                is_asking && old.is_some_and(|old| model.as_of_shared(old, flight).is_some())
            })
        }),
        ("somebody takes a result whose load began before", |model, state| {
            any_flight(state, |flight| {
                let lag = flight.joiner.map_or(0, |joiner| joiner.lag);
                matches!(flight.stage, Stage::Ready(_)) && (1..=model.bounds.window).contains(&lag)
            })
        }),
        ("somebody can't take a result", |model, state| {
            any_flight(state, |flight| {
                let is_ready = matches!(flight.stage, Stage::Ready(_));
                is_ready && flight.joiner.is_some_and(|joiner| joiner.lag > model.bounds.window)
            })
        }),
        ("memory refuses a fill", |_, state| {
            any_flight(state, |flight| {
                matches!(flight.stage, Stage::Ready(_)) && !flight.epoch_holds
            })
        }),
        ("the shared tier refuses a fill", |_, state| {
            any_flight(state, |flight| {
                matches!(flight.stage, Stage::Loaded(_)) && flight.lease == Lease::Void
            })
        }),
        ("a key is read while an announcement is owed", |_, state| {
            let is_owed = state.writers.iter().flatten().any(|writer| writer.gave_up);
            is_owed && any_flight(state, |flight| flight.stage == Stage::Loading)
        }),
        ("the shared tier is filled beside what another run stored", |_, state| {
            let is_old = state.shared.entry.is_some_and(|entry| entry.is_of_old_run);
            is_old && any_flight(state, |flight| flight.lease == Lease::Live)
        }),
        ("something is held across a gap that wasn't noticed", |_, state| {
            let reader = &state.processes[0];
            reader.missed && reader.memory.is_some_and(|held| held.version < state.head)
        }),
    ];
    let properties = reached.map(|(what, happens)| Property::sometimes(what, happens)).to_vec();
    Protocol::with(bounds, properties).checker().spawn_bfs().join().assert_properties();
}
