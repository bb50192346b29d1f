//! What a cache promises, in words: how old an answer may be, and who bounds it.

use std::fmt;
use std::time::Duration;

use larder_core::Changes;
use larder_core::freshness::Early;
use larder_engine::Reload;
use larder_sql::Rows;

use super::super::cache::CacheConfig;
use super::super::journal::JournalConfig;
use super::super::source::SourceConfig;
use super::show;

pub(super) fn write(
    cache: &CacheConfig,
    source: &SourceConfig,
    journal: Option<&JournalConfig>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    writeln!(
        out,
        "cache {}: {} from source {} ({})",
        cache.name,
        cache.key.text(),
        source.name,
        source.url
    )?;
    let window = &cache.window;
    if window.keeps() {
        write_promise(cache, source, out)?;
    } else {
        writeln!(
            out,
            "  every read asks the source: with max_staleness = \"0s\" you don't want a cache, \
             only its coalescing and its limits"
        )?;
    }
    if !cache.tags.is_empty() {
        let tags: Vec<_> = cache.tags.iter().map(ToString::to_string).collect();
        writeln!(out, "  it goes when one of its tags is invalidated: {}", tags.join(", "))?;
    }
    if cache.sharing.in_tier {
        writeln!(
            out,
            "  what one larder loads, the others find in the shared tier; of those that miss \
             together one loads"
        )?;
    } else if cache.sharing.has_bus {
        writeln!(out, "  it is held in each larder's own memory, not in the shared tier")?;
    }
    writeln!(
        out,
        "  a read waits at most {}; the load that it waits for has {}, and goes on without it",
        show(cache.deadline),
        show(source.load_timeout)
    )?;
    match cache.gather {
        None => {}
        Some(gather) => writeln!(
            out,
            "  keys that miss within {} of each other are loaded with one question",
            show(gather)
        )?,
    }
    if cache.reload == Reload::Hot {
        writeln!(out, "  what is in use is loaded again as soon as its key is invalidated")?;
    }
    for invalidate in &cache.invalidate {
        writeln!(out, "  {invalidate}")?;
    }
    match &cache.writes {
        None => Ok(()),
        Some(writes) => super::write::write(cache, writes, journal, out),
    }
}

fn write_promise(
    cache: &CacheConfig,
    source: &SourceConfig,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let window = &cache.window;
    let absence = if cache.rows == Rows::Many { Duration::ZERO } else { window.missing_for };
    let held = window.fresh_for.saturating_add(window.stale_for).max(absence);
    let age = held.min(window.max_staleness);
    if source.feed.is_some() {
        write_fed(window.max_staleness, out)?;
    } else if window.vouched {
        write_vouched(source.changes, window.max_staleness, out)?;
    } else {
        write_changes(source.changes, age, out)?;
    }
    if age < window.max_staleness {
        writeln!(
            out,
            "  that is less than max_staleness = \"{}\" allows",
            show(window.max_staleness)
        )?;
    }
    let jittered = window.fresh_for.saturating_sub(window.jitter);
    if window.jitter.is_zero() {
        writeln!(out, "  it is served as it is for {}", show(window.fresh_for))?;
    } else {
        writeln!(
            out,
            "  it is served as it is for {} to {}, as chance has it (jitter)",
            show(jittered),
            show(window.fresh_for)
        )?;
    }
    write_refresh(&window.early, out)?;
    if window.stale_for.is_zero() {
        writeln!(out, "  stale answers: none")?;
    } else {
        writeln!(
            out,
            "  stale answers: for {} more while one refresh runs, never beyond max_staleness",
            show(window.stale_for)
        )?;
    }
    if !window.stale_on_error.is_zero() {
        writeln!(
            out,
            "  when the source fails, or takes longer than {}: answers up to {} past the promise, \
             which say so",
            show(cache.wait),
            show(window.stale_on_error)
        )?;
    }
    if cache.rows == Rows::Many {
        writeln!(out, "  no rows are an answer like any other")
    } else if window.missing_for.is_zero() {
        writeln!(out, "  an absent row is not remembered: each read of it asks the source")
    } else {
        writeln!(out, "  an absent row is remembered for {}", show(window.missing_for))
    }
}

/// How far an answer is behind at most, where a feed tells of every change.
fn write_fed(max: Duration, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        out,
        "  an answer is at most {} behind the database, counted from the commit, whoever changes \
         the data: the feed tells of it; while the feed stands still, what is older is not served, \
         and the source is asked",
        show(max)
    )
}

/// How far an answer is behind at most, where announcements reach this process.
fn write_vouched(changes: Changes, max: Duration, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if changes == Changes::Static {
        let reason = "nobody changes the data (changes = \"static\")";
        return writeln!(out, "  an answer is right at any age: {reason}");
    }
    writeln!(
        out,
        "  an answer is at most {} behind what was announced: who changes the data announces it \
         (changes = \"announced\"), every larder hears of it over the bus, and the \
         promise counts from the moment that an announcement has returned; a larder that hears \
         nothing asks the source",
        show(max)
    )
}

/// How old an answer is at most, and what that says about its staleness.
fn write_changes(changes: Changes, age: Duration, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let reason = match changes {
        Changes::Announced => {
            "who changes the data announces it (changes = \"announced\"), and the promise counts \
             from the moment that an announcement, an invalidation that isn't SOFT, has \
             returned: nothing older is served"
        }
        Changes::Static => {
            "nobody changes the data (changes = \"static\"), so it is right at any age, and loaded \
             again all the same"
        }
        // Whatever is not known to be better.
        _ => {
            "anyone may change the data behind our back (changes = \"unknown\"), so its age \
             bounds its staleness"
        }
    };
    writeln!(out, "  an answer is at most {} old: {reason}", show(age))
}

/// When a read begins a refresh although what it finds is still served as it is.
fn write_refresh(early: &Early, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (part, xfetch) = (early.refresh_at(), early.xfetch());
    let sooner = "where loads take long (xfetch)";
    match (part < 1.0, xfetch > 0.0) {
        (false, false) => Ok(()),
        (false, true) => writeln!(out, "  a read near its end begins a refresh {sooner}"),
        (true, false) => writeln!(out, "  once {part} of that has passed, a read begins a refresh"),
        (true, true) => writeln!(
            out,
            "  once {part} of that has passed, a read begins a refresh; sooner {sooner}"
        ),
    }
}
