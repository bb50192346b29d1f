//! What a load reads in Postgres, by the catalog.
//!
//! For a moment, within a transaction that is rolled back, the load is a view, so that the server
//! itself says which relations, functions and operators its words mean. Views are followed to what
//! they are made of. What the plan of the moment leaves out is still there.

mod functions;
mod identity;
mod tree;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use larder_core::change::Table;
use sqlx::error::DatabaseError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row as _, SqlSafeStr, Statement as _};

use self::tree::Tree;
use super::{Postgres, types};
use crate::loads::Question;
use crate::pool::Failure;
use crate::reads::{
    Equality, RELATIONS_MAX, Reader, Reads, Told, columns, equalities, refused, unsaid,
};
use crate::statement::Dialect;

/// The first number that isn't one of the server's own objects (`FirstNormalObjectId`).
const OWN_OID_MAX: u32 = 16_384;

/// The view that a load is for a moment.
const VIEW: &str = "pg_temp.larder_reads";

impl Reader for Postgres {
    async fn reads(connection: &mut PgConnection, question: &Question) -> Result<Reads, Failure> {
        // What was prepared before may describe tables as they were.
        connection.clear_cached_statements().await?;
        let plain = question.statement.render(|at| format!("${}", at + 1));
        let described = connection.prepare(AssertSqlSafe(plain.clone()).into_sql_str()).await?;
        let parameters = types::oids(&described, question.bound.len())?;
        let facts = types::look_up(connection, &parameters, &[]).await?;
        let null =
            |at: usize| format!("(NULL::{})", facts.get(at).map_or("text", |fact| &fact.name));
        let names: Vec<_> = (0..described.columns().len()).map(|at| format!("c{at}")).collect();
        let load = question.statement.render(null);
        let view = format!("CREATE TEMPORARY VIEW {VIEW} ({}) AS {load}\n", names.join(", "));
        if connection.fetch_one("SELECT pg_catalog.pg_is_in_recovery()").await?.try_get(0)? {
            return Err(unsaid("a standby doesn't say; name the primary as the source"));
        }
        connection.execute("BEGIN READ WRITE").await?;
        let found = found(connection, view, question).await;
        connection.execute("ROLLBACK").await?;
        let (tables, single) = found?;
        let (told, owner) = match single {
            Ok(single) => single,
            Err(why_not) => return Ok(Reads::of_tables(tables, why_not)),
        };
        let equalities = equalities(plain, Dialect::Postgres).await;
        let rows = columns(question, equalities, |equality| column(&told, equality));
        Ok(Reads::new(BTreeSet::from([owner]), rows))
    }

    async fn identity(
        connection: &mut PgConnection,
        table: &Table,
    ) -> Result<Option<Vec<Box<str>>>, Failure> {
        identity::columns(connection, table).await
    }
}

/// What the columns of a table tell, by their names, and what a feed calls the table.
type Single = (HashMap<String, Told>, Table);

/// The tables, and what is known of them if there is but one, by its own name.
async fn found(
    connection: &mut PgConnection,
    view: String,
    question: &Question,
) -> Result<(BTreeSet<Table>, Result<Single, String>), Failure> {
    if let Err(error) = connection.execute(AssertSqlSafe(view)).await {
        return Err(match error.as_database_error().and_then(DatabaseError::code).as_deref() {
            Some("42501") => unsaid(
                "to ask the server, load is made a view for a moment, and this user may not: \
                 GRANT TEMPORARY ON DATABASE to it",
            ),
            Some("25006") => unsaid("this session can only read; name the primary as the source"),
            _ => error.into(),
        });
    }
    let mut known = Known::default();
    let start = "SELECT $1::pg_catalog.regclass::oid";
    let start: Oid = asked(start).bind(VIEW).fetch_one(&mut *connection).await?.try_get(0)?;
    let mut next = vec![start];
    while !next.is_empty() {
        next = relations(connection, &mut known, &next, start).await?;
    }
    if let Some(table) = known.hidden_by_a_view(connection).await? {
        return Err(guarded(&table, "the owner of a view that it is read through"));
    }
    known.tree.check(question, Dialect::Postgres).map_err(refused)?;
    let own = functions::check(connection, &known.tree).await?;
    let tables = known.tables(connection).await?;
    let single = match (&known.roots[..], own) {
        _ if !known.views.is_empty() => Err("reads through a view".to_owned()),
        (_, Some(own)) => Err(format!("uses {own}, which is not the server's own")),
        ([], _) => Err("reads no table".to_owned()),
        ([(table, _)], None) if tables.len() == 1 => {
            let told = told(connection, *table).await?;
            let owner = tables.first().cloned();
            owner.map(|owner| (told, owner)).ok_or_else(|| "reads no table".to_owned())
        }
        _ => Err("reads more than one table".to_owned()),
    };
    Ok((tables, single))
}

