//! Invalidations: of keys of a cache, of a prefix, of a whole cache.
//!
//! Only declared caches know them. Behind a plain key stands nothing that could be read again, so
//! no sweep touches one. The key log has nothing of a prefix or a whole cache: nobody lists the
//! keys that those strike.

use larder_core::template::nearest;
use larder_core::{Error, ErrorKind, Key, KeyTemplate, Result};
use larder_engine::Invalidation;

use super::{Declared, Keyspace, bad_key, shown};

impl Keyspace {
    /// Invalidates a key of a cache, as
    /// [`invalidate_here`](larder_engine::Cache::invalidate_here) does. What is only marked stale
    /// is still held.
    pub(crate) fn invalidate(
        &self,
        declared: &Declared,
        key: &Key,
        what: Invalidation,
    ) -> Result<bool> {
        Ok(self.invalidate_many(declared, std::slice::from_ref(key), what)? > 0)
    }

    /// Invalidates keys of a cache, with one announcement. Returns how many were held.
    pub(crate) fn invalidate_many(
        &self,
        declared: &Declared,
        keys: &[Key],
        what: Invalidation,
    ) -> Result<usize> {
        let held = declared.cache.invalidate_here(keys, what)?;
        if let (Some(log), Invalidation::Drop) = (&self.key_log, what) {
            keys.iter().for_each(|key| log.removed(key.as_bytes()));
        }
        Ok(held)
    }

    /// The cache of this name.
    ///
    /// # Errors
    ///
    /// A sentence with the nearest name.
    pub fn cache(&self, name: &[u8]) -> Result<&Declared, String> {
        let named = |declared: &&Declared| declared.cache.name().as_bytes() == name;
        self.declared.iter().find(named).ok_or_else(|| {
            let names = self.declared.iter().map(|declared| declared.cache.name());
            let near = std::str::from_utf8(name).ok().and_then(|name| nearest(name, names));
            let cure = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            format!("no cache of this name is declared{cure}")
        })
    }

    /// Invalidates everything of all caches whose key begins with `prefix`. Returns how many
    /// entries it struck; a cache of which it covers the whole namespace is struck as a whole,
    /// without a look at its entries, and counts as one.
    ///
    /// # Errors
    ///
    /// `BadKey` when no declared key can begin so; nothing is done then.
    pub(crate) fn invalidate_prefix(&self, prefix: &[u8], what: Invalidation) -> Result<usize> {
        let mut struck = 0;
        let text = self.check_prefix(prefix)?;
        for Declared { template, cache, .. } in &self.declared {
            if template.prefix().starts_with(text) {
                cache.invalidate_all_here(what)?;
                struck += 1;
            } else if template.can_begin_with(text) {
                struck += cache.invalidate_prefix_here(text, what)?;
            }
        }
        Ok(struck)
    }

    /// Checks that a declared key can begin so.
    pub(crate) fn check_prefix<'p>(&self, prefix: &'p [u8]) -> Result<&'p str> {
        if prefix.is_empty() {
            let reason = "an empty prefix covers every cache: name each with CACHE".to_owned();
            return Err(Error::new(ErrorKind::BadKey, reason));
        }
        let text = std::str::from_utf8(prefix).unwrap_or_default();
        let begins = |template: &KeyTemplate| {
            template.prefix().starts_with(text) || template.can_begin_with(text)
        };
        if !text.is_empty() && self.declared.iter().any(|declared| begins(&declared.template)) {
            return Ok(text);
        }
        Err(self.no_such_prefix(prefix, text))
    }

    fn no_such_prefix(&self, prefix: &[u8], text: &str) -> Error {
        let templates = self.declared.iter().map(|declared| declared.template.prefix());
        let cure = match (self.claims(prefix).next(), nearest(text, templates)) {
            (Some(declared), _) => {
                format!("the keys of {} look like {}", declared.cache.name(), declared.template)
            }
            (None, Some(near)) => format!("did you mean {near}? Plain keys are deleted with DEL"),
            (None, None) => "plain keys are deleted with DEL".to_owned(),
        };
        bad_key(prefix, format!("no declared key begins with {}: {cure}", shown(prefix)))
    }
}
