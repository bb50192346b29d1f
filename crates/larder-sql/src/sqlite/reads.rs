//! What a load reads in SQLite, by the program that SQLite makes of it.
//!
//! `EXPLAIN` shows which b-trees a statement opens and which functions it calls, below all views,
//! whatever it is made of. SQLite may leave out a table that can't change the answer; since the
//! program is right whatever the tables hold, as long as their definitions stay, such a table isn't
//! read. The opcodes are those of the SQLite that is linked in, so that they change only with it.

mod columns;

use std::collections::{BTreeSet, HashMap, HashSet};

use larder_core::change::Table;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row as _};

use self::columns::Told;
use super::{Connection, Sqlite};
use crate::loads::Question;
use crate::pool::Failure;
use crate::reads::{Reader, Reads, columns, equalities, refused};
use crate::statement::{Dialect, words};

/// What opens something that isn't a table.
const OWN: [&str; 4] = ["OpenEphemeral", "OpenAutoindex", "OpenPseudo", "OpenDup"];

/// The functions that are the clock when they are asked for `'now'`, as any text may be.
const CLOCKS: [&str; 7] =
    ["date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"];

/// The modules that read nothing but their arguments.
const STEADY_MODULES: [&str; 2] = ["json_each", "json_tree"];

/// What the flag of a function is whose result depends on its arguments alone.
const DETERMINISTIC: i64 = 0x800;

impl Reader for Sqlite {
    async fn reads(connection: &mut Connection, question: &Question) -> Result<Reads, Failure> {
        let connection = &mut connection.inner;
        // What was prepared before may describe tables as they were.
        connection.clear_cached_statements().await?;
        connection.execute("BEGIN").await?;
        let found = found(connection, question).await;
        connection.execute("ROLLBACK").await?;
        let (tables, told) = found?;
        let plain = question.statement.render(|at| format!("?{}", at + 1));
        let equalities = match tables.len() {
            0 => Err("reads no table".to_owned()),
            1 => equalities(plain, Dialect::Sqlite).await,
            _ => Err("reads more than one table".to_owned()),
        };
        let is_view =
            |table: &str| !tables.iter().any(|known| known.name.eq_ignore_ascii_case(table));
        let equalities = match equalities {
            Ok(found) if found.iter().any(|equality| is_view(&equality.table)) => {
                Err("reads through a view".to_owned())
            }
            equalities => equalities,
        };
        let found = columns(question, equalities, |equality| told.of(&equality.column));
        Ok(Reads::new(tables, found))
    }

    async fn identity(
        connection: &mut Connection,
        table: &Table,
    ) -> Result<Option<Vec<Box<str>>>, Failure> {
        if !table.schema.is_empty() {
            return Ok(None);
        }
        let named = "SELECT x.name FROM pragma_table_xinfo(?1) AS x
                     WHERE EXISTS (SELECT 1 FROM sqlite_schema AS s
                                   WHERE s.type = 'table' AND s.name = ?1) ORDER BY x.cid";
        let rows = asked(named).bind(table.name.to_string());
        let rows = rows.fetch_all(&mut connection.inner).await?;
        let name = |row: &SqliteRow| row.try_get::<String, _>(0).map(Into::into);
        let names = rows.iter().map(name).collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok((!names.is_empty()).then_some(names))
    }
}

