//! What the claims are about does happen: none of them holds because nothing can be reached.

use stateright::{Checker, Model, Property};

use crate::bounds::{Bounds, Changes, Log};
use crate::model::Protocol;
use crate::owner::{ALL, Gap};
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
    happen(bounds, &reached);
}

fn happen(bounds: Bounds, reached: &[(&'static str, Happens)]) {
    let sometimes = |&(what, happens): &(_, Happens)| Property::sometimes(what, happens);
    let model = Protocol::with(bounds, reached.iter().map(sometimes).collect());
    model.checker().spawn_bfs().join().assert_properties();
}

const LOG: Log = Log::LEAST;

fn happen_to_feeds(feed: Log, reached: &[(&'static str, Happens)]) {
    happen(Bounds { changes: Changes::Feed, feed, ..Bounds::LEAST }, reached);
}

#[test]
fn commits_are_held_back_and_gaps_wait() {
    let feed = Log { lags: true, slots: 1, ..LOG };
    happen_to_feeds(
        feed,
        &[
            ("what is held back is loaded as it was before", |_, state| {
                let is_held = state.head > state.visible && state.owner.position == state.visible;
                is_held && any_flight(state, |flight| matches!(flight.stage, Stage::Loaded(_)))
            }),
            (
                "a gap waits for what isn't visible",
                |_, state| matches!(state.owner.gap, Gap::Begins(begins) if state.visible < begins),
            ),
            ("after a gap the horizon vouches again", |model, state| {
                let reader = &state.processes[0];
                let window = model.bounds.window;
                state.slots == 0 && reader.horizon <= window && reader.memory.is_some()
            }),
        ],
    );
}

#[test]
fn owners_change() {
    happen_to_feeds(
        Log { hand_overs: 1, pauses: true, ..LOG },
        &[
            ("who is taken for dead has something to tell", |_, state| {
                let unpublished = |old: crate::owner::Owner| old.half && old.position < old.limit;
                state.old.is_some_and(unpublished)
            }),
            ("who is taken for dead has something to answer", |_, state| {
                let answers = |old: crate::owner::Owner| old.seen[0] <= Some(old.position);
                state.old.is_some_and(|old| old.seen[0].is_some() && answers(old))
            }),
            ("who follows next vouches for what it held before", |model, state| {
                let (reader, owner) = (&state.processes[0], &state.owner);
                let window = model.bounds.window;
                let is_old = reader.memory.is_some_and(|held| held.as_of > window);
                is_old && owner.process == 0 && owner.gap == Gap::None && reader.horizon <= window
            }),
            ("who follows next knows too little", |_, state| {
                state.owner.process == 0 && state.owner.gap != Gap::None
            }),
        ],
    );
}

#[test]
fn servers_are_replaced_and_caches_covered_late() {
    happen_to_feeds(
        Log { is_replaced: true, ..LOG },
        &[("another server has what the horizon still vouches for", |model, state| {
            let (reader, owner) = (&state.processes[0], &state.owner);
            let vouches = reader.horizon <= model.bounds.window && reader.memory.is_some();
            vouches && owner.limit != ALL && state.head > owner.limit
        })],
    );
    happen_to_feeds(
        Log { covers_late: true, ..LOG },
        &[
            ("a horizon is learnt before the cache is built", |model, state| {
                let reader = &state.processes[0];
                !reader.is_built && reader.horizon <= model.bounds.window && state.head > 0
            }),
            ("it vouches for a cache that was built late", |model, state| {
                let (reader, window) = (&state.processes[0], model.bounds.window);
                let is_old = reader.memory.is_some_and(|held| held.as_of > window);
                is_old && reader.horizon <= window && state.owner.covers
            }),
        ],
    );
}
