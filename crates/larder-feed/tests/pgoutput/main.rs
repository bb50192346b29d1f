//! What Postgres says of its changes, decoded.
#![allow(clippy::unwrap_used)]

mod frames;
mod oracle;
mod postgres;
mod rows;
