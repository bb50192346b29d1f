//! Dictionaries of structured fields (RFC 9651 section 3.2), as far as a cache's directives need.
//!
//! Everything is parsed, so that what is no dictionary is told from one; kept are booleans and
//! integers, and of other items only that they are others. Parameters are parsed and dropped.

/// The members of a dictionary that are read.
const MEMBERS_MAX: usize = 1024;

/// A member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Boolean(bool),
    Integer(i64),
    /// A decimal, string, token, byte sequence, date, display string or inner list.
    Other,
}

/// What isn't a dictionary, or is one with too many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoDictionary;

/// The members by their keys. Of a key that is there twice, the last value counts, in its first
/// place.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<(String, Item)>, NoDictionary> {
    let mut text = Text(text);
    let mut members: Vec<(String, Item)> = Vec::new();
    text.skip(b" ");
    while !text.0.is_empty() {
        let key = text.key()?;
        let item = if text.take(b'=') { text.value()? } else { Item::Boolean(true) };
        text.parameters()?;
        match members.iter().position(|(known, _)| *known == key) {
            Some(at) => members[at].1 = item,
            None if members.len() == MEMBERS_MAX => return Err(NoDictionary),
            None => members.push((key, item)),
        }
        text.skip(b" \t");
        if text.0.is_empty() {
            break;
        }
        text.expect(b',')?;
        text.skip(b" \t");
        if text.0.is_empty() {
            return Err(NoDictionary);
        }
    }
    Ok(members)
}

/// What hasn't been read yet.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn skip(&mut self, bytes: &[u8]) {
        let rest = self.0.iter().position(|byte| !bytes.contains(byte)).unwrap_or(self.0.len());
        self.0 = &self.0[rest..];
    }

    fn next(&mut self) -> Result<u8, NoDictionary> {
        let (&byte, rest) = self.0.split_first().ok_or(NoDictionary)?;
        self.0 = rest;
        Ok(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(there)..];
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), NoDictionary> {
        if self.take(byte) { Ok(()) } else { Err(NoDictionary) }
    }

    /// The bytes from here that `belongs` accepts.
    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &[u8] {
        let end = self.0.iter().position(|&byte| !belongs(byte)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }

    fn key(&mut self) -> Result<String, NoDictionary> {
        if !self.0.first().is_some_and(|&b| b.is_ascii_lowercase() || b == b'*') {
            return Err(NoDictionary);
        }
        let belongs = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b);
        Ok(String::from_utf8_lossy(self.run(belongs)).into_owned())
    }

    /// An item or an inner list, without its parameters.
    fn value(&mut self) -> Result<Item, NoDictionary> {
        if !self.take(b'(') {
            return self.item();
        }
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Ok(Item::Other);
            }
            self.item()?;
            self.parameters()?;
            if !matches!(self.0.first(), Some(b' ' | b')')) {
                return Err(NoDictionary);
            }
        }
    }

    fn parameters(&mut self) -> Result<(), NoDictionary> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.item()?;
            }
        }
        Ok(())
    }

    fn item(&mut self) -> Result<Item, NoDictionary> {
        match self.0.first() {
            Some(b'-' | b'0'..=b'9') => return self.number(),
            Some(b'*' | b'A'..=b'Z' | b'a'..=b'z') => {
                self.run(|b| crate::fields::is_token(&[b]) || b == b':' || b == b'/');
                return Ok(Item::Other);
            }
            _ => {}
        }
        match self.next()? {
            b'"' => self.string()?,
            b':' => {
                self.run(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
                self.expect(b':')?;
            }
            b'?' => match self.next()? {
                b'0' => return Ok(Item::Boolean(false)),
                b'1' => return Ok(Item::Boolean(true)),
                _ => return Err(NoDictionary),
            },
            b'@' => match self.number()? {
                Item::Integer(_) => {}
                _ => return Err(NoDictionary),
            },
            b'%' => self.display_string()?,
            _ => return Err(NoDictionary),
        }
        Ok(Item::Other)
    }

    /// At most 15 digits, or 12 and 3 behind a point.
    fn number(&mut self) -> Result<Item, NoDictionary> {
        let negative = self.take(b'-');
        let digits = self.run(|b| b.is_ascii_digit());
        let (length, read) = (digits.len(), crate::fields::digits(digits, u64::MAX));
        let read = read.filter(|_| length <= 15).ok_or(NoDictionary)? as i64;
        if !self.take(b'.') {
            return Ok(Item::Integer(if negative { -read } else { read }));
        }
        let behind = self.run(|b| b.is_ascii_digit()).len();
        if length <= 12 && (1..=3).contains(&behind) { Ok(Item::Other) } else { Err(NoDictionary) }
    }

    /// Behind its first quote.
    fn string(&mut self) -> Result<(), NoDictionary> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' if !matches!(self.next()?, b'"' | b'\\') => return Err(NoDictionary),
                b' '..=b'~' => {}
                _ => return Err(NoDictionary),
            }
        }
    }

    /// Behind its percent sign.
    fn display_string(&mut self) -> Result<(), NoDictionary> {
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
                _ => return Err(NoDictionary),
            }
        }
        std::str::from_utf8(&bytes).map(|_| ()).map_err(|_| NoDictionary)
    }

    fn hex(&mut self) -> Result<u8, NoDictionary> {
        match self.next()? {
            byte @ b'0'..=b'9' => Ok(byte - b'0'),
            byte @ b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NoDictionary),
        }
    }
}
