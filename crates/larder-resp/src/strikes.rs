//! Strikes: keys, tags, caches and prefixes that are invalidated together.

use std::collections::BTreeMap;

use larder_core::terms::TAG_BYTES_MAX;
use larder_core::{Error, ErrorKind, Key, Result};
use larder_engine::{Invalidated, Invalidation};

use crate::keyspace::{Declared, Home, shown};
use crate::service::Service;

/// What is invalidated together, by its names.
#[derive(Clone, Copy, Debug)]
pub struct Strikes<'a> {
    /// Keys of declared caches.
    pub keys: &'a [String],
    /// Tags of entries, in every cache.
    pub tags: &'a [String],
    /// Whole caches.
    pub caches: &'a [String],
    /// What keys of declared caches begin with.
    pub prefixes: &'a [String],
    /// Dropped, or marked stale.
    pub what: Invalidation,
}

impl Service {
    /// Invalidates all of it, and returns when it is carried out everywhere: in this process, in
    /// the shared tier, and announced to the other ones.
    ///
    /// # Errors
    ///
    /// `BadKey` and `Refused` where a name can't be; nothing is done then. `SharedDown` when the
    /// shared tier or the bus doesn't answer: it is done in this process, kept, and carried out as
    /// soon as they answer. `Refused` also where the shared tier can't forget a cache or a prefix.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process, and in the others sooner or later.
    pub async fn invalidate(&self, strikes: &Strikes<'_>) -> Result<Invalidated> {
        let entries = self.invalidate_here(strikes)?;
        let position = self.engine.settled().await?;
        Ok(Invalidated { entries, position })
    }

    /// The part that needs no waiting. Returns how many entries it struck, where they are looked at
    /// one by one.
    fn invalidate_here(&self, strikes: &Strikes<'_>) -> Result<usize> {
        let Strikes { keys, tags, caches, prefixes, what } = *strikes;
        let keyspace = &self.keyspace;
        let mut by_cache: BTreeMap<&str, (&Declared, Vec<Key>)> = BTreeMap::new();
        for text in keys {
            let (declared, key) = self.declared_key(text)?;
            let place = by_cache.entry(declared.cache.name());
            place.or_insert_with(|| (declared, Vec::new())).1.push(key);
        }
        if tags.iter().any(|tag| tag.is_empty() || tag.len() > TAG_BYTES_MAX) {
            let message = format!("a tag has 1 to {TAG_BYTES_MAX} bytes");
            return Err(Error::new(ErrorKind::BadKey, message));
        }
        let named = |name: &String| {
            keyspace.cache(name.as_bytes()).map_err(|what| Error::new(ErrorKind::BadKey, what))
        };
        let caches = caches.iter().map(named).collect::<Result<Vec<_>>>()?;
        prefixes.iter().try_for_each(|text| keyspace.check_prefix(text.as_bytes()).map(drop))?;
        let mut entries = 0;
        for (declared, keys) in by_cache.into_values() {
            entries += keyspace.invalidate_many(declared, &keys, what)?;
        }
        self.engine.invalidate_tags_here(tags, what);
        caches.iter().try_for_each(|declared| declared.cache.invalidate_all_here(what))?;
        for prefix in prefixes {
            entries += keyspace.invalidate_prefix(prefix.as_bytes(), what)?;
        }
        Ok(entries)
    }

    /// The cache that a key belongs to, spelt as it is.
    fn declared_key(&self, text: &str) -> Result<(&Declared, Key)> {
        let (kind, what) = match self.keyspace.home(text.as_bytes()) {
            Ok(Home::Declared(declared, key)) if key.as_bytes() == text.as_bytes() => {
                return Ok((declared, key));
            }
            Ok(Home::Declared(_, key)) => {
                let meant = String::from_utf8_lossy(key.as_bytes()).into_owned();
                (ErrorKind::BadKey, format!("a row has one spelling: this one is {meant}"))
            }
            Err(error) if error.kind() == ErrorKind::BadKey => return Err(error),
            Ok(Home::Plain(_)) | Err(_) => {
                let what = "no declared cache claims this key, and DEL deletes a plain one";
                (ErrorKind::Refused, what.to_owned())
            }
        };
        Err(Error::new(kind, what).for_key(shown(text.as_bytes())))
    }
}
