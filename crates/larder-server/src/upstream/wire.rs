//! One connection: bytes that are to be sent, and replies that have come. It knows neither what
//! is asked nor who waits.

use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use larder_redis::Wire as Socket;
use larder_resp::codec::{Delimited, Delimiter};
use larder_resp::upstream::REPLIES_BYTES_MAX;
use tokio::io::{AsyncReadExt, AsyncWrite};

/// So much is read at once; more, while a long reply comes.
const READ_BYTES: usize = 16 * 1024;
const READ_BYTES_MAX: usize = 1024 * 1024;

/// A connection, its output and its input.
pub(super) struct Wire {
    socket: Pin<Box<dyn Socket>>,
    output: BytesMut,
    /// How many bytes went out and came in so far: it is by these that progress is seen.
    sent: u64,
    received: u64,
    input: BytesMut,
    /// So many bytes of the input belong to the current reply.
    scanned: usize,
    delimiter: Delimiter,
    /// The current reply is too long, and isn't kept.
    skips: bool,
}

/// What came.
#[derive(Debug)]
pub(super) enum Came {
    /// A whole reply or message.
    Reply(Bytes),
    /// One that was longer than [`REPLIES_BYTES_MAX`], of which nothing is left.
    TooLong,
}

impl Wire {
    pub(super) fn new(socket: Pin<Box<dyn Socket>>) -> Self {
        Self {
            socket,
            output: BytesMut::new(),
            sent: 0,
            received: 0,
            input: BytesMut::new(),
            scanned: 0,
            delimiter: Delimiter::default(),
            skips: false,
        }
    }

    /// Takes bytes to be sent.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// How many bytes went out.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many bytes are to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.output.len()
    }

    /// A number that changes whenever bytes come or go.
    pub(super) fn progress(&self) -> u64 {
        self.sent + self.received
    }

    /// Whether nothing has come that wasn't taken, and nothing is to be sent.
    pub(super) fn is_clear(&self) -> bool {
        self.input.is_empty() && self.output.is_empty() && !self.skips
    }

    /// Sends what can be sent, and waits for the next reply or message.
    ///
    /// # Errors
    ///
    /// When the connection has ended, or isn't Redis's. Nothing more comes then.
    pub(super) fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Came>> {
        // Where the socket takes no more it goes on later; replies may come until then.
        let _ = self.poll_send(context)?;
        loop {
            if let Some(came) = self.next()? {
                return Poll::Ready(Ok(came));
            }
            self.input.reserve(self.scanned.clamp(READ_BYTES, READ_BYTES_MAX));
            let read = ready!(pin!(self.socket.read_buf(&mut self.input)).poll(context))?;
            if read == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            self.received += read as u64;
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let socket = self.socket.as_mut();
            let sent = ready!(AsyncWrite::poll_write(socket, context, &self.output))?;
            self.output.advance(sent);
            self.sent += sent as u64;
        }
        // What one large request took is given back.
        self.output = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// The next reply in the input, if all of it has come.
    fn next(&mut self) -> io::Result<Option<Came>> {
        let piece = &self.input[self.scanned..];
        let delimited = self.delimiter.feed(piece);
        match delimited.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))? {
            Delimited::Ended(bytes) => {
                let length = self.scanned + bytes;
                self.scanned = 0;
                let reply = self.input.split_to(length).freeze();
                if self.input.is_empty() && length > READ_BYTES_MAX {
                    // One long reply must not occupy its length for ever after.
                    self.input = BytesMut::new();
                }
                let skipped = std::mem::take(&mut self.skips) || length > REPLIES_BYTES_MAX;
                Ok(Some(if skipped { Came::TooLong } else { Came::Reply(reply) }))
            }
            Delimited::Open => {
                self.scanned = self.input.len();
                if self.skips || self.scanned > REPLIES_BYTES_MAX {
                    self.skips = true;
                    self.scanned = 0;
                    self.input = BytesMut::new();
                }
                Ok(None)
            }
        }
    }
}
