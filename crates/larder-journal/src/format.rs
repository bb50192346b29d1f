//! What stands in a segment, byte by byte, as pure functions over bytes.
//!
//! A segment is a file of consecutive records, named by the number of the first one in twenty
//! digits: `00000000000000000001.log`. Numbers are big-endian. It begins with a header:
//!
//! ```text
//!  0  8  "LARDERJS"
//!  8  4  version: 1
//! 12  4  CRC32C of bytes 0 to 12 and 16 to 64
//! 16 16  identity of the journal
//! 32  8  number of the first record
//! 40  8  number that the first record would have if nothing had been lost before it; the same
//!        as the one above but for a loss that was accepted
//! 48 16  zeros
//! ```
//!
//! Then come the records, one behind the other, each with a header of its own:
//!
//! ```text
//!  0  4  CRC32C of the journal's identity, the number of the segment's first record (8 bytes),
//!        and bytes 4 to 28
//!  4  4  length of the payload, at most 8 MiB
//!  8  8  number
//! 16  8  witness: everything below this number was durable when this record was appended
//! 24  4  CRC32C of the payload
//! 28     payload
//! ```
//!
//! Behind the last record zeros were written ahead, up to a MiB of them. A record is never all
//! zeros, as its number isn't.
//!
//! The first checksum makes a header's testimony good even where the payload behind it is
//! damaged. Identity and segment stand in it so that nothing else can be taken for a record: no
//! old block of another segment that the file system handed out again, nor a payload that
//! somebody made to look like one.
//!
//! It doesn't know files, nor what damage means.

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::omit::Omit;
use crate::options::Settings;

/// The longest payload, in bytes.
pub const RECORD_BYTES_MAX: usize = 8 << 20;
/// The shortest segments that a user may ask for, in bytes: they bound how many there are.
pub(crate) const SEGMENT_BYTES_MIN: usize = 64 << 10;
/// The longest segment, in bytes.
pub(crate) const SEGMENT_BYTES_MAX: usize = 64 << 20;
/// What precedes the records of a segment, in bytes.
pub(crate) const HEADER_BYTES: usize = 64;
/// What precedes a payload, in bytes.
pub(crate) const FRAME_BYTES: usize = 28;

pub(crate) const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"LARDERJS";
const SUFFIX: &str = ".log";

static CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// What no other journal has.
pub(crate) type Identity = [u8; 16];

/// CRC32C: Castagnoli, Bräuer, Herrmann, "Optimization of Cyclic Redundancy-Check Codes with 24
/// and 32 Parity Bits", IEEE Transactions on Communications 1993.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes)
}

/// The checksum of a block that holds it itself at byte 12.
pub(crate) fn checksum_around(block: &[u8; HEADER_BYTES]) -> u32 {
    let mut digest = CASTAGNOLI.digest();
    digest.update(&block[..12]);
    digest.update(&block[16..]);
    digest.finalize()
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array_at(bytes, at))
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// The name of the segment whose first record has this number.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The number of the first record of the segment of this name, if it is the name of one.
pub(crate) fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let first = digits.parse().ok()?;
    (segment_name(first) == name).then_some(first)
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    pub(crate) first: u64,
    /// The number that `first` would be if nothing before it had been lost.
    pub(crate) behind: u64,
}

/// What the beginning of a segment turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    Header(Header),
    /// A header of a version that this one can't read.
    Version(u32),
    /// No header, or a damaged one.
    Unreadable,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut block = [0; HEADER_BYTES];
        block[..8].copy_from_slice(&SEGMENT_MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_be_bytes());
        block[16..32].copy_from_slice(&self.identity);
        block[32..40].copy_from_slice(&self.first.to_be_bytes());
        block[40..48].copy_from_slice(&self.behind.to_be_bytes());
        let checksum = checksum_around(&block);
        block[12..16].copy_from_slice(&checksum.to_be_bytes());
        block
    }

    pub(crate) fn decode(bytes: &[u8]) -> Beginning {
        let Some(block) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Beginning::Unreadable;
        };
        if block[..8] != SEGMENT_MAGIC || u32_at(block, 12) != checksum_around(block) {
            return Beginning::Unreadable;
        }
        match u32_at(block, 8) {
            VERSION => Beginning::Header(Self {
                identity: array_at(block, 16),
                first: u64_at(block, 32),
                behind: u64_at(block, 40),
            }),
            version => Beginning::Version(version),
        }
    }
}

/// What the checksum of a record's header begins with: in which segment of which journal it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    place: [u8; 24],
    /// Whether any checksum will do: a step that a test leaves out.
    unchecked: bool,
}

impl Seed {
    pub(crate) fn new(identity: &Identity, segment: u64, settings: &Settings) -> Self {
        let mut place = [0; 24];
        place[..16].copy_from_slice(identity);
        place[16..].copy_from_slice(&segment.to_be_bytes());
        Self { place, unchecked: settings.omits(Omit::Checksums) }
    }

    fn checksum(&self, frame: &[u8; FRAME_BYTES]) -> u32 {
        let mut bytes = [0; 48];
        bytes[..24].copy_from_slice(&self.place);
        bytes[24..].copy_from_slice(&frame[4..]);
        checksum(&bytes)
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) length: usize,
    pub(crate) number: u64,
    pub(crate) witness: u64,
    pub(crate) payload_checksum: u32,
}

impl Frame {
    #[allow(clippy::cast_possible_truncation)] // A payload has at most RECORD_BYTES_MAX bytes.
    pub(crate) fn encode(&self, seed: &Seed) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        bytes[4..8].copy_from_slice(&(self.length as u32).to_be_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.witness.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.payload_checksum.to_be_bytes());
        let checksum = seed.checksum(&bytes);
        bytes[..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// The header that stands at the beginning of `bytes`, if one does.
    pub(crate) fn decode(bytes: &[u8], seed: &Seed) -> Option<Self> {
        let bytes = bytes.first_chunk::<FRAME_BYTES>()?;
        let (length, number) = (u32_at(bytes, 4) as usize, u64_at(bytes, 8));
        let witness = u64_at(bytes, 16);
        // Cheap to say, and false almost everywhere where no record begins.
        if length > RECORD_BYTES_MAX || number == 0 || number == u64::MAX || witness > number {
            return None;
        }
        if u32_at(bytes, 0) != seed.checksum(bytes) && !seed.unchecked {
            return None;
        }
        Some(Self { length, number, witness, payload_checksum: u32_at(bytes, 24) })
    }

    /// Whether this is the payload.
    pub(crate) fn fits(&self, payload: &[u8], seed: &Seed) -> bool {
        payload.len() == self.length
            && (checksum(payload) == self.payload_checksum || seed.unchecked)
    }
}
