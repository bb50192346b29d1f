//! The mark: which records are still needed, and below which number everything was durable once.
//!
//! It is a file of two pages of 4 KiB, `mark`, which is made whole by a rename and never grows: on
//! a full disk it can still be written. Each page holds one *slot*, numbers big-endian:
//!
//! ```text
//!  0  8  "LARDERJM"
//!  8  4  version: 1
//! 12  4  CRC32C of bytes 0 to 12 and 16 to 64
//! 16 16  identity of the journal
//! 32  8  turn: of two good slots the one with the greater turn counts
//! 40  8  number of the oldest record that is needed
//! 48  8  witness: everything below this number was durable when this was written
//! 56  8  zeros
//! ```
//!
//! One slot is durable and is left alone, the other one is written, as often as there is news,
//! and synced where something depends on it; then they change places. So a write that is torn
//! leaves the durable one. When it is opened, the newer slot may be in the system's cache only.
//! It is then written once more, byte by byte the same, and synced: it may neither be trusted nor
//! be torn.

use std::io;

use crate::files::{File, Folder, read_whole};
use crate::format::{HEADER_BYTES, Identity, VERSION, array_at, checksum_around, u32_at, u64_at};

pub(crate) const NAME: &str = "mark";
const NEW_NAME: &str = "mark.new";
const MAGIC: [u8; 8] = *b"LARDERJM";
const PAGE_BYTES: usize = 4096;

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) identity: Identity,
    pub(crate) turn: u64,
    /// Records below this number are not needed.
    pub(crate) first: u64,
    /// Everything below this number was durable.
    pub(crate) witness: u64,
}

/// What was found where the mark should be.
#[derive(Debug)]
pub(crate) enum Found {
    Mark(Mark),
    /// No such file.
    Nothing,
    /// Neither slot can be read.
    Damaged,
    Version(u32),
}

/// The mark, open to be written.
#[derive(Debug)]
pub(crate) struct Mark {
    file: Box<dyn File>,
    /// What was written last.
    slot: Slot,
    /// Which page is durable: 0 or 1.
    durable: u64,
    /// Whether what was written last is.
    is_durable: bool,
}

impl Slot {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut block = [0; HEADER_BYTES];
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_be_bytes());
        block[16..32].copy_from_slice(&self.identity);
        block[32..40].copy_from_slice(&self.turn.to_be_bytes());
        block[40..48].copy_from_slice(&self.first.to_be_bytes());
        block[48..56].copy_from_slice(&self.witness.to_be_bytes());
        let checksum = checksum_around(&block);
        block[12..16].copy_from_slice(&checksum.to_be_bytes());
        block
    }

    /// A slot, or the version of one that can't be read.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Result<Self, u32>> {
        let block = bytes.first_chunk::<HEADER_BYTES>()?;
        if block[..8] != MAGIC || u32_at(block, 12) != checksum_around(block) {
            return None;
        }
        Some(match u32_at(block, 8) {
            VERSION => Ok(Self {
                identity: array_at(block, 16),
                turn: u64_at(block, 32),
                first: u64_at(block, 40),
                witness: u64_at(block, 48),
            }),
            version => Err(version),
        })
    }
}

impl Mark {
    /// Reads what is there. It is not durable yet: see [`settle`](Self::settle).
    pub(crate) fn find(folder: &dyn Folder) -> io::Result<Found> {
        let file = match folder.open(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        let bytes = read_whole(&*file, 2 * PAGE_BYTES)?;
        let second = bytes.get(PAGE_BYTES..).unwrap_or_default();
        let (slot, durable) = match (Slot::decode(&bytes), Slot::decode(second)) {
            (Some(Err(version)), _) | (_, Some(Err(version))) => {
                return Ok(Found::Version(version));
            }
            (None, None) => return Ok(Found::Damaged),
            (Some(Ok(slot)), None) => (slot, 0),
            (None, Some(Ok(slot))) => (slot, 1),
            (Some(Ok(one)), Some(Ok(other))) if one.turn >= other.turn => (one, 0),
            (Some(Ok(_)), Some(Ok(other))) => (other, 1),
        };
        Ok(Found::Mark(Self { file, slot, durable, is_durable: true }))
    }

    /// Makes the file, in place of what is there, durable and with its name.
    pub(crate) fn make(folder: &dyn Folder, slot: Slot) -> io::Result<Self> {
        let file = folder.create(NEW_NAME)?;
        let mut bytes = vec![0; 2 * PAGE_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&slot.encode());
        file.write(&bytes, 0)?;
        file.sync()?;
        folder.rename(NEW_NAME, NAME)?;
        folder.sync()?;
        Ok(Self { file, slot, durable: 0, is_durable: true })
    }

    pub(crate) const fn slot(&self) -> Slot {
        self.slot
    }

    /// Makes durable what was found.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.file.write(&self.slot.encode(), self.durable * PAGE_BYTES as u64)?;
        self.file.sync()
    }

    /// Writes what is new, without making it durable. Neither number ever gets smaller.
    pub(crate) fn write(&mut self, first: u64, witness: u64) -> io::Result<()> {
        let slot = Slot {
            turn: self.slot.turn + 1,
            first: self.slot.first.max(first),
            witness: self.slot.witness.max(witness),
            ..self.slot
        };
        self.file.write(&slot.encode(), (1 - self.durable) * PAGE_BYTES as u64)?;
        self.slot = slot;
        self.is_durable = false;
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if !self.is_durable {
            self.file.sync()?;
            self.durable = 1 - self.durable;
            self.is_durable = true;
        }
        Ok(())
    }
}
