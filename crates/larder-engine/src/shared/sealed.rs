//! An entry as an envelope, and back: what a cache writes into the shared tier and what it makes
//! of what it finds there.

use std::time::Duration;

use bytes::Bytes;
use larder_core::envelope::{Envelope, Payload};
use larder_core::shared::{MarkClock, SharedEntry};
use larder_core::{Moment, Times, Window, freshness};

use super::codec::Codec;
use crate::slot::Rider;

/// Payloads from this length on are compressed, if nothing else is said.
pub(crate) const COMPRESS_FROM_DEFAULT: usize = 1024;
/// A payload isn't unpacked to more than this: it would be refused as too heavy anyway.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// What one cache needs to use the shared tier.
pub(crate) struct Part<V> {
    pub(crate) codec: Box<dyn Codec<V>>,
    pub(crate) schema: u32,
    pub(crate) compress_from: usize,
}

/// An entry of the tier, read.
#[derive(Clone, Debug)]
pub(crate) struct Opened<V> {
    pub(crate) value: Option<V>,
    pub(crate) envelope: Envelope,
    pub(crate) times: Times,
    /// When it is known to have been the source's value, at the latest.
    pub(crate) as_of: Moment,
}

/// What an entry is sealed from.
#[derive(Clone, Copy)]
pub(crate) struct Sealing<'a> {
    pub(crate) stamp: u64,
    pub(crate) incarnation: larder_core::shared::Incarnation,
    pub(crate) marks: (u32, MarkClock),
    pub(crate) times: &'a Times,
    pub(crate) cost: Duration,
    pub(crate) rider: Option<&'a Rider>,
}

impl<V: 'static> Part<V> {
    /// The envelope of a value, or of an absence, and how long the tier is to hold it from the
    /// grant of the lease. `None` when it can't be written.
    pub(crate) fn seal(
        &self,
        value: Option<&V>,
        window: &Window,
        sealing: &Sealing<'_>,
    ) -> Option<(Bytes, Duration)> {
        let payload = match value {
            None => None,
            Some(value) => {
                let (encoding, bytes) = self.codec.encode(value).ok()?;
                Some(self.pack(encoding, bytes))
            }
        };
        let &Sealing { times, rider, .. } = sealing;
        let loaded_at = times.loaded_at();
        let lifetime = window.forgotten_after(times, payload.is_some()) - loaded_at;
        let weight = rider.and_then(|rider| rider.weight);
        let envelope = Envelope {
            is_stale: false,
            stamp: sealing.stamp,
            incarnation: sealing.incarnation,
            marks: sealing.marks.0,
            clock: sealing.marks.1,
            lifetime,
            fresh_for: times.fresh_until() - loaded_at,
            stale_for: times.stale_until() - times.fresh_until(),
            cost: sealing.cost,
            weight: weight.map(|weight| u32::try_from(weight).unwrap_or(u32::MAX - 1)),
            schema: self.schema,
            tags: rider.map(|rider| rider.tags.to_vec()).unwrap_or_default(),
            validator: rider.and_then(|rider| rider.validator.clone()),
            payload,
        };
        Some((envelope.encode(), lifetime))
    }

    fn pack(&self, encoding: u8, bytes: Bytes) -> Payload {
        if bytes.len() >= self.compress_from {
            let packed = lz4_flex::block::compress_prepend_size(&bytes);
            if packed.len() < bytes.len() {
                return Payload { encoding, is_compressed: true, bytes: packed.into() };
            }
        }
        Payload { encoding, is_compressed: false, bytes }
    }

    /// What an entry means here. `sent` is when it was asked for and `horizon` what was held then.
    /// `None` when it can't be read: another version wrote it, or its age isn't known.
    pub(crate) fn open(
        &self,
        entry: &SharedEntry,
        window: &Window,
        sent: Moment,
        horizon: Moment,
    ) -> Option<Opened<V>> {
        let envelope = Envelope::decode(&entry.envelope)?;
        if envelope.schema != self.schema {
            return None;
        }
        let value = match &envelope.payload {
            None => None,
            Some(payload) => {
                let bytes = unpack(payload)?;
                Some(self.codec.decode(payload.encoding, &bytes).ok()?)
            }
        };
        // Counted by the tier's clock from the grant of the lease, before its load began. A clock
        // that was stepped back says nothing about the age.
        let age = envelope.lifetime.checked_sub(entry.remaining)?;
        let loaded_at = sent.before(age);
        let lasting = freshness::Lasting {
            fresh_for: envelope.fresh_for,
            stale_for: envelope.stale_for,
            cost: envelope.cost,
        };
        let mut times = window.times_of_lasting(loaded_at, value.is_some(), lasting);
        if envelope.is_stale {
            // What the stream vouched for when it was marked, nobody wrote down.
            times.mark_stale(Moment::ZERO);
        }
        let as_of = times.as_of(horizon);
        Some(Opened { value, envelope, times, as_of })
    }
}

/// The bytes of a payload as they were before they were compressed.
fn unpack(payload: &Payload) -> Option<Bytes> {
    if !payload.is_compressed {
        return Some(payload.bytes.clone());
    }
    let (length, packed) = lz4_flex::block::uncompressed_size(&payload.bytes).ok()?;
    if length > UNPACKED_BYTES_MAX {
        return None;
    }
    lz4_flex::block::decompress(packed, length).ok().map(Bytes::from)
}
