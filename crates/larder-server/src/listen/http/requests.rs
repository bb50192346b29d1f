//! The requests of a connection: how many have come, and whether one is being answered.
//!
//! Where bytes are read nobody knows what they are. That a head has come whole is known where its
//! request is answered, so that is noted for who reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use http_body::{Frame, SizeHint};
use larder_core::sync::{AtomicUsize, Ordering};

use super::connections::Bounded;

/// The requests of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    come: AtomicUsize,
    answered: AtomicUsize,
}

impl Requests {
    /// One has come, whole but for its content; it is being answered until this is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        self.0.come.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// How many have come.
    pub(super) fn come(&self) -> usize {
        self.0.come.load(Ordering::Relaxed)
    }

    /// Whether one is being answered.
    pub(super) fn are_under_way(&self) -> bool {
        self.come() != self.0.answered.load(Ordering::Relaxed)
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Requests {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        stream.io().requests().clone()
    }
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Requests);

impl UnderWay {
    /// The content of its answer: when all of it was taken, it is answered.
    pub(super) fn until_taken(self, content: Body) -> Body {
        Body::new(Answer { content, _request: self })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

struct Answer {
    content: Body,
    _request: UnderWay,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.content).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_under_way_until_its_answer_was_taken() {
        let requests = Requests::default();
        assert_eq!((requests.come(), requests.are_under_way()), (0, false));
        let first = requests.begin();
        let content = first.until_taken(Body::from("12345"));
        assert_eq!((requests.come(), requests.are_under_way()), (1, true));
        assert_eq!(content.size_hint().exact(), Some(5));
        let second = requests.begin();
        drop(content);
        assert!(requests.are_under_way());
        drop(second);
        assert_eq!((requests.come(), requests.are_under_way()), (2, false));
    }
}
