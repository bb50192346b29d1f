//! A dead letter as people read it: text, of bounded length, that can't disturb a terminal.

use std::fmt;

/// A dead letter, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownLetter {
    /// Its number. No other letter of the database ever has it.
    pub id: u64,
    /// Whose it is.
    pub cache: String,
    /// What was to be written.
    pub key: String,
    /// How: `store`, `delete` or `add`.
    pub verb: String,
    /// What was to be stored.
    pub value: Option<ShownValue>,
    /// What was to be added.
    pub delta: Option<i64>,
    /// Under which ownership it was acknowledged.
    pub epoch: u64,
    /// Its number in the journal.
    pub number: u64,
    /// Why the database refused it, at most 4,096 bytes.
    pub reason: String,
    /// When it was refused, the last time: UTC, to the second, as `2026-01-31T23:59:59Z`.
    pub at: String,
    /// Whether it is to be tried again.
    pub is_requeued: bool,
}

/// Bytes as text.
///
/// ```
/// use larder_sql::ShownValue;
///
/// let text = ShownValue::of(br#"{"name":"Zo\u00eb"}"#, 64);
/// assert_eq!((text.to_string(), text.is_escaped), (r#"{"name":"Zo\u00eb"}"#.to_owned(), false));
/// let binary = ShownValue::of(b"\x00\\a", 64);
/// assert_eq!((binary.to_string(), binary.is_escaped), (r"\x00\\a".to_owned(), true));
/// assert_eq!(ShownValue::of(b"a long one", 6).to_string(), "a long… (10 bytes)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownValue {
    /// The bytes as they are, if they are text without control characters, or else escaped.
    pub text: String,
    /// Whether they are escaped: then each byte that isn't a printable character of ASCII is
    /// `\xHH`, but for `\t`, `\r`, `\n`, and a backslash is two.
    pub is_escaped: bool,
    /// How many bytes there are.
    pub bytes: u64,
    /// How many of them are shown.
    pub shown_bytes: u64,
}

impl ShownValue {
    /// The first bytes of `value`, at most `bytes_max`.
    #[must_use]
    pub fn of(value: &[u8], bytes_max: usize) -> Self {
        Self::begun(&value[..value.len().min(bytes_max)], value.len() as u64)
    }

    /// What begins with `head` and has so many bytes.
    pub(crate) fn begun(head: &[u8], bytes: u64) -> Self {
        let is_cut = (head.len() as u64) < bytes;
        let text = match std::str::from_utf8(head) {
            Ok(text) => Some(text),
            // Cut within a character.
            Err(error) if is_cut && error.error_len().is_none() => {
                std::str::from_utf8(&head[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let text = text.filter(|text| !text.contains(is_disturbing));
        let (text, is_escaped, shown) = match text {
            Some(text) => (text.to_owned(), false, text.len()),
            None => (escaped(head), true, head.len()),
        };
        Self { text, is_escaped, bytes, shown_bytes: shown as u64 }
    }

    /// Whether something is left out.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.shown_bytes < self.bytes
    }
}

impl fmt::Display for ShownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.is_cut() { write!(f, "… ({} bytes)", self.bytes) } else { Ok(()) }
    }
}

/// Characters that move a cursor or turn the direction of a line.
fn is_disturbing(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || turns
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            // Not quotes: nothing is quoted.
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&byte.escape_ascii().to_string()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// The bytes again.
    fn unescaped(text: &str) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((&byte, behind)) = rest.split_first() {
            (out, rest) = match (byte, behind) {
                (b'\\', [b'x', high, low, behind @ ..]) => {
                    let hex = std::str::from_utf8(&[*high, *low]).unwrap().to_owned();
                    out.push(u8::from_str_radix(&hex, 16).unwrap());
                    (out, behind)
                }
                (b'\\', [letter, behind @ ..]) => {
                    out.push(match letter {
                        b't' => b'\t',
                        b'r' => b'\r',
                        b'n' => b'\n',
                        other => *other,
                    });
                    (out, behind)
                }
                _ => {
                    out.push(byte);
                    (out, behind)
                }
            };
        }
        out
    }

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        for bytes in ["\x1b[2J", "a\nb", "\u{9b}31m", "\u{202e}", "\0"] {
            let shown = ShownValue::of(bytes.as_bytes(), 64);
            assert!(shown.is_escaped && shown.text.is_ascii(), "{shown:?}");
            assert!(!shown.text.contains(char::is_control), "{shown:?}");
            assert_eq!(unescaped(&shown.text), bytes.as_bytes());
        }
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        let shown = ShownValue::of("aü🦀".as_bytes(), 5);
        assert_eq!((&*shown.text, shown.is_escaped, shown.shown_bytes), ("aü", false, 3));
        assert!(shown.is_cut());
        // What ends within a character isn't text.
        let shown = ShownValue::of(&"aü".as_bytes()[..2], 64);
        assert_eq!((&*shown.text, shown.is_escaped, shown.is_cut()), ("a\\xc3", true, false));
        let shown = ShownValue::of(b"", 0);
        assert_eq!((&*shown.text, shown.is_cut()), ("", false));
    }

    proptest! {
        #[test]
        fn what_is_shown_says_which_bytes_they_are(bytes: Vec<u8>, max in 0_usize..40) {
            let shown = ShownValue::of(&bytes, max);
            let first = &bytes[..shown.shown_bytes as usize];
            prop_assert!(first.len() <= max && first.len() + 4 > max.min(bytes.len()));
            let back = match shown.is_escaped {
                true => unescaped(&shown.text),
                false => shown.text.clone().into_bytes(),
            };
            prop_assert_eq!(back, first);
        }
    }
}
