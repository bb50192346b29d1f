//! Percent signs in URLs.

/// Without percent signs and what they stand for; `None` where one stands for nothing, or the
/// bytes are no UTF-8.
///
/// ```
/// use larder_core::percent_decode;
///
/// assert_eq!(percent_decode("p%40ss%3a").as_deref(), Some("p@ss:"));
/// assert_eq!(percent_decode("100%"), None);
/// ```
#[must_use]
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}
