//! Lines, and the numbers in them.

/// The number that `text` is in its one canonical spelling: no plus sign, no leading zero, no
/// `-0`, nothing around it. It is the spelling that Redis asks of lengths.
pub(super) fn canonical(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        b"0" if digits.len() < text.len() => None,
        [b'0', _, ..] | [b'+', ..] => None,
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// Where `byte` is in `input`, from `start` on and not behind `last`.
pub(super) fn find(input: &[u8], byte: u8, start: usize, last: usize) -> Option<usize> {
    let window = &input[start..input.len().min(last + 1).max(start)];
    window.iter().position(|&other| other == byte).map(|at| start + at)
}

/// The number in a whole line: a mark, the number, CR LF.
pub(super) fn number(line: &[u8]) -> Option<i64> {
    let line = line.strip_suffix(b"\r\n")?;
    line.get(1..).and_then(canonical)
}

/// The longest line that [`short_number`] takes, before its end. No limit forbids it.
pub(super) const SHORT_LINE_BYTES_MAX: usize = 4;

/// The number of a line like `$12\r\n` that `input` begins with, and how long the line is, if it
/// has at most three digits: nearly every line of nearly every request.
#[inline]
pub(super) fn short_number(input: &[u8], mark: u8) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *input {
        [first, a @ b'0'..=b'9', b'\r', b'\n', ..] if first == mark => Some((digit(a), 4)),
        [first, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] if first == mark => {
            Some((digit(a) * 10 + digit(b), 5))
        }
        [first, a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', ..]
            if first == mark =>
        {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), 6))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_a_number() {
        let check = |text: &str, number: Option<i64>| {
            assert_eq!(canonical(text.as_bytes()), number, "{text:?}");
        };
        check("0", Some(0));
        check("-1", Some(-1));
        check("10", Some(10));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        for odd in ["", "-", "-0", "00", "01", "-01", "+1", "-+1", " 1", "1 ", "1x", "٣"] {
            check(odd, None);
        }
        check("9223372036854775808", None);
        check("-9223372036854775809", None);
        check(&"1".repeat(1000), None);
    }
}
