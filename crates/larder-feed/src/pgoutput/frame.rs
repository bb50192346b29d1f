//! The messages of the connection that the log comes by.
//!
//! Source: the PostgreSQL documentation, chapters "Message Formats" and "Streaming Replication
//! Protocol". A message begins with a byte that says what it is, and its length. What is sent of
//! the log are data of a copy (`d`), each with one message of the output plugin behind its header,
//! or with the news that the server lives.
//!
//! Nothing here waits: who receives hands in what has come, and is told how much of it is whole.

use bytes::{Buf as _, Bytes};

use super::reader::Reader;
use super::{Lsn, Malformed};

/// What a message begins with: what it is, and its length without that byte.
const HEADER: usize = 5;
/// A message that is longer ends the session; Postgres has no row beyond it.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// What a server says while it sends its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message of the output plugin.
    Log {
        /// What it is.
        message: Bytes,
        /// When it was sent, in microseconds since the year 2000, by the server's clock.
        sent: i64,
    },
    /// It lives.
    Alive {
        /// It has sent everything before this place that concerns anybody.
        end: Lsn,
        /// It wants to hear at once how far the log was applied.
        asks: bool,
    },
    /// It can't go on; this is its error, in the fields of an `ErrorResponse`.
    Failed(Bytes),
    /// It sends nothing more.
    Over,
    /// Something that says nothing about the log: a notice or a setting.
    Other,
}

/// How much of what was received can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// So many bytes are whole messages.
    pub bytes: usize,
    /// One of them asks how far the log was applied.
    pub asks: bool,
}

impl Whole {
    /// What is whole of these bytes, which begin with a message.
    ///
    /// ```
    /// use larder_feed::pgoutput::Whole;
    ///
    /// let received = [&b"c\0\0\0\x04"[..], b"d\0\0\0\x09"].concat();
    /// assert_eq!(Whole::of(&received)?, Whole { bytes: 5, asks: false });
    /// # Ok::<(), larder_feed::pgoutput::Malformed>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When a message has an impossible length.
    pub fn of(received: &[u8]) -> Result<Self, Malformed> {
        let mut whole = Self::default();
        while let Some(rest) = received.get(whole.bytes..)
            && let Some(length) = length(rest)?
            && let Some(message) = rest.get(..length)
        {
            whole.bytes += length;
            whole.asks |= matches!(message, [b'd', _, _, _, _, b'k', .., last] if *last != 0);
        }
        Ok(whole)
    }
}

/// The messages in a piece of what was received, in their order. It ends where none is whole.
#[derive(Clone, Debug)]
pub struct Frames(Bytes);

impl Frames {
    /// Those in these bytes, which begin with a message.
    #[must_use]
    pub fn of(piece: Bytes) -> Self {
        Self(piece)
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = match length(&self.0) {
            Ok(length) => length?,
            Err(error) => {
                // Where the next one would begin is anybody's guess.
                self.0.clear();
                return Some(Err(error));
            }
        };
        if length > self.0.len() {
            return None;
        }
        Some(frame(self.0.split_to(length)))
    }
}

/// The length of the first message, all of it; `None` where not even that has come.
fn length(rest: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(&[_, a, b, c, d]) = rest.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(Malformed("a message has 4 bytes at least, and 1 GiB at most"));
    }
    Ok(Some(length + 1))
}

fn frame(mut message: Bytes) -> Result<Frame, Malformed> {
    let kind = message.first().copied();
    message.advance(HEADER);
    match kind {
        Some(b'd') => copied(message),
        Some(b'E') => Ok(Frame::Failed(message)),
        Some(b'c') => Ok(Frame::Over),
        _ => Ok(Frame::Other),
    }
}

fn copied(mut data: Bytes) -> Result<Frame, Malformed> {
    /// What it is, where it begins and ends in the log, and when it was sent.
    const BEFORE: usize = 25;
    let mut reader = Reader::new(&data);
    match reader.byte()? {
        b'w' => {
            reader.u64()?;
            reader.u64()?; // Where it stands, which the messages say themselves.
            let sent = reader.u64()?.cast_signed();
            data.advance(BEFORE);
            Ok(Frame::Log { message: data, sent })
        }
        b'k' => {
            let end = Lsn(reader.u64()?);
            reader.u64()?; // When it was sent, by a clock that isn't ours.
            let asks = reader.byte()? != 0;
            reader.end()?;
            Ok(Frame::Alive { end, asks })
        }
        _ => Err(Malformed("data are neither of the log nor a sign of life")),
    }
}
