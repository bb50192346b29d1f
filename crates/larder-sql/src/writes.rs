//! What a cache writes to its database, and what is known about the statements.

use larder_core::template::Parameter;
use larder_core::{Error, ErrorKind, Result};

use crate::load::{Format, Load, Rows, Warning};
use crate::loads::Question;
use crate::statement::{Dialect, Own, Plain, Statement, Taken, What};

/// How one cache's values are written.
///
/// Each statement is one `INSERT`, `UPDATE`, `DELETE`, `MERGE` or `CALL` (SQLite: no `MERGE` and
/// no `CALL`, but `REPLACE`; MySQL: no `MERGE`, but `REPLACE`), perhaps after a `WITH`. A name in
/// braces is bound, and never pasted: a parameter of the key, or else what the statement takes of
/// the value.
#[derive(Clone, Debug)]
pub struct Writes {
    /// What the cache is called in larder's own tables: its name among all caches that are
    /// written to this database.
    pub cache: String,
    /// How its values are loaded. A value that a statement returns must be the one that this
    /// gives.
    pub load: Load,
    /// Stores a value. With [`Format::Json`] the value is an object, and a name is one of its
    /// fields; with [`Format::Raw`] `{value}` is all of it.
    pub store: Option<String>,
    /// Deletes.
    pub delete: Option<String>,
    /// Adds `{delta}`, an integer.
    pub add: Option<String>,
}

impl Writes {
    /// Writes that do nothing yet.
    #[must_use]
    pub fn new(cache: impl Into<String>, load: Load) -> Self {
        Self { cache: cache.into(), load, store: None, delete: None, add: None }
    }
}

/// What the live database says about the statements of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkReport {
    /// Those that there are: `store`, `delete`, `add`.
    pub statements: Vec<StatementReport>,
    /// What should be looked at, although it works.
    pub warnings: Vec<Warning>,
}

/// What the live database says about a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementReport {
    /// `store`, `delete` or `add`.
    pub verb: &'static str,
    /// The names that are bound in the order of first use, and the type that the database wants
    /// for each in its own words; empty where it has none.
    pub bindings: Vec<(String, String)>,
    /// Whether the value that it makes is known from what it returns.
    pub returns: bool,
    /// How many keys are written by one execution, at most.
    pub batch_max: usize,
}

/// A statement that writes.
#[derive(Debug)]
pub(crate) struct Order {
    /// `store`, `delete` or `add`.
    pub(crate) verb: &'static str,
    pub(crate) statement: Statement,
    /// What it binds.
    pub(crate) takes: Vec<Taken>,
    /// What it begins with, in capitals.
    pub(crate) head: String,
    /// What is understood of it.
    pub(crate) plain: Plain,
    /// Whether somebody else says the tags of what it returns.
    pub(crate) are_tags_said: bool,
}

impl Order {
    /// The index of the statement for `verb` among those of a sink.
    pub(crate) fn place(verb: &str) -> usize {
        match verb {
            "store" => 0,
            "delete" => 1,
            _ => 2,
        }
    }

    pub(crate) fn all(
        writes: &Writes,
        dialect: Dialect,
        key: &[Parameter],
    ) -> Result<[Option<Self>; 3]> {
        let of_value = match writes.load.format {
            Format::Json => Own::Fields,
            Format::Raw => Own::Whole,
        };
        let order = |verb, sql: &Option<String>, own| {
            let parsed = sql.as_ref().map(|sql| {
                let (statement, takes, head) =
                    Statement::parse_change(verb, sql, dialect, key, own)?;
                let plain = Plain::read(sql, dialect, &takes);
                Ok(Self { verb, statement, takes, head, plain, are_tags_said: false })
            });
            parsed.transpose()
        };
        let orders = [
            order("store", &writes.store, of_value)?,
            order("delete", &writes.delete, Own::Nothing)?,
            order("add", &writes.add, Own::Delta)?,
        ];
        if orders.iter().all(Option::is_none) {
            let what = format!(
                "the writes of {} have no statement: write store, delete or add",
                writes.cache
            );
            return Err(Error::new(ErrorKind::Config, what));
        }
        if let Some(order) = orders.iter().flatten().find(|order| !order.names_key(key)) {
            let what = format!(
                "{} names no parameter of the key, so every key would write the same: bind one",
                order.verb
            );
            return Err(Error::new(ErrorKind::Config, what));
        }
        Ok(orders)
    }

    fn names_key(&self, key: &[Parameter]) -> bool {
        key.is_empty() || self.takes.iter().any(|taken| matches!(taken.what, What::Key(..)))
    }

    /// Why what it returns can't be the value that the load gives, whatever its columns are.
    pub(crate) fn never_says(&self, load: &Question) -> Option<String> {
        if self.verb == "delete" {
            return Some("what was deleted is not held".to_owned());
        }
        if self.head == "CALL" {
            return Some("a procedure returns nothing".to_owned());
        }
        if load.rows == Rows::Many {
            return Some("it returns a row, and the value is many of them".to_owned());
        }
        if !load.tags.is_empty() && !self.are_tags_said {
            return Some("the value has tags, and only a load knows them".to_owned());
        }
        None
    }
}
