//! Terms: what a loader says of a value beside the value itself.

use std::time::Duration;

/// The terms on which a loaded value is kept; what isn't said is as the cache declares it.
///
/// ```
/// use larder_core::Terms;
/// use std::time::Duration;
///
/// let mut terms = Terms::default();
/// terms.fresh_for(Duration::from_secs(5)).tag("tenant:7").tag("price list");
/// assert_eq!(terms.tags().len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    fresh_for: Option<Duration>,
    stale_for: Option<Duration>,
    weight: Option<usize>,
    not_stored: bool,
    unchanged: bool,
    tags: Vec<Box<str>>,
    validator: Option<Box<str>>,
}

/// The most tags that one entry may have.
pub const TAGS_MAX: usize = 128;
/// The longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 1024;

impl Terms {
    /// Its own time to be served as it is, instead of the cache's. The promise bounds it.
    pub fn fresh_for(&mut self, fresh_for: Duration) -> &mut Self {
        self.fresh_for = Some(fresh_for);
        self
    }

    /// Its own time to be served while a refresh runs, instead of the cache's. The promise
    /// bounds it.
    pub fn stale_for(&mut self, stale_for: Duration) -> &mut Self {
        self.stale_for = Some(stale_for);
        self
    }

    /// How many bytes key and value take beyond their own `size_of`, instead of what the
    /// cache's weigher says.
    pub fn weight(&mut self, bytes: usize) -> &mut Self {
        self.weight = Some(bytes);
        self
    }

    /// The value is for those who wait for it, and not kept.
    pub fn dont_store(&mut self) -> &mut Self {
        self.not_stored = true;
        self
    }

    /// The value is the one that was held before: it was not modified.
    pub fn unchanged(&mut self) -> &mut Self {
        self.unchanged = true;
        self
    }

    /// The entry depends on what `tag` names, and goes when that is invalidated. More than
    /// [`TAGS_MAX`] fail the load.
    pub fn tag(&mut self, tag: impl Into<Box<str>>) -> &mut Self {
        let tag = tag.into();
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
        self
    }

    /// What tells this version of the value from others, an `ETag` for instance. The next load
    /// finds it in [`LoadContext::stale_validator`](crate::LoadContext::stale_validator).
    pub fn validator(&mut self, validator: impl Into<Box<str>>) -> &mut Self {
        self.validator = Some(validator.into());
        self
    }

    /// Its own `fresh_for`.
    #[must_use]
    pub fn own_fresh_for(&self) -> Option<Duration> {
        self.fresh_for
    }

    /// Its own `stale_for`.
    #[must_use]
    pub fn own_stale_for(&self) -> Option<Duration> {
        self.stale_for
    }

    /// Its own weight, in bytes.
    #[must_use]
    pub fn own_weight(&self) -> Option<usize> {
        self.weight
    }

    /// Whether it may be stored.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        !self.not_stored
    }

    /// Whether it is the value that was held before.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Its tags, each once.
    #[must_use]
    pub fn tags(&self) -> &[Box<str>] {
        &self.tags
    }

    /// What tells this version from others.
    #[must_use]
    pub fn own_validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_said_twice_counts_once() {
        let mut terms = Terms::default();
        terms.tag("a").tag("b").tag("a");
        assert_eq!(terms.tags(), [Box::from("a"), Box::from("b")]);
    }
}
