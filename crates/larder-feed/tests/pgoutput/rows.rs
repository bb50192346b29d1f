//! Rows and messages, written shortly.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::change::{Field, Row, Table};

/// Bytes that were written as hexadecimal digits.
pub(crate) fn hex(text: &str) -> Bytes {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// `id=1 name? bio`: a text, an unknown and a null. An underscore is a space.
pub(crate) fn row(text: &str) -> Row {
    let parts: Vec<_> = text
        .split(' ')
        .map(|part| match (part.split_once('='), part.strip_suffix('?')) {
            (Some((name, value)), _) => (name, Field::Text(value.replace('_', " ").into())),
            (None, Some(name)) => (name, Field::Unknown),
            (None, None) => (part, Field::Null),
        })
        .collect();
    let columns: Vec<Arc<str>> = parts.iter().map(|(name, _)| (*name).into()).collect();
    Row::new(columns.into(), parts.into_iter().map(|(_, field)| field))
}

/// `schema.name`.
pub(crate) fn table(text: &str) -> Table {
    let (schema, name) = text.split_once('.').unwrap();
    Table { schema: schema.into(), name: name.into() }
}
