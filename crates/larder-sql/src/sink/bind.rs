//! What a write binds: its key taken apart, and its value.

use std::str::from_utf8;

use larder_core::key::KeyFault;
use larder_core::template::{ParameterValue, nearest};
use larder_core::{Error, ErrorKind, Key, Result, Value, Write, Written};

use super::SqlSink;
use crate::answer::RESULT_BYTES_MAX;
use crate::changes::Bound;
use crate::document::{Document, Field, Given};
use crate::load::Format;
use crate::statement::What;
use crate::writes::Order;

impl SqlSink {
    /// What the parameters of the key are.
    pub(super) fn read(&self, key: &Key) -> Result<Vec<ParameterValue>> {
        let bad = |what: String| {
            let text = String::from_utf8_lossy(key.as_bytes()).into_owned();
            Error::new(ErrorKind::BadKey, what).for_key(text)
        };
        let text = from_utf8(key.as_bytes()).map_err(|_| bad(KeyFault::NotText.to_string()))?;
        self.key.matches(text).map_err(|mismatch| bad(mismatch.to_string()))
    }

    /// `written`, unless the row that it was made of says that it is another key's: then a
    /// statement met a row that was there before, by something else than the key.
    pub(super) fn of_key(
        &self,
        parameters: &[ParameterValue],
        written: Written<Value>,
    ) -> Written<Value> {
        let Written::Value(value) = &written else { return written };
        if self.format == Format::Raw {
            return written;
        }
        let is_of_key = Document::parse(&value.bytes).is_ok_and(|document| {
            let named = self.key.parameters().iter().zip(parameters);
            let mut named =
                named.filter_map(|(one, value)| Some((document.get(&one.name)?, value)));
            named.all(|(given, expected)| is_same(given, expected))
        });
        if is_of_key { written } else { Written::Unsaid }
    }

    /// What a write of `key` binds, and which statement it is.
    pub(super) fn bind<'a>(
        &self,
        key: &Key,
        parameters: &[ParameterValue],
        write: &'a Write<Value>,
    ) -> Result<(usize, Vec<Bound<'a>>)> {
        let place = Order::place(write.verb());
        let blame = |error: Error| error.for_key(String::from_utf8_lossy(key.as_bytes()));
        let Some(order) = &self.orders()[place] else {
            let what =
                format!("the cache {} has no statement to {} with", self.cache, write.verb());
            return Err(blame(Error::new(ErrorKind::Refused, what)));
        };
        let given = self.given(parameters, write).map_err(blame)?;
        let bound = order.takes.iter().map(|taken| match (taken.what, &given) {
            (What::Key(at, _), _) => Ok(Bound::Parameter(parameters[at].clone())),
            (What::Delta, Content::Delta(delta)) => Ok(Bound::Delta(*delta)),
            (What::Whole, Content::Whole(bytes)) => Ok(Bound::Whole(bytes)),
            (What::Field, Content::Fields(document)) => document
                .get(&taken.name)
                .map(|given| Bound::Field(given.clone()))
                .ok_or_else(|| missing(&taken.name, document)),
            _ => Err(Error::new(ErrorKind::Internal, "a statement of another write")),
        });
        Ok((place, bound.collect::<Result<_>>().map_err(blame)?))
    }

    fn given<'a>(
        &self,
        parameters: &[ParameterValue],
        write: &'a Write<Value>,
    ) -> Result<Content<'a>> {
        let value = match write {
            Write::Store(value) => value,
            Write::Delete => return Ok(Content::Nothing),
            Write::Add(delta) => return Ok(Content::Delta(*delta)),
        };
        if value.bytes.len() > RESULT_BYTES_MAX {
            let bytes = value.bytes.len();
            let what = format!("the value has {bytes} bytes, and {RESULT_BYTES_MAX} are the most");
            return Err(Error::new(ErrorKind::Refused, what));
        }
        if self.format == Format::Raw {
            return Ok(Content::Whole(&value.bytes));
        }
        let document = Document::parse(&value.bytes)?;
        for (parameter, expected) in self.key.parameters().iter().zip(parameters) {
            let Some(given) = document.get(&parameter.name) else { continue };
            if !is_same(given, expected) {
                let what = format!(
                    "the value says that {} is {}, and the key says {expected}",
                    parameter.name,
                    given.json.chars().take(64).collect::<String>()
                );
                return Err(Error::new(ErrorKind::Refused, what));
            }
        }
        Ok(Content::Fields(document))
    }
}

/// What a write gives a statement to bind.
enum Content<'a> {
    Nothing,
    Delta(i64),
    Whole(&'a [u8]),
    Fields(Document<'a>),
}

fn missing(name: &str, document: &Document<'_>) -> Error {
    let near = nearest(name, document.names());
    let cure = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!("for NULL write \"{name}\": null"),
    };
    let what = format!("the value has no field {name}, which the statement binds: {cure}");
    Error::new(ErrorKind::Refused, what)
}

/// Whether a field says the same as the key.
fn is_same(given: &Given<'_>, key: &ParameterValue) -> bool {
    match (&given.field, key) {
        (Field::Number(text), ParameterValue::Int(number)) => text.parse() == Ok(*number),
        (Field::Number(text), ParameterValue::Version(number)) => text.parse() == Ok(*number),
        (Field::Bool(given), ParameterValue::Bool(truth)) => given == truth,
        (Field::Text(text), ParameterValue::Uuid(_)) => text.eq_ignore_ascii_case(&key.to_string()),
        (Field::Text(text), key) => *text == key.to_string(),
        (Field::Number(text), ParameterValue::Text(key)) => text == key,
        _ => false,
    }
}
