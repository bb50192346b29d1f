//! What the engine and a loader tell each other about one load.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::Mutex;
use crate::{Error, ErrorKind, LoadError, Terms};

/// What a loader is told of its load, and where it says on what terms the value is kept.
///
/// It is a handle: a clone speaks of the same load, so a closure may carry it anywhere. In a load
/// of many keys what is said holds for every key; [`key`](Self::key) speaks of one.
///
/// ```
/// use larder_core::{LoadContext, LoadError, Source};
/// use std::time::Duration;
///
/// struct Pages;
///
/// impl Source<String, String> for Pages {
///     async fn load(
///         &self,
///         path: &String,
///         context: &mut LoadContext,
///     ) -> Result<Option<String>, LoadError> {
///         if context.stale_validator() == Some("v7") {
///             return context.not_modified();
///         }
///         context.fresh_for(Duration::from_secs(5)).tag("pages").validator("v7");
///         Ok(Some(format!("the page {path}")))
///     }
/// }
/// ```
#[derive(Clone)]
pub struct LoadContext {
    timeout: Duration,
    shared: Arc<Shared>,
    at: Option<usize>,
}

struct Shared {
    terms: Mutex<Vec<Terms>>,
    stale: Vec<Option<Stale>>,
}

/// What was held of a key when its load began.
#[derive(Clone)]
pub struct Stale {
    /// The value; `None` is a remembered absence.
    pub value: Option<Arc<dyn Any + Send + Sync>>,
    /// What told its version from others.
    pub validator: Option<Box<str>>,
    /// How long ago its own load began.
    pub age: Duration,
}

impl LoadContext {
    /// The context of a load of one key that is given `timeout`, where nothing is held.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self::with_stale(timeout, vec![None])
    }

    /// The context of a load that is given `timeout`, with what is held of each of its keys.
    #[must_use]
    pub fn with_stale(timeout: Duration, stale: Vec<Option<Stale>>) -> Self {
        let terms = Mutex::new(vec![Terms::default(); stale.len()]);
        Self { timeout, shared: Arc::new(Shared { terms, stale }), at: None }
    }

    /// The context of a load of `keys` keys, of which nothing is held.
    #[must_use]
    pub fn of_many(timeout: Duration, keys: usize) -> Self {
        Self::with_stale(timeout, vec![None; keys])
    }

    /// How long this load may take. The engine drops it after that; a source whose server can be
    /// told should tell it.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The same context, for the key at this place only.
    ///
    /// # Panics
    ///
    /// When the load has not so many keys.
    #[must_use]
    pub fn key(&self, at: usize) -> Self {
        assert!(at < self.shared.stale.len(), "the load has no key {at}");
        Self { at: Some(at), ..self.clone() }
    }

    /// Changes the terms of the key, or of all keys, that this context speaks of.
    pub fn terms(&self, mut change: impl FnMut(&mut Terms)) -> &Self {
        let mut terms = self.shared.terms.lock();
        match self.at {
            Some(at) => change(&mut terms[at]),
            None => terms.iter_mut().for_each(change),
        }
        drop(terms);
        self
    }

    /// See [`Terms::fresh_for`].
    pub fn fresh_for(&self, fresh_for: Duration) -> &Self {
        self.terms(|terms| {
            terms.fresh_for(fresh_for);
        })
    }

    /// See [`Terms::stale_for`].
    pub fn stale_for(&self, stale_for: Duration) -> &Self {
        self.terms(|terms| {
            terms.stale_for(stale_for);
        })
    }

    /// See [`Terms::weight`].
    pub fn weight(&self, bytes: usize) -> &Self {
        self.terms(|terms| {
            terms.weight(bytes);
        })
    }

    /// See [`Terms::dont_store`].
    pub fn dont_store(&self) -> &Self {
        self.terms(|terms| {
            terms.dont_store();
        })
    }

    /// See [`Terms::tag`].
    pub fn tag(&self, tag: impl Into<Box<str>>) -> &Self {
        let tag = tag.into();
        self.terms(|terms| {
            terms.tag(tag.clone());
        })
    }

    /// See [`Terms::validator`].
    pub fn validator(&self, validator: impl Into<Box<str>>) -> &Self {
        let validator = validator.into();
        self.terms(|terms| {
            terms.validator(validator.clone());
        })
    }

    /// The value that is held, if it is still there and of this type. It may be of any age.
    #[must_use]
    pub fn stale<V: 'static>(&self) -> Option<&V> {
        self.held()?.value.as_ref()?.downcast_ref()
    }

    /// How long ago the load of what is held began.
    #[must_use]
    pub fn stale_age(&self) -> Option<Duration> {
        Some(self.held()?.age)
    }

    /// The validator of what is held.
    #[must_use]
    pub fn stale_validator(&self) -> Option<&str> {
        self.held()?.validator.as_deref()
    }

    /// What a loader returns when the source says that what is held is still right: the same
    /// value, current as of this load. Its validator and its tags stay, unless new ones were said;
    /// its lifetime is the cache's, unless one was said.
    ///
    /// # Errors
    ///
    /// When nothing of this type is held.
    pub fn not_modified<V: Clone + 'static>(&self) -> Result<Option<V>, LoadError> {
        let nothing = || {
            let message = "the loader says not modified, but nothing is held that could be kept; \
                           ask for the value when the context has nothing stale";
            Error::new(ErrorKind::Loader, message)
        };
        let held = self.held().ok_or_else(nothing)?;
        let value = match &held.value {
            Some(value) => Some(value.downcast_ref::<V>().ok_or_else(nothing)?.clone()),
            None => None,
        };
        self.terms(|terms| {
            terms.unchanged();
            if let (None, Some(validator)) = (terms.own_validator(), &held.validator) {
                terms.validator(validator.clone());
            }
        });
        Ok(value)
    }

    /// The terms that were said for each key, which are so taken out.
    #[must_use]
    pub fn take_terms(&self) -> Vec<Terms> {
        let fresh = vec![Terms::default(); self.shared.stale.len()];
        std::mem::replace(&mut *self.shared.terms.lock(), fresh)
    }

    fn held(&self) -> Option<&Stale> {
        self.shared.stale.get(self.at.unwrap_or(0))?.as_ref()
    }
}

