//! The vocabulary of change feeds: what a database says was changed, whoever changed it.
//!
//! A change says which row of which table, and never what a value is to become: what isn't in it
//! may have been left out, so a cache invalidates by it, and loads.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A table, by its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// The schema (of MySQL: the database) that it is in; empty where there are none.
    pub schema: Arc<str>,
    /// Its own name.
    pub name: Arc<str>,
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.schema.is_empty() {
            write!(formatter, "{}.", self.schema)?;
        }
        formatter.write_str(&self.name)
    }
}

/// What is known of one column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// It is null.
    Null,
    /// It is this, as the database writes it as text.
    Text(Bytes),
    /// The database didn't say.
    Unknown,
}

/// A row, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[Arc<str>]>,
    fields: Box<[Field]>,
}

impl Row {
    /// A row with these columns and what is known of each. Where one list is longer, its rest is
    /// left out.
    #[must_use]
    pub fn new(columns: Arc<[Arc<str>]>, fields: impl IntoIterator<Item = Field>) -> Self {
        let fields = fields.into_iter().take(columns.len()).collect();
        Self { columns, fields }
    }

    /// What is known of this column; unknown where the row has none of this name.
    ///
    /// ```
    /// use larder_core::change::{Field, Row};
    ///
    /// let columns = ["id".into(), "name".into()];
    /// let row = Row::new(columns.into(), [Field::Text("7".into()), Field::Null]);
    /// assert_eq!(*row.get("id"), Field::Text("7".into()));
    /// assert_eq!(*row.get("email"), Field::Unknown);
    /// ```
    #[must_use]
    pub fn get(&self, column: &str) -> &Field {
        let at = self.columns.iter().position(|name| **name == *column);
        at.and_then(|at| self.fields.get(at)).unwrap_or(&Field::Unknown)
    }

    /// The columns and what is known of each, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.columns.iter().map(|name| &**name).zip(&self.fields)
    }
}

/// What became of a row, or of all rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is new.
    Inserted(Row),
    /// It is another one.
    Updated {
        /// What it was, where the database says so; at least what identified it, if that changed.
        old: Option<Row>,
        /// What it is.
        new: Row,
    },
    /// It is gone. At least what identified it is known.
    Deleted(Row),
    /// All rows are gone.
    Truncated,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub table: Table,
    /// What.
    pub changed: Changed,
}

impl Change {
    /// The rows that it speaks of: what was, and what is.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let (old, new) = match &self.changed {
            Changed::Inserted(new) => (None, Some(new)),
            Changed::Updated { old, new } => (old.as_ref(), Some(new)),
            Changed::Deleted(old) => (Some(old), None),
            Changed::Truncated => (None, None),
        };
        old.into_iter().chain(new)
    }
}
