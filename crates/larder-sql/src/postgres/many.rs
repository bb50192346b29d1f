//! One execution for many keys.
//!
//! Where a statement is plain enough (see `statement/plain.rs`), its values come from arrays
//! instead of single parameters. Postgres would then do the same as for each key alone, unless a
//! trigger, a rule or a policy of the table looks at other rows, or two keys name one row: such
//! tables and types are left alone.

use std::fmt::Write as _;
use std::sync::Arc;

use larder_core::Result;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Arguments, AssertSqlSafe, Executor, Row as _};

use super::change::{Change, View};
use super::encode::Encoded;
use super::given::{self, Sent};
use super::prepare;
use super::shape::quoted;
use crate::answers::internal;
use crate::changes::{Bound, Outcome};
use crate::loads::Question;
use crate::pool::Failure;
use crate::rows::next;
use crate::statement::What;
use crate::writes::Order;

/// How many keys one execution writes at most.
pub(super) const KEYS_MAX: usize = 1_000;

/// A statement for many keys.
pub(super) struct Many {
    sql: Arc<str>,
    answer: Answer,
}

/// What its rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The place of a key that was written, and perhaps its value. What has no row was not there.
    Places,
    /// The same, but only of rows that could be told to be a key's.
    Values,
    /// Nothing that is known to be any key's.
    Blind,
}

impl Many {
    /// The statement of `order` for many keys, if it can be written so.
    pub(super) async fn plan(
        connection: &mut PgConnection,
        question: &Question,
        order: &Order,
        sent: &[Sent],
        loaded: &[&str],
        view: Option<&View<'_>>,
    ) -> Result<Option<Self>, Failure> {
        let source = source(sent);
        let place = |at: usize| sent[at].cast(&format!("larder_key.larder_{at}"));
        let plain = order.plain.many(&order.takes, &source, place);
        let (Some(plain), Some(table)) = (plain, order.plain.table()) else { return Ok(None) };
        let Some(deterministic) = look_at(connection, &table).await? else { return Ok(None) };
        let of_key = || order.takes.iter().zip(sent).filter(|(taken, _)| is_of_key(taken.what));
        let tells_apart =
            |sent: &Sent| sent.fact().tells_apart() && (deterministic || !sent.fact().is_text());
        if plain.tells_places && !of_key().all(|(_, sent)| tells_apart(sent)) {
            return Ok(None);
        }
        let written = &plain.sql;
        let (sql, answer) = match view.filter(|_| plain.returns) {
            Some(view) if plain.tells_places => {
                let values = view.of("larder_written.larder_place", "larder_written");
                (format!("WITH larder_written AS ({written}) {values}"), Answer::Places)
            }
            None if plain.tells_places => {
                let places = "SELECT larder_place FROM larder_written";
                (format!("WITH larder_written AS ({written}) {places}"), Answer::Places)
            }
            Some(view) if order.names_row(question, loaded) => {
                let from = format!("larder_written JOIN {source} ON {}", is_its_row(order));
                let values = view.of("larder_key.larder_ordinal", &from);
                (format!("WITH larder_written AS ({written}) {values}"), Answer::Values)
            }
            _ => (written.clone(), Answer::Blind),
        };
        match prepare(connection, &sql).await {
            Ok(()) => Ok(Some(Self { sql: sql.into(), answer })),
            // It works for one key at a time, as was tried before.
            Err(sqlx::Error::Database(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn execute(
        &self,
        connection: &mut PgConnection,
        change: &Change,
        bound: &[&[Bound<'_>]],
    ) -> Result<Vec<Outcome>, Failure> {
        let mut arguments = PgArguments::default();
        for array in given::batch(change.sent(), bound).map_err(Failure::Whole)? {
            // The statement names the array's type itself.
            let encoded = Encoded { bytes: Some(array), oid: Oid(0) };
            arguments.add(encoded).map_err(sqlx::Error::Encode)?;
        }
        let rows = if self.answer == Answer::Places { 0 } else { 1 };
        let mut outcomes: Vec<_> =
            bound.iter().map(|_| (Outcome { rows, value: None }, 0_usize)).collect();
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&self.sql)), arguments);
        let mut rows = connection.fetch(query);
        while let Some(row) = next(&mut rows).await? {
            if self.answer == Answer::Blind {
                continue;
            }
            let place: i64 = row.try_get(0)?;
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            let Some((outcome, returned)) = outcomes.get_mut(place) else {
                return Err(internal("a row for no key"));
            };
            *returned += 1;
            if self.answer == Answer::Places {
                outcome.rows += 1;
            }
            if row.len() > 1 {
                outcome.value = change.value(&row)?;
            }
        }
        let sole = |(outcome, returned): (Outcome, usize)| Outcome {
            value: outcome.value.filter(|_| returned == 1),
            ..outcome
        };
        Ok(outcomes.into_iter().map(sole).collect())
    }
}

impl Order {
    /// Whether a row of the load says which key it is: every parameter of the key is bound, and
    /// has a column of its name.
    fn names_row(&self, question: &Question, loaded: &[&str]) -> bool {
        question.parameters.iter().all(|parameter| {
            let is_it = |taken: &crate::statement::Taken| {
                is_of_key(taken.what) && taken.name == parameter.name
            };
            self.takes.iter().any(is_it) && loaded.contains(&parameter.name.as_str())
        })
    }
}

const fn is_of_key(what: What) -> bool {
    matches!(what, What::Key(..))
}

/// The rows of a batch: the arrays side by side, and the place in them.
fn source(sent: &[Sent]) -> String {
    let mut arrays = Vec::new();
    let mut names = String::new();
    for (at, sent) in sent.iter().enumerate() {
        arrays.push(format!("${}::{}[]", at + 1, sent.sent_as()));
        write!(names, "larder_{at}, ").expect("writing to a string does not fail");
    }
    format!("unnest({}) WITH ORDINALITY AS larder_key({names}larder_ordinal)", arrays.join(", "))
}

/// The condition under which a row that was written is a key's: the texts of its columns are
/// those of the parameters of the same names.
fn is_its_row(order: &Order) -> String {
    let of_key = order.takes.iter().enumerate().filter(|(_, taken)| is_of_key(taken.what));
    let same = of_key.map(|(at, taken)| {
        let column = format!("larder_written.{}", quoted(&taken.name));
        format!(
            "{column}::pg_catalog.text COLLATE \"C\" = \
             larder_key.larder_{at}::pg_catalog.text COLLATE \"C\""
        )
    });
    same.collect::<Vec<_>>().join(" AND ")
}

/// Whether the table does nothing of its own when it is written; then, whether texts that differ
/// are different in this database.
async fn look_at(connection: &mut PgConnection, table: &str) -> Result<Option<bool>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_collation WHERE NOT collisdeterministic)
         FROM pg_catalog.pg_class AS given
         WHERE oid = pg_catalog.to_regclass($1) AND relkind = 'r'
           AND NOT relhassubclass AND NOT relhasrules AND NOT relrowsecurity
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger
                           WHERE tgrelid = given.oid AND NOT tgisinternal)",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// How many columns the tables of the load have now.
pub(super) async fn width(
    connection: &mut PgConnection,
    view: &View<'_>,
) -> Result<i64, sqlx::Error> {
    let sql = AssertSqlSafe(view.width.clone());
    sqlx::query(sql).persistent(false).fetch_one(connection).await?.try_get(0)
}
