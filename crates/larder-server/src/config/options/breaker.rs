//! The options of `[source.NAME]` that say when a source which fails is left alone.

use super::super::value::{Count, Part, Timeout};
use super::{Default, Opt};

pub(in super::super) static BREAKER: Opt<bool> = Opt::new(
    "breaker",
    Default::Value("true"),
    "Whether a source that fails is left alone for a while: a read that needs it is then told at \
     once to come back later, and one load at a time probes whether it works again.",
)
.elsewhere(&["circuit_breaker"]);

pub(in super::super) static ERRORS: Opt<Count<1, 1_000_000>> = Opt::new(
    "breaker_errors",
    Default::Value("5"),
    "How many loads must have failed lately, at the least, for the source to be left alone.",
)
.elsewhere(&["breaker_threshold", "failure_threshold"]);

pub(in super::super) static SHARE: Opt<Part> = Opt::new(
    "breaker_share",
    Default::Value("0.5"),
    "Which part of the loads lately must have failed as well: where many work, a few errors are \
     no reason to leave the source alone.",
);

pub(in super::super) static WINDOW: Opt<Timeout> = Opt::new(
    "breaker_window",
    Default::Value("10s"),
    "How far back \"lately\" reaches; at least 10ms.",
);

pub(in super::super) static PROBE_AFTER: Opt<Timeout> = Opt::new(
    "breaker_probe_after",
    Default::Value("5s"),
    "For how long the source is left alone before it is probed. Each probe that fails doubles it.",
)
.elsewhere(&["breaker_timeout", "reset_timeout"]);

pub(in super::super) static PROBE_AFTER_MAX: Opt<Timeout> = Opt::new(
    "breaker_probe_after_max",
    Default::Words("`\"30s\"`, or `breaker_probe_after` where that is longer"),
    "For how long at most. The same as `breaker_probe_after` for no doubling.",
);
