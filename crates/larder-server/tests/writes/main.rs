//! Servers whose caches are written, over a SQLite of their own.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod behind;
mod start;
mod support;
mod through;