/// One of our own statements, which doesn't stay prepared.
fn asked(sql: &'static str) -> Query<'static, sqlx::Postgres, PgArguments> {
    sqlx::query(sql).persistent(false)
}

/// What was found so far.
#[derive(Default)]
struct Known {
    tree: Tree,
    seen: BTreeSet<u32>,
    /// The owners of the views.
    views: Vec<Oid>,
    /// The tables with policies.
    guarded: Vec<Oid>,
    /// The tables that are named somewhere, and the partitioned table that each is one of.
    roots: Vec<(Oid, Oid)>,
}

const RELATIONS: &str = "\
SELECT c.oid, c.relkind::text, n.nspname::text, c.relname::text, c.relpersistence::text,
       c.relrowsecurity, pg_catalog.row_security_active(c.oid),
       coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid),
       (SELECT r.ev_action::text FROM pg_catalog.pg_rewrite r
         WHERE r.ev_class = c.oid AND r.rulename = '_RETURN'), c.relowner
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1) ORDER BY c.oid";

/// Looks at relations, and says of which others they are made.
async fn relations(
    connection: &mut PgConnection,
    known: &mut Known,
    oids: &[Oid],
    start: Oid,
) -> Result<Vec<Oid>, Failure> {
    let rows = asked(RELATIONS).bind(oids.to_vec()).fetch_all(connection).await?;
    if rows.len() < oids.len() {
        return Err(Failure::Outdated);
    }
    let mut next = BTreeSet::new();
    for row in &rows {
        let (oid, kind): (Oid, String) = (row.try_get(0)?, row.try_get(1)?);
        let table = table(row, 2)?;
        known.seen.insert(oid.0);
        if oid == start || kind == "v" {
            let tree: Option<String> = row.try_get(8)?;
            let tree = tree.ok_or(Failure::Outdated)?;
            if oid.0 < OWN_OID_MAX {
                return Err(refused(format!("reads the system's {table}")));
            }
            if oid != start {
                known.views.push(row.try_get(9)?);
            }
            next.extend(known.tree.read(&tree).map_err(refused)?);
            continue;
        }
        check(row, &table, &kind)?;
        if row.try_get(5)? {
            known.guarded.push(oid);
        }
        known.roots.push((oid, row.try_get(7)?));
    }
    next.retain(|oid| !known.seen.contains(oid));
    if known.seen.len() + next.len() > RELATIONS_MAX {
        return Err(refused(format!("reads more than {RELATIONS_MAX} tables and views")));
    }
    Ok(next.into_iter().map(Oid).collect())
}

/// Whether somebody tells when this relation changes.
fn check(row: &PgRow, table: &Table, kind: &str) -> Result<(), Failure> {
    let (oid, persistence): (Oid, String) = (row.try_get(0)?, row.try_get(4)?);
    if persistence == "t" {
        return Err(refused(format!("reads the temporary table {}", table.name)));
    }
    if oid.0 < OWN_OID_MAX {
        return Err(refused(format!("reads the system's {table}")));
    }
    match kind {
        "r" | "p" => {}
        "m" => {
            return Err(refused(format!(
                "reads the materialized view {table}, which changes when it is refreshed and not \
                 when its tables do"
            )));
        }
        "f" => return Err(refused(format!("reads the foreign table {table}, of another server"))),
        "S" => return Err(refused(format!("reads the sequence {table}"))),
        _ => return Err(refused(format!("reads {table}, which is no table"))),
    }
    match row.try_get(6)? {
        true => Err(guarded(table, "the user of this source")),
        false => Ok(()),
    }
}

fn guarded(table: &Table, who: &str) -> Failure {
    refused(format!(
        "reads {table}, which has row level security, and its policies hold for {who}: what they \
         let through may change with the session, and without a row. Give that role BYPASSRLS \
         (ALTER ROLE … BYPASSRLS), or let it own the table, without FORCE ROW LEVEL SECURITY: then \
         it reads every row, and what larder serves of them is seen by whoever may ask larder"
    ))
}

fn table(row: &PgRow, at: usize) -> Result<Table, sqlx::Error> {
    let (schema, name): (&str, &str) = (row.try_get(at)?, row.try_get(at + 1)?);
    Ok(Table { schema: Arc::from(schema), name: Arc::from(name) })
}

