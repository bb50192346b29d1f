//! What the listener has counted: requests by what they did and what came of it.

use axum::http::{Method, StatusCode};
use larder_core::sync::{AtomicUsize, Counter, Ordering};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It reads a row.
    Read,
    /// It puts, patches or deletes a row.
    Write,
    /// It invalidates.
    Invalidate,
    /// Anything else.
    Other,
}

impl Operation {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Invalidate, Self::Other];

    /// What a request with this method and path asks for.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let is = |methods: &[Method]| methods.contains(method);
        if path.starts_with("/cache/") && is(&[Method::GET, Method::HEAD]) {
            Self::Read
        } else if path.starts_with("/cache/") && is(&[Method::PUT, Method::PATCH, Method::DELETE]) {
            Self::Write
        } else if path == "/invalidate" && is(&[Method::POST]) {
            Self::Invalidate
        } else {
            Self::Other
        }
    }

    /// The word for it in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Invalidate => "invalidate",
            Self::Other => "other",
        }
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done: 2xx.
    Done,
    /// The client has it already: 304.
    NotModified,
    /// There is nothing of that name: 404.
    Missing,
    /// The client did something wrong: 4xx.
    Refused,
    /// It went wrong here or behind: 5xx.
    Failed,
}

impl Outcome {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Done, Self::NotModified, Self::Missing, Self::Refused, Self::Failed];

    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_MODIFIED => Self::NotModified,
            StatusCode::NOT_FOUND => Self::Missing,
            status if status.is_client_error() => Self::Refused,
            status if status.is_server_error() => Self::Failed,
            _ => Self::Done,
        }
    }

    /// The word for it in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotModified => "not_modified",
            Self::Missing => "missing",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The counts of a listener.
#[derive(Debug, Default)]
pub struct HttpCounts {
    requests: [[Counter; Outcome::ALL.len()]; Operation::ALL.len()],
    pub(super) connections: AtomicUsize,
}

impl HttpCounts {
    pub(super) fn count(&self, operation: Operation, status: StatusCode) {
        self.requests[operation as usize][Outcome::of(status) as usize].add(1);
    }

    /// How many requests of this kind came to this.
    #[must_use]
    pub fn requests(&self, operation: Operation, outcome: Outcome) -> u64 {
        self.requests[operation as usize][outcome as usize].get()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, Outcome};

    #[test]
    fn each_has_its_place_in_the_table() {
        for (at, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, at);
        }
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
    }
}
