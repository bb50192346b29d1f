//! The listeners: sockets in, sessions and answers out.

pub mod admin;
mod connection;
pub mod http;
pub mod resp;
