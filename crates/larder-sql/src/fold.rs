//! What an `add` makes of a value, before the database has said it.
//!
//! It knows the value and the statement's first word, and asks nobody. What it can't know it
//! refuses to say.

use std::str::from_utf8;

use larder_core::{Error, ErrorKind, Result, Value};

use crate::document::{Document, Field};
use crate::load::Format;

/// How an `add` changes the values of a cache, as far as that is known without the database: what
/// [`SqlSink::fold`](crate::SqlSink::fold) gives, for
/// `add_with` of a cache that is written behind.
///
/// | value | what is added to |
/// |---|---|
/// | raw | the value, an integer |
/// | JSON | the field that is named, or else the only one beside those of the key; an integer |
/// | absent, raw, and the statement is an `INSERT` | 0: it is taken to store the delta itself |
/// | absent otherwise | nobody knows: an `UPDATE` finds no row, and a row has other columns |
///
/// ```
/// use larder_core::{KeyTemplate, Value};
/// use larder_sql::{Database, Format, Load, Options, Rows, SqlSink, Writes};
///
/// # fn main() -> larder_core::Result<()> {
/// let load = Load {
///     key: KeyTemplate::parse("page:{id:int}")?,
///     sql: "SELECT id, title, visits FROM pages WHERE id = {id}".to_owned(),
///     rows: Rows::One,
///     format: Format::Json,
///     tags: Vec::new(),
/// };
/// let add = "UPDATE pages SET visits = visits + {delta} WHERE id = {id}";
/// let site = Database::open("sqlite:site.db", &Options::new("site"))?;
/// let pages = SqlSink::new(&site, Writes { add: Some(add.into()), ..Writes::new("page", load) })?;
/// let fold = pages.fold(Some("visits".to_owned()));
/// let held = Value::json(r#"{"id":7,"title":"larder","visits":41}"#);
/// let folded = fold.add(Some(&held), 1)?;
/// assert_eq!(&folded.bytes[..], br#"{"id":7,"title":"larder","visits":42}"#);
/// assert!(fold.add(None, 1).is_err()); // an UPDATE finds no row
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SqlFold {
    pub(crate) cache: String,
    pub(crate) format: Format,
    /// The field that is added to.
    pub(crate) column: Option<String>,
    /// The names of the parameters of the key.
    pub(crate) key: Vec<String>,
    /// Whether the statement makes a row where there is none.
    pub(crate) inserts: bool,
}

impl SqlFold {
    /// The value when `delta` is added to what is `held`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where that isn't known: what is held is no integer or becomes too
    /// large, a document doesn't say which of its fields is meant, or there is no row.
    pub fn add(&self, held: Option<&Value>, delta: i64) -> Result<Value> {
        let Some(held) = held else { return self.first(delta) };
        match self.format {
            Format::Raw => {
                let sum = self.sum(from_utf8(&held.bytes).unwrap_or_default(), delta)?;
                Ok(Value::raw(sum.to_string()))
            }
            Format::Json => self.add_to_field(held, delta),
        }
    }

    fn first(&self, delta: i64) -> Result<Value> {
        if self.inserts && self.format == Format::Raw {
            return Ok(Value::raw(delta.to_string()));
        }
        Err(self.unknown("there is no row"))
    }

    fn add_to_field(&self, held: &Value, delta: i64) -> Result<Value> {
        let document = Document::parse(&held.bytes)?;
        let name = match &self.column {
            Some(column) => column,
            None => {
                let mut others = document.names().filter(|name| !self.is_of_key(name));
                match (others.next(), others.next()) {
                    (Some(only), None) => only,
                    _ => return Err(self.unknown("no column is named that it adds to")),
                }
            }
        };
        let Some(given) = document.get(name) else {
            return Err(self.unknown("the column that it adds to isn't loaded"));
        };
        let Field::Number(number) = given.field else {
            return Err(self.unknown("what it adds to is no integer"));
        };
        let sum = self.sum(number, delta)?.to_string();
        // It is a piece of these bytes.
        let start = number.as_ptr() as usize - held.bytes.as_ptr() as usize;
        let (before, after) = (&held.bytes[..start], &held.bytes[start + number.len()..]);
        Ok(Value::json([before, sum.as_bytes(), after].concat()))
    }

