//! The primitive parts of an event: numbers in either order, counts of one to nine bytes, bytes.
//! It never reads behind the end, and copies nothing.

use super::Malformed;

const SHORT: Malformed = Malformed("it ends too early");

/// What isn't read yet of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'m>(&'m [u8]);

impl<'m> Reader<'m> {
    pub(super) fn new(bytes: &'m [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'m [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn rest(self) -> &'m [u8] {
        self.0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A number of up to eight bytes, the least significant one first.
    pub(super) fn little(&mut self, count: usize) -> Result<u64, Malformed> {
        let bytes = self.take(count)?.iter().rev();
        Ok(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A number of up to eight bytes, the most significant one first.
    pub(super) fn big(&mut self, count: usize) -> Result<u64, Malformed> {
        let bytes = self.take(count)?.iter();
        Ok(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A number whose first byte says how many there are.
    pub(super) fn packed(&mut self) -> Result<u64, Malformed> {
        match self.byte()? {
            small @ 0..=250 => Ok(u64::from(small)),
            252 => self.little(2),
            253 => self.little(3),
            254 => self.little(8),
            _ => Err(Malformed("a count has no such form")),
        }
    }

    /// A count that is of bytes or items that must still come, so that it can't be larger than
    /// what is left.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.packed()?).map_err(|_| SHORT)?;
        if count <= self.0.len() { Ok(count) } else { Err(SHORT) }
    }

    /// Bytes with their count in front.
    pub(super) fn counted(&mut self) -> Result<&'m [u8], Malformed> {
        let count = self.count()?;
        self.take(count)
    }
}

/// Whether a bit is set, the least significant one of the first byte being the first.
pub(super) fn is_set(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}
