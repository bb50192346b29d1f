//! What a load reads in MySQL and MariaDB, by a parser and the catalog.
//!
//! Neither server says what a statement reads: its plan leaves out what the rows of the moment
//! make needless. So the names in it are looked up, those in views by the views' own definitions;
//! what the parser doesn't take, or the catalog doesn't know, is refused.

mod cascades;
mod names;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use larder_core::change::Table;
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::query::Query;
use sqlx::{Connection as _, Executor, Row as _};

use self::names::{Name, Names, names};
use super::{Connection, Mysql, prepare, shape};
use crate::loads::Question;
use crate::pool::Failure;
use crate::reads::{Equality, RELATIONS_MAX, Reader, Reads, Told, columns, refused, unsaid};

/// The databases that are the server's own.
const OWN: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// The engines whose tables hold their own rows, and write each change to the log.
const ENGINES: [&str; 5] = ["innodb", "myisam", "aria", "rocksdb", "tokudb"];

impl Reader for Mysql {
    async fn reads(connection: &mut Connection, question: &Question) -> Result<Reads, Failure> {
        // What was prepared before may describe tables as they were.
        connection.inner.clear_cached_statements().await?;
        let (plain, _) = shape::rendered(&question.statement);
        prepare(connection, &plain).await?;
        let home = "SELECT COALESCE(DATABASE(), ''), CAST(@@lower_case_table_names AS SIGNED)";
        let home = connection.inner.fetch_one(home).await?;
        let (home, folds): (String, i64) = (home.try_get_unchecked(0)?, home.try_get_unchecked(1)?);
        let load = question.statement.render(|at| format!("?{}", at + 1));
        let load = names(load).await.map_err(refused)?;
        let equalities = load.equalities.clone();
        let mut known = Known { home, folds: folds != 0, ..Known::default() };
        known.follow(connection, load).await?;
        let changed = known.cascade(connection).await?;
        let only = known.tables.first().filter(|_| known.tables.len() == 1).cloned();
        let (equalities, told) = match (changed, only) {
            (Some(by), _) => (Err(by), HashMap::new()),
            _ if known.views > 0 => (Err("reads through a view".to_owned()), HashMap::new()),
            (None, Some(table)) => (equalities, told(connection, &table).await?),
            (None, None) if known.tables.is_empty() => {
                (Err("reads no table".to_owned()), HashMap::new())
            }
            (None, None) => (Err("reads more than one table".to_owned()), HashMap::new()),
        };
        let found = columns(question, equalities, |equality: &Equality| {
            told.get(&equality.column.to_lowercase()).cloned()
        });
        Ok(Reads::new(known.tables, found))
    }

    /// Where the log leaves out what a change doesn't need, only the primary key is sure to be in
    /// it.
    async fn identity(
        connection: &mut Connection,
        table: &Table,
    ) -> Result<Option<Vec<Box<str>>>, Failure> {
        let all = "SELECT CAST(c.COLUMN_NAME AS CHAR), c.COLUMN_KEY = 'PRI',
                          @@GLOBAL.binlog_row_image IN ('FULL', 'FULL_NODUP')
                   FROM information_schema.COLUMNS c JOIN information_schema.TABLES t
                     ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
                   WHERE BINARY c.TABLE_SCHEMA = ? AND BINARY c.TABLE_NAME = ?
                     AND t.TABLE_TYPE <> 'VIEW' ORDER BY c.ORDINAL_POSITION";
        let rows = of(asked(all), table).fetch_all(&mut connection.inner).await?;
        let mut columns = Vec::new();
        for row in &rows {
            let name: String = row.try_get_unchecked(0)?;
            if row.try_get_unchecked::<i64, _>(1)? != 0 || row.try_get_unchecked::<i64, _>(2)? != 0
            {
                columns.push(name.into());
            }
        }
        Ok((!rows.is_empty()).then_some(columns))
    }
}

