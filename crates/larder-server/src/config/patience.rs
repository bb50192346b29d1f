//! How long a read of a cache waits, for what, and what it takes then.
//!
//! What may stand in for an answer is decided by the window; here it is only how soon, and whether
//! what is in use is loaded before anybody waits for it.

use std::time::Duration;

use larder_core::Window;
use larder_engine::Reload;
use larder_memory::policy::PolicyKind;

use super::document::Written;
use super::findings::Reported;
use super::options::cache as options;
use super::scope::Scope;
use super::value::{Fault, OptionValue};

/// How long a read waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) deadline: Duration,
    pub(super) wait: Duration,
    /// How long a load of one key waits for others.
    pub(super) gather: Option<Duration>,
}

impl Patience {
    pub(super) fn resolve(
        written: &Written,
        window: Result<Window, Reported>,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Self, Reported> {
        let deadline = scope.or_default(written, &options::DEADLINE);
        let wait = scope.or_default(written, &options::WAIT);
        let gather = scope.get(written, &options::GATHER);
        let patience =
            Self { deadline: deadline?.0, wait: wait?, gather: gather?.map(|gather| gather.0) };
        if patience.gather.is_some_and(|gather| gather >= patience.deadline) {
            return Err(scope.findings.error(
                &written.place(&options::GATHER.about),
                "`gather` is as long as `deadline`: every read that memory can't serve would be \
                 given up before its load begins",
                "some milliseconds are enough: `gather = \"2ms\"`",
            ));
        }
        if let Ok(window) = window {
            patience.warn(written, &window, scope);
        }
        Ok(patience)
    }

    /// Says that `wait` was written in vain.
    fn warn(&self, written: &Written, window: &Window, scope: &mut Scope<'_, '_>) {
        let Some(entry) = written.entry(&options::WAIT.about) else {
            return;
        };
        let (why, cure) = if window.stale_on_error.is_zero() {
            (
                "without `stale_on_error` nothing may stand in",
                "set `stale_on_error`, or leave it out",
            )
        } else if self.wait >= self.deadline {
            ("`deadline` comes first", "make it shorter than `deadline`")
        } else {
            return;
        };
        scope.findings.warning([&entry.key], format!("`wait` never applies: {why}"), cure);
    }
}

/// Whether a cache of this `policy`, if it is known, loads again what is in use.
pub(super) fn reload(
    written: &Written,
    policy: Option<PolicyKind>,
    scope: &mut Scope<'_, '_>,
) -> Result<Reload, Reported> {
    let reload = scope.or_default(written, &options::RELOAD)?;
    let Some(policy) = policy.filter(|policy| reload == Reload::Hot && !policy.marks_uses()) else {
        return Ok(reload);
    };
    Err(scope.findings.error(
        &written.value(&options::RELOAD.about),
        format!("which entries are in use isn't known with `policy = \"{policy}\"`"),
        "take another policy, for instance \"adaptive\", or leave `reload` out",
    ))
}

impl OptionValue for Reload {
    const WHAT: &'static str = "`\"never\"` or `\"hot\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "never" => Ok(Self::Never),
            "hot" => Ok(Self::Hot),
            _ => Err(Fault::new("must be \"never\" or \"hot\"", "write one of them")),
        }
    }
}
