//! Replies, taken apart. What has another shape than it must have is an error and never a panic.

use bytes::Bytes;
use larder_core::Result;
use larder_core::bus::Position;
use redis::Value;

use crate::errors::odd;

/// Bytes.
pub(crate) fn bytes(value: Value) -> Result<Bytes> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text.into()),
        _ => Err(odd("bytes")),
    }
}

/// A text.
pub(crate) fn text(value: Value) -> Result<String> {
    String::from_utf8(bytes(value)?.into()).map_err(|_| odd("text"))
}

/// A number, written as one or in digits.
pub(crate) fn number<N: TryFrom<i64> + std::str::FromStr>(value: Value) -> Result<N> {
    match value {
        Value::Int(number) => N::try_from(number).map_err(|_| odd("such number")),
        value => text(value)?.parse().map_err(|_| odd("number")),
    }
}

/// Thirty-two bits in eight hexadecimal digits, as runs and incarnations are written.
pub(crate) fn run(value: Value) -> Result<u32> {
    let text = text(value)?;
    if text.len() != 8 {
        return Err(odd("run"));
    }
    u32::from_str_radix(&text, 16).map_err(|_| odd("run"))
}

/// A list.
pub(crate) fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        _ => Err(odd("list")),
    }
}

/// A list of a certain length.
pub(crate) fn array<const N: usize>(value: Value) -> Result<[Value; N]> {
    list(value)?.try_into().map_err(|_| odd("list of that length"))
}

/// Pairs: a map, or a list of keys and values in turn.
pub(crate) fn pairs(value: Value) -> Result<Vec<(Value, Value)>> {
    if let Value::Map(pairs) = value {
        return Ok(pairs);
    }
    let mut values = list(value)?.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let Some(key) = values.next() {
        pairs.push((key, values.next().ok_or_else(|| odd("pairs"))?));
    }
    Ok(pairs)
}

/// A position, as scripts return it: run and number.
pub(crate) fn position(values: [Value; 2]) -> Result<Position> {
    let [in_run, at] = values;
    Ok(Position { run: run(in_run)?, number: number(at)? })
}

#[cfg(test)]
mod tests {
    use larder_core::ErrorKind;

    use super::*;

    #[test]
    fn what_has_another_shape_is_an_error() {
        let odd = [
            bytes(Value::Nil).err(),
            text(Value::BulkString(vec![0xff])).err(),
            number::<u64>(Value::Int(-1)).err(),
            number::<u64>(Value::BulkString(b"1x".to_vec())).err(),
            run(Value::BulkString(b"123".to_vec())).err(),
            run(Value::BulkString(b"1234567x".to_vec())).err(),
            list(Value::Okay).err(),
            array::<2>(Value::Array(vec![Value::Nil])).err(),
            pairs(Value::Array(vec![Value::Nil])).err(),
        ];
        for error in odd {
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Internal));
        }
    }
}
