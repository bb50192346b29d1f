//! What a declared key looks like: `user:{id:int}`.
//!
//! A template is text with typed parameters. Each parameter has one canonical spelling and each
//! is set off from what follows it, so a key matches a template in exactly one way, and no two
//! keys name one row. It stands below everything that names rows by keys: the server's keyspace
//! and the sources that bind the parameters. It knows neither.
//!
//! | type | what a key may hold |
//! |---|---|
//! | `int` | `0`, or an optional `-` and digits without a leading zero, within 64 bits |
//! | `text` | at least one character, no control character, not the character that follows it |
//! | `uuid` | 36 characters, lower case, with hyphens |
//! | `bool` | `true` or `false` |
//! | `version` | `0`, or digits without a leading zero, within 64 bits without a sign |
//!
//! `{{` and `}}` are the braces themselves.
//!
//! A `version` is part of the key and of nothing else: a source never binds it. Who counts the
//! versions of a row reads each version under a key of its own, and so never meets an older one.

mod canonical;
mod nearest;
mod overlap;
mod parse;
mod tag;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::Result;
use crate::key::{KEY_BYTES_MAX, KeyFault};

pub use nearest::nearest;
pub use tag::{TagPiece, TagTemplate};

/// The most parameters that one template may have.
pub const PARAMETERS_MAX: usize = 16;

/// What a declared key looks like.
///
/// ```
/// use larder_core::KeyTemplate;
/// use larder_core::template::ParameterValue;
///
/// let orders = KeyTemplate::parse("order:{shop:text}:{no:int}")?;
/// let values = orders.matches("order:berlin:42").unwrap();
/// assert_eq!(values, [ParameterValue::Text("berlin".into()), ParameterValue::Int(42)]);
/// assert_eq!(orders.render(&values).unwrap(), "order:berlin:42");
/// assert!(orders.matches("order:berlin:042").is_err());
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    text: String,
    segments: Vec<Segment>,
    parameters: Vec<Parameter>,
}

/// A stretch of a template. The first is a literal, and two parameters never touch.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// The index of a parameter.
    Parameter(usize),
}

/// A named, typed hole in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// A letter or `_`, then letters, digits and `_`, all of them ASCII.
    pub name: String,
    /// What it holds.
    pub kind: ParameterKind,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// A signed integer of 64 bits.
    Int,
    /// At least one character.
    Text,
    /// 128 bits, written as RFC 9562 writes them.
    Uuid,
    /// True or false.
    Bool,
    /// An integer of 64 bits without a sign, which tells versions of a row apart and is never
    /// bound.
    Version,
}

impl ParameterKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Int, Self::Text, Self::Uuid, Self::Bool, Self::Version];

    /// The word for it in a template.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Bool => "bool",
            Self::Version => "version",
        }
    }

    /// The value that `text` spells, in its only spelling; `None` if it spells none of this kind.
    ///
    /// ```
    /// use larder_core::template::{ParameterKind, ParameterValue};
    ///
    /// assert_eq!(ParameterKind::Int.read("42"), Some(ParameterValue::Int(42)));
    /// assert_eq!(ParameterKind::Int.read("042"), None);
    /// ```
    #[must_use]
    pub fn read(self, text: &str) -> Option<ParameterValue> {
        canonical::read(self, text).ok()
    }
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a key holds where its template has a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ParameterValue {
    /// An `int`.
    Int(i64),
    /// A `text`.
    Text(String),
    /// A `uuid`, its first byte in the highest eight bits.
    Uuid(u128),
    /// A `bool`.
    Bool(bool),
    /// A `version`.
    Version(u64),
}

impl ParameterValue {
    /// The kind of parameter that holds such a value.
    #[must_use]
    pub const fn kind(&self) -> ParameterKind {
        match self {
            Self::Int(_) => ParameterKind::Int,
            Self::Text(_) => ParameterKind::Text,
            Self::Uuid(_) => ParameterKind::Uuid,
            Self::Bool(_) => ParameterKind::Bool,
            Self::Version(_) => ParameterKind::Version,
        }
    }
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        canonical::write(self, f)
    }
}

