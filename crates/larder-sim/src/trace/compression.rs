//! What a trace is compressed with, found by its content, and taken away.
//!
//! Decompression streams: its memory doesn't grow with the trace. A zstd window of more than
//! 128 MiB is refused.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::BlockDecodingStrategy::UptoBytes;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::{BUFFER_BYTES, Input};

/// What a trace is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Takes the compression away, if there is any.
pub(super) fn plain(mut input: Input<'_>) -> io::Result<(Compression, Input<'_>)> {
    let head = super::peek(&mut input, 4)?;
    Ok(match *head.get_ref().first_chunk::<4>().unwrap_or(&[0; 4]) {
        [0x1f, 0x8b, ..] => {
            let plain = MultiGzDecoder::new(head.chain(input));
            (Compression::Gzip, Box::new(BufReader::with_capacity(BUFFER_BYTES, plain)))
        }
        // A frame, or one to be skipped.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
            let plain = Frames::new(head.chain(input));
            (Compression::Zstd, Box::new(BufReader::with_capacity(BUFFER_BYTES, plain)))
        }
        _ => (Compression::None, Box::new(head.chain(input))),
    })
}

/// All frames of a zstd file, one after the other.
struct Frames<R> {
    input: R,
    frame: FrameDecoder,
    /// Whether a frame has begun and is not at its end.
    open: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(input: R) -> Self {
        Self { input, frame: FrameDecoder::new(), open: false }
    }

    /// Begins the next frame; false where there is none.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.input) {
                Ok(()) => {
                    self.open = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.input).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// Whether the frame was what its writer wrote.
    fn check(&self) -> io::Result<()> {
        match (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()) {
            (Some(written), Some(calculated)) if written != calculated => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "a zstd checksum is wrong"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.open && !self.begin()? {
                return Ok(0);
            }
            while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                let strategy = UptoBytes(BUFFER_BYTES);
                self.frame.decode_blocks(&mut self.input, strategy).map_err(io::Error::other)?;
            }
            let read = self.frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.check()?;
            self.open = false;
        }
    }
}
