//! What is said to the dirty map, and what it says.

use std::sync::Arc;

use larder_core::{Moment, Result, Write, Written};

use super::Base;

/// What a read of a key finds that has writes waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen<V> {
    /// This, or nothing.
    Value(Option<V>),
    /// Whatever is held beneath, and differences on top of it.
    Beneath,
}

impl<V> Seen<V> {
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Value(_))
    }
}

/// How a difference changes a value.
pub type Fold<V> = Box<dyn Fn(Option<&V>, i64) -> Result<V> + Send + Sync>;

/// A write to be put at the end.
pub(crate) struct Coming<V> {
    pub(crate) write: Write<V>,
    /// Under whose ownership.
    pub(crate) epoch: u64,
    pub(crate) letter: Option<u64>,
    /// What it takes, in bytes.
    pub(crate) weight: usize,
    pub(crate) now: Moment,
}

/// What was read of a key that has writes waiting.
#[derive(Clone, Debug)]
pub(crate) struct Read<V> {
    pub(crate) seen: Seen<V>,
    /// What that rests on, if it does.
    pub(crate) base: Option<Arc<Base>>,
    /// The number of the last of them.
    pub(crate) last: u64,
}

/// What was found where somebody wants to read beneath.
#[derive(Debug)]
pub(crate) enum Beneath<V> {
    /// Nothing waits any more.
    Clean,
    /// What is seen is known by now, what that rests on, and the number of the last write.
    Known(Option<V>, Option<Arc<Base>>, u64),
    /// Something is being applied, and nobody can say if what is beneath has it. Ask again when it
    /// is settled.
    Flies,
    /// Nothing will be applied until [`Dirty::unpin`]. So often somebody may have changed it.
    Pinned(u64),
}

/// What was found beneath a key that is [pinned](Beneath::Pinned).
#[derive(Clone, Debug)]
pub(crate) struct Found<V> {
    pub(crate) value: Option<V>,
    pub(crate) base: Arc<Base>,
    /// What [`Beneath::Pinned`] said.
    pub(crate) doubts: u64,
}

/// What became of a write that flew.
pub(crate) enum Settled<V> {
    /// It was applied; this is what is held beneath now, and what that rests on, if its tags are
    /// known.
    Applied(Written<V>, Option<Arc<Base>>),
    /// It never will be.
    Buried,
}
