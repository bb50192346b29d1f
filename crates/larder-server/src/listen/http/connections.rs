//! The connections of the listener: so many at once, none that is silent for ever, and none on
//! which the head of a request trickles in.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use larder_core::sync::Ordering;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::HttpCounts;
use super::requests::Requests;

/// After an `accept` that failed for want of descriptors or memory, this long passes before the
/// next: the want is not over by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection over which nothing comes and nothing goes for so long is closed. It is longer than
/// any answer should take.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// What a client is told whose head doesn't come.
const LATE_HEAD: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
                           content-length: 0\r\nconnection: close\r\n\r\n";

/// A listener with so many connections at once; further ones wait to be accepted.
#[derive(Debug)]
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    head_timeout: Duration,
    counts: Arc<HttpCounts>,
}

impl Bounded {
    pub(super) fn new(
        listener: TcpListener,
        connections_max: usize,
        head_timeout: Duration,
        counts: &Arc<HttpCounts>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { listener, places, head_timeout, counts: Arc::clone(counts) }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            // Nobody closes it.
            return std::future::pending().await;
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    // An answer is written whole; waiting for more of it would only delay it.
                    let _ = stream.set_nodelay(true);
                    return (Connection::new(stream, place, self), from);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One client's connection, with its place among those that may be open.
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    head: Head,
    /// Whether the client takes less than is to be sent.
    is_blocked: bool,
    counts: Arc<HttpCounts>,
    _place: OwnedSemaphorePermit,
}

/// The head of a request that is on its way.
struct Head {
    requests: Requests,
    /// How many requests had come when this was last looked at.
    come: usize,
    within: Duration,
    has_begun: bool,
    /// When it is late, once it has begun.
    late: Pin<Box<Sleep>>,
}

impl Head {
    fn new(requests: Requests, within: Duration) -> Self {
        let late = Box::pin(sleep_until(Instant::now() + within));
        Self { requests, come: 0, within, has_begun: false, late }
    }

    /// Bytes came. Those that come while a request is being answered are its content, or what a
    /// client sends ahead.
    fn read(&mut self) {
        self.look();
        if !self.has_begun && !self.requests.are_under_way() {
            self.has_begun = true;
            self.late.as_mut().reset(Instant::now() + self.within);
        }
    }

    /// Whether it should have come whole by now; asked while nothing comes.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.look();
        self.has_begun && self.late.as_mut().poll(context).is_ready()
    }

    /// With each request its head has come.
    fn look(&mut self) {
        let come = self.requests.come();
        if self.come != come {
            self.come = come;
            self.has_begun = false;
        }
    }
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, listener: &Bounded) -> Self {
        let counts = Arc::clone(&listener.counts);
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let head = Head::new(Requests::default(), listener.head_timeout);
        let silence = Box::pin(sleep_until(Instant::now() + SILENCE_MAX));
        Self { stream, silence, head, is_blocked: false, counts, _place: place }
    }

    /// The requests that come over it.
    pub(super) fn requests(&self) -> &Requests {
        &self.head.requests
    }

    /// Lets what was polled through; while it waits, silence is measured, and ends it.
    fn unless_silent<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
            return polled;
        }
        match self.silence.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The same of what is written.
    fn written(
        &mut self,
        polled: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.is_blocked = polled.is_pending();
        self.unless_silent(polled, context)
    }

    /// Tells the client that its head is late, as far as that fits at once.
    fn refuse_late(&self) -> io::Error {
        // In the middle of an answer it would be taken for a part of it.
        if !self.is_blocked {
            let _ = self.stream.try_write(LATE_HEAD);
        }
        ErrorKind::TimedOut.into()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.counts.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.head.read();
        } else if polled.is_pending() && self.head.is_late(context) {
            return Poll::Ready(Err(self.refuse_late()));
        }
        self.unless_silent(polled, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.written(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;

    fn head(requests: &Requests) -> Head {
        Head::new(requests.clone(), Duration::from_secs(10))
    }

    fn is_late(head: &mut Head) -> bool {
        head.is_late(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_byte_on_however_many_follow() {
        let mut head = head(&Requests::default());
        advance(Duration::from_secs(60)).await;
        assert!(!is_late(&mut head), "without a byte there is no head");
        for _ in 0..9 {
            head.read();
            advance(Duration::from_secs(1)).await;
            assert!(!is_late(&mut head));
        }
        head.read();
        advance(Duration::from_secs(2)).await;
        assert!(is_late(&mut head));
    }

    #[tokio::test(start_paused = true)]
    async fn with_its_request_a_head_has_come_and_the_next_one_has_its_own_time() {
        let requests = Requests::default();
        let mut head = head(&requests);
        head.read();
        advance(Duration::from_secs(5)).await;
        let under_way = requests.begin();
        // A content.
        head.read();
        advance(Duration::from_secs(60)).await;
        assert!(!is_late(&mut head));
        drop(under_way);
        assert!(!is_late(&mut head));
        head.read();
        // One that came and was answered between two looks.
        drop(requests.begin());
        advance(Duration::from_secs(60)).await;
        assert!(!is_late(&mut head));
        head.read();
        advance(Duration::from_secs(9)).await;
        assert!(!is_late(&mut head));
        advance(Duration::from_secs(2)).await;
        assert!(is_late(&mut head));
    }
}
