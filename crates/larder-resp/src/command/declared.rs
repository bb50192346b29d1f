//! What the families have in common where a key may belong to a cache: finding the plain keys, and
//! saying what is to be done instead where a command isn't for rows.

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