/// With what inherits from them, and in place of partitions the tables that these are of.
const BELOW: &str = "\
WITH RECURSIVE below(oid, root) AS (
    SELECT root, root FROM pg_catalog.unnest($1::oid[]) AS given(root)
    UNION
    SELECT i.inhrelid, CASE WHEN c.relispartition THEN below.root ELSE c.oid END
    FROM below JOIN pg_catalog.pg_inherits i ON i.inhparent = below.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
)
SELECT DISTINCT n.nspname::text, r.relname::text, coalesce(c.relkind = 'f', false), c.relname::text
FROM below JOIN pg_catalog.pg_class c ON c.oid = below.oid
JOIN pg_catalog.pg_class r ON r.oid = below.root
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace";

/// A table whose policies hold for one of these roles. Source: the PostgreSQL documentation, "Row
/// Security Policies", who is not subject to them.
const SUBJECT: &str = "\
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
     pg_catalog.pg_roles r
WHERE c.oid = ANY ($1) AND r.oid = ANY ($2) AND NOT (r.rolsuper OR r.rolbypassrls
      OR NOT c.relforcerowsecurity AND pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE'))
ORDER BY c.oid LIMIT 1";

impl Known {
    /// Through a view, policies are asked as its owner. Which view leads to which table isn't
    /// looked at: a table whose policies hold for the owner of any of them.
    async fn hidden_by_a_view(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<Table>, Failure> {
        if self.guarded.is_empty() || self.views.is_empty() {
            return Ok(None);
        }
        let query = asked(SUBJECT).bind(self.guarded.clone()).bind(self.views.clone());
        let rows = query.fetch_all(connection).await?;
        Ok(rows.first().map(|row| table(row, 0)).transpose()?)
    }

    /// The tables as a feed names them.
    async fn tables(&self, connection: &mut PgConnection) -> Result<BTreeSet<Table>, Failure> {
        let roots: Vec<_> = self.roots.iter().map(|(_, root)| *root).collect();
        let rows = asked(BELOW).bind(roots).fetch_all(connection).await?;
        let mut tables = BTreeSet::new();
        for row in &rows {
            if row.try_get(2)? {
                let name: &str = row.try_get(3)?;
                return Err(refused(format!("reads the foreign table {name}, of another server")));
            }
            tables.insert(table(row, 0)?);
        }
        Ok(tables)
    }
}

/// A column's type below all domains, and what else decides what is equal and what is told.
const COLUMNS: &str = "\
WITH RECURSIVE below AS (
    SELECT a.attnum, a.atttypid AS type FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT below.attnum, t.typbasetype
    FROM below JOIN pg_catalog.pg_type t ON t.oid = below.type AND t.typtype = 'd'
)
SELECT a.attname::text, below.type, pg_catalog.format_type(a.atttypid, a.atttypmod),
       coalesce(l.collisdeterministic, true), a.attgenerated::text <> ''
FROM below JOIN pg_catalog.pg_type t ON t.oid = below.type AND t.typtype <> 'd'
JOIN pg_catalog.pg_attribute a ON a.attrelid = $1 AND a.attnum = below.attnum
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation";

async fn told(connection: &mut PgConnection, table: Oid) -> Result<HashMap<String, Told>, Failure> {
    let rows = asked(COLUMNS).bind(table).fetch_all(connection).await?;
    let told = |row: &PgRow| {
        let (base, name): (Oid, &str) = (row.try_get(1)?, row.try_get(2)?);
        let (deterministic, generated): (bool, bool) = (row.try_get(3)?, row.try_get(4)?);
        let told = match base.0 {
            _ if generated => Told::Other("is generated, and isn't in the log".to_owned()),
            types::oid::INT2 | types::oid::INT4 | types::oid::INT8 => Told::Int,
            types::oid::UUID => Told::Uuid,
            types::oid::TEXT | types::oid::VARCHAR if deterministic => Told::Text,
            types::oid::TEXT | types::oid::VARCHAR => {
                Told::Other("has a collation in which different texts may be equal".to_owned())
            }
            _ => Told::Other(format!("is a {name}, of which different texts may be equal")),
        };
        Ok((row.try_get(0)?, told))
    };
    Ok(rows.iter().map(told).collect::<Result<_, sqlx::Error>>()?)
}

/// The column by the server's rule: a name without quotes is in lower case.
fn column(told: &HashMap<String, Told>, equality: &Equality) -> Option<(String, Told)> {
    let name = match equality.quoted {
        true => equality.column.clone(),
        false => equality.column.to_ascii_lowercase(),
    };
    told.get(&name).cloned().map(|told| (name, told))
}
