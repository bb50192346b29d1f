//! A stored response: its head, what it was asked with as far as that matters, and when it came.
//!
//! Of its body it knows nothing.

use http::{HeaderMap, StatusCode};
use larder_core::Moment;

use http::header::DATE;

use crate::hop::storable_fields;
use crate::targeted::{Origin, effective};
use crate::{Date, ResponseControl, Rules, Vary};

/// When a response was asked for and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Before the request was sent.
    pub asked: Moment,
    /// When its head had come.
    pub came: Moment,
    /// The calendar's time at `came`.
    pub wall: Date,
}

/// The head of a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) vary: Vary,
    pub(crate) received: Received,
    pub(crate) control: ResponseControl,
    pub(crate) origin: Origin,
}

impl Stored {
    /// What is kept of a response to a request with the fields `request`. Whether it may be
    /// stored is asked with [`storable`](crate::storable).
    ///
    /// A response without a Date gets the one at which it came (RFC 9110 section 6.6.1).
    #[must_use]
    pub fn new(
        request: &HeaderMap,
        status: StatusCode,
        headers: &HeaderMap,
        received: Received,
        rules: &Rules,
    ) -> Self {
        let (control, origin) = effective(headers, rules);
        let mut kept = storable_fields(headers, &control, rules);
        if !kept.contains_key(DATE) {
            kept.insert(DATE, received.wall.to_value());
        }
        let vary = Vary::new(headers, request);
        Self { status, headers: kept, vary, received, control, origin }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields that are kept. Age is the one that came with it: what is sent carries
    /// [`current_age`](crate::current_age) instead.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What of the request it depends on.
    #[must_use]
    pub fn vary(&self) -> &Vary {
        &self.vary
    }

    /// When it came, or was last validated.
    #[must_use]
    pub fn received(&self) -> Received {
        self.received
    }

    /// The directives that hold for it.
    #[must_use]
    pub fn control(&self) -> &ResponseControl {
        &self.control
    }

    /// How old it is at `now`.
    #[must_use]
    pub fn age(&self, now: Moment) -> std::time::Duration {
        crate::current_age(&self.headers, self.received, now)
    }
}
