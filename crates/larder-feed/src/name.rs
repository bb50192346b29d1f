//! What a feed may be called, in whatever database.

/// Whether it needs no quotes where a database is told it: small letters, digits and `_`, no digit
/// at its start, and at most so many bytes.
pub(crate) fn is_plain(name: &str, bytes_max: usize) -> bool {
    let may_be = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = name.as_bytes().first().is_some_and(|byte| !byte.is_ascii_digit());
    starts && name.len() <= bytes_max && name.bytes().all(may_be)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_name_needs_no_quotes() {
        for name in ["larder", "_a1", "a"] {
            assert!(is_plain(name, 6), "{name}");
        }
        for name in ["", "1a", "Larder", "a-b", "a b", "ü", "larder2"] {
            assert!(!is_plain(name, 6), "{name}");
        }
    }
}
