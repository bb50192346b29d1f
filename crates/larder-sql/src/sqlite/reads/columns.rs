//! What the columns of a table in SQLite tell.
//!
//! A column holds what it was given, whatever it was declared, except that a number in a column of
//! integers is one, and text in one of texts is text (SQLite, "Datatypes In SQLite"). So only
//! those two say of two values that are equal that their texts are.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{asked, program};
use crate::pool::Failure;
use crate::reads;

/// The columns of a table, by their names in small letters.
#[derive(Default)]
pub(super) struct Told(HashMap<String, (String, reads::Told)>);

impl Told {
    /// Those of `table`, which exists.
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        table: &str,
    ) -> Result<Self, Failure> {
        let listed = "SELECT name, upper(type), hidden FROM pragma_table_xinfo(?1)";
        let rows = asked(listed).bind(table.to_owned()).fetch_all(&mut *connection).await?;
        let column = |row: &SqliteRow| {
            Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?, row.try_get_unchecked(2)?))
        };
        let columns: Vec<(String, String, i64)> =
            rows.iter().map(column).collect::<Result<_, sqlx::Error>>()?;
        let mut told = HashMap::new();
        for (name, declared, hidden) in columns {
            let other = |why: &str| reads::Told::Other(why.to_owned());
            let is = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
            let column = if hidden != 0 {
                other("is generated")
            } else if is(&["INT"]) {
                reads::Told::Int
            } else if !is(&["CHAR", "CLOB", "TEXT"]) {
                other(
                    "is declared as neither an INTEGER nor a TEXT, so that different texts may \
                       be equal",
                )
            } else if !is_exact(connection, table, &name).await? {
                other("has a collation in which different texts may be equal")
            } else {
                reads::Told::Text
            };
            told.insert(name.to_ascii_lowercase(), (name, column));
        }
        Ok(Self(told))
    }

    /// What the column is called, and what it tells.
    pub(super) fn of(&self, name: &str) -> Option<(String, reads::Told)> {
        self.0.get(&name.to_ascii_lowercase()).cloned()
    }
}

/// Whether texts in the column are equal only if their bytes are. The program of a comparison with
/// it says so; the plus keeps an index out of it, and the collation as it is.
async fn is_exact(
    connection: &mut SqliteConnection,
    table: &str,
    column: &str,
) -> Result<bool, Failure> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let sql = format!("SELECT +{} = ?1 FROM main.{}", quoted(column), quoted(table));
    let program = program(connection, &sql).await?;
    let mut compares = program.iter().filter(|step| step.opcode == "Eq" || step.opcode == "Ne");
    let is_binary = |p4: &str| p4.starts_with("BINARY-");
    Ok(compares.any(|step| step.p4.as_deref().is_some_and(is_binary)))
}
