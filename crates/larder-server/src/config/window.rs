//! The windows of a cache, resolved: what doesn't fit is reported at the option that doesn't.
//!
//! What fits is decided by [`Window::resolve`]; here it is only asked, with one option more each
//! time, so that the one at fault is known.

use std::time::Duration;

use humantime::format_duration;
use larder_core::Window;
use larder_core::freshness::Declared;

use super::document::Written;
use super::findings::{Findings, Reported};
use super::options::{About, cache as options};
use super::scope::Scope;

/// The windows that `written` declares; `vouched` where a stream of changes vouches for entries.
pub(super) fn resolve(
    written: &Written,
    vouched: bool,
    scope: &mut Scope<'_, '_>,
) -> Result<Window, Reported> {
    let max_staleness = scope.get(written, &options::MAX_STALENESS);
    let fresh_for = scope.get(written, &options::FRESH_FOR);
    let stale_for = scope.get(written, &options::STALE_FOR);
    let missing_for = scope.get(written, &options::MISSING_FOR);
    let jitter = scope.get(written, &options::JITTER);
    let stale_on_error = scope.or_default(written, &options::STALE_ON_ERROR);
    let refresh_at = scope.or_default(written, &options::REFRESH_AT);
    let xfetch = scope.or_default(written, &options::XFETCH);
    let declared = Declared {
        max_staleness: max_staleness?,
        fresh_for: fresh_for?,
        stale_for: stale_for?,
        refresh_at: Some(refresh_at?.0),
        xfetch: Some(xfetch?.0),
        vouched,
        ..Declared::default()
    };
    let base = base(written, declared, scope.findings)?;
    let jittered = fit(
        written,
        &options::JITTER.about,
        Declared { jitter: jitter?, ..declared },
        base.fresh_for,
        scope.findings,
    );
    let missing = fit(
        written,
        &options::MISSING_FOR.about,
        Declared { missing_for: missing_for?, ..declared },
        base.max_staleness,
        scope.findings,
    );
    let standing_in = Declared { stale_on_error: Some(stale_on_error?), ..declared };
    let standing_in = Window::resolve(standing_in).map_err(|error| {
        scope.findings.error(
            &written.place(&options::STALE_ON_ERROR.about),
            error.to_string(),
            "for instance `max_staleness = \"1s\"`",
        )
    });
    let window = Window {
        jitter: jittered?.jitter,
        missing_for: missing?.missing_for,
        stale_on_error: standing_in?.stale_on_error,
        ..base
    };
    warn(written, &window, scope.findings);
    Ok(window)
}

/// The windows without those that have a sensible default in any case.
fn base(
    written: &Written,
    declared: Declared,
    findings: &mut Findings<'_>,
) -> Result<Window, Reported> {
    Window::resolve(declared).map_err(|error| match (declared.fresh_for, declared.max_staleness) {
        (Some(fresh_for), Some(max_staleness)) => findings.error(
            &written.place(&options::FRESH_FOR.about),
            error.to_string(),
            format!(
                "for instance `fresh_for = \"{}\"`, or `max_staleness = \"{}\"`",
                format_duration(max_staleness),
                format_duration(fresh_for)
            ),
        ),
        _ => findings.error(
            &written.at,
            format!("{} promises nothing: {error}", written.header()),
            "for instance `max_staleness = \"2s\"`",
        ),
    })
}

/// The windows with one more option, which may be `most` at most.
fn fit(
    written: &Written,
    option: &About,
    declared: Declared,
    most: Duration,
    findings: &mut Findings<'_>,
) -> Result<Window, Reported> {
    Window::resolve(declared).map_err(|error| {
        let cure = format!("set `{}` to \"{}\" or less", option.name, format_duration(most));
        findings.error(&written.place(option), error.to_string(), cure)
    })
}

/// Says what is allowed and probably not meant.
fn warn(written: &Written, window: &Window, findings: &mut Findings<'_>) {
    if !window.keeps() {
        findings.warning(
            &written.place(&options::MAX_STALENESS.about),
            format!("{} is no cache: every read asks the source", written.header()),
            "name the staleness that you accept, for instance `max_staleness = \"1s\"`",
        );
        return;
    }
    let room = window.max_staleness.saturating_sub(window.fresh_for);
    if window.stale_for > room {
        let used = if room.is_zero() {
            "`stale_for` never applies: `fresh_for` uses up `max_staleness`".to_owned()
        } else {
            let used = format_duration(room);
            format!("`max_staleness` ends `stale_for` after {used}")
        };
        findings.warning(
            &written.place(&options::STALE_FOR.about),
            used,
            format!(
                "shorten `fresh_for`, or set `max_staleness = \"{}\"`",
                format_duration(window.fresh_for.saturating_add(window.stale_for))
            ),
        );
    }
}
