//! The form of the LIRS paper's traces: a block number a line; a lone `*` separates phases.
//!
//! Paper: Jiang, Zhang, "LIRS: an efficient low inter-reference recency set replacement policy
//! to improve buffer cache performance", SIGMETRICS 2002.

use super::fault::{Faults, TraceError};
use super::lines::{Lines, number, words};
use super::{Decode, Input};
use crate::request::{Request, numbered};

pub(super) struct Lirs<'a> {
    lines: Lines<'a>,
}

impl<'a> Lirs<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { lines: Lines::new(input) }
    }
}

impl Decode for Lirs<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        while self.lines.advance(faults)? {
            let mut words = words(self.lines.line());
            match (words.next(), words.next()) {
                (None | Some(b"*"), None) => {}
                (Some(word), None) if let Some(block) = number(word) => {
                    return Ok(Some(Request::read(numbered(block))));
                }
                _ => self.lines.refuse("it isn't one block number", faults),
            }
        }
        Ok(None)
    }
}
