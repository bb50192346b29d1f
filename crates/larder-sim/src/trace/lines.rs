//! The lines of a text, each bounded.
//!
//! Memory is bounded whatever the input: of a line beyond the bound nothing is kept.

use std::io::{self, BufRead};

use super::Input;
use super::fault::{Faults, Place};

/// The longest line that is read, in bytes. A longer one is a fault.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct Lines<'a> {
    input: Input<'a>,
    line: Vec<u8>,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// Goes to the next line; false after the last.
    pub(super) fn advance(&mut self, faults: &mut Faults) -> io::Result<bool> {
        loop {
            self.line.clear();
            self.number += 1;
            match self.take_line()? {
                None => return Ok(false),
                Some(true) => return Ok(true),
                Some(false) => faults.note(self.place(), "the line is longer than 1 MiB", b""),
            }
        }
    }

    /// The line without its end (`\n` or `\r\n`), and the first without a byte order mark.
    pub(super) fn line(&self) -> &[u8] {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        match self.number {
            1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            _ => line,
        }
    }

    /// Notes that the line is left out.
    pub(super) fn refuse(&self, wrong: &'static str, faults: &mut Faults) {
        faults.note(self.place(), wrong, self.line());
    }

    fn place(&self) -> Place {
        Place::Line(self.number)
    }

    /// Puts a line into `self.line` and tells whether it fits; `None` at the end.
    fn take_line(&mut self) -> io::Result<Option<bool>> {
        let (mut any, mut whole) = (false, true);
        loop {
            let piece = match self.input.fill_buf() {
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if piece.is_empty() {
                return Ok(any.then_some(whole));
            }
            any = true;
            let end = piece.iter().position(|&byte| byte == b'\n');
            let content = &piece[..end.unwrap_or(piece.len())];
            if self.line.len() + content.len() > LINE_BYTES_MAX {
                whole = false;
                self.line.clear();
            }
            if whole {
                self.line.extend_from_slice(content);
            }
            let taken = content.len() + usize::from(end.is_some());
            self.input.consume(taken);
            if end.is_some() {
                return Ok(Some(whole));
            }
        }
    }
}

/// A number in decimal digits and nothing else.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds in decimal digits, perhaps with a fraction, as whole milliseconds.
pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    let dot = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = text.split_at(dot.unwrap_or(text.len()));
    let mut ms = number(whole)?.checked_mul(1000)?;
    if let Some(fraction) = fraction.strip_prefix(b".") {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for (digit, worth) in fraction.iter().zip([100, 10, 1]) {
            ms = ms.checked_add(u64::from(digit - b'0') * worth)?;
        }
    }
    Some(ms)
}

/// The words between spaces and tabs.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}
