//! What a write binds, as SQLite takes it.
//!
//! SQLite doesn't say which types a statement wants. A field with the name of a column of the
//! load that is declared `BLOB` is taken for base64, as loads give it; everything else is bound
//! as what it is in JSON, and the affinity of its column does the rest.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use larder_core::template::ParameterValue;
use larder_core::{Error, ErrorKind, Result};
use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::changes::Bound;
use crate::document::{Field, Given};
use crate::pool::Failure;

/// The digits that a real can have, so that none is lost.
const REAL_DIGITS_MAX: usize = 17;

/// A name, and what its column is.
pub(super) struct Bind {
    pub(super) name: String,
    pub(super) is_blob: bool,
}

/// The arguments of one write.
pub(super) fn arguments(binds: &[Bind], bound: &[Bound<'_>]) -> Result<SqliteArguments, Failure> {
    let mut arguments = SqliteArguments::default();
    for (bind, bound) in binds.iter().zip(bound) {
        let added = match bound {
            Bound::Parameter(value) => match value {
                ParameterValue::Int(number) => arguments.add(*number),
                ParameterValue::Text(text) => arguments.add(text.clone()),
                ParameterValue::Uuid(_) => arguments.add(value.to_string()),
                ParameterValue::Bool(truth) => arguments.add(i64::from(*truth)),
                ParameterValue::Version(_) => Err("a version is never bound".into()),
            },
            Bound::Delta(delta) => arguments.add(*delta),
            Bound::Whole(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !bind.is_blob => arguments.add(text.to_owned()),
                _ => arguments.add(bytes.to_vec()),
            },
            Bound::Field(given) => {
                add_field(&mut arguments, bind, given).map_err(Failure::Whole)?;
                Ok(())
            }
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn add_field(arguments: &mut SqliteArguments, bind: &Bind, given: &Given<'_>) -> Result<()> {
    let refused = |what: &str| {
        let what = format!("the field {} is {what}", bind.name);
        Error::new(ErrorKind::Refused, what)
    };
    let added = match &given.field {
        Field::Null => arguments.add(None::<i64>),
        Field::Text(base64) if bind.is_blob => match STANDARD.decode(base64.as_bytes()) {
            Ok(bytes) => arguments.add(bytes),
            Err(_) => return Err(refused("no base64, and its column is BLOB")),
        },
        _ if bind.is_blob => return Err(refused("no string in base64, and its column is BLOB")),
        Field::Bool(truth) => arguments.add(i64::from(*truth)),
        Field::Text(text) => arguments.add(text.clone().into_owned()),
        Field::Nested(json) => arguments.add((*json).to_owned()),
        Field::Number(number) => match parsed(number) {
            Some(Number::Int(number)) => arguments.add(number),
            Some(Number::Real(number)) => arguments.add(number),
            None => {
                return Err(refused("a number with more digits than SQLite keeps: write a string"));
            }
        },
    };
    added.map_err(|error| refused(&error.to_string()))
}

#[derive(Debug, PartialEq)]
enum Number {
    Int(i64),
    Real(f64),
}

/// The number in SQLite's types, if it loses no digit there.
fn parsed(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse() {
        return Some(Number::Int(number));
    }
    let number: f64 = text.parse().ok()?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    let digits = if text.contains('.') { digits.trim_end_matches('0') } else { digits };
    let is_integer = !text.contains(['.', 'e', 'E']);
    (number.is_finite() && !is_integer && digits.len() <= REAL_DIGITS_MAX)
        .then_some(Number::Real(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_would_lose_digits_is_none() {
        for (text, number) in [
            ("0", Some(Number::Int(0))),
            ("9007199254740993", Some(Number::Int(9_007_199_254_740_993))),
            ("-9223372036854775808", Some(Number::Int(i64::MIN))),
            ("9223372036854775808", None),
            ("1.50", Some(Number::Real(1.5))),
            ("1e3", Some(Number::Real(1_000.0))),
            ("0.1", Some(Number::Real(0.1))),
            ("0.30000000000000004", Some(Number::Real(0.300_000_000_000_000_04))),
            ("12345678901234567890.123456789", None),
            ("1e999", None),
        ] {
            assert_eq!(parsed(text), number, "{text}");
        }
    }
}
