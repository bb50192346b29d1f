//! What is written: one row at a time, named by its key.

/// A change of what the system of record holds of one key.
///
/// ```
/// use larder_core::Write;
///
/// let write = Write::Store("Ada".to_owned());
/// assert!(write.is_absolute());
/// assert!(!Write::<String>::Add(3).is_absolute());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write<V> {
    /// It is to hold this value, whatever it held.
    Store(V),
    /// It is to hold nothing.
    Delete,
    /// Its number is to be greater by this; smaller if it is negative.
    Add(i64),
}

impl<V> Write<V> {
    /// Whether it says what is to be held, whatever was held before. What came before it needs
    /// not be written at all.
    #[must_use]
    pub const fn is_absolute(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Delete)
    }

    /// The word for it, in logs and errors.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Delete => "delete",
            Self::Add(_) => "add",
        }
    }
}

/// What the system of record holds after a write, as far as it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<V> {
    /// This, which it returned from the write itself.
    Value(V),
    /// Nothing: it was deleted, or there was nothing that could be changed.
    Absent,
    /// It didn't say.
    Unsaid,
}
