//! What the families have in common where a key may belong to a cache: finding the plain keys, and
//! saying what is to be done instead where a command isn't for rows, or a write not declared.

use larder_core::{Error, ErrorKind, Key, Result, Value};
use larder_engine::Plain;

use super::Call;
use crate::fault;
use crate::keyspace::{Declared, Home};

/// The plain keys, for a command that knows no others and writes the key at `at`; `instead` is
/// what is to be done with one of a cache.
pub(super) fn plain<'a>(
    call: &Call<'a>,
    at: usize,
    instead: &str,
) -> Result<&'a Plain<Key, Value>> {
    let service = call.service;
    match service.keyspace.home(&call.request[at])? {
        Home::Plain(plain) => Ok(plain),
        Home::Declared(declared, key) => Err(refused(call, declared, &key, instead)),
    }
}

/// What is said where a command isn't for rows.
pub(super) fn refused(call: &Call<'_>, declared: &Declared, key: &Key, instead: &str) -> Error {
    let command = fault::shown(call.request.name()).to_uppercase();
    let message = format!(
        "{command} is for plain keys, and this one belongs to the cache {}: {instead}",
        declared.cache.name()
    );
    Error::new(ErrorKind::Refused, message).for_key(String::from_utf8_lossy(key.as_bytes()))
}

/// A write of a row, as the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Store,
    Delete,
    Add,
}

impl Statement {
    /// Checks that a cache has it.
    pub(super) fn check(self, declared: &Declared, key: &Key) -> Result<()> {
        let abilities = declared.cache.abilities();
        let (is_there, option) = match self {
            Self::Store => (abilities.store, "store"),
            Self::Delete => (abilities.delete, "delete"),
            Self::Add => (abilities.add, "add"),
        };
        if is_there {
            return Ok(());
        }
        let name = declared.cache.name();
        let message = format!(
            "no {option} declared for the cache {name}: declare {option} = \"...\" in \
             [cache.{name}], or write to the database, then DEL the key"
        );
        let key = String::from_utf8_lossy(key.as_bytes());
        Err(Error::new(ErrorKind::Refused, message).for_key(key))
    }
}
