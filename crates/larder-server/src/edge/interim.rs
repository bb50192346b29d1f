//! Interim answers (1xx) of the origin on their way to a client (RFC 9110 section 15.2, RFC 8297).
//!
//! The library that speaks HTTP/1.1 here sends one answer to a request, and no interim ones before
//! it. So they are written beside it, into its stream, where one message has ended and the next has
//! not begun: it asks for a flush only when all that it had to send is written, and it has nothing
//! to send for a request until it is given the answer.
//!
//! **Bound.** So many bytes of a request's interim answers wait for its client; what comes beyond
//! is left out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use larder_core::sync::Mutex;
use larder_http::strip_hop_by_hop;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module's documentation.
const BYTES_MAX: usize = 64 << 10;

/// The interim answers on their way to one connection.
#[derive(Debug)]
pub(crate) struct Interims(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The request that isn't answered yet, by its number.
    request: Option<u64>,
    requests: u64,
    /// What was last written was the end of a message.
    is_between: bool,
    /// What may be written now.
    ready: Vec<u8>,
    /// What may be when the message has ended that is being written: an earlier request's answer.
    waiting: Vec<u8>,
    waker: Option<Waker>,
}

impl Interims {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            request: None,
            requests: 0,
            is_between: true,
            ready: Vec::new(),
            waiting: Vec::new(),
            waker: None,
        })))
    }

    /// A request has come, and the ones before it are answered.
    pub(crate) fn begin(self: &Arc<Self>) -> Interim {
        let mut state = self.0.lock();
        state.requests += 1;
        state.request = Some(state.requests);
        state.waiting.clear();
        Interim { to: Arc::clone(self), request: state.requests }
    }

    /// What is to be written before more of the library's bytes are; without any, these are next.
    fn before_more(&self) -> Bytes {
        let mut state = self.0.lock();
        state.is_between &= !state.ready.is_empty();
        std::mem::take(&mut state.ready).into()
    }

    /// What is to be written now that the library has written all of its bytes.
    fn between(&self) -> Bytes {
        let mut state = self.0.lock();
        state.is_between = true;
        let waiting = std::mem::take(&mut state.waiting);
        state.ready.extend(waiting);
        std::mem::take(&mut state.ready).into()
    }
}

/// Where the interim answers to one request go, until it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Interim {
    to: Arc<Interims>,
    request: u64,
}

