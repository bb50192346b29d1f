//! The requirements of the RFCs, one test each; an oracle for the plain cases; arbitrary bytes; and
//! the page that lists all of it.
#![allow(clippy::unwrap_used)]

mod fuzz;
mod kit;
mod no_vary_search;
mod oracle;
mod page;
mod policy;
mod rfc9110;
mod rfc9110_dates;
mod rfc9110_partial;
mod rfc9110_writes;
mod rfc9111;
mod rfc9111_age;
mod rfc9111_control;
mod rfc9111_invalidation;
mod rfc9111_partial;
mod rfc9111_reuse;
mod rfc9111_validation;
mod rfc9213;
mod rfc9875;
mod rfcs_beside;
