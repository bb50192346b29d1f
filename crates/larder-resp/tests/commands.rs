//! The commands, session by session and without a socket: declared and plain keys, what is
//! refused, what a pipeline changes and what it doesn't, what monitoring reads, and what the key
//! log is told.

mod common;
#[path = "commands/connection.rs"]
mod connection;
#[path = "commands/foreign.rs"]
mod foreign;
#[path = "commands/invalidate.rs"]
mod invalidate;
#[path = "commands/key_log.rs"]
mod key_log;
#[path = "commands/keyspace.rs"]
mod keyspace;
#[path = "commands/larder.rs"]
mod larder;
#[path = "commands/leases.rs"]
mod leases;
#[path = "commands/names.rs"]
mod names;
#[path = "commands/pipelines.rs"]
mod pipelines;
#[path = "commands/reads.rs"]
mod reads;
#[path = "commands/row_bench.rs"]
mod row_bench;
#[path = "commands/row_pipelines.rs"]
mod row_pipelines;
#[path = "commands/row_refusals.rs"]
mod row_refusals;
#[path = "commands/rows.rs"]
mod rows;
#[path = "commands/server.rs"]
mod server;
#[path = "commands/strings.rs"]
mod strings;
#[path = "commands/tagged.rs"]
mod tagged;
#[path = "commands/writes.rs"]
mod writes;
