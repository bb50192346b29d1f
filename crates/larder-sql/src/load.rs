//! What a cache asks of its database, and what is known about the question.

use std::fmt;

use larder_core::template::{Parameter, ParameterKind, TagTemplate};
use larder_core::{Error, ErrorKind, KeyTemplate};

/// One cache's question to its database.
#[derive(Clone, Debug)]
pub struct Load {
    /// What the cache's keys look like; its parameters are what `sql` may name.
    pub key: KeyTemplate,
    /// One query (`SELECT`, `WITH` or `VALUES`) with `{name}` where a parameter is bound. Names
    /// of its own that begin with `larder_` are reserved.
    pub sql: String,
    /// How many rows make a value.
    pub rows: Rows,
    /// What a value is made of.
    pub format: Format,
    /// What an entry depends on. A name is a parameter of the key, or else a column of the
    /// result, whose text is that of its JSON, a string without its quotes.
    pub tags: Vec<TagTemplate>,
}

/// How many rows make a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rows {
    /// One row is the value, no row is absence, and more than one is an error.
    #[default]
    One,
    /// All rows together are the value: an array in the query's order, which may be empty. There
    /// is no absence.
    Many,
}

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// A row is an object by column name, in the order of the columns. Numbers are exact.
    ///
    /// Postgres writes it as its `row_to_json` does, except that a `bytea` column is base64. In
    /// SQLite an integer stays one, a real is the shortest text that reads back as the same
    /// number (an infinity is `9e999`, as in SQLite's own JSON), a blob is base64, and 0 and 1
    /// in a column declared `BOOLEAN` are false and true. In MySQL and MariaDB the same holds for
    /// integers, reals and booleans; a `DECIMAL` has all its digits, a `BIT` is a number, a moment
    /// is the text that the server writes, in UTC, and what has no character set is base64.
    #[default]
    Json,
    /// The bytes of the only column: a text in UTF-8, a `bytea` or blob as it is, anything else
    /// as the database writes it as text. `NULL` is absence. Only with [`Rows::One`].
    Raw,
}

/// What the live database says about a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What is bound, in the order of first use.
    pub bindings: Vec<Binding>,
    /// What comes back.
    pub columns: Vec<Column>,
    /// How many keys one statement loads.
    pub batch_max: usize,
    /// What should be looked at, although it works.
    pub warnings: Vec<Warning>,
}

/// A parameter as the database takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The parameter of the key.
    pub parameter: Parameter,
    /// The type that the database wants, in its own words.
    pub sql_type: String,
}

/// A column of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in the database's own words; empty where it has none.
    pub sql_type: String,
}

/// Something that works and is probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The key has a parameter that the load ignores: many keys are one row.
    Unused(Parameter),
    /// The load can't be asked for many keys at once; the database's reason is inside.
    Unbatched(String),
    /// What a statement returns is not known to be the value that the load gives, for the reason
    /// inside: what is held after it isn't known until the next load.
    Unsaid {
        /// `store` or `add`.
        verb: &'static str,
        /// The rest of a sentence.
        why: String,
    },
    /// A statement ignores a parameter of the key: it writes the rows of many keys.
    Unwritten {
        /// `store`, `delete` or `add`.
        verb: &'static str,
        /// The parameter.
        parameter: Parameter,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unused(Parameter { name, .. }) => write!(
                f,
                "load ignores {{{name}}}: keys that differ only in {name} hold the same value \
                 more than once; use it or take it out of key"
            ),
            Self::Unbatched(why) => {
                write!(f, "load can't be asked for many keys at once, each is asked alone: {why}")
            }
            Self::Unsaid { verb, why } => {
                write!(f, "what is held after {verb} is not known until it is loaded: {why}")
            }
            Self::Unwritten { verb, parameter: Parameter { name, .. } } => write!(
                f,
                "{verb} ignores {{{name}}}: it writes the same for all keys that differ only in \
                 {name}; use it or take it out of key"
            ),
        }
    }
}

/// The cast that gives a value of `kind` the type that it has in Postgres.
pub(crate) const fn postgres_cast(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Int => "::bigint",
        ParameterKind::Text => "::text",
        ParameterKind::Uuid => "::uuid",
        ParameterKind::Bool => "::boolean",
        // Nothing binds one.
        ParameterKind::Version => "::numeric",
    }
}

/// The error of a raw load of `count` columns.
pub(crate) fn not_one_column(count: usize) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("column = \"raw\" takes the only column of load, and it has {count}: select one"),
    )
}

/// The error of a load in JSON that has a name twice.
pub(crate) fn two_columns(name: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!(
            "load has two columns named {name}, and a JSON object holds a name once: rename one \
             with AS"
        ),
    )
}