impl fmt::Debug for LoadContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadContext").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn holding(value: Option<u32>) -> LoadContext {
        let value = value.map(|value| Arc::new(value) as Arc<dyn Any + Send + Sync>);
        let stale = Stale { value, validator: Some("v1".into()), age: 3 * S };
        LoadContext::with_stale(S, vec![Some(stale), None])
    }

    #[test]
    fn what_is_said_holds_for_every_key_and_what_is_said_of_one_for_that_one() {
        let context = LoadContext::of_many(S, 2);
        context.tag("all").key(1).tag("one").fresh_for(S);
        let terms = context.take_terms();
        assert_eq!(terms[0].tags().len(), 1);
        assert_eq!((terms[1].tags().len(), terms[1].own_fresh_for()), (2, Some(S)));
        assert_eq!(context.take_terms(), [Terms::default(), Terms::default()]);
    }

    #[test]
    fn not_modified_is_what_was_held_with_its_validator() {
        let context = holding(Some(7));
        assert_eq!((context.stale(), context.stale_age()), (Some(&7_u32), Some(3 * S)));
        assert_eq!(context.not_modified::<u32>().unwrap(), Some(7));
        let terms = context.take_terms();
        assert!(terms[0].is_unchanged());
        assert_eq!(terms[0].own_validator(), Some("v1"));
        assert_eq!(holding(None).not_modified::<u32>().unwrap(), None);
    }

    #[test]
    fn not_modified_without_anything_held_is_an_error() {
        assert!(LoadContext::new(S).not_modified::<u32>().is_err());
        assert!(holding(Some(7)).not_modified::<String>().is_err());
        let context = holding(Some(7));
        assert!(context.key(1).not_modified::<u32>().is_err());
        assert!(!context.take_terms()[1].is_unchanged());
    }
}
