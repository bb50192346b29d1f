//! What the families have in common: finding a key's home, and refusing to write where no store
//! is declared.

use larder_core::{Error, ErrorKind, Key, Result, Value};
use larder_engine::Plain;

use crate::keyspace::{Declared, Home};
use crate::service::Service;

/// The plain keys, for a command that writes `key`.
pub(super) fn plain<'a>(service: &'a Service, key: &[u8]) -> Result<&'a Plain<Key, Value>> {
    plain_or(service, key, "write to the database, then DEL the key")
}

/// The same, for a command in whose place something else is to be done with a declared key.
pub(super) fn plain_or<'a>(
    service: &'a Service,
    key: &[u8],
    instead: &str,
) -> Result<&'a Plain<Key, Value>> {
    match service.keyspace.home(key)? {
        Home::Plain(plain) => Ok(plain),
        Home::Declared(declared, key) => Err(no_store(declared, key.as_bytes(), instead)),
    }
}

fn no_store(declared: &Declared, key: &[u8], instead: &str) -> Error {
    let message = format!("no store declared for the cache {}: {instead}", declared.cache.name());
    Error::new(ErrorKind::Refused, message).for_key(String::from_utf8_lossy(key))
}
