//! The commands, session by session and without a socket: declared and plain keys, what is
//! refused, what a pipeline changes and what it doesn't, and what monitoring reads.

mod common;
#[path = "commands/connection.rs"]
mod connection;
#[path = "commands/keyspace.rs"]
mod keyspace;
#[path = "commands/larder.rs"]
mod larder;
#[path = "commands/pipelines.rs"]
mod pipelines;
#[path = "commands/reads.rs"]
mod reads;
#[path = "commands/server.rs"]
mod server;
#[path = "commands/writes.rs"]
mod writes;
