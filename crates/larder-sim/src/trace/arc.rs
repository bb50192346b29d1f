//! The `.lis` form of the ARC paper's traces: `first count ignored number`, which asks for
//! `count` blocks from `first` on, one after the other.
//!
//! Paper: Megiddo, Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003.

use std::ops::Range;

use super::fault::{Faults, TraceError};
use super::lines::{Lines, number, words};
use super::{Decode, Input};
use crate::request::{Request, numbered};

/// The most blocks that one line may ask for.
const BLOCKS_MAX: u64 = 65_536;

pub(super) struct Arc<'a> {
    lines: Lines<'a>,
    blocks: Range<u64>,
}

impl<'a> Arc<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { lines: Lines::new(input), blocks: 0..0 }
    }
}

impl Decode for Arc<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        loop {
            if let Some(block) = self.blocks.next() {
                return Ok(Some(Request::read(numbered(block))));
            }
            if !self.lines.advance(faults)? {
                return Ok(None);
            }
            match blocks(self.lines.line()) {
                Ok(blocks) => self.blocks = blocks,
                Err(wrong) => self.lines.refuse(wrong, faults),
            }
        }
    }
}

/// The blocks that a line asks for; none for a line that holds nothing.
fn blocks(line: &[u8]) -> Result<Range<u64>, &'static str> {
    let mut words = words(line);
    let Some(first) = words.next() else { return Ok(0..0) };
    let numbers = number(first).zip(words.next().and_then(number));
    let (first, count) = numbers.ok_or("it doesn't begin with a block and a number of blocks")?;
    if count == 0 || count > BLOCKS_MAX {
        return Err("the number of blocks isn't 1 to 65,536");
    }
    let end = first.checked_add(count).ok_or("the blocks go beyond 64 bits")?;
    Ok(first..end)
}
