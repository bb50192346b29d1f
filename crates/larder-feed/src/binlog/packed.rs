//! What MariaDB compresses (`log_bin_compress`): one byte that says how, the length that it had,
//! and a stream of zlib.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::Malformed;
use super::reader::Reader;

/// Nothing that is longer is unpacked, in bytes; who reads it is told that it can't be.
pub const UNPACKED_MAX: usize = 64 << 20;

/// What these bytes were.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    let head = reader.byte()?;
    let count = usize::from(head & 7);
    // The first bit is always there, and the next three say zlib.
    if head & 0xf0 != 0x80 || !(1..=4).contains(&count) {
        return Err(Malformed("it is compressed in a way that isn't known"));
    }
    let length = usize::try_from(reader.big(count)?).unwrap_or(usize::MAX);
    if length > UNPACKED_MAX {
        return Err(Malformed("it is too long to be unpacked"));
    }
    let mut unpacked = Vec::new();
    let mut stream = ZlibDecoder::new(reader.rest()).take(length as u64);
    let read = stream.read_to_end(&mut unpacked);
    if read.is_err() || unpacked.len() != length {
        return Err(Malformed("what was compressed isn't whole"));
    }
    Ok(unpacked)
}
