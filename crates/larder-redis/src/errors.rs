//! From what Redis says to what a caller can do: one table.
//!
//! Redis's own error is always inside. Nothing here ever holds a URL.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use larder_core::{Error, ErrorKind};
use redis::{RedisError, ServerError};

/// When a tier that is down is worth asking again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What an error says about the connection and about the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It leads to a server that is no longer the one to ask: find the one that is.
    Elsewhere,
    /// The key moved to another node of the cluster, for good or while it is on its way.
    Moved,
    Ask,
    /// Some of the keys are here and some there, because they are being moved.
    Torn,
    /// The cluster has no node for the key, for now.
    Nobody,
    /// The server is there and can't answer now.
    Busy,
    /// The script is not known there.
    NoScript,
    /// The server is full.
    NoRoom,
    /// The server lets nobody do this who says what we say.
    Denied,
    /// What stands under our name is not ours.
    Foreign,
    /// Its own affair.
    Other,
}

/// Error codes. What happened, and what to do about it, for the message.
const TABLE: [(&str, Meaning, &str); 21] = [
    ("READONLY", Meaning::Elsewhere, "is a replica now"),
    ("UNBLOCKED", Meaning::Elsewhere, "is a replica now"),
    ("MASTERDOWN", Meaning::Elsewhere, "is a replica without its master"),
    ("MOVED", Meaning::Moved, "says that the key lives elsewhere"),
    ("ASK", Meaning::Ask, "says that the key is on its way elsewhere"),
    ("TRYAGAIN", Meaning::Torn, "is moving the keys to another node"),
    ("CLUSTERDOWN", Meaning::Nobody, "has no node for the key: the cluster is down"),
    ("LOADING", Meaning::Busy, "is still reading its data"),
    ("BUSY", Meaning::Busy, "is held up by a script"),
    ("MISCONF", Meaning::Busy, "can't write its data to disk and so takes no writes"),
    ("NOREPLICAS", Meaning::Busy, "has too few replicas and so takes no writes"),
    ("NOSCRIPT", Meaning::NoScript, "has forgotten the script"),
    ("OOM", Meaning::NoRoom, "is full: give it more memory, or an eviction policy"),
    ("NOAUTH", Meaning::Denied, "wants a password: write one into the url"),
    ("WRONGPASS", Meaning::Denied, "does not accept the user and password of the url"),
    ("NOPERM", Meaning::Denied, "does not let this user do it: see its access list"),
    ("DENIED", Meaning::Denied, "lets nobody in without a password from another machine"),
    (
        "WRONGTYPE",
        Meaning::Foreign,
        "holds something else under our names: choose a namespace of our own",
    ),
    ("CROSSSLOT", Meaning::Other, "is a cluster: begin the url with redis+cluster://"),
    ("NOPROTO", Meaning::Other, "is too old: version 6 is the first that will do"),
    ("", Meaning::Other, "refused it"),
];

/// What an answer of the server means.
pub(crate) fn meaning(error: &ServerError) -> Meaning {
    look_up(error.code()).0
}

fn look_up(code: &str) -> (Meaning, &'static str) {
    let fits = |(known, _, _): &&(&str, Meaning, &str)| known.is_empty() || *known == code;
    TABLE.iter().find(fits).map_or((Meaning::Other, ""), |&(_, meaning, words)| (meaning, words))
}

/// The error of a server that answered with one.
pub(crate) fn answered(name: &str, error: &ServerError) -> Error {
    let (meaning, words) = look_up(error.code());
    let kind = match meaning {
        Meaning::NoRoom => ErrorKind::NoRoom,
        Meaning::Foreign => ErrorKind::Internal,
        _ => ErrorKind::SharedDown,
    };
    let words = match (error.code(), error.details()) {
        // Older servers have no code of their own for it.
        ("ERR", Some(details)) if details.contains("invalid password") => {
            "does not accept the user and password of the url"
        }
        ("ERR", Some(details)) if details.contains("unknown command") => {
            "is too old, or hides commands that are needed"
        }
        _ => words,
    };
    let told = Error::new(kind, format!("the shared tier, {name}, {words}"));
    told.retry_after(RETRY_AFTER).caused_by(Said(error.to_string()))
}

/// The error of a server that can't be reached, or whose connection is lost.
pub(crate) fn unreachable(name: &str, error: RedisError) -> Error {
    if let Some(code) = error.code()
        && code != "ERR"
    {
        let (_, words) = look_up(code);
        let told = Error::new(ErrorKind::SharedDown, format!("the shared tier, {name}, {words}"));
        return told.retry_after(RETRY_AFTER).caused_by(error);
    }
    if error.kind() == redis::ErrorKind::AuthenticationFailed {
        return denied(name).caused_by(error);
    }
    down(name, "can't be reached").caused_by(error)
}

fn denied(name: &str) -> Error {
    down(name, "does not accept the user and password of the url")
}

/// The error of a shared tier that can't be used, in words.
pub(crate) fn down(name: &str, words: &str) -> Error {
    Error::new(ErrorKind::SharedDown, format!("the shared tier, {name}, {words}"))
        .retry_after(RETRY_AFTER)
}

/// The error of an answer that did not come.
pub(crate) fn timeout(name: &str, limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("the shared tier, {name}, did not answer within {limit:?}"),
    )
}

/// The error of a reply that makes no sense.
pub(crate) fn odd(what: &'static str) -> Error {
    Error::new(ErrorKind::Internal, "the shared tier answered what it can't")
        .caused_by(Said(format!("no {what}")))
}

/// What a server said.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_with_what_fits_everything() {
        assert_eq!(look_up("NEWER").0, Meaning::Other);
        for (at, (code, meaning, _)) in TABLE.iter().enumerate() {
            assert_eq!(look_up(code).0, *meaning);
            assert_eq!(code.is_empty(), at + 1 == TABLE.len());
        }
    }

    #[test]
    fn a_connection_that_breaks_is_a_tier_that_is_down_with_the_cause_inside() {
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = unreachable("redis at a:1", io.into());
        assert_eq!(error.kind(), ErrorKind::SharedDown);
        assert_eq!(error.retry_delay(), Some(RETRY_AFTER));
        assert!(error.downcast_ref::<RedisError>().is_some());
    }
}
