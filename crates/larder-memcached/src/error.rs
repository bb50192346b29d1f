//! What goes wrong, as errors that say what the caller can do.

use larder_core::{Error, ErrorKind};

use crate::codec::Failure;

/// A server that can't be reached, or that was lost half-way.
pub(crate) fn down(server: &str, what: &str) -> Error {
    Error::new(ErrorKind::SharedDown, format!("Memcached at {server}: {what}"))
}

/// An answer that didn't come in time.
pub(crate) fn late(server: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("Memcached at {server} did not answer in time"))
}

/// What a server can't be used for, and what to do about it.
pub(crate) fn unfit(server: &str, what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("Memcached at {server} {what}"))
}

/// What a server answered with words of its own.
pub(crate) fn refused(server: &str, failure: &Failure) -> Error {
    let (kind, words) = match failure {
        Failure::Server(words) if words.starts_with("out of memory") => (ErrorKind::NoRoom, words),
        Failure::Server(words) | Failure::Client(words) => (ErrorKind::Refused, words),
        Failure::Unknown(words) if words.is_empty() => {
            return unfit(server, "does not know the META commands: it must be 1.6.18 or later");
        }
        // "Too many open connections", after which it closes this one.
        Failure::Unknown(words) => (ErrorKind::SharedDown, words),
    };
    Error::new(kind, format!("Memcached at {server} refused: {words}"))
}

/// An answer to something else than what was asked.
pub(crate) fn astray(server: &str) -> Error {
    down(server, "it answered something else than what was asked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_answers_says_what_the_caller_can_do() {
        for (failure, kind) in [
            (Failure::Server("out of memory storing object".into()), ErrorKind::NoRoom),
            (Failure::Server("object too large for cache".into()), ErrorKind::Refused),
            (Failure::Client("bad command line format".into()), ErrorKind::Refused),
            (Failure::Unknown("".into()), ErrorKind::Config),
            (Failure::Unknown("Too many open connections".into()), ErrorKind::SharedDown),
        ] {
            assert_eq!(refused("a:1", &failure).kind(), kind, "{failure:?}");
        }
    }
}