/// One of our own statements, which doesn't stay prepared.
fn asked(sql: &'static str) -> Query<'static, sqlx::MySql, MySqlArguments> {
    sqlx::query(sql).persistent(false)
}

type Asking = Query<'static, sqlx::MySql, MySqlArguments>;

fn of(asking: Asking, table: &Table) -> Asking {
    asking.bind(table.schema.to_string()).bind(table.name.to_string())
}

/// What was found so far.
#[derive(Default)]
struct Known {
    /// The database that a name without one is looked up in.
    home: String,
    /// Names of tables are the same in capitals and small letters.
    folds: bool,
    tables: BTreeSet<Table>,
    views: usize,
}

const NAMED: &str = "\
SELECT CAST(t.TABLE_SCHEMA AS CHAR), CAST(t.TABLE_NAME AS CHAR), CAST(t.TABLE_TYPE AS CHAR),
       CAST(COALESCE(t.ENGINE, '') AS CHAR), CAST(v.VIEW_DEFINITION AS CHAR)
FROM information_schema.TABLES t LEFT JOIN information_schema.VIEWS v
  ON v.TABLE_SCHEMA = t.TABLE_SCHEMA AND v.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ?";

impl Known {
    /// Looks up what the load names, and what the views that it names do.
    async fn follow(&mut self, connection: &mut Connection, load: Names) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        let mut texts = vec![(load, self.home.clone())];
        while let Some((names, home)) = texts.pop() {
            for Name { schema, name } in &names.relations {
                let local = name.to_lowercase();
                let is_local =
                    schema.is_none() && (names.local.contains(&local) || local == "dual");
                let schema = schema.clone().unwrap_or_else(|| home.clone());
                if !seen.insert((schema.clone(), name.clone())) {
                    continue;
                }
                if seen.len() > RELATIONS_MAX {
                    let what = format!("reads more than {RELATIONS_MAX} tables and views");
                    return Err(refused(what));
                }
                match self.look_up(connection, &schema, name).await? {
                    Some((table, definition)) => texts.push((definition, table.schema.to_string())),
                    None if is_local || self.is_known(&schema, name) => {}
                    None => {
                        let what = format!("reads {schema}.{name}, which the catalog doesn't know");
                        return Err(refused(what));
                    }
                }
            }
        }
        Ok(())
    }

    fn is_known(&self, schema: &str, name: &str) -> bool {
        self.tables
            .iter()
            .any(|table| self.same(&table.schema, schema) && self.same(&table.name, name))
    }

    fn same(&self, one: &str, other: &str) -> bool {
        one == other || (self.folds && one.to_lowercase() == other.to_lowercase())
    }

    /// Notes a table, or says what a view is made of.
    async fn look_up(
        &mut self,
        connection: &mut Connection,
        schema: &str,
        name: &str,
    ) -> Result<Option<(Table, Names)>, Failure> {
        if OWN.contains(&&*schema.to_lowercase()) {
            return Err(refused(format!("reads the server's own {schema}.{name}")));
        }
        let rows = asked(NAMED).bind(schema.to_owned()).bind(name.to_owned());
        let rows = rows.fetch_all(&mut connection.inner).await?;
        for row in &rows {
            let text = |at| row.try_get_unchecked::<String, _>(at);
            let table = Table { schema: Arc::from(text(0)?), name: Arc::from(text(1)?) };
            // The catalog compares without regard to case, whatever the server does.
            if !self.same(&table.schema, schema) || !self.same(&table.name, name) {
                continue;
            }
            let (kind, engine) = (text(2)?, text(3)?.to_lowercase());
            match kind.as_str() {
                "BASE TABLE" | "SYSTEM VERSIONED" if ENGINES.contains(&engine.as_str()) => {
                    self.tables.insert(table);
                    return Ok(None);
                }
                "BASE TABLE" | "SYSTEM VERSIONED" => {
                    let what = format!("reads {table}, which lies in the engine {engine}");
                    return Err(refused(what));
                }
                "VIEW" => {}
                kind => return Err(refused(format!("reads the {} {table}", kind.to_lowercase()))),
            }
            let definition: Option<String> = row.try_get_unchecked(4)?;
            let definition = definition.filter(|definition| !definition.is_empty());
            let Some(definition) = definition else {
                return Err(unsaid(format!(
                    "the server doesn't say what the view {table} is made of: GRANT SHOW VIEW ON \
                     it to this user"
                )));
            };
            self.views += 1;
            let names = names(definition).await;
            let names =
                names.map_err(|why| refused(format!("reads the view {table}, which {why}")));
            return Ok(Some((table, names?)));
        }
        Ok(None)
    }

    /// Adds the tables whose rows change others without a word in the log, and says of one that
    /// is changed so.
    async fn cascade(&mut self, connection: &mut Connection) -> Result<Option<String>, Failure> {
        let mut next: Vec<_> = self.tables.iter().cloned().collect();
        let mut why = None;
        while let Some(table) = next.pop() {
            for parent in cascades::parents(connection, &table).await? {
                why.get_or_insert_with(|| {
                    format!(
                        "reads {table}, whose rows a foreign key changes with those of {parent}, \
                         without a word in the log"
                    )
                });
                if self.tables.insert(parent.clone()) {
                    next.push(parent);
                }
                if self.tables.len() > RELATIONS_MAX {
                    let what = format!("reads more than {RELATIONS_MAX} tables and views");
                    return Err(refused(what));
                }
            }
        }
        Ok(why)
    }
}

const COLUMNS: &str = "\
SELECT CAST(COLUMN_NAME AS CHAR), CAST(DATA_TYPE AS CHAR), CAST(COLUMN_TYPE AS CHAR),
       CAST(COALESCE(COLLATION_NAME, '') AS CHAR), CAST(COALESCE(GENERATION_EXPRESSION, '') AS CHAR)
FROM information_schema.COLUMNS WHERE BINARY TABLE_SCHEMA = ? AND BINARY TABLE_NAME = ?";

/// What the columns of a table tell, by their names in small letters.
async fn told(
    connection: &mut Connection,
    table: &Table,
) -> Result<HashMap<String, (String, Told)>, Failure> {
    let rows = of(asked(COLUMNS), table).fetch_all(&mut connection.inner).await?;
    let told = |row: &MySqlRow| {
        let text = |at| row.try_get_unchecked::<String, _>(at);
        let (name, kind, declared) = (text(0)?, text(1)?.to_lowercase(), text(2)?.to_lowercase());
        let (collation, expression) = (text(3)?.to_lowercase(), text(4)?);
        let told = match kind.as_str() {
            _ if !expression.is_empty() => Told::Other("is generated".to_owned()),
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint"
                if !declared.contains("zerofill") =>
            {
                Told::Int
            }
            "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                match is_exact(&collation) {
                    true => Told::Text,
                    false => Told::Other(format!(
                        "has the collation {collation}, in which different texts are equal"
                    )),
                }
            }
            _ => Told::Other(format!("is a {declared}, of which different texts may be equal")),
        };
        Ok((name.to_lowercase(), (name, told)))
    };
    Ok(rows.iter().map(told).collect::<Result<_, sqlx::Error>>()?)
}

/// Whether texts are equal only if their bytes are. Most collations that are called binary take no
/// notice of spaces at the end.
fn is_exact(collation: &str) -> bool {
    collation.starts_with("utf8mb4_")
        && (collation.ends_with("_0900_bin") || collation.ends_with("_nopad_bin"))
}
