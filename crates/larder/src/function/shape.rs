//! What the types of a cached function must be, asked where the user wrote them, so that the
//! compiler points there.

use std::marker::PhantomData;

use larder_core::CacheKey;

/// The two types of a `Result`, whatever alias it is written as.
pub trait Fallible {
    /// The type of `Ok`.
    type Value;
    /// The type of `Err`.
    type Error;
}

impl<T, E> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;
}

/// The type inside an `Option`, whatever alias it is written as.
pub trait Maybe {
    /// The type of `Some`.
    type Value;
}

impl<T> Maybe for Option<T> {
    type Value = T;
}

/// Tells whether a type is a `Result` or an `Option` behind an alias. Constants of the type
/// itself come before those of a trait.
pub struct Is<T>(PhantomData<T>);

impl<T, E> Is<Result<T, E>> {
    /// It is.
    pub const OTHER: bool = true;
}

impl<T> Is<Option<T>> {
    /// It is.
    pub const OTHER: bool = true;
}

/// What holds for every other type.
pub trait NotOther {
    /// It isn't.
    const OTHER: bool = false;
}

impl<T> NotOther for Is<T> {}

/// A value is handed to many callers and threads, and outlives them.
pub const fn value<V: Clone + Send + Sync + 'static>() {}

/// An argument that is part of the key.
pub const fn key<K: CacheKey>() {}

/// An argument is given to a body that outlives the call, and kept to run the body without the
/// cache.
pub const fn argument<T: Clone + Send + 'static>() {}

/// An error is handed to many callers and threads.
pub const fn error<E: Send + Sync + 'static>() {}
