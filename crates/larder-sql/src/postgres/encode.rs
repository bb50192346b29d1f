//! Values in Postgres's binary format.
//!
//! The formats are those of the types' `recv` functions in the server: integers are big-endian,
//! a text is itself, a `numeric` is its digits in base 10,000, an array is its shape and then
//! each element behind its length.

use larder_core::template::ParameterValue;
use sqlx::Arguments;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, Postgres};
use sqlx::types::Type;

use super::types::{Wanted, Wire};
use crate::loads::Asked;

/// The arguments of one key.
pub(super) fn single(wanted: &[Wanted], key: &Asked<'_>) -> Result<PgArguments, BoxDynError> {
    let mut arguments = PgArguments::default();
    for (wanted, value) in wanted.iter().zip(&key.values) {
        let mut bytes = Vec::new();
        push(wanted.wire, value, &mut bytes)?;
        arguments.add(Encoded { bytes: Some(bytes), oid: wanted.fact.oid })?;
    }
    Ok(arguments)
}

/// The arguments of many keys: an array for each parameter.
pub(super) fn batch(wanted: &[Wanted], keys: &[Asked<'_>]) -> Result<PgArguments, BoxDynError> {
    let mut arguments = PgArguments::default();
    for (at, wanted) in wanted.iter().enumerate() {
        let mut bytes = Vec::new();
        let (dimensions, has_nulls, lower_bound) = (1_i32, 0_i32, 1_i32);
        bytes.extend_from_slice(&dimensions.to_be_bytes());
        bytes.extend_from_slice(&has_nulls.to_be_bytes());
        bytes.extend_from_slice(&wanted.fact.oid.0.to_be_bytes());
        bytes.extend_from_slice(&i32::try_from(keys.len())?.to_be_bytes());
        bytes.extend_from_slice(&lower_bound.to_be_bytes());
        for key in keys {
            let value = key.values.get(at).ok_or("a key with too few values")?;
            let start = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            push(wanted.wire, value, &mut bytes)?;
            let length = i32::try_from(bytes.len() - start - 4)?;
            bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        // The statement names the array's type itself.
        arguments.add(Encoded { bytes: Some(bytes), oid: Oid(0) })?;
    }
    Ok(arguments)
}

/// Appends a value as `wire` says.
pub(super) fn push(
    wire: Wire,
    value: &ParameterValue,
    out: &mut Vec<u8>,
) -> Result<(), BoxDynError> {
    match (wire, value) {
        (Wire::Int2, ParameterValue::Int(number)) => {
            out.extend_from_slice(&i16::try_from(*number)?.to_be_bytes());
        }
        (Wire::Int4, ParameterValue::Int(number)) => {
            out.extend_from_slice(&i32::try_from(*number)?.to_be_bytes());
        }
        (Wire::Int8, ParameterValue::Int(number)) => {
            out.extend_from_slice(&number.to_be_bytes());
        }
        (Wire::Oid, ParameterValue::Int(number)) => {
            out.extend_from_slice(&u32::try_from(*number)?.to_be_bytes());
        }
        (Wire::Numeric, ParameterValue::Int(number)) => push_numeric(*number, out),
        (Wire::Text | Wire::Name, ParameterValue::Text(text)) => {
            out.extend_from_slice(text.as_bytes());
        }
        (Wire::Uuid, ParameterValue::Uuid(bits)) => out.extend_from_slice(&bits.to_be_bytes()),
        (Wire::Bool, ParameterValue::Bool(truth)) => out.push(u8::from(*truth)),
        (wire, value) => return Err(format!("{value} is sent as {wire:?}").into()),
    }
    Ok(())
}

/// Count, weight of the first digit, sign, digits after the point, digits; trailing zeros are
/// left to the weight.
fn push_numeric(number: i64, out: &mut Vec<u8>) {
    const BASE: u64 = 10_000;
    const NEGATIVE: u16 = 0x4000;
    let mut digits: Vec<u16> = Vec::new();
    let mut rest = number.unsigned_abs();
    while rest > 0 {
        digits.push(u16::try_from(rest % BASE).expect("a remainder of 10,000 fits"));
        rest /= BASE;
    }
    digits.reverse();
    let small = |count: usize| u16::try_from(count).expect("64 bits have at most five digits");
    let weight = small(digits.len().saturating_sub(1));
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let sign = if number < 0 { NEGATIVE } else { 0 };
    for part in [small(digits.len()), weight, sign, 0].into_iter().chain(digits) {
        out.extend_from_slice(&part.to_be_bytes());
    }
}

/// Bytes that are already what the server expects; none are `NULL`.
pub(super) struct Encoded {
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) oid: Oid,
}

impl Encode<'_, Postgres> for Encoded {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.oid))
    }

    fn size_hint(&self) -> usize {
        self.bytes.as_ref().map_or(0, Vec::len)
    }
}

impl Type<Postgres> for Encoded {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_are_digits_in_base_ten_thousand() {
        for (number, parts) in [
            (0, vec![0, 0, 0, 0]),
            (1, vec![1, 0, 0, 0, 1]),
            (-42, vec![1, 0, 0x4000, 0, 42]),
            (10_000, vec![1, 1, 0, 0, 1]),
            (123_456_789, vec![3, 2, 0, 0, 1, 2345, 6789]),
            (i64::MIN, vec![5, 4, 0x4000, 0, 922, 3372, 368, 5477, 5808]),
        ] {
            let mut out = Vec::new();
            push_numeric(number, &mut out);
            let expected: Vec<u8> = parts.into_iter().flat_map(u16::to_be_bytes).collect();
            assert_eq!(out, expected, "{number}");
        }
    }

    #[test]
    fn a_value_of_another_kind_is_not_sent() {
        let mut out = Vec::new();
        assert!(push(Wire::Int4, &ParameterValue::Int(i64::MAX), &mut out).is_err());
        assert!(push(Wire::Uuid, &ParameterValue::Bool(true), &mut out).is_err());
        assert!(out.is_empty());
    }
}
