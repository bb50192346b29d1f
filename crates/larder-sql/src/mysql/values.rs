//! What a column of a row is in JSON, and as bytes.
//!
//! Follows "Binary Protocol Value" of MySQL's client/server protocol. Numbers are exact: integers
//! with all their digits, a `DECIMAL` as it is written, a `FLOAT` and a `DOUBLE` as the shortest
//! text that reads back as the same number. 0 and 1 in a `TINYINT(1)`, which `BOOLEAN` is another
//! name for, are false and true. A `BIT` is the number that its bits are. Dates, moments and times
//! are the texts that the server writes and reads, without the zeros that end a fraction; a zero
//! date is one too. What has no character set is base64.

use sqlx::mysql::{MySqlColumn, MySqlRow, MySqlTypeInfo};
use sqlx::{Column as _, Decode, MySql, Row as _, Type, TypeInfo};

use crate::json;

/// How the columns of one answer are read.
pub(super) struct Reading {
    pub(super) columns: Vec<Shown>,
}

/// A column as the plan has it.
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A column of the result.
pub(super) struct Shown {
    /// Its name as a JSON string, with the colon.
    pub(super) label: Vec<u8>,
    kind: Kind,
}

/// What a column holds, as the protocol sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Unsigned,
    Float,
    Double,
    Decimal,
    Date,
    Moment,
    Time,
    Bit,
    Json,
    Text,
    Bytes,
}

impl Reading {
    /// Of these columns, whose kinds the statement alone has told to be these: in a `UNION` a
    /// `BOOLEAN` is sent as any number.
    pub(super) fn new(columns: &[MySqlColumn], planned: &[Planned]) -> Self {
        let shown = |(at, column): (usize, &MySqlColumn)| {
            let mut label = Vec::new();
            json::push_string(column.name(), &mut label);
            label.push(b':');
            let planned = planned.get(at).map(|planned| planned.kind);
            let kind = match (planned, kind(column.type_info())) {
                (Some(Kind::Bool), Kind::Int) => Kind::Bool,
                (Some(Kind::Json), Kind::Text) => Kind::Json,
                (_, kind) => kind,
            };
            Shown { label, kind }
        };
        Self { columns: columns.iter().enumerate().map(shown).collect() }
    }
}

/// The type in the server's own words. The driver takes a text for bytes if it is compared byte
/// by byte.
pub(super) fn type_name(info: &MySqlTypeInfo) -> &str {
    match (info.name(), kind(info)) {
        ("BINARY", Kind::Text) => "CHAR",
        ("VARBINARY", Kind::Text) => "VARCHAR",
        ("TINYBLOB", Kind::Text) => "TINYTEXT",
        ("BLOB", Kind::Text) => "TEXT",
        ("MEDIUMBLOB", Kind::Text) => "MEDIUMTEXT",
        ("LONGBLOB", Kind::Text) => "LONGTEXT",
        ("NULL", _) => "",
        (name, _) => name,
    }
}

pub(super) fn kind(info: &MySqlTypeInfo) -> Kind {
    // The driver's own tests are the only way to these flags.
    let is_unsigned = || <u64 as Type<MySql>>::compatible(info);
    let is_text = || <str as Type<MySql>>::compatible(info);
    match info.name() {
        // That is a number which can't be a truth.
        "BOOLEAN" if is_unsigned() => Kind::Unsigned,
        "BOOLEAN" => Kind::Bool,
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Kind::Int,
        "YEAR" => Kind::Unsigned,
        name if name.ends_with("UNSIGNED") && is_unsigned() => Kind::Unsigned,
        "FLOAT" => Kind::Float,
        "DOUBLE" => Kind::Double,
        "DECIMAL" => Kind::Decimal,
        "DATE" => Kind::Date,
        "DATETIME" | "TIMESTAMP" => Kind::Moment,
        "TIME" => Kind::Time,
        "BIT" => Kind::Bit,
        "JSON" => Kind::Json,
        "SET" => Kind::Text,
        _ if is_text() => Kind::Text,
        _ => Kind::Bytes,
    }
}

impl Shown {
    /// Appends the column `at` as JSON.
    pub(super) fn push_json(
        &self,
        row: &MySqlRow,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), sqlx::Error> {
        match bytes(row, at)? {
            None => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            Some(bytes) => push_json(self.kind, bytes, out).ok_or_else(|| odd(at)),
        }
    }

