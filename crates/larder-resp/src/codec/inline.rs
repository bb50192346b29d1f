//! Inline requests: a line of words, as somebody types it into a terminal.
//!
//! The rules of quoting are those of Redis. A word ends at a blank. In double quotes `\xHH`,
//! `\n`, `\r`, `\t`, `\b` and `\a` are what they are in C, and a backslash makes any other byte
//! itself; in single quotes only `\'` is special. A closing quote ends the word, and a blank or
//! the end of the line must follow.

use super::request::Arguments;
use super::{Limits, ProtocolError};

/// Adds the words of `line`, which begins where the input does, to `arguments`. They are held to
/// the same limits as the arguments of any other request.
pub(super) fn split(
    line: &[u8],
    limits: &Limits,
    arguments: &mut Arguments,
) -> Result<(), ProtocolError> {
    let quoted = line.iter().any(|byte| matches!(byte, b'"' | b'\''));
    let mut at = 0;
    while let Some(blanks) = line[at..].iter().position(|&byte| !is_blank(byte)) {
        if arguments.len() >= limits.arguments_max as usize {
            return Err(limits.too_many_arguments());
        }
        let start = at + blanks;
        let length = if quoted {
            arguments.push_unquoted(|buffer| {
                at = line.len() - unquote(&line[start..], buffer)?.len();
                Ok(())
            })?
        } else {
            let word = line[start..].iter().position(|&byte| ends_word(byte));
            at = word.map_or(line.len(), |length| start + length);
            arguments.push(start, at);
            at - start
        };
        if length > limits.bulk_bytes_max as usize {
            return Err(limits.bulk_too_long());
        }
    }
    Ok(())
}

/// Whether words may have `byte` between them.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Whether a word that isn't in quotes ends before `byte`. In Redis a vertical tab or a form feed
/// stands between words, but doesn't end one.
const fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Writes the first word of `rest` to `out`; what is behind it is returned.
fn unquote<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    while let [byte, behind @ ..] = rest {
        match byte {
            b'"' => return closed(unquote_double(behind, out)?),
            b'\'' => return closed(unquote_single(behind, out)?),
            byte if ends_word(*byte) => break,
            byte => out.push(*byte),
        }
        rest = behind;
    }
    Ok(rest)
}

/// What is behind a closing quote, if that is a blank or nothing.
fn closed(behind: &[u8]) -> Result<&[u8], ProtocolError> {
    match behind {
        [byte, ..] if !is_blank(*byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(behind),
    }
}

fn unquote_double<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, behind) = match rest {
            [b'\\', b'x', high, low, behind @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), behind)
            }
            [b'\\', escaped, behind @ ..] => (escape(*escaped), behind),
            [b'"', behind @ ..] => return Ok(behind),
            [byte, behind @ ..] => (*byte, behind),
            [] => return Err(ProtocolError::UnbalancedQuotes),
        };
        out.push(byte);
        rest = behind;
    }
}

fn unquote_single<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, behind) = match rest {
            [b'\\', b'\'', behind @ ..] => (b'\'', behind),
            [b'\'', behind @ ..] => return Ok(behind),
            [byte, behind @ ..] => (*byte, behind),
            [] => return Err(ProtocolError::UnbalancedQuotes),
        };
        out.push(byte);
        rest = behind;
    }
}

const fn escape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of a hexadecimal digit.
const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
