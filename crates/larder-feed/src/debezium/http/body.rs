//! What a request brings: a record, several, or events.

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::BODY_BYTES_MAX;
use crate::debezium::records::{BATCH_RECORDS_MAX, Record};

/// The records of a body, with these headers.
pub(super) fn records<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &Bytes,
) -> Result<Vec<Record>> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if name == "content-type" && ["avro", "protobuf"].iter().any(|kind| value.contains(kind)) {
            return Err(refused("the body must be JSON (debezium.format.value=json)"));
        }
        if let Some(attribute) = name.strip_prefix("ce-") {
            attributes.insert(attribute.to_owned(), value.into());
        }
    }
    if body.len() > BODY_BYTES_MAX {
        return Err(refused("the body has more than 4 MiB"));
    }
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let said: Value = serde_json::from_slice(body).map_err(|error| {
        refused("the body must be JSON (debezium.format.value=json)").caused_by(error)
    })?;
    if attributes.contains_key("specversion") {
        attributes.insert("data".to_owned(), said);
        return written(&Value::Object(attributes)).map(|record| vec![record]);
    }
    match said {
        Value::Null => Ok(Vec::new()),
        Value::Array(all) if all.len() > BATCH_RECORDS_MAX => {
            Err(refused("the body has more than 1,024 records"))
        }
        Value::Array(all) => all.iter().filter(|one| !one.is_null()).map(written).collect(),
        _ => Ok(vec![record(body.clone())]),
    }
}

fn written(value: &Value) -> Result<Record> {
    let text = serde_json::to_vec(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "JSON that was read can't be written").caused_by(error)
    })?;
    Ok(record(text.into()))
}

/// The sink sends neither topic nor key.
fn record(value: Bytes) -> Record {
    Record { topic: "".into(), lane: 0, key: None, value: Some(value) }
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::Refused, message)
}
