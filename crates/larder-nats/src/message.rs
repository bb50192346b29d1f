//! An announcement as the bytes of a message.
//!
//! ```text
//! 0  1  1: without marks, 2: with
//! 1  8  the moment of the marks    } with marks only
//! 9  4  their incarnation          }
//!       the announcement
//! ```
//!
//! Numbers are big-endian. It all stands in the message itself and not in its headers, so that
//! other clients and older servers carry it as well.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use larder_core::shared::MarkClock;

/// The most bytes that stand before an announcement.
pub(crate) const AROUND_MAX: usize = 13;

pub(crate) fn encode(announcement: &Bytes, marks: Option<(MarkClock, u32)>) -> Bytes {
    let mut out = BytesMut::with_capacity(AROUND_MAX + announcement.len());
    match marks {
        None => out.put_u8(1),
        Some((clock, incarnation)) => {
            out.put_u8(2);
            out.put_u64(clock.0);
            out.put_u32(incarnation);
        }
    }
    out.put_slice(announcement);
    out.freeze()
}

/// `None` where somebody else wrote it.
pub(crate) fn decode(mut bytes: Bytes) -> Option<(Bytes, Option<(MarkClock, u32)>)> {
    let marks = match bytes.try_get_u8().ok()? {
        1 => None,
        2 => Some((MarkClock(bytes.try_get_u64().ok()?), bytes.try_get_u32().ok()?)),
        _ => return None,
    };
    Some((bytes, marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_understood_and_what_others_write_is_not() {
        let text = Bytes::from_static(b"\x02text");
        for marks in [None, Some((MarkClock(u64::MAX - 1), 7))] {
            let bytes = encode(&text, marks);
            assert!(bytes.len() <= AROUND_MAX + text.len());
            assert_eq!(decode(bytes), Some((text.clone(), marks)));
        }
        for odd in [&b""[..], b"x", b"\x02short"] {
            assert_eq!(decode(Bytes::from_static(odd)), None);
        }
    }
}
