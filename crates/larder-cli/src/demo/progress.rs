//! What people see while they wait: a bar at a terminal, a line everywhere else.

use std::io::{IsTerminal, Result, Write, stderr, stdout};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// How a wait is announced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// By a bar on the error stream, which leaves nothing behind.
    Bars,
    /// By a line among the others.
    Lines,
}

impl Progress {
    /// Bars if all that the demo writes goes to terminals.
    pub(super) fn here() -> Self {
        if stdout().is_terminal() && stderr().is_terminal() { Self::Bars } else { Self::Lines }
    }

    /// Announces `what`, which is done at `length`. A bar is gone when it is dropped.
    pub(super) fn begin(
        self,
        what: &str,
        length: u64,
        out: &mut impl Write,
    ) -> Result<ProgressBar> {
        let target = match self {
            Self::Bars => ProgressDrawTarget::stderr(),
            Self::Lines => {
                writeln!(out, "   ... {what}")?;
                ProgressDrawTarget::hidden()
            }
        };
        out.flush()?;
        let style = ProgressStyle::with_template("   {bar:40} {percent:>3} %  {msg}")
            .expect("the template above is well-formed")
            .progress_chars("━━╌");
        Ok(ProgressBar::with_draw_target(Some(length), target)
            .with_style(style)
            .with_message(what.to_owned())
            .with_finish(ProgressFinish::AndClear))
    }
}
