//! One RESP connection: moves bytes between a socket and a [`Session`].
//!
//! Connections of one worker share their buffers, which are only used while bytes are being
//! worked on: a connection that waits holds what it can't do without, the piece of a request
//! that has arrived or the piece of a reply that the client hasn't taken. Ten thousand idle
//! connections cost no buffers.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use larder_core::sync::Mutex;
use larder_resp::codec::Protocol;
use larder_resp::{Answered, Next, Service, Session};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// So much is read of a client while a request of its blocks, to see whether it is still there.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// A declared length is trusted so far when room is made for it.
const RESERVE_BYTES_MAX: usize = 1024 * 1024;

/// The buffers that the connections of a worker share.
#[derive(Debug)]
pub(super) struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> Arc<Mutex<Self>> {
        let input = vec![0; READ_BYTES].into_boxed_slice();
        Arc::new(Mutex::new(Self { input, output: Vec::with_capacity(READ_BYTES) }))
    }
}

/// One client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    session: Session,
    service: Arc<Service>,
    /// Only ever locked by the one thread of the worker, so never waited for.
    scratch: Arc<Mutex<Scratch>>,
    /// Input that could not be used up: the beginning of a request, or requests behind a read
    /// that is waited for.
    carry: Vec<u8>,
    /// Output that the client hasn't taken yet.
    unsent: Vec<u8>,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        service: &Arc<Service>,
        scratch: &Arc<Mutex<Scratch>>,
    ) -> Self {
        Self {
            stream,
            session: Session::new(service),
            service: Arc::clone(service),
            scratch: Arc::clone(scratch),
            carry: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Serves the client until it goes away, is sent away, or `stop` comes. Requests that have
    /// arrived by then are answered.
    pub(super) async fn serve(mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let mut stop = pin!(stop);
        loop {
            let read = poll_fn(|context| {
                let read = match self.poll_read(context) {
                    Poll::Pending => self.poll_messages(context),
                    ready => ready,
                };
                match read {
                    Poll::Ready(read) => Poll::Ready(Some(read)),
                    Poll::Pending => stop.as_mut().poll(context).map(|()| None),
                }
            });
            let mut next = match read.await {
                None => return Ok(()),
                Some(Ok(next)) => next,
                Some(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Some(Err(error)) => return Err(error),
            };
            loop {
                self.send().await?;
                match next {
                    Next::Read(missing) => {
                        self.make_room(missing);
                        break;
                    }
                    Next::Send => {}
                    Next::Await(gathered, protocol) => {
                        let answered = match gathered.may_block() {
                            false => gathered.answer().await,
                            true => {
                                let answered = Box::pin(gathered.answer());
                                match self.unless_gone(answered, stop.as_mut()).await? {
                                    Some(answered) => answered,
                                    None => return Ok(()),
                                }
                            }
                        };
                        self.deliver(answered, protocol).await?;
                    }
                    Next::Close => return Ok(()),
                }
                next = self.work_on_carry()?;
            }
        }
    }

    /// Reads what has arrived and works on it, all in one poll, so that the shared buffers are
    /// free again whenever this connection waits.
    ///
    /// It reads by `poll_read` and not by `try_read`: a read that doesn't fill its buffer then
    /// tells the runtime that the socket is empty, which saves a second read to find that out.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        if !self.carry.is_empty() {
            let read = ready!(pin!(self.stream.read_buf(&mut self.carry)).poll(context))?;
            self.received(read)?;
            return Poll::Ready(self.work_on_carry());
        }
        let scratch = Arc::clone(&self.scratch);
        let mut scratch = scratch.lock();
        let Scratch { input, output } = &mut *scratch;
        let mut buffer = ReadBuf::new(input);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let input = buffer.filled();
        self.received(input.len())?;
        let progress = self.session.run(input, output);
        self.carry.extend_from_slice(&input[progress.consumed..]);
        self.send_now(output)?;
        Poll::Ready(Ok(progress.next))
    }

    /// Waits for messages that the client has subscribed to.
    fn poll_messages(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        let before = self.unsent.len();
        match ready!(self.session.poll_messages(context, &mut self.unsent)) {
            Ok(()) => {
                self.service.count_output(self.unsent.len() - before);
                Poll::Ready(Ok(Next::Send))
            }
            Err(error) => Poll::Ready(Err(io::Error::other(error))),
        }
    }

    /// Waits for `awaited`, until the client goes away or `stop` comes: then there is `None`. What
    /// the client sends meanwhile is kept, as much as [`AHEAD_BYTES_MAX`]; while more than that is
    /// there, it isn't seen whether the client goes.
    async fn unless_gone<T>(
        &mut self,
        mut awaited: Pin<Box<impl Future<Output = T>>>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> io::Result<Option<T>> {
        poll_fn(|context| {
            if let Poll::Ready(came) = awaited.as_mut().poll(context) {
                return Poll::Ready(Ok(Some(came)));
            }
            if stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(None));
            }
            while self.carry.len() < AHEAD_BYTES_MAX {
                match ready!(pin!(self.stream.read_buf(&mut self.carry)).poll(context)) {
                    Ok(0) => return Poll::Ready(Ok(None)),
                    Ok(read) => self.service.count_input(read),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Pending
        })
        .await
    }

    fn received(&self, read: usize) -> io::Result<()> {
        self.service.count_input(read);
        if read == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Works on the input that was carried over.
    fn work_on_carry(&mut self) -> io::Result<Next> {
        let scratch = Arc::clone(&self.scratch);
        let mut scratch = scratch.lock();
        let progress = self.session.run(&self.carry, &mut scratch.output);
        self.carry.drain(..progress.consumed);
        if self.carry.is_empty() {
            self.carry = Vec::new();
        }
        self.send_now(&mut scratch.output)?;
        Ok(progress.next)
    }

    /// Makes room for what is missing of a request that has begun.
    fn make_room(&mut self, missing: usize) {
        if !self.carry.is_empty() {
            self.carry.reserve(missing.clamp(READ_BYTES, RESERVE_BYTES_MAX));
        }
    }

    /// Writes answers as fast as the client takes them.
    async fn deliver(&mut self, mut answered: Answered, protocol: Protocol) -> io::Result<()> {
        while answered.write(protocol, &mut self.unsent) {
            self.send().await?;
        }
        self.send().await
    }

    /// Sends what the socket takes at once and keeps the rest. `output` is empty afterwards.
    fn send_now(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        let mut sent = 0;
        while self.unsent.is_empty() && sent < output.len() {
            match self.stream.try_write(&output[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.extend_from_slice(&output[sent..]);
        self.service.count_output(output.len());
        output.clear();
        // One long reply must not occupy its length for ever after.
        output.shrink_to(READ_BYTES * 32);
        Ok(())
    }

    /// Sends what is unsent, however long the client takes.
    async fn send(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            self.stream.writable().await?;
            match self.stream.try_write(&self.unsent[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if sent > 0 {
            self.unsent = Vec::new();
        }
        Ok(())
    }
}
