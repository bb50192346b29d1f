//! The primitive parts of a message: numbers in network order, texts that end with a zero, bytes
//! with their count in front. It never reads behind the end, and copies nothing.

use bytes::Bytes;

use super::Malformed;

const SHORT: Malformed = Malformed("it ends too early");

/// What isn't read yet of a message.
pub(super) struct Reader<'m> {
    message: &'m Bytes,
    at: usize,
}

impl<'m> Reader<'m> {
    pub(super) fn new(message: &'m Bytes) -> Self {
        Self { message, at: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'m [u8], Malformed> {
        let rest = &self.message[self.at..];
        let taken = rest.get(..count).ok_or(SHORT)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text that ends with a zero.
    pub(super) fn text(&mut self) -> Result<&'m str, Malformed> {
        let rest = &self.message[self.at..];
        let length = rest.iter().position(|&byte| byte == 0).ok_or(SHORT)?;
        let text = self.take(length)?;
        self.at += 1;
        str::from_utf8(text).map_err(|_| Malformed("a name isn't UTF-8"))
    }

    /// Bytes with their count in front.
    pub(super) fn counted(&mut self) -> Result<Bytes, Malformed> {
        let count = self.u32()? as usize;
        let from = self.at;
        self.take(count)?;
        Ok(self.message.slice(from..self.at))
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.at == self.message.len() {
            return Ok(());
        }
        Err(Malformed("something stands behind its end"))
    }
}
