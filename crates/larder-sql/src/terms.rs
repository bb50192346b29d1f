//! What a load says of a value beside the value, for who has the value alone: its tags.

use std::str::from_utf8;

use larder_core::{Key, KeyTemplate, Result, Terms, Value};

use crate::document::{Document, Field};
use crate::load::{Format, Load, Rows};
use crate::tags::{Collected, Tags};

/// What the load of a cache says of a value, for one that it gave ([`of_load`](Self::of_load)), or
/// that one of the cache's statements returned: then it is for the `written` of the cache, and
/// what [`SqlSink::with_terms`](crate::SqlSink::with_terms) gives.
///
/// A row in JSON has its columns, and so its tags, in itself. Where they can't be known, which is
/// so of a raw value whose tags name its column, it says that the value is not to be kept: the
/// next read loads it with its tags.
#[derive(Clone, Debug)]
pub struct SqlTerms {
    key: KeyTemplate,
    tags: Tags,
    format: Format,
    rows: Rows,
}

impl SqlTerms {
    pub(crate) const fn new(key: KeyTemplate, tags: Tags, format: Format) -> Self {
        Self { key, tags, format, rows: Rows::One }
    }

    /// Those of the values of this load.
    ///
    /// ```
    /// use larder_core::template::TagTemplate;
    /// use larder_core::{Key, KeyTemplate, Value};
    /// use larder_sql::{Format, Load, Rows, SqlTerms};
    ///
    /// let terms = SqlTerms::of_load(&Load {
    ///     key: KeyTemplate::parse("user:{id:int}")?,
    ///     sql: "SELECT id, tenant FROM users WHERE id = {id}".to_owned(),
    ///     rows: Rows::One,
    ///     format: Format::Json,
    ///     tags: vec![TagTemplate::parse("tenant:{tenant}")?],
    /// });
    /// let row = Value::json(r#"{"id":7,"tenant":3}"#);
    /// assert_eq!(terms.of(&Key::from("user:7"), Some(&row)).tags(), [Box::from("tenant:3")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of_load(load: &Load) -> Self {
        let tags = Tags::new(&load.tags, load.key.parameters());
        Self { rows: load.rows, ..Self::new(load.key.clone(), tags, load.format) }
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
        let documents = match self.rows {
            Rows::One => vec![Document::parse(&value.bytes)?],
            Rows::Many => Document::parse_all(&value.bytes)?,
        };
        for document in documents {
            let Some(texts) = self.texts(&document) else { return Ok(None) };
            self.tags.of_row(&values, &texts, &mut tags)?;
        }
        Ok(Some(tags))
    }

    /// The texts of the columns that the tags name; `None` where one isn't there.
    fn texts(&self, document: &Document<'_>) -> Option<Vec<Option<String>>> {
        let text = |column| {
            let given = document.get(column)?;
            Some(match &given.field {
                Field::Null => None,
                Field::Text(text) => Some(text.to_string()),
                Field::Bool(_) | Field::Number(_) | Field::Nested(_) => Some(given.json.to_owned()),
            })
        };
        self.tags.columns().map(text).collect()
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
    fn a_list_has_the_tags_of_each_of_its_rows() {
        let load = Load {
            key: KeyTemplate::parse("user:{id:int}").unwrap(),
            sql: String::new(),
            rows: Rows::Many,
            format: Format::Json,
            tags: ["user {id}", "post:{post}"].map(|tag| TagTemplate::parse(tag).unwrap()).into(),
        };
        let of = SqlTerms::of_load(&load);
        let rows = r#"[{"post":3,"x":1},{"post":null},{"post":"4"}]"#;
        assert_eq!(tags(&of, Some(&Value::json(rows))).unwrap(), ["post:3", "post:4", "user 7"]);
        assert_eq!(tags(&of, Some(&Value::json("[]"))).unwrap(), ["user 7"]);
        for other in ["{\"post\":3}", "[{\"x\":1}]", "[1]"] {
            assert_eq!(tags(&of, Some(&Value::json(other))), None, "{other}");
        }
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
