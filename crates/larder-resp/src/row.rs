//! A row: one key of a declared cache, read and written as every listener does it.
//!
//! How a request names it and how an answer is written is the listener's; here is what is done, and
//! what the key log is told of it.

use std::fmt;
use std::sync::Arc;

use larder_core::bus::Position;
use larder_core::{Answer, Error, ErrorKind, Key, Result, Value, Write, Written};
use larder_engine::{Cache, WriteMode, Wrote};

use crate::keyspace::{Declared, shown};
use crate::service::Service;

/// A write of a row, as the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// It stores a value.
    Store,
    /// It deletes the row.
    Delete,
    /// It adds to a number.
    Add,
}

impl Statement {
    /// Checks that a cache has it.
    pub(crate) fn check(self, cache: &Cache<Key, Value>, key: &Key) -> Result<()> {
        let abilities = cache.abilities();
        let (is_there, option) = match self {
            Self::Store => (abilities.store, "store"),
            Self::Delete => (abilities.delete, "delete"),
            Self::Add => (abilities.add, "add"),
        };
        if is_there {
            return Ok(());
        }
        let name = cache.name();
        let message = format!(
            "no {option} declared for the cache {name}: declare {option} = \"...\" in \
             [cache.{name}], or write to the database, then DEL the key"
        );
        let key = String::from_utf8_lossy(key.as_bytes());
        Err(Error::new(ErrorKind::Refused, message).for_key(key))
    }
}

/// A key of a declared cache. Cheap to clone.
#[derive(Clone)]
pub struct Row {
    service: Arc<Service>,
    cache: Cache<Key, Value>,
    key: Key,
}

impl Row {
    /// The row of `key`, which the keyspace has found to belong to this cache.
    pub(crate) fn new(service: &Arc<Service>, declared: &Declared, key: Key) -> Self {
        Self { service: Arc::clone(service), cache: declared.cache.clone(), key }
    }

    /// The row of this cache whose key is spelt so. A row has one spelling.
    ///
    /// # Errors
    ///
    /// `BadKey` when the key doesn't fit the template of the cache, or not as it is spelt.
    pub fn of(service: &Arc<Service>, declared: &Declared, key: &str) -> Result<Self> {
        let bad = |what: String| Error::new(ErrorKind::BadKey, what).for_key(shown(key.as_bytes()));
        declared.template.matches(key).map_err(|mismatch| bad(mismatch.to_string()))?;
        Ok(Self::new(service, declared, Key::from(key)))
    }

    /// The cache that it is a row of.
    #[must_use]
    pub fn cache(&self) -> &Cache<Key, Value> {
        &self.cache
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Checks that the cache has such a statement.
    ///
    /// # Errors
    ///
    /// `Refused`, saying what to declare.
    pub fn check(&self, statement: Statement) -> Result<()> {
        statement.check(&self.cache, &self.key)
    }

    /// Whether a journal acknowledges its writes, and gives them their order.
    pub(crate) fn is_pushed(&self) -> bool {
        self.cache.write_mode() == Some(WriteMode::Behind)
    }

    /// What is held of it or loaded; with a position, what was written before that.
    ///
    /// # Errors
    ///
    /// As [`Cache::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::ask`].
    pub async fn ask(&self, at: Option<Position>) -> Result<Answer<Value>> {
        let answer = match at {
            Some(position) => self.cache.read(&self.key).at(position).ask().await,
            None => self.cache.ask(&self.key).await,
        };
        if let Some(log) = self.service.keyspace.key_log() {
            log.answered(self.key.as_bytes(), self.cache.window(), &answer);
        }
        answer
    }

    /// Stores a value, whatever is held. It returns when what the cache's mode promises is true.
    ///
    /// # Errors
    ///
    /// As [`Cache::put`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::put`].
    pub async fn put(&self, value: Value) -> Result<Wrote<Value>> {
        let wrote = self.cache.put(&self.key, value).await?;
        self.note(&wrote.written);
        Ok(wrote)
    }

    /// Lets `change` decide by what the system of record holds, and writes what it decided if
    /// nobody else wrote in between. `None` if it decided that nothing is to be written.
    ///
    /// # Errors
    ///
    /// As [`Cache::update`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::update`].
    pub async fn update<F>(&self, mut change: F) -> Result<Option<Wrote<Value>>>
    where
        F: FnMut(Option<Value>) -> Option<Write<Value>>,
    {
        let mut writes = false;
        let change = |held| {
            let write = change(held);
            writes = write.is_some();
            write
        };
        let wrote = self.cache.update(&self.key, change).await?;
        if !writes {
            return Ok(None);
        }
        self.note(&wrote.written);
        Ok(Some(wrote))
    }

    /// Deletes it. It returns when what the cache's mode promises is true.
    ///
    /// # Errors
    ///
    /// As [`Cache::delete`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::delete`].
    pub async fn delete(&self) -> Result<Wrote<Value>> {
        let wrote = self.cache.delete(&self.key).await?;
        self.note(&wrote.written);
        Ok(wrote)
    }

    /// Adds to the number in it.
    pub(crate) async fn add(&self, amount: i64) -> Result<Wrote<Value>> {
        let wrote = self.cache.increment(&self.key, amount).await?;
        self.note(&wrote.written);
        Ok(wrote)
    }

    pub(crate) fn blame(&self, error: Error) -> Error {
        error.for_key(String::from_utf8_lossy(self.key.as_bytes()))
    }

    fn note(&self, written: &Written<Value>) {
        self.service.keyspace.note_written(&self.cache, &self.key, written);
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("cache", &self.cache.name())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
