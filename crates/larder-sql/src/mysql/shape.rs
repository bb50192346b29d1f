//! The SQL that is really sent: the user's query once for each key, in sizes.
//!
//! A row comes back as its key's ordinal and the columns. A size has places for a few keys, and
//! those that there aren't are left out by a condition, so that a handful of prepared statements
//! does for any number. Names that begin with `larder_` are ours.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use larder_core::{Error, ErrorKind};
use sqlx::mysql::MySqlColumn;

use super::Mysql;
use crate::load::{Format, Rows, not_one_column, two_columns};
use crate::loads::{Planner as _, Question};
use crate::statement::{Dialect, Statement};

/// How many keys the statements of a load have places for.
const SIZES: [usize; 4] = [1, 8, 32, 128];

/// A statement for up to so many keys.
pub(super) struct Sized {
    pub(super) keys: usize,
    pub(super) sql: Arc<str>,
    /// Which value each placeholder of one key is.
    pub(super) places: Vec<usize>,
    /// Its rows begin with the key's ordinal.
    pub(super) tells_places: bool,
}

/// The makings of a statement.
pub(super) struct Shape<'a> {
    question: &'a Question,
    names: Vec<&'a str>,
}

/// A statement with its placeholders, and what each of them is.
pub(super) fn rendered(statement: &Statement) -> (String, Vec<usize>) {
    let places = RefCell::new(Vec::new());
    let sql = statement.render(|at| {
        places.borrow_mut().push(at);
        "?".to_owned()
    });
    (sql, places.into_inner())
}

impl<'a> Shape<'a> {
    pub(super) fn new(question: &'a Question, columns: &'a [MySqlColumn]) -> Result<Self, Error> {
        let names: Vec<_> = columns.iter().map(sqlx::Column::name).collect();
        if question.format == Format::Raw && names.len() != 1 {
            return Err(not_one_column(names.len()));
        }
        let mut seen = HashSet::new();
        // A derived table tells names apart as little as a `WHERE` does.
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase())) {
            return Err(two_columns(twice));
        }
        if let Some(ours) = names.iter().find(|name| name.starts_with("larder_")) {
            let what = format!(
                "load has a column named {ours}, and names that begin with larder_ are reserved: \
                 rename it with AS"
            );
            return Err(Error::new(ErrorKind::Config, what));
        }
        Ok(Self { question, names })
    }

    /// Which of the columns the tags name.
    ///
    /// # Errors
    ///
    /// The tags name a column that isn't there.
    pub(super) fn tagged(&self) -> Result<Vec<usize>, Error> {
        self.question.tags.find(&self.names, &self.question.parameters)
    }

    /// How many keys one statement loads.
    pub(super) fn batch_max(&self) -> usize {
        if self.question.bound.is_empty() || self.is_ordered() { 1 } else { Mysql::BATCH_MAX }
    }

    /// Why that is 1, where it could be more.
    pub(super) fn unbatched(&self) -> Option<String> {
        let is_it = !self.question.bound.is_empty() && self.is_ordered();
        is_it.then(|| "it has an order, which MySQL forgets of a query within another".to_owned())
    }

    /// The order of rows is a part of the value, and a server may forget it within another query.
    fn is_ordered(&self) -> bool {
        self.question.rows == Rows::Many
            && self.question.statement.has_word("ORDER", Dialect::Mysql)
    }

    pub(super) fn sizes(&self) -> Vec<Sized> {
        let most = self.batch_max();
        SIZES.into_iter().filter(|&keys| keys <= most).map(|keys| self.sized(keys)).collect()
    }

    fn sized(&self, keys: usize) -> Sized {
        let (load, places) = rendered(&self.question.statement);
        if self.question.rows == Rows::Many && keys == 1 {
            return Sized { keys, sql: load.into(), places, tells_places: false };
        }
        // Two rows are enough to know that there is more than one.
        let limit = match self.question.rows {
            Rows::One => " LIMIT 2",
            Rows::Many => "",
        };
        let mut sql = String::new();
        for key in 0..keys {
            let (union, condition) = match (key, keys) {
                (_, 1) => ("", String::new()),
                (0, _) => ("", " WHERE 0 < ?".to_owned()),
                _ => (" UNION ALL ", format!(" WHERE {key} < ?")),
            };
            write!(
                sql,
                "{union}(SELECT {key} AS larder_ordinal, larder_row.* \
                 FROM ({load}\n) AS larder_row{condition}{limit})"
            )
            .expect("writing to a string does not fail");
        }
        Sized { keys, sql: sql.into(), places, tells_places: true }
    }
}
