//! The listeners: sockets in, sessions and answers out.

pub mod admin;
mod connection;
pub mod edge;
pub mod http;
pub mod resp;
mod workers;
