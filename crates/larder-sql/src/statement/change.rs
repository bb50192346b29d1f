//! A statement that writes: what it may begin with, and what it binds beside the key.

use larder_core::template::{Parameter, ParameterKind};
use larder_core::{Error, ErrorKind, Result};

use super::{Dialect, Reader, Statement, Verbs};

/// The most names that one statement may bind. Postgres and MySQL take 65,535, SQLite 32,766.
const NAMES_MAX: usize = 1_000;

/// What a statement may bind beside the parameters of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Nothing,
    /// `{delta}`.
    Delta,
    /// `{value}`: all of it.
    Whole,
    /// Every other name is a field of the value.
    Fields,
}

/// A name that a statement binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) what: What,
}

/// What stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The key's parameter of this index and kind.
    Key(usize, ParameterKind),
    Delta,
    Field,
    Whole,
}

impl Own {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Delta => Some("delta"),
            Self::Whole => Some("value"),
            Self::Nothing | Self::Fields => None,
        }
    }

    const fn what(self) -> What {
        match self {
            Self::Delta => What::Delta,
            Self::Whole => What::Whole,
            Self::Nothing | Self::Fields => What::Field,
        }
    }
}

impl Statement {
    /// The statement in `sql`, called `verb`, which writes; what it binds, in the order of first
    /// use; and the word that it begins with, in capitals.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], saying what to write instead.
    pub(crate) fn parse_change(
        verb: &'static str,
        sql: &str,
        dialect: Dialect,
        key: &[Parameter],
        own: Own,
    ) -> Result<(Self, Vec<Taken>, String)> {
        let fault = |what: String| Error::new(ErrorKind::Config, format!("{verb} {what}"));
        let mut parameters = key.to_vec();
        if let Some(name) = own.name() {
            if key.iter().any(|parameter| parameter.name == name) {
                return Err(fault(format!(
                    "can't tell its own {{{name}}} from the parameter {name} of the key: rename \
                     that"
                )));
            }
            let kind = match own {
                Own::Delta => ParameterKind::Int,
                _ => ParameterKind::Text,
            };
            parameters.push(Parameter { name: name.to_owned(), kind });
        }
        let mut reader = Reader::new(verb, dialect, parameters);
        (reader.grows, reader.changes) = (own == Own::Fields, true);
        let (statement, read) = reader.read(sql).map_err(fault)?;
        if statement.used.len() > NAMES_MAX {
            let bound = statement.used.len();
            return Err(fault(format!("binds {bound} names, and {NAMES_MAX} are the most")));
        }
        let taken = |&at: &usize| {
            let Parameter { name, kind } = read.parameters[at].clone();
            let what = if at < key.len() { What::Key(at, kind) } else { own.what() };
            Taken { name, what }
        };
        let takes: Vec<_> = statement.used.iter().map(taken).collect();
        if own == Own::Delta && !takes.iter().any(|taken| taken.what == What::Delta) {
            return Err(fault("does not name {delta}, which is what it adds".to_owned()));
        }
        Ok((statement, takes, read.verb))
    }
}

impl Reader<'_> {
    /// One more parameter, where names are those of fields.
    pub(super) fn grow(&mut self, name: &str) -> Option<usize> {
        self.grows.then(|| {
            let kind = ParameterKind::Text;
            self.parameters.push(Parameter { name: name.to_owned(), kind });
            self.parameters.len() - 1
        })
    }
}

impl Verbs {
    pub(super) fn check_change(self, name: &str, dialect: Dialect) -> Result<String, String> {
        let (known, list): (&[&str], _) = match dialect {
            Dialect::Postgres => (
                &["INSERT", "UPDATE", "DELETE", "MERGE", "CALL"],
                "INSERT, UPDATE, DELETE, MERGE or CALL",
            ),
            Dialect::Sqlite => {
                (&["INSERT", "UPDATE", "DELETE", "REPLACE"], "INSERT, UPDATE, DELETE or REPLACE")
            }
            Dialect::Mysql => (
                &["INSERT", "UPDATE", "DELETE", "REPLACE", "CALL"],
                "INSERT, UPDATE, DELETE, REPLACE or CALL",
            ),
        };
        let Some(verb) = self.verb() else {
            return Err(format!("is empty: write {list}"));
        };
        if known.contains(&&*verb) {
            return Ok(verb);
        }
        Err(format!("begins with {verb}, but a {name} writes: write {list}, or one after WITH"))
    }
}
