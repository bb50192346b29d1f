//! One key a line, any bytes.

use super::fault::{Faults, TraceError};
use super::lines::Lines;
use super::{Decode, Input};
use crate::request::{Request, named};

pub(super) struct Keys<'a> {
    lines: Lines<'a>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { lines: Lines::new(input) }
    }
}

impl Decode for Keys<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        while self.lines.advance(faults)? {
            match self.lines.line() {
                b"" => self.lines.refuse("an empty line is no key", faults),
                key => return Ok(Some(Request::read(named(key)))),
            }
        }
        Ok(None)
    }
}
