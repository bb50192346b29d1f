//! The examples as modules. Their own `main` isn't called here: it only calls `run`, or serves.
#![allow(dead_code)]

#[path = "../../examples/absence.rs"]
pub(crate) mod absence;
#[path = "../../examples/api_responses.rs"]
pub(crate) mod api_responses;
#[path = "../../examples/batching.rs"]
pub(crate) mod batching;
#[path = "../../examples/early_refresh.rs"]
pub(crate) mod early_refresh;
#[path = "../../examples/entity_cache.rs"]
pub(crate) mod entity_cache;
#[path = "../../examples/keys.rs"]
pub(crate) mod keys;
#[path = "../../examples/next_steps.rs"]
pub(crate) mod next_steps;
#[path = "../../examples/overload.rs"]
pub(crate) mod overload;
#[path = "../../examples/patience.rs"]
pub(crate) mod patience;
#[path = "../../examples/sessions.rs"]
pub(crate) mod sessions;
#[path = "../../examples/sql_source.rs"]
pub(crate) mod sql_source;
#[path = "../../examples/stampede.rs"]
pub(crate) mod stampede;
#[path = "../../examples/start.rs"]
pub(crate) mod start;
#[path = "../../examples/tags.rs"]
pub(crate) mod tags;
#[path = "../../examples/tickets.rs"]
pub(crate) mod tickets;
#[path = "../../examples/windows.rs"]
pub(crate) mod windows;
