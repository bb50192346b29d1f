//! The envelope: what an entry looks like in a shared tier, byte by byte.
//!
//! Numbers are big-endian.
//!
//! ```text
//!  0  1  version: 1
//!  1  1  state: 1 fresh, 2 marked stale
//!  2  8  fill stamp, random: what tells this fill from every other
//! 10  4  incarnation of the tier
//! 14  4  incarnation of the marks
//! 18  8  mark clock: what its filler knew of the marks before it loaded
//! 26  8  lifetime, in milliseconds from the grant of the lease
//! 34  8  fresh_for, in milliseconds from the grant of the lease
//! 42  8  stale_for, in milliseconds after that
//! 50  4  cost of the load, in microseconds
//! 54  4  weight that the loader said, in bytes; all ones: it said none
//! 58  4  schema of the payload
//! 62  1  flags: 1 absence, 2 compressed with LZ4, 4 has a validator
//! 63  1  encoding of the payload: see `encoding`
//! 64  2  header length, of all up to the tags: 70
//! 66  2  number of tags
//! 68  2  length of the validator
//! 70  8  hash of a tag, for each tag
//!        validator, UTF-8
//!        payload, to the end
//! ```
//!
//! A later version that adds to the header keeps the version and makes the header longer; a reader
//! skips what it doesn't know. One that changes the meaning of what is here raises the version,
//! and is not read: a counted miss.
//!
//! Drivers know the version, the state and the fill stamp, at [`STATE_AT`] and [`STAMP_AT`], and
//! nothing else.

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::shared::{Incarnation, MarkClock};
use crate::terms::TAGS_MAX;

/// Where the state stands.
pub const STATE_AT: usize = 1;
/// Where the fill stamp stands, in eight bytes.
pub const STAMP_AT: usize = 2;
/// The state of what may be served as it is.
pub const STATE_FRESH: u8 = 1;
/// The state of what was marked stale.
pub const STATE_STALE: u8 = 2;

const VERSION: u8 = 1;
const HEADER_BYTES: u16 = 70;
const NO_WEIGHT: u32 = u32::MAX;
const FLAG_ABSENCE: u8 = 1;
const FLAG_COMPRESSED: u8 = 2;
const FLAG_VALIDATOR: u8 = 4;

/// How the bytes of a payload are to be read. Numbers of 128 and more are for codecs of one's own.
pub mod encoding {
    /// The value's bytes as they are, of no stated meaning.
    pub const RAW: u8 = 0;
    /// The value's bytes as they are: a JSON text.
    pub const JSON: u8 = 1;
    /// MessagePack, with the names of fields.
    pub const MESSAGE_PACK: u8 = 2;
    /// The first number for codecs of one's own.
    pub const OWN: u8 = 128;
}

/// An entry of a shared tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Whether it was marked stale.
    pub is_stale: bool,
    /// What tells this fill from every other.
    pub stamp: u64,
    /// The run of the tier whose lease it was filled under.
    pub incarnation: Incarnation,
    /// The incarnation of the marks that its filler knew.
    pub marks: u32,
    /// What its filler knew of the marks before it loaded.
    pub clock: MarkClock,
    /// How long it is held, from the grant of the lease.
    pub lifetime: Duration,
    /// How long it is served as it is, from the grant of the lease.
    pub fresh_for: Duration,
    /// How long after that it may be served while a refresh runs.
    pub stale_for: Duration,
    /// How long its load took.
    pub cost: Duration,
    /// What its loader said that it weighs, in bytes.
    pub weight: Option<u32>,
    /// The schema of the payload, as its cache declares it.
    pub schema: u32,
    /// The hashes of its tags.
    pub tags: Vec<u64>,
    /// What tells this version of the value from others.
    pub validator: Option<Box<str>>,
    /// The value; `None` is an absence.
    pub payload: Option<Payload>,
}

/// The bytes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// See [`encoding`].
    pub encoding: u8,
    /// Whether they are compressed: the length before it in four bytes, little-endian, then an LZ4
    /// block.
    pub is_compressed: bool,
    /// The bytes.
    pub bytes: Bytes,
}

