//! When a source that fails is left alone, resolved: what makes no sense is reported at its option.

use humantime::format_duration;
use larder_engine::BreakerBounds;

use super::document::Written;
use super::findings::Reported;
use super::options::breaker as options;
use super::scope::Scope;

/// The bounds that `written` declares; `None` where the source is never left alone.
pub(super) fn resolve(
    written: &Written,
    scope: &mut Scope<'_, '_>,
) -> Result<Option<BreakerBounds>, Reported> {
    let breaks = scope.or_default(written, &options::BREAKER);
    let errors = scope.or_default(written, &options::ERRORS);
    let share = scope.or_default(written, &options::SHARE);
    let window = scope.or_default(written, &options::WINDOW);
    let probe_after = scope.or_default(written, &options::PROBE_AFTER);
    let probe_after_max = scope.get(written, &options::PROBE_AFTER_MAX);
    let (breaks, errors, share) = (breaks?, errors?.0, share?.0);
    let (window, probe_after) = (window?.0, probe_after?.0);
    let default = BreakerBounds::default();
    let longest = default.probe_after_max.max(probe_after);
    let probe_after_max = probe_after_max?.map_or(longest, |max| max.0);
    if !breaks {
        warn_of_unused(written, scope);
        return Ok(None);
    }
    if probe_after_max < probe_after {
        let at = [&options::PROBE_AFTER.about, &options::PROBE_AFTER_MAX.about];
        let at: Vec<_> = at.into_iter().filter_map(|option| written.value(option)).collect();
        return Err(scope.findings.error(
            &at,
            "`breaker_probe_after_max` is shorter than `breaker_probe_after`",
            format!("set it to \"{}\" or more, or leave it out", format_duration(probe_after)),
        ));
    }
    let bounds = BreakerBounds {
        errors_min: u32::try_from(errors).unwrap_or(u32::MAX),
        error_share: share,
        window,
        probe_after,
        probe_after_max,
        ..default
    };
    // What the kinds of the values leave open is the window alone.
    bounds.check().map(|()| Some(bounds)).map_err(|error| {
        scope.findings.error(
            &written.place(&options::WINDOW.about),
            format!("`breaker_window`: {error}"),
            "for instance `breaker_window = \"10s\"`",
        )
    })
}

/// Says which numbers are written for a breaker that is switched off.
fn warn_of_unused(written: &Written, scope: &mut Scope<'_, '_>) {
    let numbers = [
        &options::ERRORS.about,
        &options::SHARE.about,
        &options::WINDOW.about,
        &options::PROBE_AFTER.about,
        &options::PROBE_AFTER_MAX.about,
    ];
    for option in numbers {
        if written.entry(option).is_some() {
            scope.findings.warning(
                &written.place(option),
                format!("`{}` never applies: `breaker = false`", option.name),
                "leave it out",
            );
        }
    }
}
