//! A key is a value in memory and a text everywhere else.
//!
//! The memory tier is indexed by the key itself, so a hit formats nothing. Buses, feeds, clients
//! and error messages name keys as text, and what they name must be found again: [`CacheKey`]
//! goes both ways.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The longest text of a declared key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// What a key must be able to do.
///
/// `parse` is the inverse of `write`: for every key whose text is valid,
/// `parse(text of key) == Some(key)`, and for every text that `parse` accepts, `write` gives the
/// same text back. One key has one spelling.
///
/// Provided for the integers, `bool`, `char`, `String`, [`Key`], tuples of up to four, and `()`,
/// the key of what there is only one of. The façade derives it for structs and enums.
///
/// ```
/// use larder_core::{CacheKey, KeyText};
///
/// let text = KeyText::of(&(42_u64, "a:b".to_owned())).unwrap();
/// assert_eq!(&text[..], r"42:a\:b");
/// assert_eq!(<(u64, String)>::parse(&text), Some((42, "a:b".to_owned())));
/// assert_eq!(u64::parse("042"), None);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the key of a cache",
    label = "this is no key",
    note = "a key is an integer, `bool`, `char`, `String`, a tuple of up to four of them, or a \
            type with `#[derive(CacheKey)]`"
)]
pub trait CacheKey: Clone + Eq + Hash + Send + Sync + 'static {
    /// Appends the key's text.
    fn write(&self, text: &mut KeyText);

    /// The key that has this text, if there is one.
    fn parse(text: &str) -> Option<Self>;
}

/// A key's text while it is being written: at most [`KEY_BYTES_MAX`] bytes, without control
/// characters. What doesn't fit is remembered, not stored.
#[derive(Debug, Default)]
pub struct KeyText {
    text: String,
    fault: Option<KeyFault>,
}

/// Why something is no valid key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Longer than [`KEY_BYTES_MAX`] bytes.
    TooLong,
    /// It holds a control character.
    Control,
    /// It is not UTF-8.
    NotText,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the key is longer than {KEY_BYTES_MAX} bytes"),
            Self::Control => f.write_str("the key holds a control character"),
            Self::NotText => f.write_str("the key is not UTF-8"),
        }
    }
}

impl std::error::Error for KeyFault {}

impl KeyText {
    /// The text of `key`.
    ///
    /// # Errors
    ///
    /// The reason why `key` has no valid text.
    pub fn of(key: &impl CacheKey) -> Result<String, KeyFault> {
        let mut text = Self::default();
        key.write(&mut text);
        text.finish()
    }

    /// The text of `key` for people: cut and escaped where it is not valid.
    #[must_use]
    pub fn lossy(key: &impl CacheKey) -> String {
        let mut text = Self::default();
        key.write(&mut text);
        text.text.escape_debug().to_string()
    }

    /// The text, if all that was written is valid.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn finish(self) -> Result<String, KeyFault> {
        self.fault.map_or(Ok(self.text), Err)
    }

    /// Appends `part` as it is.
    pub fn push_str(&mut self, part: &str) {
        if part.chars().any(char::is_control) {
            self.fail(KeyFault::Control);
        }
        let room = KEY_BYTES_MAX - self.text.len();
        if part.len() > room {
            self.fail(KeyFault::TooLong);
        }
        self.text.push_str(&part[..part.floor_char_boundary(room)]);
    }

    /// Appends the text of `part`, escaped so that a following `:` separates.
    pub fn push_part(&mut self, part: &impl CacheKey) {
        let mut inner = Self::default();
        part.write(&mut inner);
        if let Some(fault) = inner.fault {
            self.fail(fault);
        }
        self.push_str(&inner.text.replace('\\', r"\\").replace(':', r"\:"));
    }

    /// Remembers that there is no valid text.
    pub fn fail(&mut self, fault: KeyFault) {
        self.fault.get_or_insert(fault);
    }
}

macro_rules! scalar_keys {
    ($($scalar:ty),*) => {$(
        impl CacheKey for $scalar {
            fn write(&self, text: &mut KeyText) {
                text.push_str(&self.to_string());
            }

            fn parse(text: &str) -> Option<Self> {
                let key: Self = text.parse().ok()?;
                // "042" and "+42" are other spellings of 42: one key has one.
                (key.to_string() == text).then_some(key)
            }
        }
    )*};
}

scalar_keys!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, bool, char);

