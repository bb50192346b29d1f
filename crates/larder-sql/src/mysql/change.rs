//! A statement that writes, and transactions.
//!
//! An `UPDATE` returns nothing here, so what is held after a write is asked for: by the load, in
//! the transaction of the write, before it ends. Its rows are locked by then, so nobody comes
//! between, as long as the load reads no other table.

use std::sync::Arc;

use larder_core::{Error, ErrorKind, Key, Result};
use sqlx::{AssertSqlSafe, Column as _, Either, Executor, Row as _, SqlSafeStr, Statement as _};

use super::given::{self, Bind};
use super::values::{self, Kind};
use super::{Connection, Detail, Mysql, origin, prepare, shape};
use crate::changes::{Bound, Isolation, Outcome, Planned, Writer};
use crate::load::Format;
use crate::loads::{Asked, Found, Plan, Planner as _, Question};
use crate::pool::Failure;
use crate::rows::next;
use crate::statement::unquoted;
use crate::writes::Order;

/// How many keys are written between two looks at anything else.
const BATCH_MAX: usize = 1_000;

/// A statement as it is sent.
pub(crate) struct Change {
    sql: Arc<str>,
    binds: Vec<Bind>,
    /// Which name each placeholder is.
    places: Vec<usize>,
    /// Where what the load binds stands among the names; none if what is held isn't asked for.
    asks: Option<Vec<usize>>,
}

impl Writer for Mysql {
    // What is held is asked for in the same transaction.
    const ALONE: bool = false;

    type Change = Change;

    async fn plan_change(
        connection: &mut Connection,
        question: &Question,
        load: &Plan<Detail>,
        order: &Order,
    ) -> Result<Planned<Change>, Failure> {
        let (sql, places) = shape::rendered(&order.statement);
        prepare(connection, &sql).await?;
        let table = order.plain.table().map(|table| Table::new(&table));
        if let Some(table) = &table {
            check_engine(connection, table).await?;
        }
        let said = match order.never_says(question) {
            Some(why) => Err(why),
            None => asks(connection, question, order, table.as_ref()).await?,
        };
        let (asks, unsaid) = match said {
            Ok(asks) => (Some(asks), None),
            Err(why) => (None, Some(why).filter(|_| order.verb != "delete")),
        };
        let bind = |taken: &crate::statement::Taken| Bind {
            name: taken.name.clone(),
            column: column(&taken.name, question.format, &load.detail),
        };
        let binds: Vec<_> = order.takes.iter().map(bind).collect();
        let types = vec![String::new(); binds.len()];
        let is_by_key = order.plain.is_by_key(&order.takes);
        let change = Change { sql: sql.into(), binds, places, asks };
        Ok(Planned { change, types, unsaid, batch_max: BATCH_MAX, is_by_key })
    }

    async fn begin(connection: &mut Connection, isolation: Isolation) -> Result<(), sqlx::Error> {
        let begin = match isolation {
            // Each statement sees what was committed before it: the session is set so.
            Isolation::Rows => "START TRANSACTION READ WRITE",
            Isolation::Serializable => {
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION READ WRITE"
            }
        };
        connection.inner.execute(begin).await.map(drop)
    }

    async fn commit(connection: &mut Connection) -> Result<(), sqlx::Error> {
        connection.inner.execute("COMMIT").await.map(drop)
    }

    async fn rollback(connection: &mut Connection) -> Result<(), sqlx::Error> {
        connection.inner.execute("ROLLBACK").await.map(drop)
    }

    async fn ready(connection: &mut Connection, change: &Change) -> Result<(), Failure> {
        let sql = AssertSqlSafe(Arc::clone(&change.sql)).into_sql_str();
        Ok(connection.inner.prepare(sql).await.map(drop)?)
    }

