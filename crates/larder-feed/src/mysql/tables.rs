//! The tables that are followed: what is to be said of each, and what changes them besides.

use std::collections::HashMap;
use std::fmt;

use larder_core::change::Table;
use larder_core::{Error, Result};
use mysql_async::Row;

use super::config;
use super::control::{Control, needed, text};
use super::foreign::{self, Foreign};
use super::watched::{Watch, Watched};
use crate::binlog::Override;

/// Why a table can't be followed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is none of this name.
    Missing(String),
    /// It is a view, or something else without rows in the log.
    NoTable(Table),
    /// Its engine keeps or shows rows otherwise than the log says.
    Engine(Table, String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(
                formatter,
                "there is no table {name}, or the user mayn't read it: GRANT SELECT"
            ),
            Self::NoTable(table) => {
                write!(formatter, "{table} is not a table: name the tables that it reads")
            }
            Self::Engine(table, engine) => write!(
                formatter,
                "{table} is kept by {engine}, whose rows change otherwise than the log says: \
                 ALTER TABLE {table} ENGINE = InnoDB"
            ),
        }
    }
}

/// What is known of a table that is to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStanding {
    /// Its full name; what the user called it where there is none.
    pub table: Table,
    /// The columns whose old values the log tells when a row is changed or deleted.
    pub identity: Vec<String>,
    /// The columns whose collation takes several texts as one, upper and lower case among them: a
    /// key that is made of one may be written in several ways, and the log tells one of them.
    pub folded: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Of which type columns are that the log doesn't tell.
    pub(super) overrides: HashMap<Box<str>, Override>,
}

/// How these tables stand, in a log that tells of old rows everything, or what identifies them.
pub(super) async fn standing(
    control: &Control,
    database: &str,
    names: &[String],
    tells_whole_rows: bool,
) -> Result<Vec<TableStanding>> {
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        all.push(one(control, database, name, tells_whole_rows).await?);
    }
    Ok(all)
}

async fn one(
    control: &Control,
    database: &str,
    name: &str,
    tells_whole_rows: bool,
) -> Result<TableStanding> {
    let wanted = named(database, name)?;
    let parameters = || vec![wanted.schema.to_string(), wanted.name.to_string()].into();
    let found = "SELECT table_schema, table_name, table_type, engine
                   FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
    let rows = control.bound(found, parameters()).await?;
    let Some(row) = rows.first() else {
        let problems = vec![Problem::Missing(name.to_owned())];
        return Ok(TableStanding {
            table: wanted,
            identity: Vec::new(),
            folded: Vec::new(),
            problems,
            overrides: HashMap::new(),
        });
    };
    let table = Table { schema: needed(row, 0)?.into(), name: needed(row, 1)?.into() };
    let (kind, engine) = (needed(row, 2)?, text(row, 3).unwrap_or_default());
    let mut problems = Vec::new();
    if !matches!(kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED") {
        problems.push(Problem::NoTable(table.clone()));
    } else if !["InnoDB", "MyISAM", "Aria"].contains(&engine.as_str()) {
        problems.push(Problem::Engine(table.clone(), engine));
    }
    let columns = "SELECT column_name, column_key, data_type, collation_name
                     FROM information_schema.columns WHERE table_schema = ? AND table_name = ?
                    ORDER BY ordinal_position";
    let rows = control.bound(columns, parameters()).await?;
    let names = |is_wanted: &dyn Fn(&Row) -> bool| -> Vec<String> {
        rows.iter().filter(|row| is_wanted(row)).filter_map(|row| text(row, 0)).collect()
    };
    let key = names(&|row| text(row, 1).as_deref() == Some("PRI"));
    let all = names(&|_| true);
    let identity = if tells_whole_rows || key.is_empty() { all } else { key };
    let folded = names(&|row| text(row, 3).is_some_and(|collation| !collation.ends_with("_bin")));
    let special = |row: &Row| {
        let kind = match text(row, 2)?.to_ascii_lowercase().as_str() {
            "uuid" => Override::Uuid,
            "inet4" => Override::Inet4,
            "inet6" => Override::Inet6,
            _ => return None,
        };
        Some((text(row, 0)?.into(), kind))
    };
    let overrides = rows.iter().filter_map(special).collect();
    Ok(TableStanding { table, identity, folded, problems, overrides })
}

/// A name as users write it: `users`, `shop.users`, with backquotes where it needs them.
fn named(database: &str, name: &str) -> Result<Table> {
    let malformed = || config(format!("`{name}` can't name a table: write shop.users"));
    let (first, rest) = part(name).ok_or_else(malformed)?;
    let (schema, name) = match rest.strip_prefix('.') {
        None if rest.is_empty() => (database.to_owned(), first),
        Some(rest) => match part(rest) {
            Some((second, "")) => (first, second),
            _ => return Err(malformed()),
        },
        None => return Err(malformed()),
    };
    Ok(Table { schema: schema.into(), name: name.into() })
}

fn part(text: &str) -> Option<(String, &str)> {
    if text.starts_with('`') {
        return foreign::quoted(text);
    }
    let (word, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    (!word.is_empty()).then(|| (word.to_owned(), rest))
}

/// What is to be looked for in the log, so that nothing of these tables is missed.
pub(super) async fn watched(control: &Control, standing: &[TableStanding]) -> Result<Watched> {
    if let Some(problem) = standing.iter().find_map(|table| table.problems.first()) {
        return Err(config(problem.to_string()));
    }
    watched_besides(control, standing).await
}

/// The same while they are followed: a table may have been dropped meanwhile.
pub(super) async fn watched_besides(
    control: &Control,
    standing: &[TableStanding],
) -> Result<Watched> {
    let mut watched = Watched::default();
    for standing in standing {
        let (table, overrides) = (standing.table.clone(), standing.overrides.clone());
        watched.covered.push(table.clone());
        watched.tables.push(Watch { table, is_covered: true, overrides, cascades: Vec::new() });
    }
    let is_there = |table: &TableStanding| {
        !table.problems.iter().any(|problem| matches!(problem, Problem::Missing(_)))
    };
    let there = standing.iter().filter(|table| is_there(table));
    let keys: Vec<Foreign> =
        foreign::above(control, there.map(|table| table.table.clone())).await?;
    watched.cascade(&keys);
    Ok(watched)
}

/// A table can't be followed any more.
pub(super) fn broken(standing: &[TableStanding]) -> Option<Error> {
    let problems = standing.iter().flat_map(|table| &table.problems);
    let mut broken = problems.filter(|problem| !matches!(problem, Problem::Missing(_)));
    broken.next().map(|problem| config(problem.to_string()))
}
