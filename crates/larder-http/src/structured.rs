//! Structured fields (RFC 9651): dictionaries and lists, as far as a cache needs them.
//!
//! Everything is parsed, so that what is none is told from one; kept are booleans, integers,
//! strings and inner lists, and of other items only that they are others. Parameters are parsed and
//! dropped.

use http::HeaderMap;
use http::header::AsHeaderName;

use crate::fields::FIELD_BYTES_MAX;
use Unstructured::Malformed;

/// The members of a dictionary or list that are read, those of inner lists among them.
const MEMBERS_MAX: usize = 1024;

/// A member's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Boolean(bool),
    Integer(i64),
    /// Printable ASCII, without quotes and escapes.
    String(String),
    Inner(Vec<Item>),
    /// A decimal, token, byte sequence, date or display string.
    Other,
}

/// A field that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unstructured {
    /// It isn't of the type that it should be: it is as if it weren't there.
    Malformed,
    /// It is longer than [`FIELD_BYTES_MAX`], or has more than [`MEMBERS_MAX`] members.
    TooMuch,
}

/// The members of a dictionary by their keys. Of a key that is there twice, the last value counts,
/// in its first place.
pub(crate) fn dictionary(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Vec<(String, Item)>, Unstructured> {
    let text = lines(headers, name)?;
    let mut members: Vec<(String, Item)> = Vec::new();
    Text::new(&text).members(|text| {
        let key = text.key()?;
        let item = if text.take(b'=') { text.value()? } else { Item::Boolean(true) };
        text.parameters()?;
        match members.iter().position(|(known, _)| *known == key) {
            Some(at) => members[at].1 = item,
            None => members.push((key, item)),
        }
        Ok(())
    })?;
    Ok(members)
}

/// The members of a list.
pub(crate) fn list(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Vec<Item>, Unstructured> {
    let text = lines(headers, name)?;
    let mut members = Vec::new();
    Text::new(&text).members(|text| {
        members.push(text.value()?);
        text.parameters()
    })?;
    Ok(members)
}

/// A field's lines as one.
fn lines(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Vec<u8>, Unstructured> {
    let mut text = Vec::new();
    for line in headers.get_all(name) {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(line.as_bytes());
        if text.len() > FIELD_BYTES_MAX {
            return Err(Unstructured::TooMuch);
        }
    }
    Ok(text)
}

/// What hasn't been read yet, and how many members may still come.
struct Text<'a>(&'a [u8], usize);

impl<'a> Text<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self(text, MEMBERS_MAX)
    }

    /// Calls `each` at every member between commas.
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Unstructured>,
    ) -> Result<(), Unstructured> {
        self.skip(b" ");
        while !self.0.is_empty() {
            self.count()?;
            each(self)?;
            self.skip(b" \t");
            if self.0.is_empty() {
                break;
            }
            self.expect(b',')?;
            self.skip(b" \t");
            if self.0.is_empty() {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Unstructured> {
        self.1 = self.1.checked_sub(1).ok_or(Unstructured::TooMuch)?;
        Ok(())
    }

    fn skip(&mut self, bytes: &[u8]) {
        let rest = self.0.iter().position(|byte| !bytes.contains(byte)).unwrap_or(self.0.len());
        self.0 = &self.0[rest..];
    }

    fn next(&mut self) -> Result<u8, Unstructured> {
        let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(there)..];
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unstructured> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    /// The bytes from here that `belongs` accepts.
    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &[u8] {
        let end = self.0.iter().position(|&byte| !belongs(byte)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }

    fn key(&mut self) -> Result<String, Unstructured> {
        if !self.0.first().is_some_and(|&b| b.is_ascii_lowercase() || b == b'*') {
            return Err(Malformed);
        }
        let belongs = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b);
        Ok(String::from_utf8_lossy(self.run(belongs)).into_owned())
    }

    /// An item or an inner list, without its parameters.
    fn value(&mut self) -> Result<Item, Unstructured> {
        if !self.take(b'(') {
            return self.item();
        }
        let mut inner = Vec::new();
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Ok(Item::Inner(inner));
            }
            self.count()?;
            inner.push(self.item()?);
            self.parameters()?;
            if !matches!(self.0.first(), Some(b' ' | b')')) {
                return Err(Malformed);
            }
        }
    }

    fn parameters(&mut self) -> Result<(), Unstructured> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.item()?;
            }
        }
        Ok(())
    }

    fn item(&mut self) -> Result<Item, Unstructured> {
        match self.0.first() {
            Some(b'-' | b'0'..=b'9') => return self.number(),
            Some(b'*' | b'A'..=b'Z' | b'a'..=b'z') => {
                self.run(|b| crate::fields::is_token(&[b]) || b == b':' || b == b'/');
                return Ok(Item::Other);
            }
            _ => {}
        }
        match self.next()? {
            b'"' => return self.string().map(Item::String),
            b':' => {
                self.run(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
                self.expect(b':')?;
            }
            b'?' => match self.next()? {
                b'0' => return Ok(Item::Boolean(false)),
                b'1' => return Ok(Item::Boolean(true)),
                _ => return Err(Malformed),
            },
            b'@' => match self.number()? {
                Item::Integer(_) => {}
                _ => return Err(Malformed),
            },
            b'%' => self.display_string()?,
            _ => return Err(Malformed),
        }
        Ok(Item::Other)
    }

    /// At most 15 digits, or 12 and 3 behind a point.
    fn number(&mut self) -> Result<Item, Unstructured> {
        let negative = self.take(b'-');
        let digits = self.run(|b| b.is_ascii_digit());
        let (length, read) = (digits.len(), crate::fields::digits(digits, u64::MAX));
        let read = read.filter(|_| length <= 15).ok_or(Malformed)? as i64;
        if !self.take(b'.') {
            return Ok(Item::Integer(if negative { -read } else { read }));
        }
        let behind = self.run(|b| b.is_ascii_digit()).len();
        if length <= 12 && (1..=3).contains(&behind) { Ok(Item::Other) } else { Err(Malformed) }
    }

    /// Behind its first quote.
    fn string(&mut self) -> Result<String, Unstructured> {
        let mut said = String::new();
        loop {
            match self.next()? {
                b'"' => return Ok(said),
                b'\\' => match self.next()? {
                    byte @ (b'"' | b'\\') => said.push(char::from(byte)),
                    _ => return Err(Malformed),
                },
                byte @ b' '..=b'~' => said.push(char::from(byte)),
                _ => return Err(Malformed),
            }
        }
    }

    /// Behind its percent sign.
    fn display_string(&mut self) -> Result<(), Unstructured> {
        self.expect(b'"')?;
        let mut bytes = Vec::new();
        loop {
            match self.next()? {
                b'"' => break,
                b'%' => {
                    let (high, low) = (self.hex()?, self.hex()?);
                    bytes.push(16 * high + low);
                }
                byte @ b' '..=b'~' => bytes.push(byte),
                _ => return Err(Malformed),
            }
        }
        std::str::from_utf8(&bytes).map(|_| ()).map_err(|_| Malformed)
    }

    fn hex(&mut self) -> Result<u8, Unstructured> {
        match self.next()? {
            byte @ b'0'..=b'9' => Ok(byte - b'0'),
            byte @ b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(Malformed),
        }
    }
}
