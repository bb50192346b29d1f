//! A key or a value as JSON, with the schema that may come around it.

use bytes::Bytes;
use serde_json::{Map, Value};

/// Parses a part of a record; `None` where there is none.
pub(super) fn part(bytes: Option<&Bytes>, which: &str) -> Result<Option<Value>, String> {
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    match serde_json::from_slice(bytes) {
        Ok(Value::Null) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(format!("its {which} is no JSON ({error})")),
    }
}

/// What is said, and the schema of it, if it came with one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) payload: Option<&'a Value>,
    pub(super) schema: Option<&'a Value>,
}

impl<'a> Part<'a> {
    /// Takes `{schema, payload}` apart.
    pub(super) fn of(value: Option<&'a Value>) -> Self {
        if let Some(Value::Object(object)) = value
            && object.len() == 2
            && let (Some(schema), Some(payload)) = (object.get("schema"), object.get("payload"))
            && (schema.is_null() || schema.get("type").is_some())
        {
            let schema = Some(schema).filter(|schema| !schema.is_null());
            return Self { payload: Some(payload), schema };
        }
        Self { payload: value, schema: None }
    }

    /// The schema of one of its fields.
    pub(super) fn schema_of(&self, field: &str) -> Option<&'a Value> {
        self.schema.and_then(|schema| field_of(schema, field))
    }
}

/// The schema of a field of a struct with this schema.
pub(super) fn field_of<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    let Some(Value::Array(fields)) = schema.get("fields") else { return None };
    fields.iter().find(|one| one.get("field").and_then(Value::as_str) == Some(field))
}

/// A number, also where it is written as a text.
pub(super) fn number(object: &Map<String, Value>, name: &str) -> Option<i64> {
    match object.get(name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A text that isn't empty.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}
