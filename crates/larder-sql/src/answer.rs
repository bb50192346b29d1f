//! Rows to one value, within a bound.
//!
//! It does not know whose rows they are: a database hands each in as the bytes that it is.

use larder_core::{Error, ErrorKind, Value};

use crate::load::{Format, Rows};
use crate::loads::Found;
use crate::tags::Collected;

/// The largest value that a load may make, in bytes. A larger one is an error: what is too large
/// to keep would be loaded again at every read.
pub const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest sum of the values that one batch may make, in bytes.
pub(crate) const BATCH_BYTES_MAX: usize = 16 * RESULT_BYTES_MAX;

/// The value of one key while its rows arrive.
#[derive(Debug)]
pub(crate) struct Answer {
    rows: Rows,
    format: Format,
    bytes: Vec<u8>,
    count: usize,
    is_null: bool,
    pub(crate) tags: Collected,
}

/// A row as it is handed in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row<'a> {
    Bytes(&'a [u8]),
    /// The only column of a raw load is `NULL`.
    Null,
}

impl Answer {
    pub(crate) fn new(rows: Rows, format: Format) -> Self {
        let tags = Collected::default();
        Self { rows, format, bytes: Vec::new(), count: 0, is_null: false, tags }
    }

    /// How many bytes have arrived.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.tags.len()
    }

    /// Takes a row.
    ///
    /// # Errors
    ///
    /// One row too many, or too many bytes.
    pub(crate) fn push(&mut self, row: Row<'_>) -> Result<(), Error> {
        self.count += 1;
        if self.rows == Rows::One && self.count > 1 {
            return Err(Error::new(
                ErrorKind::Loader,
                "the load found more than one row for a key: make its WHERE name one row, or \
                 write rows = \"many\"",
            ));
        }
        let Row::Bytes(bytes) = row else {
            self.is_null = true;
            return Ok(());
        };
        if self.rows == Rows::Many {
            self.bytes.push(if self.count == 1 { b'[' } else { b',' });
        }
        if self.bytes.len() + bytes.len() > RESULT_BYTES_MAX {
            return Err(too_large(self.bytes.len() + bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The value, or none if there is no such row, and its tags.
    pub(crate) fn finish(mut self) -> Found {
        let tags = std::mem::take(&mut self.tags).into_tags();
        Found { value: self.value(), tags }
    }

    fn value(mut self) -> Option<Value> {
        if self.rows == Rows::Many {
            self.bytes.extend_from_slice(if self.count == 0 { b"[]" } else { b"]" });
        } else if self.count == 0 || self.is_null {
            return None;
        }
        Some(match self.format {
            Format::Json => Value::json(self.bytes),
            Format::Raw => Value::raw(self.bytes),
        })
    }
}

/// The error for a value of `bytes`.
pub(crate) fn too_large(bytes: usize) -> Error {
    Error::new(
        ErrorKind::Loader,
        format!(
            "the load made a value of at least {bytes} bytes, and {RESULT_BYTES_MAX} is the most: \
             select fewer columns or rows"
        ),
    )
}

/// The error for a batch whose values are too large together.
pub(crate) fn batch_too_large() -> Error {
    Error::new(
        ErrorKind::Loader,
        format!(
            "the values of one batch are more than {BATCH_BYTES_MAX} bytes together: ask for \
             fewer keys at once"
        ),
    )
}

#[cfg(test)]
mod tests {
    use larder_core::Media;

    use super::*;

    fn value(rows: Rows, format: Format, pushed: &[Row<'_>]) -> Option<Value> {
        let mut answer = Answer::new(rows, format);
        for row in pushed {
            answer.push(*row).unwrap();
        }
        answer.finish().value
    }

    #[test]
    fn one_row_is_the_value_and_none_is_absence() {
        assert_eq!(value(Rows::One, Format::Json, &[]), None);
        let one = value(Rows::One, Format::Json, &[Row::Bytes(b"{}")]).unwrap();
        assert_eq!((&one.bytes[..], one.media), (&b"{}"[..], Media::Json));
        assert_eq!(value(Rows::One, Format::Raw, &[Row::Null]), None);
        let empty = value(Rows::One, Format::Raw, &[Row::Bytes(b"")]).unwrap();
        assert_eq!((&empty.bytes[..], empty.media), (&b""[..], Media::Raw));
    }

    #[test]
    fn many_rows_are_an_array_in_their_order() {
        for (rows, json) in [(vec![], "[]"), (vec!["1"], "[1]"), (vec!["2", "1", "3"], "[2,1,3]")] {
            let rows: Vec<_> = rows.iter().map(|row| Row::Bytes(row.as_bytes())).collect();
            let value = value(Rows::Many, Format::Json, &rows).unwrap();
            assert_eq!(value.bytes, json.as_bytes());
        }
    }

    #[test]
    fn a_second_row_is_an_error() {
        let mut answer = Answer::new(Rows::One, Format::Json);
        answer.push(Row::Bytes(b"{}")).unwrap();
        let error = answer.push(Row::Bytes(b"{}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert!(error.to_string().contains("rows = \"many\""));
    }

    #[test]
    fn the_largest_value_fits_and_one_byte_more_does_not() {
        let bytes = vec![b'x'; RESULT_BYTES_MAX];
        let mut answer = Answer::new(Rows::One, Format::Raw);
        answer.push(Row::Bytes(&bytes)).unwrap();
        assert_eq!(answer.finish().value.unwrap().bytes.len(), RESULT_BYTES_MAX);
        let mut answer = Answer::new(Rows::Many, Format::Json);
        assert!(answer.push(Row::Bytes(&bytes)).is_err());
    }
}
