//! `[journal]`: where acknowledged writes wait until they are applied.

use super::super::journal::Kind;
use super::super::value::{Count, Line, Size, Timeout};
use super::{Default, Heads, Opt, Section};

/// The least that a journal may hold, in bytes: two of its segments.
pub(in super::super) const LIMIT_MIN: u64 = 32 << 20;
/// The least that may wait, in bytes: room for the longest record.
pub(in super::super) const BYTES_MIN: u64 = 8 << 20;

pub(in super::super) static SECTION: Section = Section {
    name: "journal",
    heads: Heads::One,
    about: "Where the writes of caches with `write = \"behind\"` are durable until the database \
            has them. It is a part of the database: who starts without it leaves acknowledged \
            writes behind. All caches share it, and at most one process has it open. What `delay`, \
            `batch_max`, `keys_max` and `bytes_max` say holds for each cache.",
    options: &[
        &PATH.about,
        &DURABILITY.about,
        &SYNC_EVERY.about,
        &LIMIT.about,
        &DELAY.about,
        &BATCH_MAX.about,
        &KEYS_MAX.about,
        &BYTES_MAX.about,
        &STOP_WITHIN.about,
    ],
};

pub(in super::super) static PATH: Opt<Line> = Opt::new(
    "path",
    Default::Required,
    "A folder of its own, which is made if it isn't there; relative to where larder is started.",
)
.elsewhere(&["folder", "dir", "directory", "file"]);

pub(in super::super) static DURABILITY: Opt<Kind> = Opt::new(
    "durability",
    Default::Value("fsync"),
    "When a write is acknowledged, and so what can be lost. `fsync`: when it is on the disk; \
     nothing is lost when the process is killed or the power fails. `interval`: when the operating \
     system has it; a power failure loses what was acknowledged in the last `sync_every` and \
     during a sync, the end of the process nothing. `memory`: \
     at once; the end of the process loses what wasn't handed over yet, at most 32 MiB, and a \
     power failure up to a segment of 16 MiB more.",
)
.elsewhere(&["sync", "fsync", "appendfsync"]);

pub(in super::super) static SYNC_EVERY: Opt<Timeout> = Opt::new(
    "sync_every",
    Default::Value("100ms"),
    "How often it is synced with `durability = \"interval\"`, and so how much a power failure may \
     lose.",
)
.elsewhere(&["interval", "flush_interval"]);

pub(in super::super) static LIMIT: Opt<Size<LIMIT_MIN>> = Opt::new(
    "limit",
    Default::Value("1GiB"),
    "How much it takes on the disk. When it is full writes are refused until the database has \
     taken some. Up to a MiB more is written ahead.",
)
.elsewhere(&["size", "max_size", "bytes"]);

pub(in super::super) static DELAY: Opt<Timeout> = Opt::new(
    "delay",
    Default::Value("1s"),
    "How long a write waits for others of its key, to be applied together. With 128 keys waiting \
     nobody waits so long.",
)
.elsewhere(&["flush_every", "write_delay", "linger"]);

pub(in super::super) static BATCH_MAX: Opt<Count<1, 10_000>> = Opt::new(
    "batch_max",
    Default::Value("512"),
    "How many keys are written in one transaction at most.",
)
.elsewhere(&["batch", "batch_size"]);

pub(in super::super) static KEYS_MAX: Opt<Count<8, 10_000_000>> = Opt::new(
    "keys_max",
    Default::Value("16000"),
    "With so many keys waiting further writes are refused with the time after which to come back; \
     from five eighths of it on acknowledgements slow down.",
)
.elsewhere(&["queue_size", "max_pending"]);

pub(in super::super) static BYTES_MAX: Opt<Size<BYTES_MIN>> = Opt::new(
    "bytes_max",
    Default::Value("64MiB"),
    "The same for what the values that wait take in memory. It is not part of `[memory] limit`.",
)
.elsewhere(&["memory"]);

pub(in super::super) static STOP_WITHIN: Opt<Timeout> = Opt::new(
    "stop_within",
    Default::Value("5s"),
    "How long the server applies what waits when it stops. What is left then is applied at the \
     next start.",
)
.elsewhere(&["drain", "drain_timeout", "shutdown_timeout"]);
