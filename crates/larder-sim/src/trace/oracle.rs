//! The oracleGeneral form of libCacheSim: records of 24 bytes, little endian, packed: the time in
//! seconds (u32), the object (u64), its size in bytes (u32), and which request asks for it next
//! (i64, -1 for none), which isn't used here.

use super::bytes::Bytes;
use super::fault::{Faults, Place, TraceError};
use super::{Decode, Input};
use crate::request::{Request, numbered};

pub(super) const RECORD_BYTES: usize = 24;

pub(super) struct Oracle<'a> {
    bytes: Bytes<'a>,
}

impl<'a> Oracle<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { bytes: Bytes::new(input) }
    }
}

impl Decode for Oracle<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        let mut bytes = [0; RECORD_BYTES];
        let place = Place::Byte(self.bytes.taken());
        match self.bytes.fill(&mut bytes)? {
            RECORD_BYTES => {
                let record = Record::read(&bytes);
                Ok(Some(Request {
                    size: Some(record.size),
                    time_ms: Some(u64::from(record.time) * 1000),
                    ..Request::read(numbered(record.object))
                }))
            }
            0 => Ok(None),
            _ => {
                faults.note(place, "the trace ends within a record of 24 bytes", b"");
                Ok(None)
            }
        }
    }
}

/// What stands in a record.
pub(super) struct Record {
    pub(super) time: u32,
    object: u64,
    pub(super) size: u32,
    pub(super) next: i64,
}

impl Record {
    pub(super) fn read(bytes: &[u8; RECORD_BYTES]) -> Self {
        let [t0, t1, t2, t3, object @ .., s0, s1, s2, s3, n0, n1, n2, n3, n4, n5, n6, n7] = *bytes;
        Self {
            time: u32::from_le_bytes([t0, t1, t2, t3]),
            object: u64::from_le_bytes(object),
            size: u32::from_le_bytes([s0, s1, s2, s3]),
            next: i64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
        }
    }
}
