//! JSON text, for a database that does not write it itself.
//!
//! Only what a row needs: strings as RFC 8259 (section 7) asks, and numbers that read back as
//! the same number.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Appends a string.
pub(crate) fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.as_bytes()[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => push_display(format_args!("\\u{byte:04x}"), out),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// Appends bytes as a string in base64, without line ends.
pub(crate) fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Appends an integer.
pub(crate) fn push_integer(number: i64, out: &mut Vec<u8>) {
    push_display(format_args!("{number}"), out);
}

/// Appends the shortest text that reads back as `number`. JSON has no infinity, but it has
/// numbers that are too large for one: `9e999`, as SQLite writes it.
pub(crate) fn push_real(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        // Unlike `{}`, this writes an exponent where it is shorter, and always a fraction or an
        // exponent, so that a real stays a real.
        push_display(format_args!("{number:?}"), out);
    } else if number.is_nan() {
        out.extend_from_slice(b"null");
    } else {
        out.extend_from_slice(if number > 0.0 { b"9e999" } else { b"-9e999" });
    }
}

fn push_display(text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    out.write_fmt(text).expect("writing to a vector does not fail");
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(written(|out| push_integer(i64::MIN, out)), "-9223372036854775808");
        for (number, text) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (1e300, "1e300"),
            (-1e-7, "-1e-7"),
            (f64::INFINITY, "9e999"),
            (f64::NEG_INFINITY, "-9e999"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(written(|out| push_real(number, out)), text);
        }
    }

    #[test]
    fn bytes_are_base64_without_line_ends() {
        let text = written(|out| push_bytes(&[0xff; 90], out));
        assert_eq!(text.len(), 122);
        assert!(!text.contains('\n'));
    }

    proptest! {
        #[test]
        fn strings_read_back(text in "\\PC*|[\\x00-\\x7fü]*") {
            let json = written(|out| push_string(&text, out));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn reals_read_back(bits: u64) {
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let json = written(|out| push_real(number, out));
                serde_json::from_str::<serde_json::Value>(&json).unwrap();
                prop_assert_eq!(json.parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
