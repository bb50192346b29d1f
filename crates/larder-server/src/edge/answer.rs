//! What is sent to a client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use larder_core::LoadError;
use larder_http::CacheBody;

use super::access::Line;
use super::progress::Answering;

/// The body of an answer.
pub(crate) struct AnswerBody {
    body: CacheBody,
    answering: Answering,
    line: Option<Box<Line>>,
}

impl AnswerBody {
    pub(super) fn new(body: CacheBody, answering: Answering, line: Option<Box<Line>>) -> Self {
        Self { body, answering, line }
    }
}

/// An answer of our own: a status and a sentence.
pub(super) fn own(status: StatusCode, sentence: &str) -> Response<CacheBody> {
    let body = Bytes::from(format!("{sentence}\n"));
    let mut answer = Response::new(CacheBody::whole(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = LoadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LoadError>>> {
        let this = self.get_mut();
        this.answering.wanted();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            this.answering.ready();
            if let (Some(line), Some(data)) = (&mut this.line, frame.data_ref()) {
                line.sent(data.len());
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
