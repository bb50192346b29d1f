//! A bar on the error stream while there is something to wait for; nothing where nobody looks.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// Whether waits are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// By a bar, which leaves nothing behind.
    Shown,
    /// Not at all.
    Silent,
}

impl Progress {
    /// Shown at a terminal.
    pub(super) fn here() -> Self {
        if stderr().is_terminal() { Self::Shown } else { Self::Silent }
    }

    /// A bar of bytes read of a file; without an end where its length isn't known.
    pub(super) fn bytes(self, name: &str, length: Option<u64>) -> ProgressBar {
        match length {
            Some(length) => self.bar(
                Some(length),
                "{bar:40} {percent:>3} %  {bytes_per_sec}  reading {msg}",
                name,
            ),
            None => self.bar(None, "{spinner} {bytes}  {bytes_per_sec}  reading {msg}", name),
        }
    }

    /// A bar of requests replayed.
    pub(super) fn replays(self, what: &str, length: u64) -> ProgressBar {
        self.bar(Some(length), "{bar:40} {percent:>3} %  {eta} left  {msg}", what)
    }

    fn bar(self, length: Option<u64>, template: &str, what: &str) -> ProgressBar {
        let target = match self {
            Self::Shown => ProgressDrawTarget::stderr(),
            Self::Silent => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template(template)
            .expect("the templates above are well-formed")
            .progress_chars("━━╌");
        ProgressBar::with_draw_target(length, target)
            .with_style(style)
            .with_message(what.to_owned())
            .with_finish(ProgressFinish::AndClear)
    }
}
