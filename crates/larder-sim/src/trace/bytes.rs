//! The bytes of a binary trace, counted.

use std::io::{self, BufRead, Read};

use super::Input;

pub(super) struct Bytes<'a> {
    input: Input<'a>,
    taken: u64,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { input, taken: 0 }
    }

    /// How many bytes were taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn next(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Ok([]) => return Ok(None),
                Ok([byte, ..]) => {
                    let byte = *byte;
                    self.input.consume(1);
                    self.taken += 1;
                    return Ok(Some(byte));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Fills `record` as far as there are bytes, and returns how many.
    pub(super) fn fill(&mut self, record: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < record.len() {
            match self.input.read(&mut record[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.taken += filled as u64;
        Ok(filled)
    }
}
