//! The SQL that is really sent: one row with the version of the schema, then an arm for each
//! key, with the user's query in it.
//!
//! A batch has room for a power of two of keys, so that few different statements are prepared;
//! an arm beyond the number of keys, the first argument, is not run. SQLite allows 500 arms and
//! 32,766 arguments, and 128 keys of 16 parameters stay below both.

use std::collections::HashSet;
use std::fmt::Write;

use larder_core::Error;
use sqlx::sqlite::SqliteStatement;
use sqlx::{Column, Statement as _, TypeInfo};

use super::Named;
use crate::json;
use crate::load::{Format, Rows, not_one_column, two_columns};
use crate::loads::Question;

/// The makings of a statement.
pub(super) struct Shape<'a> {
    question: &'a Question,
    described: &'a SqliteStatement,
}

impl<'a> Shape<'a> {
    pub(super) fn new(
        question: &'a Question,
        described: &'a SqliteStatement,
    ) -> Result<Self, Error> {
        let columns = described.columns();
        match question.format {
            Format::Raw if columns.len() != 1 => return Err(not_one_column(columns.len())),
            Format::Raw => {}
            Format::Json => {
                let mut seen = HashSet::new();
                if let Some(twice) = columns.iter().find(|column| !seen.insert(column.name())) {
                    return Err(two_columns(twice.name()));
                }
            }
        }
        Ok(Self { question, described })
    }

    pub(super) fn columns(&self) -> Vec<Named> {
        let named = |column: &sqlx::sqlite::SqliteColumn| {
            let mut label = Vec::new();
            json::push_string(column.name(), &mut label);
            label.push(b':');
            Named { label, is_boolean: column.type_info().name() == "BOOLEAN" }
        };
        self.described.columns().iter().map(named).collect()
    }

    /// Which of the columns the tags name.
    ///
    /// # Errors
    ///
    /// The tags name a column that isn't there.
    pub(super) fn tagged(&self) -> Result<Vec<usize>, Error> {
        let names: Vec<_> = self.described.columns().iter().map(Column::name).collect();
        self.question.tags.find(&names, &self.question.parameters)
    }

    /// The statement for up to `keys` keys. The values of the first begin at the second argument.
    pub(super) fn statement(&self, keys: usize) -> String {
        let names: Vec<_> =
            (0..self.described.columns().len()).map(|at| format!("larder_{at}")).collect();
        let names = names.join(", ");
        let nulls = ", NULL".repeat(self.described.columns().len() - 1);
        let mut sql =
            format!("SELECT -1, (SELECT schema_version FROM pragma_schema_version){nulls}");
        // Two rows are enough to know that there is more than one. Any limit also keeps the
        // order of the query.
        let limit = match self.question.rows {
            Rows::One => 2,
            Rows::Many => -1,
        };
        for key in 0..keys {
            let first = 2 + key * self.question.bound.len();
            let load = self.question.statement.render(|at| format!("?{}", first + at));
            write!(
                sql,
                " UNION ALL SELECT {key}, {names} FROM (WITH larder_row({names}) AS ({load}\n) \
                 SELECT * FROM larder_row LIMIT {limit}) WHERE {key} < ?1"
            )
            .expect("writing to a string does not fail");
        }
        sql
    }
}
