//! The SQL that is really sent: the user's query as a subquery, and around it what makes each
//! row one value and each value bounded.
//!
//! A row comes back as its key's ordinal, the value's length, and the value, which is left out
//! if it is too long to be wanted; then the texts of the columns that the tags name. Names that
//! begin with `larder_` are ours.

use std::collections::HashSet;
use std::fmt::Write;

use larder_core::terms::TAG_BYTES_MAX;
use larder_core::{Error, ErrorKind};

use super::types::{Fact, Wanted};
use crate::answer::RESULT_BYTES_MAX;
use crate::load::{Format, Rows, not_one_column, two_columns};
use crate::loads::Question;

/// The makings of a statement.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    question: &'a Question,
    wanted: &'a [Wanted],
    value: Value,
    /// What each column that the tags name is in `larder_row`.
    tagged: Vec<String>,
}

/// How a row becomes a value.
#[derive(Debug)]
enum Value {
    /// The whole row as it is.
    Row,
    /// The row, its columns listed because some are `bytea`.
    Columns(String),
    /// The only column as it is.
    Bytes,
    /// The only column as text.
    Text,
}

impl<'a> Shape<'a> {
    pub(super) fn new(
        question: &'a Question,
        wanted: &'a [Wanted],
        names: &[&str],
        types: &[Fact],
    ) -> Result<Self, Error> {
        let value = match (question.format, types) {
            (Format::Raw, [only]) if only.is_text() || only.is_bytea() => Value::Bytes,
            (Format::Raw, [_]) => Value::Text,
            (Format::Raw, _) => return Err(not_one_column(names.len())),
            (Format::Json, _) => {
                check_names(names)?;
                if types.iter().any(Fact::is_bytea) {
                    Value::Columns(listed(names, types))
                } else {
                    Value::Row
                }
            }
        };
        let found = question.tags.find(names, &question.parameters)?;
        let column = |at: usize| match (&value, &types[at]) {
            (Value::Bytes | Value::Text, fact) if fact.is_bytea() => {
                base64("larder_row.larder_raw")
            }
            (Value::Bytes | Value::Text, _) => "larder_row.larder_raw".to_owned(),
            (Value::Row | Value::Columns(_), _) => format!("larder_row.{}", quoted(names[at])),
        };
        let tagged = found.into_iter().map(column).collect();
        Ok(Self { question, wanted, value, tagged })
    }

    /// How many columns the tags name.
    pub(super) const fn tagged(&self) -> usize {
        self.tagged.len()
    }

    /// Whether a column that is added to the tables later would be missed.
    pub(super) const fn lists_columns(&self) -> bool {
        matches!(self.value, Value::Columns(_))
    }

    /// The statement for one key, whose values are `$1`, `$2` and so on.
    pub(super) fn single(&self) -> String {
        let load = self.question.statement.render(|at| format!("${}", at + 1));
        let tags = self.tags();
        format!("SELECT 1::bigint, {BOUNDED}{tags} FROM ({}) AS larder_answer", self.values(&load))
    }

    /// Columns and a condition of a query for what was written: of each row of `from`, which
    /// `row` selects with the columns of the load, its place, the value's length, the value, and
    /// then `last`.
    pub(super) fn written(&self, place: &str, row: &str, last: &str, from: &str) -> String {
        format!(
            "SELECT {place}, {BOUNDED}, {last} FROM {from} \
             CROSS JOIN LATERAL ({}) AS larder_answer",
            self.values(row)
        )
    }