/// One of our own statements, which doesn't stay prepared.
fn asked(sql: &'static str) -> Query<'static, sqlx::Sqlite, SqliteArguments> {
    sqlx::query(sql).persistent(false)
}

/// The tables, and what is known of the columns if there is but one.
async fn found(
    connection: &mut SqliteConnection,
    question: &Question,
) -> Result<(BTreeSet<Table>, Told), Failure> {
    let plain = question.statement.render(|at| format!("?{}", at + 1));
    // What is explained isn't executed, and only what is executed notices another schema: this
    // does, and keeps it until the end of the transaction.
    let roots = roots(connection).await?;
    let program = program(connection, &plain).await?;
    let steady = steady(connection).await?;
    let mut tables = BTreeSet::new();
    for step in &program {
        if let Some(name) = step.function() {
            check(&name, step.opcode.starts_with("Agg"), &steady).map_err(refused)?;
        }
        match step.opcode.as_str() {
            "OpenRead" | "ReopenIdx" if step.p3 == 0 => {
                // Within a transaction there is no other schema than the one that was looked at.
                let name = roots.get(&step.p2).ok_or(Failure::Outdated)?;
                tables.insert(Table { schema: "".into(), name: name.as_str().into() });
            }
            "VOpen" => check_modules(connection, &plain).await?,
            opcode if opcode.starts_with("Open") && !OWN.contains(&opcode) => {
                return Err(refused("reads what is in another file or writes".to_owned()));
            }
            _ => {}
        }
    }
    let of_kind = "SELECT name, type FROM pragma_table_list WHERE schema = 'main'";
    for row in asked(of_kind).fetch_all(&mut *connection).await? {
        let (name, kind): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let is_read = tables.iter().any(|table| *table.name == *name);
        if is_read && (kind == "shadow" || name.starts_with("sqlite_")) {
            return Err(refused(format!("reads {name}, which is SQLite's own")));
        }
    }
    let told = match tables.first().filter(|_| tables.len() == 1) {
        Some(table) => Told::read(connection, &table.name).await?,
        None => Told::default(),
    };
    Ok((tables, told))
}

/// One instruction, as far as it matters.
pub(super) struct Step {
    pub(super) opcode: String,
    p2: i64,
    p3: i64,
    pub(super) p4: Option<String>,
}

impl Step {
    /// The function that it calls.
    fn function(&self) -> Option<String> {
        let calls = ["Function", "PureFunc"].contains(&self.opcode.as_str())
            || self.opcode.starts_with("Agg");
        let p4 = self.p4.as_deref().filter(|_| calls)?;
        Some(p4.split('(').next().unwrap_or(p4).to_ascii_lowercase())
    }
}

/// What SQLite would do.
pub(super) async fn program(
    connection: &mut SqliteConnection,
    sql: &str,
) -> Result<Vec<Step>, Failure> {
    let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN {sql}"))).persistent(false);
    let step = |row: &SqliteRow| {
        Ok(Step {
            opcode: row.try_get_unchecked(1)?,
            p2: row.try_get_unchecked(3)?,
            p3: row.try_get_unchecked(4)?,
            p4: row.try_get_unchecked(5)?,
        })
    };
    let rows = explain.fetch_all(connection).await?;
    Ok(rows.iter().map(step).collect::<Result<_, sqlx::Error>>()?)
}

/// The table of each b-tree, by the page at which it begins.
async fn roots(connection: &mut SqliteConnection) -> Result<HashMap<i64, String>, Failure> {
    let trees = "SELECT rootpage, tbl_name FROM sqlite_schema WHERE rootpage > 0
                 UNION ALL SELECT 1, 'sqlite_schema'";
    let rows = asked(trees).fetch_all(connection).await?;
    let tree = |row: &SqliteRow| Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?));
    let mut roots: HashMap<i64, String> =
        rows.iter().map(tree).collect::<Result<_, sqlx::Error>>()?;
    roots.insert(1, "sqlite_schema".to_owned());
    Ok(roots)
}

/// The functions of one value whose result depends on their arguments alone.
async fn steady(connection: &mut SqliteConnection) -> Result<HashSet<String>, Failure> {
    let all = "SELECT lower(name), min(flags & ?1) <> 0 AND min(builtin) = 1
               FROM pragma_function_list WHERE type = 's' GROUP BY 1";
    let mut steady = HashSet::new();
    for row in asked(all).bind(DETERMINISTIC).fetch_all(connection).await? {
        if row.try_get_unchecked(1)? {
            steady.insert(row.try_get_unchecked(0)?);
        }
    }
    Ok(steady)
}

fn check(name: &str, aggregates: bool, steady: &HashSet<String>) -> Result<(), String> {
    if CLOCKS.contains(&name) {
        return Err(format!(
            "calls {name}(), which is the clock when it is given 'now', as any text may be"
        ));
    }
    // What an aggregate or a window makes of rows depends on them alone.
    match aggregates || steady.contains(name) || name == "sqlite_version" {
        true => Ok(()),
        false => Err(format!("calls {name}(), whose result may change without a row that does")),
    }
}

/// Virtual tables don't say in a program what they are, so they are looked for by name, in the
/// load and in the views that it may read.
async fn check_modules(connection: &mut SqliteConnection, sql: &str) -> Result<(), Failure> {
    let known = "SELECT lower(name), sql, type = 'view' FROM sqlite_schema
                 WHERE type = 'view' OR (type = 'table' AND rootpage = 0)
                 UNION ALL SELECT lower(name), NULL, 0 FROM pragma_module_list";
    let rows = asked(known).fetch_all(connection).await?;
    let known = |row: &SqliteRow| {
        let sql: Option<String> = row.try_get_unchecked(1)?;
        Ok((row.try_get_unchecked(0)?, (sql, row.try_get_unchecked(2)?)))
    };
    let known: HashMap<String, (Option<String>, bool)> =
        rows.iter().map(known).collect::<Result<_, sqlx::Error>>()?;
    let mut seen = HashSet::new();
    let mut texts = vec![sql.to_owned()];
    while let Some(text) = texts.pop() {
        let words = words(&text, Dialect::Sqlite);
        for word in words.ok_or_else(|| refused("reads a view that can't be read here"))? {
            if !seen.insert(word.clone()) || STEADY_MODULES.contains(&word.as_str()) {
                continue;
            }
            match known.get(&word) {
                Some((Some(view), true)) => texts.push(view.clone()),
                None if !word.starts_with("pragma_") => {}
                _ => return Err(refused(format!("reads the virtual table {word}"))),
            }
        }
    }
    Ok(())
}
