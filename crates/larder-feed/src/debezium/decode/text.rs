//! A value as the database writes it as text, where JSON and its schema leave no doubt of that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_core::change::Field;
use serde_json::Value;

/// A value whose schema came with it.
pub(super) fn with_schema(value: &Value, schema: &Value, is_postgres: bool) -> Field {
    // A converter may have put the column's default where there was a null.
    if is_default(value, schema) && schema.get("optional") == Some(&Value::Bool(true)) {
        return Field::Unknown;
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let name = schema.get("name").and_then(Value::as_str);
    let text = match (kind, name) {
        ("int8" | "int16" | "int32" | "int64", None) => integer(value),
        ("string", None | Some("io.debezium.data.Uuid" | "io.debezium.data.Enum")) => {
            value.as_str().map(str::to_owned)
        }
        ("boolean", None) if is_postgres => boolean(value),
        ("bytes", Some("org.apache.kafka.connect.data.Decimal")) => decimal(value, schema),
        ("int32", Some("io.debezium.time.Date" | "org.apache.kafka.connect.data.Date")) => {
            value.as_i64().and_then(date)
        }
        ("int64", Some("io.debezium.time.Timestamp")) if is_postgres => {
            value.as_i64().and_then(|millis| timestamp(millis.checked_mul(1_000)?))
        }
        ("int64", Some("io.debezium.time.MicroTimestamp")) if is_postgres => {
            value.as_i64().and_then(timestamp)
        }
        _ => None,
    };
    text.map_or(Field::Unknown, |text| Field::Text(text.into()))
}

/// Whether it is what a converter writes where nothing was said.
pub(super) fn is_default(value: &Value, schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| default == value)
}

/// A value of a column that is known to be of a type that JSON writes as the database does.
pub(super) fn plain(value: &Value, is_postgres: bool) -> Field {
    let text = match value {
        Value::Number(_) => integer(value),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) if is_postgres => boolean(value),
        _ => None,
    };
    text.map_or(Field::Unknown, |text| Field::Text(text.into()))
}

/// Another number may be written in several ways.
fn integer(value: &Value) -> Option<String> {
    let Value::Number(number) = value else { return None };
    (number.is_i64() || number.is_u64()).then(|| number.to_string())
}

fn boolean(value: &Value) -> Option<String> {
    value.as_bool().map(|value| if value { "t" } else { "f" }.to_owned())
}

/// An unscaled number of at most 16 bytes in base64, with the scale beside it.
fn decimal(value: &Value, schema: &Value) -> Option<String> {
    let bytes = STANDARD.decode(value.as_str()?).ok()?;
    let scale: usize = schema.get("parameters")?.get("scale")?.as_str()?.parse().ok()?;
    let first = *bytes.first()?;
    if bytes.len() > 16 || scale > 1_000 {
        return None;
    }
    let mut wide = [if first & 0x80 == 0 { 0 } else { 0xff }; 16];
    wide[16 - bytes.len()..].copy_from_slice(&bytes);
    let unscaled = i128::from_be_bytes(wide);
    let digits = unscaled.unsigned_abs().to_string();
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{part}"))
}

/// Days since 1970, of the years that are written with four digits.
fn date(days: i64) -> Option<String> {
    let (year, month, day) = civil(days)?;
    (1..=9_999).contains(&year).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// Microseconds since 1970, as Postgres writes a timestamp without a zone.
fn timestamp(micros: i64) -> Option<String> {
    const DAY: i64 = 86_400_000_000;
    let date = date(micros.div_euclid(DAY))?;
    let within = micros.rem_euclid(DAY);
    let (seconds, part) = (within / 1_000_000, within % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let time = format!("{date} {hours:02}:{minutes:02}:{seconds:02}");
    if part == 0 {
        return Some(time);
    }
    let part = format!("{part:06}");
    Some(format!("{time}.{}", part.trim_end_matches('0')))
}

/// The date of a day (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`): years that begin in March, in eras of 400.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    Some((year + era * 400 + i64::from(month <= 2), month, day))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: &Value, schema: &Value, expected: Option<&str>) {
        let expected = expected.map_or(Field::Unknown, |text| Field::Text(text.to_owned().into()));
        assert_eq!(with_schema(value, schema, true), expected, "{value} of {schema}");
    }

    #[test]
    fn what_the_schema_names_is_written_as_the_database_does() {
        let named = |kind: &str, name: &str| json!({"type": kind, "name": name});
        check(&json!(-7), &json!({"type": "int64"}), Some("-7"));
        check(&json!("a b"), &json!({"type": "string"}), Some("a b"));
        check(&json!(true), &json!({"type": "boolean"}), Some("t"));
        let date = named("int32", "io.debezium.time.Date");
        check(&json!(0), &date, Some("1970-01-01"));
        check(&json!(-1), &date, Some("1969-12-31"));
        check(&json!(11_016), &date, Some("2000-02-29"));
        check(&json!(19_723), &date, Some("2024-01-01"));
        check(&json!(i64::MAX), &date, None);
        check(&json!(-800_000), &date, None);
        let micros = named("int64", "io.debezium.time.MicroTimestamp");
        check(&json!(1_700_000_000_120_000_i64), &micros, Some("2023-11-14 22:13:20.12"));
        check(&json!(-1), &micros, Some("1969-12-31 23:59:59.999999"));
        let millis = named("int64", "io.debezium.time.Timestamp");
        check(&json!(1_700_000_000_000_i64), &millis, Some("2023-11-14 22:13:20"));
        check(&json!(i64::MAX), &millis, None);
    }

    #[test]
    fn a_decimal_has_its_scale() {
        let of = |scale: &str| {
            json!({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal",
                   "parameters": {"scale": scale}})
        };
        check(&json!("AJY="), &of("2"), Some("1.50"));
        check(&json!("BQ=="), &of("2"), Some("0.05"));
        check(&json!("+w=="), &of("2"), Some("-0.05"));
        check(&json!("AJY="), &of("0"), Some("150"));
        check(&json!(""), &of("0"), None);
        check(&json!("AAAAAAAAAAAAAAAAAAAAAAAAAAE="), &of("0"), None);
        check(&json!("AJY="), &of("many"), None);
    }

    #[test]
    fn what_may_be_written_otherwise_is_unknown() {
        let named = |kind: &str, name: &str| json!({"type": kind, "name": name});
        check(&json!(1.5), &json!({"type": "double"}), None);
        check(&json!("YQ=="), &json!({"type": "bytes"}), None);
        check(
            &json!("2024-01-01T00:00:00Z"),
            &named("string", "io.debezium.time.ZonedTimestamp"),
            None,
        );
        check(&json!(5), &named("int64", "io.debezium.time.MicroDuration"), None);
        check(&json!([1]), &json!({"type": "array"}), None);
        let optional = json!({"type": "int32", "default": 3, "optional": true});
        check(&json!(3), &optional, None);
        check(&json!(4), &optional, Some("4"));
        check(&json!(3), &json!({"type": "int32", "default": 3}), Some("3"));
        assert_eq!(with_schema(&json!(true), &json!({"type": "boolean"}), false), Field::Unknown);
        assert_eq!(plain(&json!(1.0), true), Field::Unknown);
        assert_eq!(plain(&json!(u64::MAX), true), Field::Text(u64::MAX.to_string().into()));
    }
}
