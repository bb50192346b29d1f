//! The protocol of leases, fences, bus and horizon under a checker that visits every state.
#![allow(clippy::unwrap_used)]

mod actions;
mod bounds;
mod claims;
mod intents;
mod model;
mod owner;
mod queue;
mod recovery;
mod rules;
mod runs;
mod state;
mod tags;
