//! A JSON object as its fields by name, each as it was written.
//!
//! Numbers stay texts here, so that no digit is lost on the way to a column that can hold them.

use std::borrow::Cow;
use std::fmt;

use larder_core::{Error, ErrorKind, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object. Looking for a field goes through all of them, of which there are few.
#[derive(Debug)]
pub(crate) struct Document<'a>(Vec<(String, Given<'a>)>);

/// What stands in a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Null,
    Bool(bool),
    /// As it was written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An array or an object, as it was written.
    Nested(&'a str),
}

impl<'a> Document<'a> {
    /// The object that `bytes` are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] if they are none, or one that has a name twice.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what =
                "the value is no JSON object, whose fields a store could bind by their names";
            Error::new(ErrorKind::Refused, what).caused_by(error)
        })
    }

    /// The objects of the array that `bytes` are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] if they are no array of such objects.
    pub(crate) fn parse_all(bytes: &'a [u8]) -> Result<Vec<Self>> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what = "the value is no JSON array of objects, which the rows of a load are";
            Error::new(ErrorKind::Refused, what).caused_by(error)
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Given<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, given)| given)
    }

    /// The names of its fields, for a sentence.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// A field, and its text in JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given<'a> {
    pub(crate) field: Field<'a>,
    pub(crate) json: &'a str,
}

impl<'a> Given<'a> {
    /// # Errors
    ///
    /// A string with half of a surrogate pair, which is no character.
    fn new(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        let json = raw.get();
        let field = match json.as_bytes().first() {
            Some(b'n') => Field::Null,
            Some(b't') => Field::Bool(true),
            Some(b'f') => Field::Bool(false),
            Some(b'"') if json.contains('\\') => {
                Field::Text(Cow::Owned(serde_json::from_str(json)?))
            }
            Some(b'"') => Field::Text(Cow::Borrowed(json.trim_matches('"'))),
            Some(b'[' | b'{') => Field::Nested(json),
            _ => Field::Number(json),
        };
        Ok(Self { field, json })
    }
}

impl<'de> Deserialize<'de> for Document<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document<'de>, A::Error> {
        let mut fields: Vec<(String, Given<'_>)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format!("the field {name} stands there twice")));
            }
            // A document may have far more fields than a statement can bind.
            if fields.len() == FIELDS_MAX {
                return Err(A::Error::custom(format!("more than {FIELDS_MAX} fields")));
            }
            let given = Given::new(value).map_err(A::Error::custom)?;
            fields.push((name, given));
        }
        Ok(Document(fields))
    }
}

/// The most fields that an object may have.
const FIELDS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'a>(json: &'a str, name: &str) -> Option<Field<'a>> {
        Document::parse(json.as_bytes()).unwrap().get(name).map(|given| given.field.clone())
    }

    #[test]
    fn fields_are_as_they_were_written() {
        let json = r#"{"a": 9007199254740993, "b":1.50e3,"c" : "x\n\u00fc", "d":null,
            "e":[1, 2], "f":{"g":"}"}, "h":true, "ü":"plain", "":false}"#;
        for (name, expected) in [
            ("a", Field::Number("9007199254740993")),
            ("b", Field::Number("1.50e3")),
            ("c", Field::Text("x\nü".into())),
            ("d", Field::Null),
            ("e", Field::Nested("[1, 2]")),
            ("f", Field::Nested(r#"{"g":"}"}"#)),
            ("h", Field::Bool(true)),
            ("ü", Field::Text("plain".into())),
            ("", Field::Bool(false)),
        ] {
            assert_eq!(field(json, name), Some(expected), "{name}");
        }
        assert_eq!(field(json, "A"), None);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            "",
            "1",
            "[{}]",
            "{",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1} x"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\u{1}\"}",
        ] {
            let error = Document::parse(json.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{json}");
        }
        assert!(Document::parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn the_last_field_that_fits_is_taken_and_one_more_is_not() {
        let object = |count: usize| {
            let fields: Vec<_> = (0..count).map(|at| format!("\"f{at}\":{at}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(Document::parse(object(FIELDS_MAX).as_bytes()).is_ok());
        let error = Document::parse(object(FIELDS_MAX + 1).as_bytes()).unwrap_err();
        assert!(error.chain().contains("more than 4096 fields"), "{}", error.chain());
    }
}
