//! The errors of a function on their way through its cache and back.
//!
//! A body fails with an `E` of its own, which all callers of the load share. The cache carries
//! it as the cause of a larder [`Error`]; the caller gets the same `E` back where it can be
//! cloned, and `E::from(Error)` otherwise.
//!
//! What an `E` can do is found out where the macro knows its type, by the order in which methods
//! are looked up: a method that fits with fewer references is taken first, and one whose bounds
//! don't hold isn't there (dtolnay's autoref specialisation). Each trait here has one method of
//! one name, so a wrong choice could only show less; it could never take one type for another.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;

use larder_core::{Error, LoadError};

/// Carries an `E` through a cache, shown as itself.
struct Carried<E> {
    error: E,
    show: Show<E>,
}

/// How an `E` is shown, and what it says was its cause.
pub struct Show<E> {
    text: fn(&E, &mut fmt::Formatter<'_>) -> fmt::Result,
    cause: fn(&E) -> Option<&(dyn StdError + 'static)>,
}

impl<E> fmt::Display for Carried<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.show.text)(&self.error, f)
    }
}

impl<E> fmt::Debug for Carried<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.show.text)(&self.error, f)
    }
}

impl<E> StdError for Carried<E> {
    /// The carried error itself, so that `downcast_ref::<E>()` finds it.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        (self.show.cause)(&self.error)
    }
}

/// `error` as what a load fails with. A larder error needs no carrier: it keeps its kind.
pub fn carried<E: Send + Sync + 'static>(error: E, show: Show<E>) -> LoadError {
    match (&error as &dyn Any).downcast_ref::<Error>() {
        Some(own) => Box::new(own.clone()),
        None => Box::new(Carried { error, show }),
    }
}

/// `E::from(error)`, for an error of the cache itself or one that can't be cloned.
pub fn converted<E: From<Error>>(error: Error) -> E {
    E::from(error)
}

/// The same for a `String`, which can't be told how to become one.
pub fn text(error: &Error) -> String {
    error.chain()
}

/// A question about `E`, asked with a number of references in front of it.
pub struct Asked<E>(PhantomData<fn() -> E>);

impl<E> Asked<E> {
    /// About `E`.
    #[expect(clippy::new_without_default, reason = "only the macro makes one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// First choice: an error that says its cause.
pub trait ShowAsError<E> {
    /// How an `E` is shown.
    fn show(&self) -> Show<E>;
}

impl<E: StdError + 'static> ShowAsError<E> for &&&Asked<E> {
    fn show(&self) -> Show<E> {
        Show { text: |error, f| fmt::Display::fmt(error, f), cause: |error| Some(error) }
    }
}

/// Second choice: words for people.
pub trait ShowAsDisplay<E> {
    /// How an `E` is shown.
    fn show(&self) -> Show<E>;
}

impl<E: fmt::Display> ShowAsDisplay<E> for &&Asked<E> {
    fn show(&self) -> Show<E> {
        Show { text: |error, f| fmt::Display::fmt(error, f), cause: |_| None }
    }
}

/// Third choice: words for programmers.
pub trait ShowAsDebug<E> {
    /// How an `E` is shown.
    fn show(&self) -> Show<E>;
}

impl<E: fmt::Debug> ShowAsDebug<E> for &Asked<E> {
    fn show(&self) -> Show<E> {
        Show { text: |error, f| fmt::Debug::fmt(error, f), cause: |_| None }
    }
}

/// Last choice: the name of its type.
pub trait ShowAsType<E> {
    /// How an `E` is shown.
    fn show(&self) -> Show<E>;
}

impl<E> ShowAsType<E> for Asked<E> {
    fn show(&self) -> Show<E> {
        Show { text: |_, f| f.write_str(std::any::type_name::<E>()), cause: |_| None }
    }
}

/// First choice: the `E` that the body failed with.
pub trait GiveBack<E> {
    /// The `E` inside `error`, if it is there and can be had.
    fn give_back(&self, error: &Error) -> Option<E>;
}

impl<E: Clone + 'static> GiveBack<E> for &Asked<E> {
    fn give_back(&self, error: &Error) -> Option<E> {
        error.downcast_ref().map(|carried: &Carried<E>| carried.error.clone())
    }
}

/// Otherwise nothing: it stays in the larder error.
pub trait GiveNothing<E> {
    /// The `E` inside `error`, if it is there and can be had.
    fn give_back(&self, error: &Error) -> Option<E>;
}

impl<E> GiveNothing<E> for Asked<E> {
    fn give_back(&self, _: &Error) -> Option<E> {
        None
    }
}
