//! What a write binds, as MySQL and MariaDB take it.
//!
//! Neither server says which types a statement wants. A field with the name of a column of the
//! load goes there as what that column is: base64 to bytes, JSON to a document. Everything else is
//! bound as what it is in JSON, a number with a fraction as its text, so that the server reads all
//! its digits into whatever the column is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use larder_core::{Error, ErrorKind, Result};
use sqlx::Arguments;
use sqlx::mysql::MySqlArguments;

use super::{Connection, add};
use crate::changes::Bound;
use crate::document::{Field, Given};
use crate::pool::Failure;

/// What the protocol adds to a value, at most, and to a statement.
const OVERHEAD: usize = 16;

/// A name, and what its column is.
pub(super) struct Bind {
    pub(super) name: String,
    pub(super) column: Kind,
}

/// What a column that a name stands for is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    Document,
    Other,
}

/// The arguments of one write: `places` says which name each placeholder is.
pub(super) fn arguments(
    connection: &Connection,
    binds: &[Bind],
    places: &[usize],
    bound: &[Bound<'_>],
) -> Result<MySqlArguments, Failure> {
    let mut arguments = MySqlArguments::default();
    let mut size = OVERHEAD;
    for &place in places {
        let (Some(bind), Some(bound)) = (binds.get(place), bound.get(place)) else {
            return Err(Failure::Whole(Error::new(ErrorKind::Internal, "a name without a value")));
        };
        size += OVERHEAD + length(bound);
        match bound {
            Bound::Parameter(value) => add(&mut arguments, value),
            Bound::Delta(delta) => arguments.add(*delta),
            Bound::Whole(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if bind.column != Kind::Bytes => arguments.add(text),
                _ => arguments.add(*bytes),
            },
            Bound::Field(given) => {
                add_field(&mut arguments, bind, given).map_err(Failure::Whole)?;
                Ok(())
            }
        }
        .map_err(sqlx::Error::Encode)?;
    }
    // The server would close the connection on a larger one, and say why to nobody.
    let most = connection.packet_bytes_max;
    if u64::try_from(size).unwrap_or(u64::MAX) > most {
        let what = format!(
            "the write has {size} bytes, and the server takes {most}: raise its max_allowed_packet"
        );
        return Err(Failure::Whole(Error::new(ErrorKind::Refused, what)));
    }
    Ok(arguments)
}

/// At least as many bytes as it is sent with.
fn length(bound: &Bound<'_>) -> usize {
    match bound {
        Bound::Parameter(value) => value.to_string().len(),
        Bound::Delta(_) => 0,
        Bound::Whole(bytes) => bytes.len(),
        Bound::Field(given) => given.json.len(),
    }
}

fn add_field(arguments: &mut MySqlArguments, bind: &Bind, given: &Given<'_>) -> Result<()> {
    let refused = |what: &str| {
        let what = format!("the field {} is {what}", bind.name);
        Error::new(ErrorKind::Refused, what)
    };
    let added = match (&given.field, bind.column) {
        (Field::Null, _) => arguments.add(None::<i64>),
        (_, Kind::Document) => arguments.add(given.json),
        (Field::Text(base64), Kind::Bytes) => match STANDARD.decode(base64.as_bytes()) {
            Ok(bytes) => arguments.add(bytes),
            Err(_) => return Err(refused("no base64, and its column holds bytes")),
        },
        (_, Kind::Bytes) => return Err(refused("no string in base64, and its column holds bytes")),
        (Field::Bool(truth), _) => arguments.add(i64::from(*truth)),
        (Field::Text(text), _) => arguments.add(text.as_ref()),
        (Field::Nested(json), _) => arguments.add(*json),
        (Field::Number(number), _) => match (number.parse::<i64>(), number.parse::<u64>()) {
            (Ok(number), _) => arguments.add(number),
            (_, Ok(number)) => arguments.add(number),
            _ => arguments.add(*number),
        },
    };
    added.map_err(|error| refused(&error.to_string()))
}
