//! A bar for people who wait at a terminal; nothing for everybody else.

use std::io::{IsTerminal, stdout};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// Whether there is somebody to show a bar to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// On the error stream, if that is a terminal.
    Shown,
    /// Nowhere.
    Hidden,
}

impl Progress {
    /// Shown if the demo's own words go to a terminal too.
    pub(super) fn for_stdout() -> Self {
        if stdout().is_terminal() { Self::Shown } else { Self::Hidden }
    }

    /// A bar that is full at `length`. It is gone from the screen when it is dropped.
    pub(super) fn bar(self, length: u64) -> ProgressBar {
        let target = match self {
            Self::Shown => ProgressDrawTarget::stderr(),
            Self::Hidden => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template("   {bar:60} {percent:>3} %")
            .expect("the template above is well-formed")
            .progress_chars("━━╌");
        ProgressBar::with_draw_target(Some(length), target)
            .with_style(style)
            .with_finish(ProgressFinish::AndClear)
    }
}
