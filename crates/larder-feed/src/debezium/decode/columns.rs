//! Rows of one table, as far as what came says them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_core::change::{Field, Row, Table};
use serde_json::{Map, Value};

use super::json::{Part, field_of};
use super::{Decoder, text};
use crate::debezium::beat;

/// How the columns of a table are read.
pub(super) struct Columns<'a> {
    decoder: &'a Decoder,
    table: &'a Table,
    is_postgres: bool,
    known: Option<&'a beat::Columns>,
}

impl<'a> Columns<'a> {
    /// Of a table that this kind of connector tells of, if that is known.
    pub(super) fn new(decoder: &'a Decoder, table: &'a Table, kind: Option<&str>) -> Self {
        let catalog = decoder.catalog.as_ref();
        let is_postgres = kind.map_or(catalog.is_some(), |kind| kind == "postgresql");
        let known = catalog.and_then(|catalog| catalog.tables.get(table));
        Self { decoder, table, is_postgres, known }
    }

    /// A row as it is.
    pub(super) fn new_row(&self, row: &Map<String, Value>, schema: Option<&Value>) -> Row {
        let fields = row.iter().filter(|(name, _)| !is_metadata(name));
        made(fields.map(|(name, value)| (name, self.field(name, value, schema))))
    }

    /// A row as it was; what its key says counts.
    ///
    /// Postgres's log tells the columns that identify a row, or all of them, and Debezium writes
    /// what wasn't told as a null, a zero, an empty text or the column's default.
    pub(super) fn old_row(
        &self,
        row: &Map<String, Value>,
        schema: Option<&Value>,
        key: Part<'_>,
    ) -> Row {
        let mut fields = self.key_fields(key);
        let said = row.iter().filter(|(name, _)| !is_metadata(name));
        for (name, value) in said {
            if fields.iter().any(|(known, field)| known == name && *field != Field::Unknown) {
                continue;
            }
            fields.retain(|(known, _)| known != name);
            let field = if self.is_told(name, value, schema) {
                self.field(name, value, schema)
            } else {
                Field::Unknown
            };
            fields.push((name.clone(), field));
        }
        made(fields.iter().map(|(name, field)| (name, field.clone())))
    }

    /// The row that a key identifies.
    pub(super) fn key(&self, key: Part<'_>) -> Option<Row> {
        let fields = self.key_fields(key);
        let row = made(fields.iter().map(|(name, field)| (name, field.clone())));
        (!fields.is_empty()).then_some(row)
    }

    fn key_fields(&self, key: Part<'_>) -> Vec<(String, Field)> {
        let Some(Value::Object(payload)) = key.payload else { return Vec::new() };
        let field = |(name, value): (&String, &Value)| {
            // Nothing that identifies a row is null; a column that was made part of the key may be
            // missing.
            let field = match self.field(name, value, key.schema) {
                Field::Null => Field::Unknown,
                field => field,
            };
            (name.clone(), field)
        };
        payload.iter().map(field).collect()
    }

    fn is_told(&self, name: &str, value: &Value, schema: Option<&Value>) -> bool {
        if !self.is_postgres {
            return true;
        }
        if self.decoder.catalog.is_some() {
            return self.known.is_some_and(|known| known.identity.contains(name));
        }
        let schema = schema.and_then(|schema| field_of(schema, name));
        let is_default = schema.is_some_and(|schema| text::is_default(value, schema));
        !is_default && !may_be_left_out(value)
    }

    fn field(&self, name: &str, value: &Value, schema: Option<&Value>) -> Field {
        if value.is_null() {
            return Field::Null;
        }
        if value.as_str().is_some_and(|text| self.is_unavailable(text)) {
            return Field::Unknown;
        }
        match schema {
            Some(schema) => field_of(schema, name).map_or(Field::Unknown, |schema| {
                text::with_schema(value, schema, self.is_postgres)
            }),
            None if self.is_plain(name) => text::plain(value, self.is_postgres),
            None => Field::Unknown,
        }
    }

    /// Bytes have the placeholder in base64.
    fn is_unavailable(&self, text: &str) -> bool {
        let placeholder = &self.decoder.unavailable;
        text == placeholder
            || (text.len() > placeholder.len() && text == STANDARD.encode(placeholder))
    }

    fn is_plain(&self, name: &str) -> bool {
        if self.decoder.catalog.is_some() {
            return self.known.is_some_and(|known| known.plain.contains(name));
        }
        let is_named = |opaque: &String| match opaque.rsplit_once('.') {
            Some((table, column)) => column == name && self.is_table(table),
            None => opaque == name,
        };
        !self.decoder.opaque.iter().any(is_named)
    }

    fn is_table(&self, name: &str) -> bool {
        *name == *self.table.name || name == self.table.to_string()
    }
}

/// Whether a value may stand where nothing was said.
fn may_be_left_out(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// What a transformation adds to a row.
fn is_metadata(name: &str) -> bool {
    name.starts_with("__")
}

fn made<'a>(fields: impl Iterator<Item = (&'a String, Field)>) -> Row {
    let (names, fields): (Vec<Arc<str>>, Vec<Field>) =
        fields.map(|(name, field)| (Arc::from(name.as_str()), field)).unzip();
    Row::new(names.into(), fields)
}
