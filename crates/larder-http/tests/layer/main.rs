//! The layer: requests through a response cache to an origin, under a clock that the test turns.
#![allow(clippy::unwrap_used)]

mod kit;

mod bodies;
mod coalescing;
mod codec;
mod conditions;
mod fields;
mod fuzz;
mod hits;
mod invalidation;
mod parts;
mod passing;
mod posting;
mod purging;
mod racing;
mod ranges;
mod reusing;
mod searching;
mod sharing;
mod storing;
mod turns;
mod variants;
