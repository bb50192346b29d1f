//! The connection that the log comes by, while the server sends.
//!
//! A task of its own receives, so that the server is told every second that we live and how far it
//! may forget, also while what came is being applied, however long that takes. It takes what has
//! come in pieces of many messages, and hands them over as they are: a message of the log is
//! some tens of bytes, and whatever is done for each of them is most of what following costs.
//!
//! It knows no message but the one that wants an answer.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use larder_core::sync::{AtomicU64, Ordering};
use larder_core::{Error, ErrorKind, Result};
use pgwire_replication::protocol::framing::{write_copy_data, write_copy_done};
use pgwire_replication::{Lsn as Place, protocol};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::control::internal;
use super::login::Stream;
use crate::pgoutput::{Lsn, Whole};

/// So much is received at once, if it has come; a message that is longer is a piece of its own.
const PIECE: usize = 128 << 10;
/// So many pieces wait to be read; the server waits with more.
const PIECES_MAX: usize = 4;
/// How often the server hears of us.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// See the module's documentation. Dropped, the connection is closed.
pub(super) struct Receiver {
    pieces: mpsc::Receiver<Result<Bytes>>,
    applied: Arc<AtomicU64>,
}

impl Receiver {
    /// Receives what comes by a connection on which the server has begun to send.
    pub(super) fn over(stream: Box<dyn Stream>) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let applied = Arc::new(AtomicU64::new(0));
        let mut task = Task {
            stream,
            pieces: sender,
            applied: Arc::clone(&applied),
            received: BytesMut::new(),
            report_at: Instant::now(),
        };
        tokio::spawn(async move {
            if let Err(error) = task.receive().await {
                // Where nobody takes it, nobody wants it.
                let _ = task.pieces.send(Err(error)).await;
            }
        });
        Self { pieces, applied }
    }

    /// What comes next: whole messages.
    ///
    /// # Errors
    ///
    /// The connection was lost.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Bytes> {
        self.pieces.recv().await.unwrap_or_else(|| Err(ended()))
    }

    /// Everything before this place may be forgotten.
    pub(super) fn applied(&self, lsn: Lsn) {
        self.applied.fetch_max(lsn.0, Ordering::Relaxed);
    }
}

struct Task {
    stream: Box<dyn Stream>,
    pieces: mpsc::Sender<Result<Bytes>>,
    applied: Arc<AtomicU64>,
    /// What was received and isn't handed over.
    received: BytesMut,
    /// When the server is to hear of us.
    report_at: Instant,
}

impl Task {
    /// Receives until nobody wants it any more.
    async fn receive(&mut self) -> Result<()> {
        loop {
            // Room first: without any nothing is received, and the server is told that we live.
            let pieces = self.pieces.clone();
            let room = loop {
                match timeout_at(self.report_at, pieces.reserve()).await {
                    Ok(Ok(room)) => break room,
                    Ok(Err(_)) => return self.end().await,
                    Err(_) => self.report().await?,
                }
            };
            match self.piece().await? {
                Some(piece) => room.send(Ok(piece)),
                None => return self.end().await,
            }
        }
    }

    /// Waits for the next whole messages; `None` where nobody wants them any more.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.received.capacity() - self.received.len() < PIECE / 4 {
                self.received.reserve(PIECE);
            }
            let read = {
                let (read, closed) =
                    (pin!(self.stream.read_buf(&mut self.received)), pin!(self.pieces.closed()));
                match timeout_at(self.report_at, select(read, closed)).await {
                    Ok(Either::Left((read, _))) => Some(read.map_err(|error| lost(&error))?),
                    Ok(Either::Right(_)) => return Ok(None),
                    Err(_) => None,
                }
            };
            match read {
                Some(0) => return Err(ended()),
                Some(_) => {}
                None => {
                    self.report().await?;
                    continue;
                }
            }
            let whole = Whole::of(&self.received).map_err(|error| internal(&error))?;
            // Also while there is always something to receive.
            if whole.asks || Instant::now() >= self.report_at {
                self.report().await?;
            }
            if whole.bytes > 0 {
                return Ok(Some(self.received.split_to(whole.bytes).freeze()));
            }
        }
    }

    /// Tells the server that we live, and how far it may forget.
    async fn report(&mut self) -> Result<()> {
        let applied = Place(self.applied.load(Ordering::Relaxed));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let now = protocol::unix_to_pg_timestamp(micros);
        let status = protocol::encode_standby_status_update(applied, now, false);
        write_copy_data(&mut self.stream, &status).await.map_err(|error| lost(&error))?;
        self.report_at = Instant::now() + REPORT_EVERY;
        Ok(())
    }

    /// Says that nothing more is wanted. Where the server doesn't hear it, it finds that the
    /// connection is closed.
    async fn end(&mut self) -> Result<()> {
        let said = write_copy_done(&mut self.stream);
        let _ = timeout_at(Instant::now() + REPORT_EVERY, said).await;
        Ok(())
    }
}

fn lost(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(ErrorKind::SourceDown, format!("the log can't be followed: {error}"))
}

fn ended() -> Error {
    lost(&io::Error::from(io::ErrorKind::UnexpectedEof))
}
