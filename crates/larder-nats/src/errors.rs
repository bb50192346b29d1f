//! From what NATS says to what a caller can do.
//!
//! Its own error is always inside. Nothing here ever holds a URL.

use std::error::Error as StdError;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::{ConnectError, ConnectErrorKind};
use larder_core::{Error, ErrorKind};

/// When a bus that is down is worth asking again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The error of a bus that can't be used, in words.
pub(crate) fn down(name: &str, words: &str) -> Error {
    Error::new(ErrorKind::SharedDown, format!("the bus, {name}, {words}")).retry_after(RETRY_AFTER)
}

/// The error of a server that lets nobody in, or isn't there.
pub(crate) fn unreachable(name: &str, error: ConnectError) -> Error {
    let words = match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            "does not accept the user and password of the url"
        }
        ConnectErrorKind::TimedOut => "accepts no connection in time",
        ConnectErrorKind::Tls => "can't be spoken to over TLS: see its certificate",
        _ => "can't be reached",
    };
    down(name, words).caused_by(error)
}

/// The error of a question that `JetStream` refused with this code, or didn't answer.
pub(crate) fn refused(
    name: &str,
    code: Option<ErrorCode>,
    error: impl StdError + Send + Sync + 'static,
) -> Error {
    let words = match code {
        Some(ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT) => {
            "has no JetStream: start it with -js, and let the account use it"
        }
        Some(_) => "refused it",
        None => "does not answer: it may be down, or have no JetStream (start it with -js)",
    };
    down(name, words).caused_by(error)
}
