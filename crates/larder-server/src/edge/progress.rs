//! How far a client's connection is: whether anything moves, and who is waited for.
//!
//! A connection's own task looks at it now and then, and whatever moves is noted by the number of
//! the last look. So a request asks no clock and sets no timer for it. A connection stays with one
//! thread; that several may look is only what the types ask for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::EdgeBounds;

/// Waits are told from each other by so many looks within the shortest.
const LOOKS: u32 = 4;

/// How often is looked, and after how many looks a wait is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) between_looks: Duration,
    head: u32,
    idle: u32,
    send: u32,
}

impl Patience {
    pub(crate) fn of(bounds: &EdgeBounds) -> Self {
        let EdgeBounds { head_timeout, idle_timeout, send_timeout, .. } = *bounds;
        let shortest = head_timeout.min(idle_timeout).min(send_timeout);
        let between_looks =
            (shortest / LOOKS).clamp(Duration::from_millis(1), Duration::from_secs(5));
        let looks = |wait: Duration| {
            let looks = wait.as_nanos().div_ceil(between_looks.as_nanos());
            u32::try_from(looks).unwrap_or(u32::MAX)
        };
        let (head, idle, send) = (looks(head_timeout), looks(idle_timeout), looks(send_timeout));
        Self { between_looks, head, idle, send }
    }
}

/// What a look finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing to do.
    Fine,
    /// There was no request for too long.
    Idle,
    /// The head of a request takes too long.
    LateHead,
    /// The client takes nothing of what is ready.
    TakesNothing,
}

/// How far a connection is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How often was looked.
    looks: AtomicU32,
    /// Requests that aren't answered to their end.
    requests: AtomicU32,
    /// When the last of them was.
    idle_since: AtomicU32,
    /// When the first byte of a head came, if one has begun.
    head_since: AtomicU32,
    has_begun: AtomicBool,
    /// HTTP/2 has frames that are no requests.
    is_http2: AtomicBool,
    /// The socket takes nothing at the moment.
    is_blocked: AtomicBool,
    /// Answers with a piece ready that nobody has asked for more behind.
    ready: AtomicU32,
    /// When the client last took something.
    taken: AtomicU32,
}

impl Progress {
    /// Looks, and says what it finds.
    pub(crate) fn look(&self, patience: Patience) -> Found {
        let now = self.looks.load(Relaxed).wrapping_add(1);
        self.looks.store(now, Relaxed);
        let lasts = |since: &AtomicU32| now.wrapping_sub(since.load(Relaxed));
        let waits = self.is_blocked.load(Relaxed) || self.ready.load(Relaxed) > 0;
        if waits && lasts(&self.taken) > patience.send {
            return Found::TakesNothing;
        }
        if self.requests.load(Relaxed) > 0 {
            return Found::Fine;
        }
        if self.has_begun.load(Relaxed) && lasts(&self.head_since) > patience.head {
            return Found::LateHead;
        }
        if lasts(&self.idle_since) > patience.idle { Found::Idle } else { Found::Fine }
    }

    /// A request has come whole, but for its body.
    pub(crate) fn request(self: &Arc<Self>, is_http2: bool) -> Answering {
        self.requests.fetch_add(1, Relaxed);
        self.has_begun.store(false, Relaxed);
        self.is_http2.store(is_http2, Relaxed);
        Answering { progress: Arc::clone(self), is_ready: false }
    }

    fn took(&self) {
        self.taken.store(self.looks.load(Relaxed), Relaxed);
    }

    fn read(&self) {
        let begins = self.requests.load(Relaxed) == 0
            && !self.is_http2.load(Relaxed)
            && !self.has_begun.load(Relaxed);
        if begins {
            self.head_since.store(self.looks.load(Relaxed), Relaxed);
            self.has_begun.store(true, Relaxed);
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending if self.is_blocked.load(Relaxed) => {}
            Poll::Pending => {
                self.is_blocked.store(true, Relaxed);
                self.took();
            }
            Poll::Ready(_) => {
                self.is_blocked.store(false, Relaxed);
                self.took();
            }
        }
    }
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct Answering {
    progress: Arc<Progress>,
    is_ready: bool,
}

impl Answering {
    /// A piece of the answer is ready.
    pub(super) fn ready(&mut self) {
        self.progress.took();
        if !self.is_ready {
            self.is_ready = true;
            self.progress.ready.fetch_add(1, Relaxed);
        }
    }

    /// The client is asked to be given more.
    pub(super) fn wanted(&mut self) {
        if self.is_ready {
            self.is_ready = false;
            self.progress.ready.fetch_sub(1, Relaxed);
            self.progress.took();
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.wanted();
        let left = self.progress.requests.fetch_sub(1, Relaxed);
        if left == 1 {
            self.progress.idle_since.store(self.progress.looks.load(Relaxed), Relaxed);
        }
    }
}

/// A stream whose progress is noted.
#[derive(Debug)]
pub(crate) struct Noted<S> {
    pub(crate) stream: S,
    pub(crate) progress: Arc<Progress>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.progress.read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.progress.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.progress.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        let second = Duration::from_secs(1);
        Patience::of(&EdgeBounds {
            connect_timeout: second,
            answer_timeout: second,
            body_timeout: second,
            requests_max: 1,
            clients_max: 1,
            head_timeout: second,
            idle_timeout: 3 * second,
            send_timeout: 2 * second,
            header_bytes_max: 8192,
        })
    }

    /// What is found after so many looks more.
    fn after(progress: &Progress, looks: u32) -> Found {
        (0..looks).map(|_| progress.look(patience())).last().unwrap()
    }

    #[test]
    fn a_connection_without_a_request_becomes_idle() {
        let progress = Arc::new(Progress::default());
        assert_eq!(patience().between_looks, Duration::from_millis(250));
        assert_eq!(after(&progress, 12), Found::Fine);
        assert_eq!(after(&progress, 1), Found::Idle);
        let answering = progress.request(false);
        assert_eq!(after(&progress, 100), Found::Fine);
        drop(answering);
        assert_eq!(after(&progress, 12), Found::Fine);
        assert_eq!(after(&progress, 1), Found::Idle);
    }

    #[test]
    fn a_head_has_its_time_from_its_first_byte_on() {
        let progress = Arc::new(Progress::default());
        after(&progress, 8);
        progress.read();
        assert_eq!(after(&progress, 4), Found::Fine);
        progress.read();
        assert_eq!(after(&progress, 1), Found::LateHead);
        drop(progress.request(false));
        assert_eq!(after(&progress, 1), Found::Fine);
        drop(progress.request(true));
        progress.read();
        assert_eq!(after(&progress, 12), Found::Fine);
    }

    #[test]
    fn who_takes_nothing_is_found_and_who_waits_for_the_origin_is_not() {
        let progress = Arc::new(Progress::default());
        let mut answering = progress.request(false);
        assert_eq!(after(&progress, 50), Found::Fine);
        answering.ready();
        assert_eq!(after(&progress, 8), Found::Fine);
        assert_eq!(after(&progress, 1), Found::TakesNothing);
        answering.wanted();
        assert_eq!(after(&progress, 50), Found::Fine);
        progress.wrote(&Poll::Pending);
        assert_eq!(after(&progress, 5), Found::Fine);
        progress.wrote(&Poll::Pending);
        assert_eq!(after(&progress, 4), Found::TakesNothing);
        progress.wrote(&Poll::Ready(Ok(1)));
        assert_eq!(after(&progress, 50), Found::Fine);
        answering.ready();
        drop(answering);
        assert_eq!(after(&progress, 12), Found::Fine);
    }
}