    /// Appends the column `at` as it is, and says whether there is anything: `NULL` has nothing.
    pub(super) fn push_raw(
        &self,
        row: &MySqlRow,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, sqlx::Error> {
        let Some(bytes) = bytes(row, at)? else { return Ok(false) };
        push_raw(self.kind, bytes, out).ok_or_else(|| odd(at))?;
        Ok(true)
    }

    /// The text that a tag has of the column `at`: what its JSON is, a string without its quotes;
    /// `None` for `NULL`.
    pub(super) fn text(&self, row: &MySqlRow, at: usize) -> Result<Option<String>, sqlx::Error> {
        let Some(bytes) = bytes(row, at)? else { return Ok(None) };
        let mut text = Vec::new();
        match self.kind {
            Kind::Text => text.extend_from_slice(bytes),
            kind => push_json(kind, bytes, &mut text).ok_or_else(|| odd(at))?,
        }
        let text = String::from_utf8(text).map_err(|_| odd(at))?;
        Ok(Some(match self.kind {
            Kind::Text => text,
            _ => text.trim_matches('"').to_owned(),
        }))
    }
}

/// The bytes that were sent for the column `at`. The driver would say that a zero date is `NULL`.
fn bytes(row: &MySqlRow, at: usize) -> Result<Option<&[u8]>, sqlx::Error> {
    Ok(<&[u8] as Decode<MySql>>::decode(row.try_get_raw(at)?).ok())
}

fn odd(at: usize) -> sqlx::Error {
    let source = "a value that is none of its type".into();
    sqlx::Error::ColumnDecode { index: at.to_string(), source }
}

fn push_json(kind: Kind, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Bool => match *bytes {
            [0] => out.extend_from_slice(b"false"),
            [1] => out.extend_from_slice(b"true"),
            _ => push_raw(Kind::Int, bytes, out)?,
        },
        Kind::Decimal => {
            out.extend_from_slice(decimal(std::str::from_utf8(bytes).ok()?).as_bytes());
        }
        Kind::Date | Kind::Moment | Kind::Time => {
            out.push(b'"');
            push_raw(kind, bytes, out)?;
            out.push(b'"');
        }
        // What the server took for a document may be none to others.
        Kind::Json if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() => {
            out.extend_from_slice(bytes);
        }
        Kind::Json | Kind::Text => json::push_string(std::str::from_utf8(bytes).ok()?, out),
        Kind::Bytes => json::push_bytes(bytes, out),
        Kind::Int | Kind::Unsigned | Kind::Float | Kind::Double | Kind::Bit => {
            push_raw(kind, bytes, out)?;
        }
    }
    Some(())
}

fn push_raw(kind: Kind, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let text = match kind {
        Kind::Bool | Kind::Int => signed(bytes)?.to_string(),
        Kind::Unsigned => unsigned(bytes)?.to_string(),
        Kind::Float => format!("{:?}", f32::from_le_bytes(bytes.try_into().ok()?)),
        Kind::Double => format!("{:?}", f64::from_le_bytes(bytes.try_into().ok()?)),
        Kind::Bit => bits(bytes)?.to_string(),
        Kind::Date => date(bytes.split_first()?.1)?,
        Kind::Moment => moment(bytes.split_first()?.1)?,
        Kind::Time => time(bytes.split_first()?.1)?,
        Kind::Decimal | Kind::Json | Kind::Text | Kind::Bytes => {
            out.extend_from_slice(bytes);
            return Some(());
        }
    };
    out.extend_from_slice(text.as_bytes());
    Some(())
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        1 => i64::from(i8::from_le_bytes(bytes.try_into().ok()?)),
        2 => i64::from(i16::from_le_bytes(bytes.try_into().ok()?)),
        4 => i64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
        _ => i64::from_le_bytes(bytes.try_into().ok()?),
    })
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut whole = [0; 8];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(whole))
}

fn bits(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |bits, &byte| bits << 8 | u64::from(byte)))
}

/// A number as JSON takes it: a `ZEROFILL` column begins with zeros.
fn decimal(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let whole = digits.split('.').next().unwrap_or(digits).len();
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let digits = &digits[zeros.min(whole.saturating_sub(1))..];
    let digits = if digits.starts_with('.') { format!("0{digits}") } else { digits.to_owned() };
    format!("{sign}{digits}")
}

fn date(bytes: &[u8]) -> Option<String> {
    let &[y, z, month, day, ..] = bytes else {
        return bytes.is_empty().then(|| "0000-00-00".to_owned());
    };
    Some(format!("{:04}-{month:02}-{day:02}", u16::from_le_bytes([y, z])))
}

fn moment(bytes: &[u8]) -> Option<String> {
    let date = date(bytes)?;
    match bytes.get(4..).unwrap_or_default() {
        [] => Some(format!("{date} 00:00:00")),
        [hours, minutes, seconds, fraction @ ..] => {
            let fraction = self::fraction(fraction)?;
            Some(format!("{date} {hours:02}:{minutes:02}:{seconds:02}{fraction}"))
        }
        _ => None,
    }
}

