//! Runs: the protocol as it is, which must hold wherever it can go within the bounds, and the
//! protocol with one step left out, which must fail.
//!
//! `cargo test -p larder-engine --test protocol -- --nocapture` prints a line for each run. With
//! `LARDER_MODEL=large` the runs that must hold go further, for minutes and gigabytes of memory.

mod feeds;
mod holding;
mod intents;
mod marks;
mod reached;
mod reads;
mod streams;
mod writes;

use std::env;
use std::fmt::Debug;
use std::hash::Hash;
use std::slice;
use std::thread;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::bounds::{Bounds, Omit};
use crate::claims::Claim;
use crate::model::Protocol;

/// One of two bounds.
fn sized<B>(bounds: B, large: B) -> B {
    if env::var("LARDER_MODEL").is_ok_and(|size| size == "large") { large } else { bounds }
}

/// Visits every state, and expects that all claims hold in each.
fn holds<M>(model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    if let Some((claim, steps)) = run(model) {
        panic!("{claim} doesn't hold after {steps:#?}");
    }
}

/// Looks for the shortest way to a state in which the one claim doesn't hold.
fn fails<M>(model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    assert_eq!(model.properties().len(), 1, "one claim, which is the one that fails");
    assert!(run(model).is_some(), "nothing went wrong without this step");
}

/// Leaves a step of the protocol out, and expects that each of these claims fails by itself.
fn check(omit: Omit, bounds: Bounds, broken: &'static [Claim]) {
    for claim in broken {
        let bounds = Bounds { omit, ..bounds };
        fails(Protocol::new(bounds, slice::from_ref(claim)));
    }
}

/// A claim that doesn't hold, and the way there. With one thread the search is by breadth, so it
/// is a shortest way.
fn run<M>(model: M) -> Option<(&'static str, Vec<M::Action>)>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let begin = Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found = checker.discoveries().into_iter().next();
    let found = found.map(|(claim, path)| (claim, path.into_actions()));
    let (states, depth) = (checker.unique_state_count(), checker.max_depth() - 1);
    let verdict = match &found {
        Some((claim, steps)) => format!("{claim} fails after {} steps", steps.len()),
        None => format!("holds, up to {depth} steps"),
    };
    let test = thread::current().name().unwrap_or_default().to_owned();
    println!("{test}: {states} states: {verdict} ({:.1?})", begin.elapsed());
    found
}
