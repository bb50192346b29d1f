//! A row as the log has it.

use std::sync::Arc;

use larder_core::change::{Field, Row};

use super::reader::Reader;
use super::{Malformed, Relation};

/// Which row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What identified it before.
    Key,
    /// All of it, before.
    Old,
    /// All of it, after.
    New,
}

/// Reads a row of one of these kinds.
pub(super) fn tuple(
    reader: &mut Reader<'_>,
    relation: &Relation,
    kinds: &[Kind],
) -> Result<(Kind, Row), Malformed> {
    let kind = match reader.byte()? {
        b'K' => Kind::Key,
        b'O' => Kind::Old,
        b'N' => Kind::New,
        _ => return Err(Malformed("there is no such kind of row")),
    };
    if !kinds.contains(&kind) {
        return Err(Malformed("this kind of row has no place there"));
    }
    if usize::from(reader.u16()?) != relation.columns().len() {
        return Err(Malformed("a row has other columns than its relation"));
    }
    let mut fields = Vec::with_capacity(relation.columns().len());
    for column in 0..relation.columns().len() {
        let field = match reader.byte()? {
            b'n' => Field::Null,
            b't' => Field::Text(reader.counted()?),
            // A large value that wasn't changed isn't in the log.
            b'u' => Field::Unknown,
            _ => return Err(Malformed("a field is neither null, text nor unchanged")),
        };
        // What doesn't identify a row is written as null in its key.
        let is_said = kind != Kind::Key || relation.identifies(column);
        fields.push(if is_said { field } else { Field::Unknown });
    }
    Ok((kind, Row::new(Arc::clone(relation.columns()), fields)))
}