    async fn change(
        connection: &mut Connection,
        question: &Question,
        load: &Plan<Detail>,
        change: &Change,
        bound: &[Bound<'_>],
    ) -> Result<Outcome, Failure> {
        let outcomes = write(connection, question, load, change, &[bound]).await?;
        Ok(outcomes.into_iter().next().unwrap_or_default())
    }

    async fn change_many(
        connection: &mut Connection,
        question: &Question,
        load: &Plan<Detail>,
        planned: &Planned<Change>,
        bound: &[&[Bound<'_>]],
    ) -> Result<Vec<Outcome>, Failure> {
        write(connection, question, load, &planned.change, bound).await
    }
}

/// The table that a statement names.
struct Table {
    schema: Option<String>,
    name: String,
}

impl Table {
    /// As it stands in the statement.
    fn new(source: &str) -> Self {
        match source.split_once('.') {
            Some((schema, name)) => Self { schema: Some(unquoted(schema)), name: unquoted(name) },
            None => Self { schema: None, name: unquoted(source) },
        }
    }
}

/// Writes are undone with their transaction, which some engines don't have: half of a batch would
/// stay there, and be written again.
async fn check_engine(connection: &mut Connection, table: &Table) -> Result<(), Failure> {
    let engine = sqlx::query(
        "SELECT ENGINE FROM information_schema.TABLES JOIN information_schema.ENGINES USING (ENGINE)
         WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND TRANSACTIONS <> 'YES'",
    );
    let engine = engine.bind(table.schema.as_deref()).bind(&table.name);
    let rows = engine.fetch_all(&mut connection.inner).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (engine, name): (String, _) = (row.try_get_unchecked(0)?, &table.name);
    let what = format!(
        "the table {name} is kept by {engine}, which has no transactions, and a write that fails \
         half-way could not be undone: say ALTER TABLE {name} ENGINE = InnoDB"
    );
    Err(Failure::Whole(Error::new(ErrorKind::Config, what)))
}

/// Where what the load binds stands among what the statement takes; or why what is held after the
/// write is not what the load then gives.
async fn asks(
    connection: &mut Connection,
    question: &Question,
    order: &Order,
    table: Option<&Table>,
) -> Result<Result<Vec<usize>, String>, Failure> {
    let (sql, _) = shape::rendered(&question.statement);
    let described = prepare(connection, &sql).await?;
    for column in described.columns() {
        let is_of_table = origin(column).is_some_and(|(_, of, _)| {
            table.is_some_and(|table| of.eq_ignore_ascii_case(&table.name))
        });
        if !is_of_table {
            let name = column.name();
            let why = format!("the column {name} of load is computed there, or of another table");
            return Ok(Err(why));
        }
    }
    let mut places = Vec::new();
    for parameter in &question.bound {
        match order.takes.iter().position(|taken| taken.name == parameter.name) {
            Some(place) => places.push(place),
            None => {
                let why =
                    format!("it does not name {{{}}}, by which load finds it", parameter.name);
                return Ok(Err(why));
            }
        }
    }
    Ok(Ok(places))
}

/// What the column of this name in the load is.
fn column(name: &str, format: Format, detail: &Detail) -> given::Kind {
    let named = |column: &&values::Planned| column.name == name || format == Format::Raw;
    let Some(column) = detail.columns.iter().find(named) else { return given::Kind::Other };
    match column.kind {
        Kind::Bytes => given::Kind::Bytes,
        Kind::Json => given::Kind::Document,
        _ => given::Kind::Other,
    }
}

/// Executes the statement for each, and then asks what is held.
async fn write(
    connection: &mut Connection,
    question: &Question,
    load: &Plan<Detail>,
    change: &Change,
    bound: &[&[Bound<'_>]],
) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::with_capacity(bound.len());
    for bound in bound {
        let rows = execute(connection, change, bound).await?;
        outcomes.push(Outcome { rows, value: None });
    }
    let Some(asks) = &change.asks else { return Ok(outcomes) };
    // Who is to blame for what can't be loaded is of no interest: it isn't said what is held.
    let key = Key::from("");
    let asked = |bound: &&[Bound<'_>]| {
        let value = |&at: &usize| match &bound[at] {
            Bound::Parameter(value) => Some(value.clone()),
            _ => None,
        };
        let values = asks.iter().map(value).collect::<Option<Vec<_>>>()?;
        Some(Asked { key: &key, values, parameters: Vec::new() })
    };
    let Some(asked) = bound.iter().map(asked).collect::<Option<Vec<_>>>() else {
        return Ok(outcomes);
    };
    for (asked, outcomes) in asked.chunks(load.batch_max).zip(outcomes.chunks_mut(load.batch_max)) {
        for (found, outcome) in
            held(connection, question, load, asked).await?.into_iter().zip(outcomes)
        {
            outcome.value = found.map(|found| found.value);
        }
    }
    Ok(outcomes)
}

/// What the load gives for each; none where it refuses to.
async fn held(
    connection: &mut Connection,
    question: &Question,
    load: &Plan<Detail>,
    asked: &[Asked<'_>],
) -> Result<Vec<Option<Found>>, Failure> {
    match Mysql::fetch(connection, question, load, asked).await {
        Ok(found) => return Ok(found.into_iter().map(Some).collect()),
        Err(Failure::Whole(_)) => {}
        Err(failure) => return Err(failure),
    }
    let mut held = Vec::with_capacity(asked.len());
    for asked in asked.chunks(1) {
        held.push(match Mysql::fetch(connection, question, load, asked).await {
            Ok(found) => found.into_iter().next(),
            Err(Failure::Whole(_)) => None,
            Err(failure) => return Err(failure),
        });
    }
    Ok(held)
}

/// How many rows the statement found to write, changed or not.
async fn execute(
    connection: &mut Connection,
    change: &Change,
    bound: &[Bound<'_>],
) -> Result<u64, Failure> {
    let arguments = given::arguments(connection, &change.binds, &change.places, bound)?;
    let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&change.sql)), arguments);
    let mut rows = connection.inner.fetch_many(query);
    let (mut found, mut returned) = (0, 0);
    while let Some(step) = next(&mut rows).await? {
        match step {
            Either::Left(done) => found += done.rows_affected(),
            // MariaDB's RETURNING: the load says the same, whatever is returned.
            Either::Right(_) => returned += 1,
        }
    }
    Ok(found.max(returned))
}
