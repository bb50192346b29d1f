//! A statement that writes, and transactions.
//!
//! What is really sent is the user's statement, with casts where values stand, and around it a
//! query that makes what it returns the value that the load would give.

use std::sync::Arc;

use larder_core::{Result, Value};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgColumn, PgConnection, PgRow};
use sqlx::{
    Arguments, AssertSqlSafe, Column as _, Either, Executor, Row as _, SqlSafeStr, Statement as _,
    ValueRef,
};

use super::encode::Encoded;
use super::given::{self, Sent};
use super::many::{self, Many};
use super::shape::{Shape, quoted};
use super::{Detail, Postgres, prepare, types};
use crate::changes::{Bound, Isolation, Outcome, Planned, Writer};
use crate::load::Format;
use crate::loads::{Plan, Question};
use crate::pool::Failure;
use crate::rows::next;
use crate::writes::Order;

/// A statement as it is sent.
pub(crate) struct Change {
    single: Arc<str>,
    sent: Vec<Sent>,
    /// Its rows are values.
    returns: bool,
    format: Format,
    /// How many columns the tables of the load have.
    width: Option<i64>,
    many: Option<Many>,
}

impl Writer for Postgres {
    const ALONE: bool = true;

    type Change = Change;

    async fn plan_change(
        connection: &mut PgConnection,
        question: &Question,
        _: &Plan<Detail>,
        order: &Order,
    ) -> Result<Planned<Change>, Failure> {
        let plain = order.statement.render(|at| format!("${}", at + 1));
        let described = connection.prepare(AssertSqlSafe(plain).into_sql_str()).await?;
        let parameters = types::oids(&described, order.takes.len())?;
        let returned = described.columns().to_vec();
        let load = question.statement.render(|at| format!("${}", at + 1));
        let load = connection.prepare(AssertSqlSafe(load).into_sql_str()).await?;
        let loaded = load.columns().to_vec();
        let columns: Vec<Oid> = loaded.iter().filter_map(|one| one.type_info().oid()).collect();
        let mut facts = types::look_up(connection, &parameters, &columns).await?;
        let column_types = facts.split_off(parameters.len().min(facts.len()));
        let sent = Sent::all(&order.takes, facts).map_err(Failure::Whole)?;
        let dml = order.statement.render(|at| {
            let place = format!("${}::{}", at + 1, sent[at].sent_as());
            sent[at].cast(&place)
        });
        let said = match order.never_says(question) {
            Some(why) => Err(why),
            None => selection(&loaded, &returned),
        };
        let names: Vec<_> = loaded.iter().map(PgColumn::name).collect();
        let view = match &said {
            Err(_) => None,
            Ok(selection) => Some(View {
                shape: Shape::new(question, &[], &names, &column_types).map_err(Failure::Whole)?,
                row: format!("SELECT {selection}"),
                width: width(&loaded),
            }),
        };
        let wrapped = match (&view, said) {
            (_, Err(why)) => Err(why),
            (None, Ok(_)) => Err(String::new()),
            (Some(view), Ok(_)) => {
                let value = view.of("1::bigint", "larder_written");
                let sql = format!("WITH larder_written AS ({dml}\n) {value}");
                match prepare(connection, &sql).await {
                    Ok(()) => Ok(sql),
                    Err(sqlx::Error::Database(refused)) => Err(refused.message().to_owned()),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let types = sent.iter().map(|sent| sent.fact().name.clone()).collect();
        let (single, unsaid) = match wrapped {
            Ok(sql) => (sql, None),
            Err(why) => {
                prepare(connection, &dml).await?;
                (dml, Some(why))
            }
        };
        let returns = unsaid.is_none() && order.verb != "delete";
        let unsaid = unsaid.filter(|_| order.verb != "delete");
        let view = view.filter(|_| returns);
        let width = match &view {
            Some(view) => Some(many::width(connection, view).await?),
            None => None,
        };
        let many = Many::plan(connection, question, order, &sent, &names, view.as_ref()).await?;
        let batch_max = if many.is_some() { many::KEYS_MAX } else { 1 };
        let is_by_key = order.plain.is_by_key(&order.takes);
        let (single, format) = (single.into(), question.format);
        let change = Change { single, sent, returns, format, width, many };
        Ok(Planned { change, types, unsaid, batch_max, is_by_key })
    }

    async fn begin(connection: &mut PgConnection, isolation: Isolation) -> Result<(), sqlx::Error> {
        let begin = match isolation {
            Isolation::Rows => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            Isolation::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE",
        };
        connection.execute(begin).await.map(drop)
    }

    async fn commit(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        connection.execute("COMMIT").await.map(drop)
    }

    async fn rollback(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        connection.execute("ROLLBACK").await.map(drop)
    }

    async fn ready(connection: &mut PgConnection, change: &Change) -> Result<(), Failure> {
        let sql = AssertSqlSafe(Arc::clone(&change.single)).into_sql_str();
        Ok(connection.prepare(sql).await.map(drop)?)
    }

    async fn change(
        connection: &mut PgConnection,
        _: &Question,
        _: &Plan<Detail>,
        change: &Change,
        bound: &[Bound<'_>],
    ) -> Result<Outcome, Failure> {
        let arguments = given::single(&change.sent, bound).map_err(Failure::Whole)?;
        let mut encoded = PgArguments::default();
        for (oid, bytes) in arguments {
            encoded.add(Encoded { bytes, oid }).map_err(sqlx::Error::Encode)?;
        }
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&change.single)), encoded);
        let mut rows = connection.fetch_many(query);
        let (mut outcome, mut returned) = (Outcome::default(), 0_usize);
        // To the end: an error of the commit comes after the rows.
        while let Some(step) = next(&mut rows).await? {
            match step {
                Either::Left(done) => outcome.rows += done.rows_affected(),
                Either::Right(row) if change.returns => {
                    returned += 1;
                    outcome.value = change.value(&row)?;
                }
                Either::Right(_) => {}
            }
        }
        // More than one row is what no load gives.
        outcome.value = outcome.value.filter(|_| returned == 1);
        Ok(outcome)
    }

    async fn change_many(
        connection: &mut PgConnection,
        question: &Question,
        load: &Plan<Detail>,
        planned: &Planned<Change>,
        bound: &[&[Bound<'_>]],
    ) -> Result<Vec<Outcome>, Failure> {
        if let (Some(many), [_, _, ..]) = (&planned.change.many, bound) {
            return many.execute(connection, &planned.change, bound).await;
        }
        let mut outcomes = Vec::with_capacity(bound.len());
        for bound in bound {
            outcomes.push(Self::change(connection, question, load, &planned.change, bound).await?);
        }
        Ok(outcomes)
    }
}

/// What makes the value of a row that was written.
pub(super) struct View<'a> {
    pub(super) shape: Shape<'a>,
    /// Selects the columns of the load from `larder_written`.
    pub(super) row: String,
    /// A query for how many columns its tables have: a column that is added to them may be in the
    /// load from then on, and is not in this.
    pub(super) width: String,
}

impl View<'_> {
    /// The query for the values of the rows of `from`.
    pub(super) fn of(&self, place: &str, from: &str) -> String {
        self.shape.written(place, &self.row, &format!("({})", self.width), from)
    }
}

impl Change {
    pub(super) fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// The value of a row; none if it is too large to be one, or isn't certain to be that of the
    /// load any more.
    pub(super) fn value(&self, row: &PgRow) -> Result<Option<Option<Value>>, sqlx::Error> {
        let length: Option<i32> = row.try_get(1)?;
        let value = row.try_get_raw(2)?;
        let width: Option<i64> = row.try_get(3)?;
        if width != self.width {
            return Ok(None);
        }
        if length.is_none() {
            return Ok(Some(None));
        }
        if value.is_null() {
            return Ok(None);
        }
        let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?.to_vec();
        Ok(Some(Some(match self.format {
            Format::Json => Value::json(bytes),
            Format::Raw => Value::raw(bytes),
        })))
    }
}

fn width(loaded: &[PgColumn]) -> String {
    let tables: Vec<_> =
        loaded.iter().filter_map(PgColumn::relation_id).map(|oid| oid.0.to_string()).collect();
    format!(
        "SELECT pg_catalog.sum(relnatts) FROM pg_catalog.pg_class WHERE oid IN ({})",
        tables.join(", ")
    )
}

/// The load's columns among what is returned, as a list for `SELECT`; or why they aren't there.
fn selection(loaded: &[PgColumn], returned: &[PgColumn]) -> Result<String, String> {
    if returned.is_empty() {
        return Err("it returns nothing: write RETURNING with the columns of load".to_owned());
    }
    let is_same = |one: &PgColumn, other: &PgColumn| {
        one.name() == other.name()
            && one.type_info().oid() == other.type_info().oid()
            && one.relation_id().is_some()
            && one.relation_id() == other.relation_id()
            && one.relation_attribute_no() == other.relation_attribute_no()
    };
    let mut selection = Vec::new();
    for column in loaded {
        let name = column.name();
        let mut named = returned.iter().filter(|other| other.name() == name);
        match (named.next(), named.next()) {
            (Some(other), None) if is_same(column, other) => {
                selection.push(format!("larder_written.{}", quoted(name)));
            }
            _ if column.relation_id().is_none() => {
                return Err(format!("the column {name} of load is computed there"));
            }
            _ => return Err(format!("it does not return the column {name} as load gives it")),
        }
    }
    Ok(selection.join(", "))
}
