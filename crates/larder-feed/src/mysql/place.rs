//! A place in a server's log.

use larder_core::feed::FeedPosition;

/// Behind a byte of one of the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    /// The number that the file's name ends with.
    pub(super) file: u32,
    pub(super) offset: u64,
}

/// What tells logs apart. It changes nothing about which place comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Which server it is, mixed.
    pub(super) server: u32,
    /// When the file was begun and by whom, mixed; zero where it isn't known. A log that was reset
    /// has files of the same names again.
    pub(super) file: u32,
}

/// So many bits an offset has, and a file's origin.
const OFFSET_BITS: u32 = 40;
const ORIGIN_BITS: u32 = 24;

impl Place {
    /// From the first to the last: the server, the file, the offset, the file's origin. So a place
    /// of which the origin isn't known stands in front of the same place with it.
    pub(super) fn position(self, origin: Origin) -> FeedPosition {
        let low = self.offset.min((1 << OFFSET_BITS) - 1) << ORIGIN_BITS;
        let low = low | u64::from(origin.file & ((1 << ORIGIN_BITS) - 1));
        let high = u64::from(origin.server) << 32 | u64::from(self.file);
        FeedPosition(u128::from(high) << 64 | u128::from(low))
    }

    pub(super) fn of(position: FeedPosition) -> (Self, Origin) {
        #[allow(clippy::cast_possible_truncation)] // Cutting out the part is what is wanted.
        let part = |shift: u32| (position.0 >> shift) as u32;
        #[allow(clippy::cast_possible_truncation)]
        let low = position.0 as u64;
        let origin = Origin { server: part(96), file: part(0) & ((1 << ORIGIN_BITS) - 1) };
        (Self { file: part(64), offset: low >> ORIGIN_BITS }, origin)
    }
}

/// The number at the end of a file's name.
pub(super) fn file_number(name: &[u8]) -> Option<u32> {
    let name = str::from_utf8(name).ok()?;
    name.rsplit_once('.')?.1.parse().ok()
}

/// Mixes an origin into as many bits as a place has for it; never zero.
pub(super) fn mixed(parts: impl IntoIterator<Item = u64>) -> u32 {
    // FNV-1a, Fowler, Noll and Vo, with the halves laid over each other.
    let hash =
        parts.into_iter().flat_map(u64::to_le_bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let folded = (hash >> 32 ^ hash) & 0xffff_ffff;
    u32::try_from(folded ^ folded >> ORIGIN_BITS).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_in_the_order_of_the_log() {
        let at = |file, offset| Place { file, offset };
        let origin = |file| Origin { server: 7, file };
        let positions = [
            at(1, 4).position(origin(0)),
            at(1, 4).position(origin(9)),
            at(1, 5).position(origin(1)),
            at(1, 1 << 33).position(origin(1)),
            at(2, 4).position(origin(0)),
            at(1_000_000, 4).position(origin(0)),
        ];
        assert!(positions.is_sorted());
        let (place, origin) = Place::of(positions[1]);
        assert_eq!((place, origin), (at(1, 4), Origin { server: 7, file: 9 }));
        assert_eq!(Place::of(positions[3]).0, at(1, 1 << 33));
    }

    #[test]
    fn origins_of_neighbours_differ_in_the_bits_that_are_kept() {
        let kept = |parts: [u64; 2]| mixed(parts) & ((1 << ORIGIN_BITS) - 1);
        assert_ne!(kept([7, 1_000]), kept([7, 1_001]));
        assert_ne!(kept([7, 1_000]), kept([8, 1_000]));
    }

    #[test]
    fn files_are_numbered_by_their_names() {
        assert_eq!(file_number(b"bin.000012"), Some(12));
        assert_eq!(file_number(b"db-bin.x.1234567"), Some(1_234_567));
        assert_eq!(file_number(b"bin"), None);
        assert_eq!(file_number(b"bin.x"), None);
    }
}
