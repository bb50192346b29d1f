//! What a load would say of a value beside the value, for one that a statement returned: its tags.

use std::str::from_utf8;

use larder_core::{Key, KeyTemplate, Result, Terms, Value};

use crate::document::{Document, Field};
use crate::load::Format;
use crate::tags::{Collected, Tags};

/// What the load of a cache would say of a value that one of its statements returned, for the
/// `written` of a cache: what [`SqlSink::with_terms`](crate::SqlSink::with_terms) gives.
///
/// A row in JSON has its columns, and so its tags, in itself. Where they can't be known, which is
/// so of a raw value whose tags name its column, it says that the value is not to be kept: the
/// next read loads it with its tags.
#[derive(Clone, Debug)]
pub struct SqlTerms {
    key: KeyTemplate,
    tags: Tags,
    format: Format,
}

impl SqlTerms {
    pub(crate) const fn new(key: KeyTemplate, tags: Tags, format: Format) -> Self {
        Self { key, tags, format }
    }

    /// The terms of `value` under `key`; `None` is an absence, which has the tags of its key.
    #[must_use]
    pub fn of(&self, key: &Key, value: Option<&Value>) -> Terms {
        let mut terms = Terms::default();
        match self.tags(key, value) {
            Ok(Some(tags)) => tags.into_tags().into_iter().for_each(|tag| {
                terms.tag(tag);
            }),
            Ok(None) | Err(_) => {
                terms.dont_store();
            }
        }
        terms
    }

    /// Its tags; `None` where they aren't known.
    fn tags(&self, key: &Key, value: Option<&Value>) -> Result<Option<Collected>> {
        let mut tags = Collected::default();
        if self.tags.is_empty() {
            return Ok(Some(tags));
        }
        let Some(values) =
            from_utf8(key.as_bytes()).ok().and_then(|key| self.key.matches(key).ok())
        else {
            return Ok(None);
        };
        self.tags.of_key(&values, &mut tags)?;
        let Some(value) = value.filter(|_| self.tags.columns().next().is_some()) else {
            return Ok(Some(tags));
        };
        if self.format == Format::Raw {
            return Ok(None);
        }
        let document = Document::parse(&value.bytes)?;
        let mut texts = Vec::new();
        for column in self.tags.columns() {
            let Some(given) = document.get(column) else { return Ok(None) };
            texts.push(match &given.field {
                Field::Null => None,
                Field::Text(text) => Some(text.to_string()),
                Field::Bool(_) | Field::Number(_) | Field::Nested(_) => Some(given.json.to_owned()),
            });
        }
        self.tags.of_row(&values, &texts, &mut tags)?;
        Ok(Some(tags))
    }
}

#[cfg(test)]
mod tests {
    use larder_core::template::TagTemplate;

    use super::*;

    fn terms(tags: &[&str], format: Format) -> SqlTerms {
        let key = KeyTemplate::parse("user:{id:int}").unwrap();
        let tags: Vec<_> = tags.iter().map(|tag| TagTemplate::parse(tag).unwrap()).collect();
        let tags = Tags::new(&tags, key.parameters());
        SqlTerms::new(key, tags, format)
    }

    fn tags(terms: &SqlTerms, value: Option<&Value>) -> Option<Vec<String>> {
        let terms = terms.of(&Key::from("user:7"), value);
        let mut tags: Vec<_> = terms.tags().iter().map(ToString::to_string).collect();
        tags.sort();
        terms.is_stored().then_some(tags)
    }

    #[test]
    fn the_tags_are_those_that_a_load_of_the_row_would_give() {
        let of = terms(&["users", "user {id}", "tenant:{tenant}", "in {city}"], Format::Json);
        let row = r#"{"id":7,"tenant":1.50,"city":"K\u00f6ln"}"#;
        let expected = ["in Köln", "tenant:1.50", "user 7", "users"];
        assert_eq!(tags(&of, Some(&Value::json(row))).unwrap(), expected);
        let row = r#"{"id":7,"tenant":null,"city":true}"#;
        assert_eq!(tags(&of, Some(&Value::json(row))).unwrap(), ["in true", "user 7", "users"]);
        assert_eq!(tags(&of, None).unwrap(), ["user 7", "users"]);
    }

    #[test]
    fn what_is_not_known_is_not_kept() {
        let of = terms(&["tenant:{tenant}"], Format::Json);
        assert_eq!(tags(&of, Some(&Value::json(r#"{"id":7}"#))), None);
        assert_eq!(tags(&of, Some(&Value::json("[]"))), None);
        let long = format!(r#"{{"tenant":"{}"}}"#, "x".repeat(2_000));
        assert_eq!(tags(&of, Some(&Value::json(long))), None);
        let raw = terms(&["tenant:{tenant}"], Format::Raw);
        assert_eq!(tags(&raw, Some(&Value::raw("x"))), None);
        let of_key = terms(&["user {id}"], Format::Raw);
        assert_eq!(tags(&of_key, Some(&Value::raw("x"))).unwrap(), ["user 7"]);
        assert_eq!(tags(&terms(&[], Format::Raw), Some(&Value::raw("x"))).unwrap(), [""; 0]);
    }
}