impl Interim {
    /// Sends one, unless the answer has come before it. A 100 was asked for by nobody behind us, a
    /// 101 would be another protocol.
    pub(super) fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let is_for_us = [StatusCode::CONTINUE, StatusCode::SWITCHING_PROTOCOLS].contains(&status);
        if is_for_us || !status.is_informational() {
            return;
        }
        let message = written(status, headers);
        let waker = {
            let mut state = self.to.0.lock();
            let held = state.ready.len() + state.waiting.len();
            if state.request != Some(self.request) || held + message.len() > BYTES_MAX {
                return;
            }
            match state.is_between {
                true => state.ready.extend(message),
                false => state.waiting.extend(message),
            }
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Wakes this one when there is something to write.
    pub(crate) fn wakes(&self, waker: &Waker) {
        let mut state = self.to.0.lock();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }

    /// The request is answered: what still comes, or couldn't be written, is left out.
    pub(crate) fn end(&self) {
        let mut state = self.to.0.lock();
        if state.request == Some(self.request) {
            state.request = None;
            state.waiting.clear();
        }
    }
}

/// An interim answer as it is sent.
fn written(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    strip_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut message = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &headers {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message
}

/// A stream into which interim answers are written, too, if there may be any.
#[derive(Debug)]
pub(crate) struct Relayed<S> {
    stream: S,
    interims: Option<Arc<Interims>>,
    /// What is being written of them.
    out: Bytes,
}

impl<S> Relayed<S> {
    pub(crate) fn new(stream: S, interims: Option<Arc<Interims>>) -> Self {
        Self { stream, interims, out: Bytes::new() }
    }
}

impl<S: AsyncWrite + Unpin> Relayed<S> {
    /// Writes what is to be written first, as `next` has it.
    fn poll_out(
        &mut self,
        context: &mut Context<'_>,
        next: fn(&Interims) -> Bytes,
    ) -> Poll<io::Result<()>> {
        let Some(interims) = &self.interims else { return Poll::Ready(Ok(())) };
        loop {
            if self.out.is_empty() {
                self.out = next(interims);
                if self.out.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.out.advance(written),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Relayed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Relayed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_out(context, Interims::before_more))?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_out(context, Interims::before_more))?;
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(context, Interims::between))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes at a time, then none for a while.
    #[derive(Default)]
    struct Socket {
        taken: Vec<u8>,
        room: usize,
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            let many = bytes.len().min(this.room);
            if many == 0 {
                return Poll::Pending;
            }
            this.room -= many;
            this.taken.extend_from_slice(&bytes[..many]);
            Poll::Ready(Ok(many))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What the library has to send, and how it sends it: all of it, and then a flush.
    struct Connection {
        stream: Relayed<Socket>,
        buffer: Vec<u8>,
    }

    impl Connection {
        fn new(interims: &Arc<Interims>) -> Self {
            let stream = Relayed::new(Socket::default(), Some(Arc::clone(interims)));
            Self { stream, buffer: Vec::new() }
        }

        /// Writes and flushes as far as the socket takes it.
        fn poll(&mut self, room: usize) {
            self.stream.stream.room = room;
            let mut context = Context::from_waker(Waker::noop());
            while !self.buffer.is_empty() {
                let wrote = Pin::new(&mut self.stream).poll_write(&mut context, &self.buffer);
                let Poll::Ready(wrote) = wrote else { return };
                self.buffer.drain(..wrote.unwrap());
            }
            let _ = Pin::new(&mut self.stream).poll_flush(&mut context);
        }

        fn taken(&self) -> String {
            String::from_utf8(self.stream.stream.taken.clone()).unwrap()
        }
    }

    fn hint(interim: &Interim, link: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("link", link.parse().unwrap());
        headers.insert("connection", "x".parse().unwrap());
        headers.insert("content-length", "7".parse().unwrap());
        interim.send(StatusCode::EARLY_HINTS, &headers);
    }

    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";

    #[test]
    fn a_hint_is_written_before_the_answer_and_none_behind_it() {
        let interims = Interims::new();
        let mut connection = Connection::new(&interims);
        let interim = interims.begin();
        interim.send(StatusCode::CONTINUE, &HeaderMap::new());
        interim.send(StatusCode::OK, &HeaderMap::new());
        hint(&interim, "a");
        connection.poll(7);
        assert_eq!(connection.taken(), HINT[..7]);
        connection.poll(1000);
        assert_eq!(connection.taken(), HINT);
        // One that comes just before the answer is sent before it, too.
        hint(&interim, "a");
        interim.end();
        hint(&interim, "a");
        connection.buffer.extend(b"answer");
        connection.poll(1000);
        assert_eq!(connection.taken(), format!("{HINT}{HINT}answer"));
        hint(&interims.begin(), "a");
        connection.poll(1000);
        assert_eq!(connection.taken(), format!("{HINT}{HINT}answer{HINT}"));
    }

    #[test]
    fn a_hint_never_stands_within_an_earlier_answer() {
        for (first, is_sent) in [(3, true), (3, false)] {
            let interims = Interims::new();
            let mut connection = Connection::new(&interims);
            interims.begin().end();
            connection.buffer.extend(b"earlier");
            connection.poll(first);
            let interim = interims.begin();
            hint(&interim, "a");
            if is_sent {
                connection.poll(1000);
                interim.end();
            } else {
                // Its answer follows the earlier one, with nothing between them.
                interim.end();
            }
            connection.buffer.extend(b"answer");
            connection.poll(1000);
            let hint = if is_sent { HINT } else { "" };
            assert_eq!(connection.taken(), format!("earlier{hint}answer"));
        }
    }

    #[test]
    fn what_waits_has_a_bound() {
        let interims = Interims::new();
        let interim = interims.begin();
        for _ in 0..100 {
            hint(&interim, &"x".repeat(4096));
        }
        let mut connection = Connection::new(&interims);
        connection.poll(usize::MAX);
        let taken = connection.taken().len();
        assert!((BYTES_MAX / 2..=BYTES_MAX).contains(&taken), "{taken}");
    }
}
