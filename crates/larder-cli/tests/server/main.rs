//! The real server: the binary as its users run it, with real databases and real clients.
//!
//! One program of many files, a file for each subject, so that what is dear (a Postgres with a
//! million accounts) is shared by the tests that run at the same time.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod administration;
mod bank;
mod bloom;
mod browser;
mod clients;
mod command_line;
mod database_lost;
mod descriptors;
mod edge;
mod edge_api;
mod edge_memory;
mod edge_shared;
mod eviction;
mod examples;
mod faults;
mod feed;
mod feed_behind;
mod feed_debezium;
mod feed_verify;
mod http_api;
mod http_guide;
mod http_heads;
mod http_invalidate;
mod http_openapi;
mod http_support;
mod invalidation;
mod key_log;
mod listeners;
mod memory;
mod metrics_page;
mod outage;
mod page;
mod rude_clients;
mod secrets;
mod shared;
mod shared_leases;
mod shared_tags;
mod stand_in;
mod stop;
mod support;
mod warm;
mod writes;