fn time(bytes: &[u8]) -> Option<String> {
    let &[sign, a, b, c, d, hours, minutes, seconds, ref fraction @ ..] = bytes else {
        return bytes.is_empty().then(|| "00:00:00".to_owned());
    };
    let sign = if sign == 0 { "" } else { "-" };
    let hours = u64::from(u32::from_le_bytes([a, b, c, d])) * 24 + u64::from(hours);
    let fraction = self::fraction(fraction)?;
    Some(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}"))
}

/// Microseconds after a point, if there are any.
fn fraction(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some(String::new());
    }
    match u32::from_le_bytes(bytes.try_into().ok()?) {
        0 => Some(String::new()),
        micros => Some(format!(".{micros:06}").trim_end_matches('0').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: Kind, bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        push_json(kind, bytes, &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_are_exact_whatever_their_width() {
        for (kind, bytes, json) in [
            (Kind::Int, &[0xff][..], "-1"),
            (Kind::Int, &[0x00, 0x80], "-32768"),
            (Kind::Int, &i64::MIN.to_le_bytes(), "-9223372036854775808"),
            (Kind::Unsigned, &[0xff], "255"),
            (Kind::Unsigned, &u64::MAX.to_le_bytes(), "18446744073709551615"),
            (Kind::Bool, &[1], "true"),
            (Kind::Bool, &[0], "false"),
            (Kind::Bool, &[2], "2"),
            (Kind::Bit, &[1, 0], "256"),
            (Kind::Float, &0.1_f32.to_le_bytes(), "0.1"),
            (Kind::Double, &0.1_f64.to_le_bytes(), "0.1"),
            (Kind::Double, &1e300_f64.to_le_bytes(), "1e300"),
            (Kind::Decimal, b"-0012.50", "-12.50"),
            (Kind::Decimal, b"000.00", "0.00"),
            (Kind::Decimal, b"000", "0"),
            (Kind::Decimal, b"12345678901234567890.123456789", "12345678901234567890.123456789"),
        ] {
            assert_eq!(shown(kind, bytes).as_deref(), Some(json), "{kind:?} {bytes:?}");
        }
    }

    #[test]
    fn moments_are_what_the_server_writes_and_a_zero_date_is_one() {
        for (kind, bytes, json) in [
            (Kind::Date, &[0][..], "0000-00-00"),
            (Kind::Date, &[4, 0xe8, 0x07, 2, 29], "2024-02-29"),
            (Kind::Moment, &[0], "0000-00-00 00:00:00"),
            (Kind::Moment, &[4, 0xe8, 0x07, 2, 29], "2024-02-29 00:00:00"),
            (Kind::Moment, &[7, 0xe8, 0x07, 2, 29, 1, 2, 3], "2024-02-29 01:02:03"),
            (
                Kind::Moment,
                &[11, 0xe8, 0x07, 2, 29, 1, 2, 3, 0x20, 0xa1, 0x07, 0],
                "2024-02-29 01:02:03.5",
            ),
            (Kind::Time, &[0], "00:00:00"),
            (Kind::Time, &[8, 1, 34, 0, 0, 0, 22, 59, 59], "-838:59:59"),
            (Kind::Time, &[12, 0, 0, 0, 0, 0, 1, 2, 3, 1, 0, 0, 0], "01:02:03.000001"),
        ] {
            assert_eq!(shown(kind, bytes), Some(format!("\"{json}\"")), "{kind:?} {bytes:?}");
        }
    }

    #[test]
    fn a_document_is_nested_only_if_it_is_one() {
        assert_eq!(shown(Kind::Json, b"{\"a\": [1]}").as_deref(), Some("{\"a\": [1]}"));
        assert_eq!(shown(Kind::Json, b"{a: 1}").as_deref(), Some("\"{a: 1}\""));
        assert_eq!(shown(Kind::Bytes, b"\x00\xff").as_deref(), Some("\"AP8=\""));
    }

    #[test]
    fn bytes_that_are_no_value_of_the_type_are_none() {
        for (kind, bytes) in [
            (Kind::Int, &[1, 2, 3][..]),
            (Kind::Double, &[1]),
            (Kind::Bit, &[0; 9]),
            (Kind::Text, &[0xff]),
            (Kind::Moment, &[5, 0xe8, 0x07, 2, 29, 1]),
            (Kind::Date, &[]),
            (Kind::Date, &[2, 0xe8, 0x07]),
        ] {
            assert_eq!(shown(kind, bytes), None, "{kind:?} {bytes:?}");
        }
    }
}