impl CacheKey for String {
    fn write(&self, text: &mut KeyText) {
        text.push_str(self);
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl CacheKey for () {
    fn write(&self, _: &mut KeyText) {}

    fn parse(text: &str) -> Option<Self> {
        text.is_empty().then_some(())
    }
}

macro_rules! tuple_keys {
    ($first:ident $($part:ident)*) => {
        impl<$first: CacheKey, $($part: CacheKey),*> CacheKey for ($first, $($part,)*) {
            fn write(&self, text: &mut KeyText) {
                #[allow(non_snake_case)]
                let ($first, $($part,)*) = self;
                text.push_part($first);
                $(
                    text.push_str(":");
                    text.push_part($part);
                )*
            }

            fn parse(text: &str) -> Option<Self> {
                let mut parts = parts(text)?.into_iter();
                let key = ($first::parse(&parts.next()?)?, $($part::parse(&parts.next()?)?,)*);
                parts.next().is_none().then_some(key)
            }
        }
    };
}

tuple_keys!(A);
tuple_keys!(A B);
tuple_keys!(A B C);
tuple_keys!(A B C D);

/// The parts of a tuple's text: splits at the `:` that no `\` escapes. Only `\\` and `\:` are
/// escapes, because a key has one spelling; `None` for a text with others.
///
/// ```
/// use larder_core::key::parts;
///
/// assert_eq!(parts(r"42:a\:b"), Some(vec!["42".to_owned(), "a:b".to_owned()]));
/// assert_eq!(parts(r"a\b"), None);
/// ```
#[must_use]
pub fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let part = parts.last_mut()?;
        match character {
            ':' => parts.push(String::new()),
            '\\' => part.push(characters.next().filter(|next| matches!(next, '\\' | ':'))?),
            other => part.push(other),
        }
    }
    Some(parts)
}

/// The server's type of key: any bytes, small ones inline.
///
/// It hashes and compares as its bytes do, so a map of `Key`s is searched with a borrowed
/// `&[u8]` and a hit allocates nothing. As a [`CacheKey`] it is its own text.
#[derive(Clone)]
pub struct Key(Repr);

/// With 22 bytes inline a key is three words, like a `String`.
const INLINE_BYTES: usize = 22;

#[derive(Clone)]
enum Repr {
    Inline { length: u8, bytes: [u8; INLINE_BYTES] },
    Shared(Arc<[u8]>),
}

impl Key {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut inline = [0; INLINE_BYTES];
        match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(bytes);
                Self(Repr::Inline { length, bytes: inline })
            }
            _ => Self(Repr::Shared(bytes.into())),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Repr::Shared(bytes) => bytes,
        }
    }

    /// How many bytes it takes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Inline { .. } => 0,
            // The two counters of an Arc stand before the bytes.
            Repr::Shared(bytes) => bytes.len() + 2 * size_of::<usize>(),
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl CacheKey for Key {
    fn write(&self, text: &mut KeyText) {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(valid) => text.push_str(valid),
            Err(_) => {
                text.push_str(&String::from_utf8_lossy(self.as_bytes()));
                text.fail(KeyFault::NotText);
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<K: CacheKey + fmt::Debug>(key: &K, text: &str) {
        assert_eq!(KeyText::of(key).as_deref(), Ok(text));
        assert_eq!(K::parse(text).as_ref(), Some(key));
    }

    #[test]
    fn every_provided_key_goes_both_ways() {
        round_trip(&u64::MAX, "18446744073709551615");
        round_trip(&-5_i32, "-5");
        round_trip(&true, "true");
        round_trip(&'ü', "ü");
        round_trip(&String::new(), "");
        round_trip(&(), "");
        round_trip(&Key::from("user:42"), "user:42");
        round_trip(&(1_u8, r"a\b:c".to_owned(), false), r"1:a\\b\:c:false");
        round_trip(&((1_u8, 2_u8), 3_u8), r"1\:2:3");
    }

    #[test]
    fn other_spellings_are_other_keys_or_none() {
        for text in ["042", "+42", " 42", "-0", ""] {
            assert_eq!(i64::parse(text), None, "{text:?}");
        }
        for text in ["1", "1:2:3", r"1:\x", r"1:2\"] {
            assert_eq!(<(u8, String)>::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_longest_key_fits_and_one_byte_more_does_not() {
        assert!(KeyText::of(&"x".repeat(KEY_BYTES_MAX)).is_ok());
        assert_eq!(KeyText::of(&"x".repeat(KEY_BYTES_MAX + 1)), Err(KeyFault::TooLong));
        assert_eq!(KeyText::of(&"a\nb".to_owned()), Err(KeyFault::Control));
        assert_eq!(KeyText::of(&Key::new(b"\xff")), Err(KeyFault::NotText));
    }

    #[test]
    fn keys_of_any_length_are_their_bytes() {
        for length in [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 1000] {
            let bytes = vec![b'k'; length];
            let key = Key::new(&bytes);
            assert_eq!(key.as_bytes(), &bytes[..]);
            assert_eq!(key.heap_bytes() == 0, length <= INLINE_BYTES);
        }
        assert_eq!(size_of::<Key>(), 24);
    }
}
