//! The `.zzd` form: for each request the difference between its key's number and that of the
//! request before, zigzag encoded, as a varint of 7 bits a byte, low ones first.
//!
//! It is small for traces of blocks and of keys numbered in the order in which they appear.

use std::io;

use super::bytes::Bytes;
use super::fault::{Faults, Place, TraceError};
use super::{Decode, Input};
use crate::request::{Request, numbered};

pub(super) struct Zzd<'a> {
    bytes: Bytes<'a>,
    key: i64,
}

impl<'a> Zzd<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { bytes: Bytes::new(input), key: 0 }
    }

    fn varint(&mut self) -> io::Result<Varint> {
        let (mut sum, mut shift, mut fits) = (0_u64, 0_u32, true);
        loop {
            let Some(byte) = self.bytes.next()? else {
                return Ok(if shift == 0 { Varint::None } else { Varint::Cut });
            };
            let bits = u64::from(byte & 0x7f);
            fits &= bits == 0 || (shift < 64 && bits << shift >> shift == bits);
            if fits && shift < 64 {
                sum |= bits << shift;
            }
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                return Ok(if fits { Varint::Whole(sum) } else { Varint::TooLong });
            }
        }
    }
}

enum Varint {
    Whole(u64),
    TooLong,
    Cut,
    None,
}

impl Decode for Zzd<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        loop {
            let place = Place::Byte(self.bytes.taken());
            let wrong = match self.varint()? {
                Varint::Whole(zigzag) => {
                    let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                    let key = self.key.checked_add(difference).filter(|&key| key >= 0);
                    if let Some(key) = key {
                        self.key = key;
                        return Ok(Some(Request::read(numbered(key as u64))));
                    }
                    "the key's number isn't 0 to 2^63 - 1"
                }
                Varint::TooLong => "the number has more than 64 bits",
                Varint::Cut => "the trace ends within a number",
                Varint::None => return Ok(None),
            };
            faults.note(place, wrong, b"");
        }
    }
}