/// Why a key does not match a template, or values do not make a key, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl KeyTemplate {
    /// The template that `text` spells.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), saying what to write instead.
    pub fn parse(text: &str) -> Result<Self> {
        parse::parse(text)
    }

    /// The template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The literal text that every key of this template begins with. It is never empty: it
    /// claims a namespace.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self.segments.first() {
            Some(Segment::Literal(literal)) => literal,
            _ => "",
        }
    }

    /// The parameters, in the order of the key.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What `key` holds for each parameter.
    ///
    /// # Errors
    ///
    /// Why it does not match.
    pub fn matches(&self, key: &str) -> Result<Vec<ParameterValue>, Mismatch> {
        self.read(key, canonical::read)
    }

    /// The key that `key` means if its numbers may be padded with zeros to twelve digits; `None`
    /// if it isn't one even then.
    ///
    /// One row has one key, so a padded number is no key. But it is how redis-benchmark writes
    /// its random numbers, and who tries a server with it means the number.
    ///
    /// ```
    /// use larder_core::KeyTemplate;
    ///
    /// let accounts = KeyTemplate::parse("account:{aid:int}")?;
    /// assert!(accounts.matches("account:000000000042").is_err());
    /// assert_eq!(accounts.unpadded("account:000000000042").as_deref(), Some("account:42"));
    /// assert_eq!(accounts.unpadded("account:042"), None);
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    #[must_use]
    pub fn unpadded(&self, key: &str) -> Option<String> {
        self.render(&self.read(key, canonical::read_padded).ok()?).ok()
    }

    /// Reads `key` along the template, each parameter with `read`.
    fn read(
        &self,
        key: &str,
        read: fn(ParameterKind, &str) -> Result<ParameterValue, String>,
    ) -> Result<Vec<ParameterValue>, Mismatch> {
        if key.len() > KEY_BYTES_MAX {
            return Err(Mismatch(KeyFault::TooLong.to_string()));
        }
        if key.chars().any(char::is_control) {
            return Err(Mismatch(KeyFault::Control.to_string()));
        }
        let mut values = Vec::with_capacity(self.parameters.len());
        let mut rest = key;
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Literal(literal) => {
                    rest = rest
                        .strip_prefix(literal.as_str())
                        .ok_or_else(|| self.lacks(key, rest, literal))?;
                }
                Segment::Parameter(index) => {
                    let parameter = &self.parameters[*index];
                    let part = canonical::split(parameter.kind, rest, self.stop(at));
                    let value = read(parameter.kind, part)
                        .map_err(|hint| self.unfit(parameter, part, &hint))?;
                    values.push(value);
                    rest = &rest[part.len()..];
                }
            }
        }
        if rest.is_empty() { Ok(values) } else { Err(self.left_over(rest)) }
    }

    /// The key that holds `values`: the inverse of [`matches`](Self::matches).
    ///
    /// # Errors
    ///
    /// Why there is no such key: a value too many or too few, of another kind, a text that no
    /// key can hold in that place, or a key longer than [`KEY_BYTES_MAX`].
    pub fn render(&self, values: &[ParameterValue]) -> Result<String, Mismatch> {
        if values.len() != self.parameters.len() {
            let (given, asked) = (values.len(), self.parameters.len());
            return Err(Mismatch(format!("{} asks for {asked} values, not {given}", self.text)));
        }
        let mut key = String::new();
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Literal(literal) => key.push_str(literal),
                Segment::Parameter(index) => {
                    let (parameter, value) = (&self.parameters[*index], &values[*index]);
                    let spelt = value.to_string();
                    if value.kind() != parameter.kind {
                        return Err(self.unfit(parameter, &spelt, ""));
                    }
                    canonical::read(parameter.kind, &spelt)
                        .map_err(|hint| self.unfit(parameter, &spelt, &hint))?;
                    if parameter.kind == ParameterKind::Text
                        && let Some(stop) = self.stop(at).filter(|&stop| spelt.contains(stop))
                    {
                        let hint = format!("; a {stop:?} would end it");
                        return Err(self.unfit(parameter, &spelt, &hint));
                    }
                    key.push_str(&spelt);
                }
            }
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(Mismatch(KeyFault::TooLong.to_string()));
        }
        Ok(key)
    }

    /// A key that both templates match, the shortest there is, if there is one.
    ///
    /// ```
    /// use larder_core::KeyTemplate;
    ///
    /// let by_id = KeyTemplate::parse("user:{id:int}")?;
    /// let by_name = KeyTemplate::parse("user:{name:text}")?;
    /// assert_eq!(by_id.overlaps(&by_name).as_deref(), Some("user:1"));
    /// let by_mail = KeyTemplate::parse("user:mail:{address:text}")?;
    /// assert_eq!(by_id.overlaps(&by_mail), None);
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> Option<String> {
        overlap::shortest_common_key(self, other)
    }

    /// Whether a key of this template can begin with `beginning`.
    ///
    /// ```
    /// use larder_core::KeyTemplate;
    ///
    /// let users = KeyTemplate::parse("user:{id:int}")?;
    /// assert!(users.can_begin_with("us") && users.can_begin_with("user:-4"));
    /// assert!(!users.can_begin_with("user:042") && !users.can_begin_with("user:x"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    #[must_use]
    pub fn can_begin_with(&self, beginning: &str) -> bool {
        overlap::can_begin_with(self, beginning)
    }

    /// The names that stand in `row` where this template has its parameters: how the columns of a
    /// row make the key that it belongs to.
    ///
    /// ```
    /// use larder_core::KeyTemplate;
    /// use larder_core::template::TagTemplate;
    ///
    /// let orders = KeyTemplate::parse("order:{shop:text}:{no:int}")?;
    /// let row = TagTemplate::parse("order:{shop_name}:{id}")?;
    /// assert_eq!(orders.names_in(&row).unwrap(), ["shop_name", "id"]);
    /// assert!(orders.names_in(&TagTemplate::parse("order:{id}")?).is_err());
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Why `row` isn't this template with names in the place of its parameters.
    pub fn names_in(&self, row: &TagTemplate) -> Result<Vec<String>, Mismatch> {
        let differs = || {
            let (row, text) = (row.text(), &self.text);
            Mismatch(format!("`{row}` is not {text} with a column for each of its parameters"))
        };
        if row.pieces().len() != self.segments.len() {
            return Err(differs());
        }
        let mut names = Vec::new();
        for (segment, piece) in self.segments.iter().zip(row.pieces()) {
            match (segment, piece) {
                (Segment::Literal(literal), TagPiece::Text(text)) if literal == text => {}
                (Segment::Parameter(_), TagPiece::Name(name)) => names.push(name.clone()),
                _ => return Err(differs()),
            }
        }
        Ok(names)
    }

    /// The character that ends a parameter which is the segment `at`; none if it is the last.
    fn stop(&self, at: usize) -> Option<char> {
        match self.segments.get(at + 1) {
            Some(Segment::Literal(literal)) => literal.chars().next(),
            _ => None,
        }
    }

    fn lacks(&self, key: &str, rest: &str, literal: &str) -> Mismatch {
        let sentence = if rest.len() == key.len() {
            format!("`{}` does not begin with `{literal}`, as {} asks", shown(key), self.text)
        } else if rest.is_empty() {
            format!("`{}` ends where {} asks for `{literal}`", shown(key), self.text)
        } else {
            format!("`{}` stands where {} asks for `{literal}`", shown(rest), self.text)
        };
        Mismatch(sentence)
    }

    fn left_over(&self, rest: &str) -> Mismatch {
        Mismatch(format!("`{}` is left over after {}", shown(rest), self.text))
    }

    fn unfit(&self, parameter: &Parameter, part: &str, hint: &str) -> Mismatch {
        let article = if parameter.kind == ParameterKind::Int { "an" } else { "a" };
        let Parameter { name, kind } = parameter;
        let (part, text) = (shown(part), &self.text);
        Mismatch(format!(
            "`{part}` is not {article} {kind}, as the parameter {name} of {text} asks{hint}"
        ))
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A piece of a key for people: escaped, and cut where it is long.
fn shown(part: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    let escaped = |text: &str| text.escape_debug().to_string();
    match part.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", escaped(&part[..end])),
        None => escaped(part),
    }
}
