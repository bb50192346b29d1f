//! One error type, whose kind says what the caller can do about it.
//!
//! A miss is not an error. The words and numbers that a kind has in the protocols stand in one
//! table here ([`ErrorKind::code`], [`ErrorKind::http_status`]), so that no two listeners can
//! disagree.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::LoadError;

/// `Result` with larder's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, named by what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key can't name anything here. Don't ask again.
    BadKey,
    /// The system of record can't be reached. Ask again later.
    SourceDown,
    /// The shared tier can't be reached. What was asked of it is done as soon as it can be, where
    /// the message says so.
    SharedDown,
    /// The caller's deadline or the load's own timeout passed. Ask again.
    Timeout,
    /// Too much is waiting already. Ask again after `retry_after`.
    Shed,
    /// The request is understood and not allowed, and won't be later. Ask for something else.
    Refused,
    /// Somebody else changed it meanwhile. Read it again, and decide anew.
    Conflict,
    /// Memory is full of entries that may not be evicted. Ask again when there is room.
    NoRoom,
    /// The source answered with an error of its own, which is inside.
    Loader,
    /// The configuration contradicts itself or asks for what can't be kept. Change it.
    Config,
    /// A defect of larder. Please report it.
    Internal,
}

impl ErrorKind {
    /// The table: kind, the word that opens a RESP error, the status of an HTTP problem.
    const TABLE: [(Self, &'static str, u16); 11] = [
        (Self::BadKey, "BADKEY", 400),
        (Self::SourceDown, "SOURCEDOWN", 503),
        (Self::SharedDown, "SHAREDDOWN", 503),
        (Self::Timeout, "TIMEOUT", 504),
        (Self::Shed, "SHED", 503),
        (Self::Refused, "REFUSED", 403),
        (Self::Conflict, "CONFLICT", 409),
        (Self::NoRoom, "OOM", 507),
        (Self::Loader, "LOADER", 502),
        (Self::Config, "CONFIG", 500),
        (Self::Internal, "INTERNAL", 500),
    ];

    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::TABLE.into_iter().map(|(kind, _, _)| kind)
    }

    /// The word that opens a RESP error of this kind, in capitals.
    #[must_use]
    pub const fn code(self) -> &'static str {
        Self::TABLE[self as usize].1
    }

    /// The HTTP status of a problem of this kind.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        Self::TABLE[self as usize].2
    }
}

/// An error that reaches every caller of a load, with the source's own error inside.
///
/// It is one pointer wide and cheap to clone.
///
/// ```
/// use larder_core::{Error, ErrorKind};
///
/// let io = std::io::Error::other("connection reset");
/// let error = Error::new(ErrorKind::SourceDown, "the source shop is down").caused_by(io);
/// assert_eq!(error.to_string(), "the source shop is down");
/// assert!(error.downcast_ref::<std::io::Error>().is_some());
/// assert_eq!(error.chain(), "the source shop is down: connection reset");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    key: Option<Box<str>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` says what happened and, where it can, what to do.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self(Arc::new(Inner { kind, message, key: None, retry_after: None, source: None }))
    }

    /// What a loader failed with: larder's own error as it is, anything else wrapped as
    /// [`ErrorKind::Loader`].
    #[must_use]
    pub fn from_loader(error: LoadError) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => *own,
            Err(foreign) => {
                let mut inner = Self::new(ErrorKind::Loader, "the load failed").into_inner();
                inner.source = Some(Arc::from(foreign));
                Self(Arc::new(inner))
            }
        }
    }

    /// Names the key, as text.
    #[must_use]
    pub fn for_key(self, key: impl Into<Box<str>>) -> Self {
        let mut inner = self.into_inner();
        inner.key = Some(key.into());
        Self(Arc::new(inner))
    }

    /// Says when asking again makes sense.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let mut inner = self.into_inner();
        inner.retry_after = Some(after);
        Self(Arc::new(inner))
    }

    /// Puts the cause inside.
    #[must_use]
    pub fn caused_by(self, cause: impl StdError + Send + Sync + 'static) -> Self {
        let mut inner = self.into_inner();
        inner.source = Some(Arc::new(cause));
        Self(Arc::new(inner))
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The key it is about, as text, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// When asking again makes sense, if that is known.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The first error of type `E` among the causes, the source's own for instance.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.causes().find_map(|cause| cause.downcast_ref())
    }

    /// This error and its causes on one line, for a log or a protocol that has only a line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        for cause in self.causes() {
            let cause = cause.to_string();
            // Some errors already say what their cause says.
            if !line.ends_with(&cause) {
                line.push_str(": ");
                line.push_str(&cause);
            }
        }
        line
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        std::iter::successors(self.source(), |&cause| cause.source())
    }

    fn into_inner(self) -> Inner {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| (*shared).clone())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("key", &self.0.key)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (at, (kind, _, _)) in ErrorKind::TABLE.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
    }

    #[test]
    fn a_loaders_own_larder_error_keeps_its_kind() {
        let own = Error::new(ErrorKind::BadKey, "too large").for_key("user:1");
        let error = Error::from_loader(Box::new(own));
        assert_eq!((error.kind(), error.key()), (ErrorKind::BadKey, Some("user:1")));
    }

    #[test]
    fn a_foreign_error_stays_inside() {
        let error = Error::from_loader("out of cheese".into());
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert_eq!(error.chain(), "the load failed: out of cheese");
    }
}
