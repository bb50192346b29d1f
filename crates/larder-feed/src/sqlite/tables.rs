//! The tables that are followed: their columns, what makes their rows unique, and their triggers.

use std::fmt;

use larder_core::change::Table;
use sqlx::Row as _;

use super::SqliteTriggersOptions;
use super::connection::Asked;
use super::definition::{named, triggers_of};

/// Why a table can't be followed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is none of this name.
    Missing(String),
    /// It is a view, or virtual: its rows are changed elsewhere.
    NoTable(Table),
    /// An index makes expressions unique: nobody can say beforehand which row a REPLACE deletes.
    UniqueExpression(Table, String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(formatter, "there is no table {name}"),
            Self::NoTable(table) => {
                write!(formatter, "{table} is not a table: name the tables that it reads")
            }
            Self::UniqueExpression(table, index) => write!(
                formatter,
                "the index {index} makes an expression unique, so that INSERT OR REPLACE may \
                 delete rows of {table} without a word: make a generated column unique instead"
            ),
        }
    }
}

/// What is known of a table that is to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStanding {
    /// Its name; what the user called it where there is none.
    pub table: Table,
    /// Its triggers are there, and tell all of its columns.
    pub is_installed: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
    pub(super) columns: Vec<String>,
    /// What a row can be known by: the number of the row, if it has one, then unique columns.
    pub(super) uniques: Vec<Unique>,
    /// What tells one row from another.
    pub(super) identity: Vec<String>,
}

/// Columns that no two rows have alike, each with the order that says what is alike; the number of
/// a row has none.
pub(super) type Unique = Vec<(String, Option<String>)>;

/// How these tables stand.
pub(super) async fn standing(
    asked: &mut Asked,
    options: &SqliteTriggersOptions,
) -> Result<Vec<TableStanding>, sqlx::Error> {
    let made = triggers(asked, &options.name).await?;
    let mut all: Vec<TableStanding> = Vec::with_capacity(options.tables.len());
    for name in &options.tables {
        let mut one = one(asked, name).await?;
        let wanted = triggers_of(&options.name, &one);
        one.is_installed =
            one.problems.is_empty() && wanted.iter().all(|trigger| made.contains(trigger));
        if !all.iter().any(|other| other.table == one.table) {
            all.push(one);
        }
    }
    Ok(all)
}

async fn one(asked: &mut Asked, name: &str) -> Result<TableStanding, sqlx::Error> {
    let sql = "SELECT name, type, wr FROM pragma_table_list
                WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
    let rows = asked.rows(sql, |query| query.bind(name.to_owned())).await?;
    let table = |name: &str| Table { schema: "".into(), name: name.into() };
    let mut standing = TableStanding {
        table: table(name),
        is_installed: false,
        problems: Vec::new(),
        columns: Vec::new(),
        uniques: Vec::new(),
        identity: Vec::new(),
    };
    let Some(row) = rows.first() else {
        standing.problems.push(Problem::Missing(name.to_owned()));
        return Ok(standing);
    };
    standing.table = table(row.try_get(0)?);
    let (kind, is_without_rowid): (String, bool) = (row.try_get(1)?, row.try_get(2)?);
    if kind != "table" {
        standing.problems.push(Problem::NoTable(standing.table.clone()));
        return Ok(standing);
    }
    let name = standing.table.name.to_string();
    let sql = "SELECT name, pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";
    for row in asked.rows(sql, |query| query.bind(name.clone())).await? {
        let column: String = row.try_get(0)?;
        if is_without_rowid && row.try_get::<i64, _>(1)? > 0 {
            standing.identity.push(column.clone());
        }
        standing.columns.push(column);
    }
    if !is_without_rowid {
        let is_free =
            |name: &&str| !standing.columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        if let Some(rowid) = ["_rowid_", "rowid", "oid"].iter().find(|name| is_free(name)) {
            standing.identity.push((*rowid).to_owned());
            standing.uniques.push(vec![((*rowid).to_owned(), None)]);
        } else {
            // Columns have all of its names, so that nobody can give it, and none is left for it.
            standing.identity.clone_from(&standing.columns);
        }
    }
    let sql = "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" ORDER BY name";
    for row in asked.rows(sql, |query| query.bind(name.clone())).await? {
        let index: String = row.try_get(0)?;
        let sql = "SELECT cid, name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno";
        let mut unique = Vec::new();
        for row in asked.rows(sql, |query| query.bind(index.clone())).await? {
            if row.try_get::<i64, _>(0)? < 0 {
                let table = standing.table.clone();
                standing.problems.push(Problem::UniqueExpression(table, index.clone()));
                break;
            }
            unique.push((row.try_get(1)?, row.try_get(2)?));
        }
        // Two indexes of different parts of a table may have the same columns.
        if !standing.uniques.contains(&unique) {
            standing.uniques.push(unique);
        }
    }
    Ok(standing)
}

/// A trigger: its name, and what made it.
pub(super) type Trigger = (String, String);

/// The triggers that a feed of this name has.
pub(super) async fn triggers(asked: &mut Asked, feed: &str) -> Result<Vec<Trigger>, sqlx::Error> {
    let sql = "SELECT name, sql FROM sqlite_schema
                WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1
                  AND instr(sql, ?2) > 0 ORDER BY name";
    let (begins, speaks) = (format!("{feed}_"), format!(" {feed}_state "));
    let rows = asked.rows(sql, |query| query.bind(begins).bind(speaks)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A view: its name, and what made it.
pub(super) type View = (String, String);

/// All views of the file.
pub(super) async fn views(asked: &mut Asked) -> Result<Vec<View>, sqlx::Error> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name";
    let rows = asked.rows(sql, |query| query).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Whether there is a table of changes.
pub(super) async fn is_made(asked: &mut Asked, feed: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let rows = asked.rows(sql, |query| query.bind(format!("{feed}_state"))).await?;
    Ok(!rows.is_empty())
}

/// Whether what was installed are these triggers and no others.
pub(super) async fn is_current(
    asked: &mut Asked,
    options: &SqliteTriggersOptions,
    tables: &[TableStanding],
) -> Result<bool, sqlx::Error> {
    if !is_made(asked, &options.name).await? || !tables.iter().all(|table| table.is_installed) {
        return Ok(false);
    }
    let wanted: usize =
        tables.iter().map(|table| triggers_of(&options.name, table).len()).sum::<usize>() + 1;
    let rows_max = named(&options.name, "SELECT rows_max FROM {feed}_state");
    let rows = asked.rows(&rows_max, |query| query).await?;
    let rows_max = rows.first().map(|row| row.try_get::<i64, _>(0)).transpose()?;
    Ok(rows_max.map(i64::cast_unsigned) == Some(options.rows_max)
        && triggers(asked, &options.name).await?.len() == wanted)
}
