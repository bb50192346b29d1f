//! INFO, CONFIG GET, DBSIZE: what monitoring and benchmarks ask a Redis server for.

use std::fmt::Write as _;

use larder_memory::RemovalCause;

use super::container::{self, Subcommand};
use super::glob::{self, Case};
use super::{Call, Outcome};
use crate::codec::Verbatim;
use crate::pool::Pool;
use crate::service::Service;

/// The version of Redis whose commands and replies these are.
const REDIS_VERSION: &str = "7.0.15";

pub(super) fn dbsize(call: &mut Call<'_>) -> Outcome {
    call.reply.integer(i64::try_from(call.service.all_stats().entries).unwrap_or(i64::MAX));
    Outcome::Written
}

pub(super) fn config(call: &mut Call<'_>) -> Outcome {
    container::run(call, "CONFIG", &CONFIG)
}

const CONFIG: [Subcommand; 1] = [Subcommand {
    name: "GET",
    arity: -3,
    arguments: "<pattern> [<pattern> ...]",
    summary: "Returns the settings whose names fit, of those that clients ask Redis for.",
    run: config_get,
}];

/// `CONFIG GET pattern …` for the settings that clients look at; a pattern that fits none yields
/// none.
fn config_get(call: &mut Call<'_>) -> Outcome {
    let limit = call.service.limit_bytes().to_string();
    let policy = policy(call.service);
    let settings = [
        ("save", ""),
        ("appendonly", "no"),
        ("maxmemory", &*limit),
        ("maxmemory-policy", &*policy),
        ("databases", "1"),
    ];
    let patterns = call.request.iter().skip(2);
    let wanted = |name: &str| {
        patterns.clone().any(|pattern| glob::matches(pattern, name.as_bytes(), Case::Same))
    };
    let found: Vec<_> = settings.into_iter().filter(|(name, _)| wanted(name)).collect();
    call.reply.map(found.len());
    for (name, value) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value.as_bytes());
    }
    Outcome::Written
}

/// What Redis would call the policy of plain keys. `noeviction` is what it says when it keeps
/// nothing that could be evicted.
fn policy(service: &Service) -> String {
    service.plain_pool().map_or_else(|| "noeviction".to_owned(), Pool::redis_policy)
}

/// A section of INFO: its name and how it is written.
type Section = (&'static str, fn(&Service, &mut String));

const SECTIONS: [Section; 8] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Keyspace", keyspace),
];

/// `INFO [section …]`.
pub(super) fn info(call: &mut Call<'_>) -> Outcome {
    let every = call.request.len() == 1
        || ["all", "default", "everything"]
            .iter()
            .any(|word| (1..call.request.len()).any(|at| call.is(at, word)));
    let wanted = |name: &str| every || (1..call.request.len()).any(|at| call.is(at, name));
    let mut text = String::new();
    for (name, write) in SECTIONS.iter().filter(|(name, _)| wanted(name)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {name}\r\n");
        write(call.service, &mut text);
    }
    call.reply.verbatim(Verbatim::Text, text.as_bytes());
    Outcome::Written
}

/// Writes fields as INFO has them. Writing into a String can't fail.
macro_rules! fields {
    ($text:ident, $($name:literal => $value:expr),* $(,)?) => {
        $(let _ = write!($text, concat!($name, ":{}\r\n"), $value);)*
    };
}

fn server(service: &Service, text: &mut String) {
    let uptime = (service.engine.clock().now() - service.started).as_secs();
    fields!(text,
        "redis_version" => REDIS_VERSION,
        "larder_version" => env!("CARGO_PKG_VERSION"),
        "redis_mode" => "standalone",
        "process_id" => service.host.process_id(),
        "tcp_port" => service.host.port(),
        "uptime_in_seconds" => uptime,
        "uptime_in_days" => uptime / 86_400,
    );
}

fn clients(service: &Service, text: &mut String) {
    fields!(text,
        "connected_clients" => service.connected(),
        "blocked_clients" => 0,
    );
}

fn memory(service: &Service, text: &mut String) {
    let stats = service.all_stats();
    let used = stats.bytes;
    let resident = service.host.resident_bytes();
    let fragmentation = resident as f64 / used.max(1) as f64;
    fields!(text,
        "used_memory" => used,
        "used_memory_rss" => resident,
        "used_memory_dataset" => used,
        "maxmemory" => service.limit_bytes(),
        "maxmemory_policy" => policy(service),
        "mem_fragmentation_ratio" => format_args!("{fragmentation:.2}"),
        "larder_no_room" => stats.no_room,
        "larder_too_heavy" => stats.too_heavy,
    );
}

fn persistence(_: &Service, text: &mut String) {
    fields!(text,
        "loading" => 0,
        "rdb_changes_since_last_save" => 0,
        "rdb_bgsave_in_progress" => 0,
        "aof_enabled" => 0,
    );
}

fn stats(service: &Service, text: &mut String) {
    let (hits, misses) = service.hits_and_misses();
    let removed = service.all_stats();
    fields!(text,
        "total_connections_received" => service.sessions(),
        "total_commands_processed" => service.commands(),
        "total_net_input_bytes" => service.counts.input_bytes.get(),
        "total_net_output_bytes" => service.counts.output_bytes.get(),
        "rejected_connections" => service.refused(),
        "expired_keys" => removed.removals(RemovalCause::Expired),
        "evicted_keys" => removed.removals(RemovalCause::Evicted),
        "keyspace_hits" => hits,
        "keyspace_misses" => misses,
    );
    if let Some(log) = service.keyspace.key_log() {
        fields!(text, "larder_trace_lost" => log.lost());
    }
}

fn replication(_: &Service, text: &mut String) {
    fields!(text, "role" => "master", "connected_slaves" => 0);
}

fn cpu(service: &Service, text: &mut String) {
    let (user, system) = service.host.cpu_seconds();
    let (user, system) = (format!("{user:.6}"), format!("{system:.6}"));
    fields!(text, "used_cpu_sys" => system, "used_cpu_user" => user);
}

/// Redis leaves a database without keys out.
fn keyspace(service: &Service, text: &mut String) {
    let stats = service.all_stats();
    let (keys, expires) = (stats.entries, stats.expiring);
    if keys > 0 {
        fields!(text, "db0" => format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
}