    fn is_of_key(&self, name: &str) -> bool {
        self.key.iter().any(|parameter| parameter == name)
    }

    fn sum(&self, held: &str, delta: i64) -> Result<i64> {
        let held: i64 =
            held.parse().map_err(|_| self.unknown("what it adds to is no integer of 64 bits"))?;
        held.checked_add(delta)
            .ok_or_else(|| self.unknown("the sum is larger than an integer of 64 bits"))
    }

    fn unknown(&self, why: &str) -> Error {
        let message =
            format!("what add makes of a value of {} isn't known here: {why}", self.cache);
        Error::new(ErrorKind::Refused, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(format: Format, column: Option<&str>, inserts: bool) -> SqlFold {
        SqlFold {
            cache: "visits".into(),
            format,
            column: column.map(str::to_owned),
            key: vec!["page".into()],
            inserts,
        }
    }

    fn added(fold: &SqlFold, held: Option<&Value>, delta: i64) -> Result<String, String> {
        let value = fold.add(held, delta).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(value.bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_raw_integer_is_added_to() {
        let fold = fold(Format::Raw, None, true);
        for (held, delta, sum) in [
            ("41", 1, Ok("42")),
            ("-1", -1, Ok("-2")),
            ("9223372036854775807", 1, Err("larger than")),
            ("-9223372036854775808", -1, Err("larger than")),
            ("1.5", 1, Err("no integer")),
            ("9223372036854775808", 0, Err("no integer")),
            ("", 1, Err("no integer")),
        ] {
            match (added(&fold, Some(&Value::raw(held)), delta), sum) {
                (Ok(found), Ok(sum)) => assert_eq!(found, sum),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                other => panic!("{held}: {other:?}"),
            }
        }
        let no_text = Value::raw(&b"\xff"[..]);
        assert!(added(&fold, Some(&no_text), 1).is_err());
    }

    #[test]
    fn only_the_field_changes_and_every_other_byte_stays() {
        let held = r#"{ "page":7, "n" : 41 , "price":1.50,"x":{"n":41} }"#;
        let named = fold(Format::Json, Some("n"), false);
        let sum = added(&named, Some(&Value::json(held)), 59).unwrap();
        assert_eq!(sum, held.replacen("41", "100", 1));
        for (column, part) in [
            (None, "no column is named"),
            (Some("m"), "isn't loaded"),
            (Some("price"), "no integer"),
            (Some("x"), "no integer"),
        ] {
            let fold = fold(Format::Json, column, false);
            let error = added(&fold, Some(&Value::json(held)), 1).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_only_field_beside_the_key_needs_no_name() {
        let fold = fold(Format::Json, None, false);
        let sum = added(&fold, Some(&Value::json(r#"{"page":7,"n":1}"#)), 1);
        assert_eq!(sum.unwrap(), r#"{"page":7,"n":2}"#);
        assert!(added(&fold, Some(&Value::json(r#"{"page":7}"#)), 1).is_err());
        assert!(added(&fold, Some(&Value::json("[1]")), 1).is_err());
    }

    #[test]
    fn an_absent_row_counts_from_nothing_only_where_the_statement_makes_it() {
        assert_eq!(added(&fold(Format::Raw, None, true), None, 5).unwrap(), "5");
        for fold in [
            fold(Format::Raw, None, false),
            fold(Format::Json, Some("n"), true),
            fold(Format::Json, Some("n"), false),
        ] {
            assert!(added(&fold, None, 5).unwrap_err().contains("there is no row"));
        }
    }
}
