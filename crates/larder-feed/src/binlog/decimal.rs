//! DECIMAL: nine digits in four bytes, fewer in fewer, before and behind the point; the first bit
//! is turned round, and all of them for negative numbers (MySQL's `decimal.c`, `decimal2bin`).

use super::Malformed;
use super::reader::Reader;

/// So many bytes hold so many digits.
const BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// How long one of this shape is, in bytes.
fn length(digits: usize) -> usize {
    digits / 9 * 4 + BYTES[digits % 9]
}

/// Reads one as the database prints it.
pub(super) fn decimal(
    reader: &mut Reader<'_>,
    precision: u8,
    scale: u8,
) -> Result<String, Malformed> {
    let whole = precision.checked_sub(scale).ok_or(Malformed("a decimal's scale"))?;
    let (whole, scale) = (usize::from(whole), usize::from(scale));
    let mut bytes = reader.take(length(whole) + length(scale))?.to_vec();
    let first = bytes.first_mut().ok_or(Malformed("a decimal without digits"))?;
    let is_negative = *first & 0x80 == 0;
    *first ^= 0x80;
    if is_negative {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let mut reader = Reader::new(&bytes);
    let mut text = String::with_capacity(usize::from(precision) + 3);
    // The fewer digits stand first in front of the point, and last behind it.
    digits(&mut reader, whole % 9, &mut text)?;
    for _ in 0..whole / 9 {
        digits(&mut reader, 9, &mut text)?;
    }
    let leading = text.bytes().take_while(|&digit| digit == b'0').count();
    text.drain(..leading.min(text.len()));
    if text.is_empty() {
        text.push('0');
    }
    if scale > 0 {
        text.push('.');
        for _ in 0..scale / 9 {
            digits(&mut reader, 9, &mut text)?;
        }
        digits(&mut reader, scale % 9, &mut text)?;
    }
    if is_negative {
        text.insert(0, '-');
    }
    Ok(text)
}

fn digits(reader: &mut Reader<'_>, count: usize, text: &mut String) -> Result<(), Malformed> {
    if count == 0 {
        return Ok(());
    }
    let number = reader.big(BYTES[count])?;
    if number >= 10_u64.pow(u32::try_from(count).unwrap_or(u32::MAX)) {
        return Err(Malformed("a decimal's digits"));
    }
    text.push_str(&format!("{number:0count$}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], precision: u8, scale: u8) -> Result<String, Malformed> {
        decimal(&mut Reader::new(bytes), precision, scale)
    }

    #[test]
    fn numbers_are_as_the_database_prints_them() {
        // The manual's own example, both ways round.
        let bytes = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(read(&bytes, 14, 4).unwrap(), "1234567890.1234");
        let bytes = [0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d];
        assert_eq!(read(&bytes, 14, 4).unwrap(), "-1234567890.1234");
        assert_eq!(read(&[0x80, 0x00], 3, 1).unwrap(), "0.0");
        assert_eq!(read(&[0x80, 0x07], 3, 0).unwrap(), "7");
        assert_eq!(read(&[0x85], 1, 1).unwrap(), "0.5");
    }

    #[test]
    fn what_can_not_be_one_is_refused() {
        read(&[0x81, 0x0d], 14, 4).unwrap_err();
        read(&[], 0, 0).unwrap_err();
        read(&[0x80], 1, 2).unwrap_err();
        read(&[0xff, 0xff], 3, 0).unwrap_err();
    }
}