    /// The statement for many keys, whose values are the arrays `$1`, `$2` and so on; none if
    /// there is nothing that would tell the keys apart.
    pub(super) fn batch(&self) -> Option<String> {
        if self.wanted.is_empty() {
            return None;
        }
        let load = self.question.statement.render(|at| format!("larder_key.larder_{at}"));
        let mut arrays = Vec::new();
        let mut names = String::new();
        for (at, wanted) in self.wanted.iter().enumerate() {
            arrays.push(format!("${}::{}[]", at + 1, wanted.name()));
            write!(names, "larder_{at}, ").expect("writing to a string does not fail");
        }
        Some(format!(
            "SELECT larder_key.larder_ordinal, {BOUNDED}{} \
             FROM unnest({}) WITH ORDINALITY AS larder_key({names}larder_ordinal) \
             CROSS JOIN LATERAL ({}) AS larder_answer",
            self.tags(),
            arrays.join(", "),
            self.values(&load),
        ))
    }

    /// What the tags need, after the value.
    fn tags(&self) -> String {
        (0..self.tagged.len()).map(|at| format!(", larder_answer.larder_tag_{at}")).collect()
    }

    /// A query for the values of one key, as `larder_value`.
    fn values(&self, load: &str) -> String {
        // Two rows are enough to know that there is more than one. Either ending also keeps the
        // value from being computed once for its length and once for itself.
        let ending = match self.question.rows {
            Rows::One => "LIMIT 2",
            Rows::Many => "OFFSET 0",
        };
        let (value, from) = match &self.value {
            Value::Row => (ROW, format!("({load}\n) AS larder_row")),
            Value::Columns(list) => {
                (ROW, format!("(SELECT {list} FROM ({load}\n) AS larder_load) AS larder_row"))
            }
            Value::Bytes => ("larder_row.larder_raw", only_column(load)),
            Value::Text => ("larder_row.larder_raw::text", only_column(load)),
        };
        let tags = self.tagged.iter().enumerate().map(|(at, column)| {
            // As in the row's JSON, and no longer than it takes to know that it is too long.
            let text = format!("pg_catalog.to_json({column}) OPERATOR(pg_catalog.#>>) '{{}}'");
            let most = TAG_BYTES_MAX + 1;
            format!(", pg_catalog.\"left\"({text}, {most}) AS larder_tag_{at}")
        });
        let tags: String = tags.collect();
        format!("SELECT {value} AS larder_value{tags} FROM {from} {ending}")
    }
}

const ROW: &str = "pg_catalog.row_to_json(larder_row)::text";

/// The length of the value, and the value unless it is too long.
const BOUNDED: &str = {
    // Checked here because a constant can't be formatted into a constant.
    assert!(RESULT_BYTES_MAX == 16_777_216);
    "pg_catalog.octet_length(larder_answer.larder_value), \
     CASE WHEN pg_catalog.octet_length(larder_answer.larder_value) <= 16777216 \
     THEN larder_answer.larder_value END"
};

fn only_column(load: &str) -> String {
    format!("({load}\n) AS larder_row(larder_raw)")
}

/// The columns, with `bytea` as base64.
fn listed(names: &[&str], types: &[Fact]) -> String {
    let one = |(name, fact): (&&str, &Fact)| {
        let name = quoted(name);
        if fact.is_bytea() {
            format!("{} AS {name}", base64(&format!("larder_load.{name}")))
        } else {
            format!("larder_load.{name}")
        }
    };
    names.iter().zip(types).map(one).collect::<Vec<_>>().join(", ")
}

/// A name as SQL takes it, whatever it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A `bytea` as base64, in which Postgres breaks lines.
fn base64(column: &str) -> String {
    let encoded = format!("pg_catalog.encode({column}, 'base64')");
    format!("pg_catalog.translate({encoded}, pg_catalog.chr(10), '')")
}

fn check_names(names: &[&str]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match names.iter().find(|&&name| !seen.insert(name) || name.starts_with("larder_")) {
        None => Ok(()),
        Some(name) if name.starts_with("larder_") => Err(Error::new(
            ErrorKind::Config,
            format!(
                "load has a column named {name}, and names that begin with larder_ are \
                     reserved: rename it with AS"
            ),
        )),
        Some(name) => Err(two_columns(name)),
    }
}