impl Envelope {
    /// In bytes. A validator longer than 65,535 bytes is left out.
    ///
    /// # Panics
    ///
    /// When it has more tags than an entry may have.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        assert!(self.tags.len() <= TAGS_MAX, "an entry has at most {TAGS_MAX} tags");
        let validator = self.validator.as_deref().filter(|text| text.len() <= 0xffff);
        let payload = self.payload.as_ref().map_or(&[][..], |payload| &payload.bytes[..]);
        let length = usize::from(HEADER_BYTES) + 8 * self.tags.len() + payload.len();
        let mut out = BytesMut::with_capacity(length + validator.map_or(0, str::len));
        out.put_u8(VERSION);
        out.put_u8(if self.is_stale { STATE_STALE } else { STATE_FRESH });
        out.put_u64(self.stamp);
        out.put_u32(self.incarnation.0);
        out.put_u32(self.marks);
        out.put_u64(self.clock.0);
        out.put_u64(millis(self.lifetime));
        out.put_u64(millis(self.fresh_for));
        out.put_u64(millis(self.stale_for));
        out.put_u32(u32::try_from(self.cost.as_micros()).unwrap_or(u32::MAX));
        out.put_u32(self.weight.unwrap_or(NO_WEIGHT));
        out.put_u32(self.schema);
        let compressed = self.payload.as_ref().is_some_and(|payload| payload.is_compressed);
        let flags = [
            (FLAG_ABSENCE, self.payload.is_none()),
            (FLAG_COMPRESSED, compressed),
            (FLAG_VALIDATOR, validator.is_some()),
        ];
        out.put_u8(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| flag).sum());
        out.put_u8(self.payload.as_ref().map_or(encoding::RAW, |payload| payload.encoding));
        out.put_u16(HEADER_BYTES);
        out.put_u16(u16::try_from(self.tags.len()).unwrap_or(0));
        out.put_u16(validator.map_or(0, |text| u16::try_from(text.len()).unwrap_or(0)));
        self.tags.iter().for_each(|&tag| out.put_u64(tag));
        out.put_slice(validator.unwrap_or_default().as_bytes());
        out.put_slice(payload);
        out.freeze()
    }

    /// What the bytes say; `None` when they are of another version, or no envelope at all. The
    /// payload shares the bytes.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let rest = &mut &bytes[..];
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let is_stale = match rest.try_get_u8().ok()? {
            STATE_FRESH => false,
            STATE_STALE => true,
            _ => return None,
        };
        let stamp = rest.try_get_u64().ok()?;
        let incarnation = Incarnation(rest.try_get_u32().ok()?);
        let marks = rest.try_get_u32().ok()?;
        let clock = MarkClock(rest.try_get_u64().ok()?);
        let lifetime = Duration::from_millis(rest.try_get_u64().ok()?);
        let fresh_for = Duration::from_millis(rest.try_get_u64().ok()?);
        let stale_for = Duration::from_millis(rest.try_get_u64().ok()?);
        let cost = Duration::from_micros(rest.try_get_u32().ok()?.into());
        let weight = Some(rest.try_get_u32().ok()?).filter(|&weight| weight != NO_WEIGHT);
        let schema = rest.try_get_u32().ok()?;
        let flags = rest.try_get_u8().ok()?;
        let encoding = rest.try_get_u8().ok()?;
        let header = rest.try_get_u16().ok()?;
        let tags = usize::from(rest.try_get_u16().ok()?);
        let validator_bytes = usize::from(rest.try_get_u16().ok()?);
        if tags > TAGS_MAX || flags & !(FLAG_ABSENCE | FLAG_COMPRESSED | FLAG_VALIDATOR) != 0 {
            return None;
        }
        let added = usize::from(header.checked_sub(HEADER_BYTES)?);
        *rest = rest.get(added..)?;
        let tags = (0..tags).map(|_| rest.try_get_u64().ok()).collect::<Option<_>>()?;
        let (validator, payload) = rest.split_at_checked(validator_bytes)?;
        let validator = match flags & FLAG_VALIDATOR {
            0 => None,
            _ => Some(Box::from(str::from_utf8(validator).ok()?)),
        };
        let payload = (flags & FLAG_ABSENCE == 0).then(|| Payload {
            encoding,
            is_compressed: flags & FLAG_COMPRESSED != 0,
            bytes: bytes.slice_ref(payload),
        });
        Some(Self {
            is_stale,
            stamp,
            incarnation,
            marks,
            clock,
            lifetime,
            fresh_for,
            stale_for,
            cost,
            weight,
            schema,
            tags,
            validator,
            payload,
        })
    }

    /// The fill stamp of what may be an envelope of any version.
    #[must_use]
    pub fn stamp_of(bytes: &[u8]) -> Option<u64> {
        let stamp = bytes.get(STAMP_AT..STAMP_AT + 8)?;
        Some(u64::from_be_bytes(stamp.try_into().ok()?))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
