//! What ends the demo before its end.

use std::fmt;
use std::io;

/// Why the demo can't go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// What it has to say can't be written.
    Unheard(io::Error),
    /// Anything else, in words.
    Other(String),
}

impl Fault {
    /// That `what` can't be done, because of `cause`.
    pub(super) fn because(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::Other(format!("can't {what}: {cause}"))
    }

    /// Whether whoever reads along has seen enough, as `head` has after ten lines.
    pub(super) fn is_goodbye(&self) -> bool {
        matches!(self, Self::Unheard(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unheard(error) => write!(f, "can't write what the demo says: {error}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Unheard(error)
    }
}

impl From<larder_core::Error> for Fault {
    fn from(error: larder_core::Error) -> Self {
        let key = error.key().map(|key| format!("{key}: ")).unwrap_or_default();
        Self::Other(format!("{key}{}", error.chain()))
    }
}

impl From<tokio::task::JoinError> for Fault {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::because("read on", error)
    }
}
