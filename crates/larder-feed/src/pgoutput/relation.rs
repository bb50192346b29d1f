//! A relation as a session describes it: its names, its columns, and what it says of old rows.

use std::sync::Arc;

use larder_core::change::Table;

use super::Malformed;
use super::reader::Reader;

/// A table has so many columns at most (`MaxHeapAttributeNumber`).
const COLUMNS_MAX: usize = 1_600;

/// What the log says of a row that was updated or deleted (REPLICA IDENTITY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The columns of the primary key.
    Default,
    /// Nothing.
    Nothing,
    /// All columns.
    Full,
    /// The columns of an index.
    Index,
}

/// A relation that was described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    table: Table,
    identity: Identity,
    columns: Arc<[Arc<str>]>,
    /// Of each column, whether it is one of those that identify a row.
    identifies: Box<[bool]>,
    /// Of each column, its type: its number and what it was declared with.
    types: Box<[(u32, u32)]>,
}

impl Relation {
    /// Its names.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// What the log says of old rows.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The names of its columns, in their order.
    #[must_use]
    pub fn columns(&self) -> &Arc<[Arc<str>]> {
        &self.columns
    }

    /// Whether the column is one of those that identify a row.
    pub(super) fn identifies(&self, column: usize) -> bool {
        self.identifies.get(column).copied().unwrap_or(false)
    }

    /// Reads a description, with the number that rows refer to it by.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<(u32, Self), Malformed> {
        let number = reader.u32()?;
        // A table of the catalog has no schema's name here.
        let schema = match reader.text()? {
            "" => "pg_catalog",
            schema => schema,
        };
        let table = Table { schema: schema.into(), name: reader.text()?.into() };
        let identity = match reader.byte()? {
            b'd' => Identity::Default,
            b'n' => Identity::Nothing,
            b'f' => Identity::Full,
            b'i' => Identity::Index,
            _ => return Err(Malformed("there is no such replica identity")),
        };
        let count = usize::from(reader.u16()?);
        if count > COLUMNS_MAX {
            return Err(Malformed("a relation has at most 1,600 columns"));
        }
        let mut columns = Vec::with_capacity(count);
        let mut identifies = Vec::with_capacity(count);
        let mut types = Vec::with_capacity(count);
        for _ in 0..count {
            identifies.push(reader.byte()? & 1 == 1);
            columns.push(Arc::from(reader.text()?));
            types.push((reader.u32()?, reader.u32()?));
        }
        let relation = Self {
            table,
            identity,
            columns: columns.into(),
            identifies: identifies.into(),
            types: types.into(),
        };
        Ok((number, relation))
    }
}
