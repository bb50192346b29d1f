//! Bodies whose sender may not be silent for ever.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

/// A body as it comes from a connection; an empty one by default.
#[derive(Default)]
pub(super) struct EdgeBody {
    incoming: Option<Incoming>,
    silence: Option<Silence>,
    /// The place among the requests that the origin is asked at once, taken until it has answered.
    place: Option<OwnedSemaphorePermit>,
}

/// How long the sender may be silent.
struct Silence {
    max: Duration,
    /// Made when it is first waited for, which it isn't for a short body.
    until: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

/// Why a body broke off.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its sender was silent for too long.
    Silent,
    /// Its connection broke.
    Connection(hyper::Error),
}

impl EdgeBody {
    /// What comes, as long as its sender isn't silent for longer than `max`.
    pub(super) fn new(incoming: Incoming, max: Duration) -> Self {
        let silence = Some(Silence { max, until: None, is_waiting: false });
        Self { incoming: Some(incoming), silence, place: None }
    }

    /// Keeps a place until the body has ended.
    pub(super) fn keeping(mut self, place: OwnedSemaphorePermit) -> Self {
        self.place = Some(place);
        self
    }
}

impl Silence {
    /// Whether it has lasted too long.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(self.max)));
        if !self.is_waiting {
            until.as_mut().reset(Instant::now() + self.max);
            self.is_waiting = true;
        }
        until.as_mut().poll(context)
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) {
            if let Some(silence) = &mut this.silence {
                silence.is_waiting = false;
            }
            if frame.as_ref().is_none_or(Result::is_err) {
                this.place = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Broken::Connection)));
        }
        let Some(silence) = &mut this.silence else { return Poll::Pending };
        ready!(silence.poll_over(context));
        // Dropped, so that its connection isn't used for another request.
        (this.incoming, this.place) = (None, None);
        Poll::Ready(Some(Err(Broken::Silent)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl fmt::Debug for EdgeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeBody").finish_non_exhaustive()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("nothing more of the body came in time"),
            Self::Connection(_) => f.write_str("the body broke off"),
        }
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Silent => None,
            Self::Connection(error) => Some(error),
        }
    }
}
