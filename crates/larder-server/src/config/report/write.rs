//! What a write promises, in words: who sees what when, and what is lost.

use std::fmt;

use larder_engine::{Consistency, Install, WriteMode};

use super::super::cache::CacheConfig;
use super::super::journal::JournalConfig;
use super::super::write::CacheWrites;
use super::show;

pub(super) fn write(
    cache: &CacheConfig,
    writes: &CacheWrites,
    journal: Option<&JournalConfig>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let verbs = writes.verbs().join(", ");
    match (writes.mode, journal) {
        (WriteMode::Behind, Some(journal)) => write_behind(&verbs, journal, out)?,
        (WriteMode::Through, _) => {
            let held = match writes.install {
                Install::Always => "is held",
                _ => "takes the place of what was held",
            };
            writeln!(
                out,
                "  written through ({verbs}): a write returns when the database has committed it, \
                 within {}; what it returned {held} if nothing overlapped, otherwise the next read \
                 loads",
                show(writes.timeout)
            )?;
        }
        _ => writeln!(
            out,
            "  written around ({verbs}): a write returns when the database has committed it, \
             within {}, and the next read loads",
            show(writes.timeout)
        )?,
    }
    write_others(cache, writes, out)?;
    if writes.is_behind() {
        return Ok(());
    }
    writeln!(
        out,
        "  while the database is down writes are refused, and nothing is written; a write that was \
         cut off may be committed or not: what was held is dropped, read it before repeating it"
    )
}

fn write_behind(verbs: &str, journal: &JournalConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        out,
        "  written behind ({verbs}): a write returns when the journal has it, and the database has \
         it after about {}, with what else was written to the key joined to one; this larder reads \
         it from then on",
        show(journal.bounds.delay)
    )?;
    writeln!(
        out,
        "  when this larder ends, what waits is applied once at the next start, with the same \
         journal; while the database is down it waits; what the database refuses becomes a dead \
         letter (larder_dead_letters)"
    )
}

/// What other processes see of a write.
fn write_others(
    cache: &CacheConfig,
    writes: &CacheWrites,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let sharing = cache.sharing;
    let is_told = sharing.in_tier || sharing.has_bus;
    let from = if writes.is_behind() { "when it is applied" } else { "after the commit" };
    let max = show(cache.window.max_staleness);
    match sharing.consistency {
        _ if !is_told => writeln!(
            out,
            "  nobody else is told: another larder that holds the key answers with it for {max} at \
             most"
        ),
        Consistency::Guarded if writes.is_behind() => writeln!(
            out,
            "  guarded: other larders are told of a key before its write is acknowledged, and keep \
             nothing of it until it is applied; while the shared tier doesn't answer they hear of \
             it when it is applied"
        ),
        Consistency::Strict if writes.is_behind() => writeln!(
            out,
            "  strict: other larders are told of a key before its write is acknowledged, and keep \
             nothing of it until it is applied; while the shared tier doesn't answer writes are \
             refused"
        ),
        Consistency::Guarded => writeln!(
            out,
            "  guarded: other larders hear of a write before it is committed, and keep nothing \
             until it has ended, even if this one dies in between; while the shared tier doesn't \
             answer a write is as with \"bounded\""
        ),
        Consistency::Strict => writeln!(
            out,
            "  strict: other larders hear of a write before it is committed, and keep nothing \
             until it has ended, even if this one dies in between; while the shared tier doesn't \
             answer writes are refused"
        ),
        _ => writeln!(
            out,
            "  other larders hear of it {from}; if this one dies in between they answer with what \
             they hold for its lifetime"
        ),
    }
}
