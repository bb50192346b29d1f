//! The tables that are followed: what is to be said of each, and whether its triggers are there.

use std::fmt;

use larder_core::Result;
use larder_core::change::Table;
use sqlx::Row as _;

use super::super::control::{Control, internal, text};
use super::super::shape;
use super::catalogue::{self, Catalogue};
use super::{PostgresTriggersOptions, config, in_schema};

/// The first version whose snapshots have whole numbers of transactions.
const VERSION_MIN: i32 = 130_000;

/// Why a table can't be followed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is none of this name.
    Missing(String),
    /// It is a view, or something else whose rows are changed elsewhere, or only for one session.
    NoTable(Table),
    /// It belongs to somebody else, so that no trigger can be made.
    NotOwned(Table),
    /// The rows of one of its parts are in another database (FOREIGN), where no trigger of this one
    /// is executed.
    ElsewhereIn {
        /// The table.
        table: Table,
        /// The part, as SQL names it.
        part: String,
    },
    /// A table inherits from it, whose rows a SELECT of it returns, and which isn't named.
    Unnamed {
        /// The table.
        table: Table,
        /// The one that inherits, as SQL names it.
        child: String,
    },
}

impl Problem {
    /// Whether rows are changed that no trigger tells.
    fn hides_rows(&self) -> bool {
        matches!(self, Self::ElsewhereIn { .. } | Self::Unnamed { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(formatter, "there is no table {name}"),
            Self::NoTable(table) => {
                write!(formatter, "{table} is not a table: name the tables that it reads")
            }
            Self::NotOwned(table) => {
                write!(formatter, "only the owner of {table} can install triggers on it")
            }
            Self::ElsewhereIn { table, part } => write!(
                formatter,
                "no trigger is executed for {part}, whose rows are in another database: ALTER \
                 TABLE {table} DETACH PARTITION {part}, or name the other parts"
            ),
            Self::Unnamed { table, child } => write!(
                formatter,
                "a SELECT of {table} returns the rows of {child} too, which inherits from it: \
                 name {child} as well"
            ),
        }
    }
}

/// What is known of a table that is to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStanding {
    /// Its full name; what the user called it where there is none.
    pub table: Table,
    /// Its triggers are there, and are executed for whoever writes.
    pub is_installed: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Its name as SQL writes it.
    pub(super) quoted: String,
}

/// A partition that was added later has the trigger of its rows, but none of its own TRUNCATE. That
/// is no reason not to follow: the catalogue tells it.
const STANDING: &str = "
    SELECT n.nspname::text, c.relname::text, c.relkind IN ('r', 'p') AND c.relpersistence <> 't',
           pg_has_role(c.relowner, 'USAGE'), format('%I.%I', n.nspname, c.relname),
           NOT EXISTS (
             SELECT FROM (SELECT c.oid AS relid UNION SELECT relid FROM pg_partition_tree(c.oid)) t
              WHERE NOT EXISTS (SELECT FROM pg_trigger g
                                 WHERE g.tgrelid = t.relid AND g.tgname = '{feed}_row'
                                   AND g.tgfoid = f.tell AND g.tgenabled = 'A'))
           AND EXISTS (SELECT FROM pg_trigger g
                        WHERE g.tgrelid = c.oid AND g.tgname = '{feed}_truncate'
                          AND g.tgfoid = f.tell AND g.tgenabled = 'A')
      FROM (SELECT to_regprocedure('{feed}.tell()')::oid AS tell) f,
           pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = to_regclass($1)";

/// How these tables stand.
pub(super) async fn standing(
    control: &Control,
    options: &PostgresTriggersOptions,
) -> Result<Vec<TableStanding>> {
    let mut all = Vec::with_capacity(options.tables.len());
    for name in &options.tables {
        let one = one(control, &options.name, name).await?;
        // Nobody has to name it twice, and its triggers would be made twice.
        if !all.iter().any(|other: &TableStanding| other.table == one.table) {
            all.push(one);
        }
    }
    let tables = shape::array(&options.tables);
    let rows = control.rows(&catalogue::asked(&options.name), &[&tables]).await?;
    for entry in Catalogue::of(&rows)?.entries() {
        let Some(table) = &entry.table else { continue };
        let Some(one) = all.iter_mut().find(|one| one.table == *table) else { continue };
        let of = |part: &Option<String>| part.clone().map(|part| (table.clone(), part));
        let elsewhere = of(&entry.elsewhere);
        let elsewhere = elsewhere.map(|(table, part)| Problem::ElsewhereIn { table, part });
        let unnamed = of(&entry.child).map(|(table, child)| Problem::Unnamed { table, child });
        for problem in elsewhere.into_iter().chain(unnamed) {
            if !one.problems.contains(&problem) {
                one.problems.push(problem);
            }
        }
    }
    Ok(all)
}

