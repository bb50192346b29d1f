//! Taking answers apart.

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use redis::Value;

use super::RedisStreamsOptions;
use crate::debezium::records::Record;

/// What a script says that asks for the lock; `None` where somebody else has it.
pub(super) fn taken(value: Value) -> Option<Value> {
    (!matches!(value, Value::Nil | Value::Boolean(false))).then_some(value)
}

pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(odd()),
    }
}

pub(super) fn parts<const N: usize>(value: Value) -> Result<[Value; N]> {
    array(value)?.try_into().map_err(|_| odd())
}

pub(super) fn text(value: &Value) -> Result<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).map_err(|_| odd()),
        Value::SimpleString(text) => Ok(text),
        _ => Err(odd()),
    }
}

pub(super) fn number(value: &Value) -> Result<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| odd()),
        _ => text(value)?.parse().map_err(|_| odd()),
    }
}

/// An entry: `key JSON → value JSON` (compact), or with fields `key` and `value` (extended).
pub(super) fn record(
    stream: &str,
    lane: u32,
    fields: Value,
    options: &RedisStreamsOptions,
) -> Result<Record> {
    let mut fields = array(fields)?.into_iter().map(bytes);
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        pairs.push((name?, value?));
    }
    let named = |wanted: &str| {
        let pair = pairs.iter().find(|(name, _)| name.as_ref() == wanted.as_bytes());
        pair.map(|(_, value)| value.clone())
    };
    let (key, value) = match (named("key"), named("value"), &*pairs) {
        (Some(key), Some(value), _) => (key, value),
        (_, _, [(key, value)]) => (key.clone(), value.clone()),
        // Whoever reads it as JSON says so.
        _ => (Bytes::new(), "an entry of neither form (message.format)".into()),
    };
    let some = |part: Bytes, null: &str| (part.as_ref() != null.as_bytes()).then_some(part);
    let (key, value) = (some(key, &options.null_key), some(value, &options.null_value));
    Ok(Record { topic: stream.into(), lane, key, value })
}

fn bytes(value: Value) -> Result<Bytes> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        _ => Err(odd()),
    }
}

pub(super) fn odd() -> Error {
    Error::new(ErrorKind::Internal, "Redis answers what nobody expects of its streams")
}
