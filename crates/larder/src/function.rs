//! What the expansion of `#[cached]` calls: the cache of a function, and how a call of the
//! function goes through it.
//!
//! A hit ends in [`fresh`]: no runtime is touched and no argument copied. Everything else goes
//! through [`load`] or [`load_blocking`], which run the body on threads that outlive the caller's
//! runtime. None of this is meant to be called by hand, and none of it knows what the body does.

mod cell;
mod failure;
mod ground;
mod nested;
mod shape;

use larder_core::{BoxFuture, CacheKey, Error, KeyText, LoadError, Result};
use larder_engine::{Cache, Lookup, Ticket};

pub use cell::{CacheCell, Settings};
pub use failure::{
    Asked, GiveBack, GiveNothing, ShowAsDebug, ShowAsDisplay, ShowAsError, ShowAsType, carried,
    converted, text,
};
pub use shape::{Fallible, Is, Maybe, NotOther, argument, error, key, value};

use nested::{Frame, Inside};

/// What is held of `key` and fresh; the inner `None` is a remembered absence.
pub fn fresh<K: CacheKey, V: Clone + Send + Sync + 'static>(
    cache: &Cache<K, V>,
    key: &K,
) -> Option<Option<V>> {
    cache.fresh(key, ground::engine().clock().about_now(), |value: Option<&V>| value.cloned())
}

/// Whether the function must run without its cache because its arguments have no valid text: a
/// function that works for a key of 2,000 bytes works for it with a cache as well.
pub fn has_no_text(key: &impl CacheKey) -> bool {
    KeyText::of(key).is_err()
}

/// A future in a box. The caller's own future stays small, and a function may call itself.
pub fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}

/// The value of `key`, which was not fresh: stale while one refresh runs, or loaded by `body`.
pub fn load<'a, K, V, F, L>(
    cache: &'static Cache<K, V>,
    key: &'a K,
    body: F,
) -> BoxFuture<'a, Result<Option<V>>>
where
    K: CacheKey,
    V: Clone + Send + Sync + 'static,
    F: FnOnce() -> L + Send + 'static,
    L: Future<Output = Result<Option<V>, LoadError>> + Send + 'static,
{
    Box::pin(async move {
        if nested::runs(cache) {
            return match cache.lookup_here(key) {
                Lookup::Hit(answer) => Ok(answer.value),
                Lookup::Miss(ticket) => {
                    let value = body().await.map_err(Error::from_loader)?;
                    keep(ticket, key, &value);
                    Ok(value)
                }
            };
        }
        let frame = Frame::on_top(cache);
        cache.get_or_load(key, move |_| async move { Inside::new(frame, body()).await }).await
    })
}

/// The same for a body that blocks its thread: it gets a thread for that.
///
/// # Errors
///
/// As [`Cache::get_or_load`].
pub fn load_blocking<K, V, F>(cache: &'static Cache<K, V>, key: &K, body: F) -> Result<Option<V>>
where
    K: CacheKey,
    V: Clone + Send + Sync + 'static,
    F: FnOnce() -> Result<Option<V>, LoadError> + Send + 'static,
{
    if nested::runs(cache) {
        return match cache.lookup_here(key) {
            Lookup::Hit(answer) => Ok(answer.value),
            Lookup::Miss(ticket) => {
                let value = body().map_err(Error::from_loader)?;
                keep(ticket, key, &value);
                Ok(value)
            }
        };
    }
    let frame = Frame::on_top(cache);
    cache.blocking().get_or_load(key, move |_| nested::inside(frame, body))
}

/// Fills `key` with what a call inside its own cache's body loaded, if the key has a text: what
/// has none could never be invalidated.
fn keep<K, V>(ticket: Ticket<K, V>, key: &K, value: &Option<V>)
where
    K: CacheKey,
    V: Clone + Send + Sync + 'static,
{
    if !has_no_text(key) {
        let _kept_unless_invalidated = ticket.fill(value.clone());
    }
}