async fn one(control: &Control, feed: &str, name: &str) -> Result<TableStanding> {
    let rows = control.rows(&in_schema(feed, STANDING), &[name]).await?;
    let Some(row) = rows.first() else {
        let table = Table { schema: "".into(), name: name.into() };
        let problems = vec![Problem::Missing(name.to_owned())];
        let quoted = String::new();
        return Ok(TableStanding { table, is_installed: false, problems, quoted });
    };
    let is = |at: usize| row.try_get::<bool, _>(at).map_err(|error| internal(&error));
    let table = Table { schema: text(row, 0)?.into(), name: text(row, 1)?.into() };
    let mut problems = Vec::new();
    if !is(2)? {
        problems.push(Problem::NoTable(table.clone()));
    } else if !is(3)? {
        problems.push(Problem::NotOwned(table.clone()));
    }
    Ok(TableStanding { table, is_installed: is(5)?, problems, quoted: text(row, 4)? })
}

/// Whether a server can be followed so.
pub(super) async fn check_server(control: &Control) -> Result<()> {
    let asked = "SELECT current_setting('server_version_num')::int4, pg_is_in_recovery()";
    let rows = control.rows(asked, &[]).await?;
    let Some(row) = rows.first() else { return Err(config("the server doesn't say what it is")) };
    let version: i32 = row.try_get(0).map_err(|error| internal(&error))?;
    if row.try_get(1).map_err(|error| internal(&error))? {
        return Err(config("this is a standby: follow the primary, where triggers are executed"));
    }
    if version < VERSION_MIN {
        return Err(config("a feed by triggers needs Postgres 13 or newer"));
    }
    Ok(())
}

/// Whether there is a table of changes.
pub(super) async fn is_made(control: &Control, feed: &str) -> Result<bool> {
    let asked = in_schema(feed, "SELECT to_regclass('{feed}.state') IS NOT NULL");
    let rows = control.rows(&asked, &[]).await?;
    rows.first().map_or(Ok(false), |row| row.try_get(0).map_err(|error| internal(&error)))
}

/// Whether what was installed is this function, on no other tables than these.
pub(super) async fn is_current(
    control: &Control,
    options: &PostgresTriggersOptions,
    tables: &[TableStanding],
    function: &str,
) -> Result<bool> {
    if !is_made(control, &options.name).await? {
        return Ok(false);
    }
    let asked = in_schema(
        &options.name,
        "SELECT s.definition = $1,
                (SELECT count(*) FROM pg_trigger g
                  WHERE g.tgfoid = to_regprocedure('{feed}.tell()') AND g.tgparentid = 0
                    AND g.tgname = '{feed}_row')
           FROM {feed}.state s",
    );
    let rows = control.rows(&asked, &[function]).await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let count: i64 = row.try_get(1).map_err(|error| internal(&error))?;
    let is_same: bool = row.try_get(0).map_err(|error| internal(&error))?;
    Ok(is_same && usize::try_from(count) == Ok(tables.len()))
}

/// Refuses where a trigger is missing, or where none is executed for some of the rows. From then on
/// the log is another one: nobody knows for how long it was.
pub(super) async fn check_installed(
    control: &Control,
    options: &PostgresTriggersOptions,
) -> Result<()> {
    if !is_made(control, &options.name).await? {
        let name = &options.name;
        return Err(config(format!("there is no table {name}.change: install the feed first")));
    }
    let standing = standing(control, options).await?;
    let hidden = standing.iter().flat_map(|table| &table.problems).find(|it| it.hides_rows());
    let missing = standing.iter().find(|table| !table.is_installed).map(|table| &table.table);
    let wrong = match (hidden, missing) {
        (Some(problem), _) => problem.to_string(),
        (None, Some(table)) => {
            format!("the triggers of {table} are missing or disabled: install the feed again")
        }
        (None, None) => return Ok(()),
    };
    let other = in_schema(
        &options.name,
        "UPDATE {feed}.state SET log = hashtextextended(gen_random_uuid()::text, 0)",
    );
    control.rows(&other, &[]).await?;
    Err(config(wrong))
}
