//! What larders share, in words, and how they hear of each other.

use std::fmt;

use super::super::bus::Beside;
use super::super::shared::SharedConfig;
use super::show;

pub(super) fn write(shared: &SharedConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "shared: {}, under names that begin with {}", shared.url, shared.namespace)?;
    writeln!(
        out,
        "  a read waits for it for {} at most, and then goes to the source without it; an \
         invalidation that it doesn't take within {} is kept and repeated until it is done",
        show(shared.bounds.read_within),
        show(shared.bounds.write_within)
    )?;
    write_bus(shared, out)?;
    if shared.is_memcached() {
        let told = |sentence: &&&str| !(shared.has_bus() && sentence.contains("has no bus"));
        for sentence in larder_memcached::explain().iter().filter(told) {
            writeln!(out, "  {sentence}")?;
        }
    }
    Ok(())
}

/// How larders hear of each other, and what that means.
fn write_bus(shared: &SharedConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let stream = "a stream in that Redis, which keeps the last 100,000 announcements; on one \
                  server what is invalidated is announced in the same step";
    let gap = "a larder that missed any drops what it holds";
    match &shared.bus {
        // A Memcached, of which that is said with the rest.
        Beside::None => Ok(()),
        Beside::Streams => writeln!(out, "  bus: {stream}; {gap}"),
        Beside::Tracking => writeln!(
            out,
            "  bus: {stream}; and Redis itself says of every entry that changes, also of one that \
             is deleted by hand; it says the same of fills and evictions, so after each of them \
             every larder that held the entry reads it again from there; {gap}, and so does one \
             that loses its connection for a moment"
        ),
        Beside::Nats(nats) => writeln!(
            out,
            "  bus: {nats}: a stream of JetStream that keeps announcements for an hour, 100,000 \
             and 256 MiB of them at most; {gap}; what is invalidated is announced in a second \
             step, so a larder that dies in between leaves the others with what they hold, for \
             its lifetime"
        ),
    }
}
