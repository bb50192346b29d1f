//! The policies by name, for configuration.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// Which policy decides; see the type of the same name for what it does.
///
/// ```
/// use larder_policy::PolicyKind;
///
/// assert_eq!("s3fifo".parse(), Ok(PolicyKind::S3Fifo));
/// assert_eq!(PolicyKind::default().to_string(), "adaptive");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyKind {
    /// [`Lru`](crate::Lru), `lru`.
    Lru,
    /// [`Lfu`](crate::Lfu), `lfu`.
    Lfu,
    /// [`Fifo`](crate::Fifo), `fifo`.
    Fifo,
    /// [`Random`](crate::Random), `random`.
    Random,
    /// [`Sieve`](crate::Sieve), `sieve`.
    Sieve,
    /// [`S3Fifo`](crate::S3Fifo), `s3fifo`.
    S3Fifo,
    /// [`TinyLfu`](crate::TinyLfu), `tinylfu`.
    TinyLfu,
    /// [`CostAware`](crate::CostAware), `cost`.
    CostAware,
    /// [`Adaptive`](crate::Adaptive), `adaptive`, the default.
    #[default]
    Adaptive,
}

impl PolicyKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Lru,
        Self::Lfu,
        Self::Fifo,
        Self::Random,
        Self::Sieve,
        Self::S3Fifo,
        Self::TinyLfu,
        Self::CostAware,
        Self::Adaptive,
    ];

    /// Its name in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Fifo => "fifo",
            Self::Random => "random",
            Self::Sieve => "sieve",
            Self::S3Fifo => "s3fifo",
            Self::TinyLfu => "tinylfu",
            Self::CostAware => "cost",
            Self::Adaptive => "adaptive",
        }
    }

    /// Whether uses are marked on the entries themselves ([`Hits::Marked`](crate::Hits::Marked)),
    /// by which it is known of each whether it is used.
    #[must_use]
    pub const fn marks_uses(self) -> bool {
        match self {
            Self::Lru | Self::Lfu | Self::Fifo | Self::Random => false,
            Self::Sieve | Self::S3Fifo | Self::TinyLfu | Self::CostAware | Self::Adaptive => true,
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PolicyKind {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}

/// No policy has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPolicy(String);

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no eviction policy is called {:?}; there are ", self.0)?;
        for (at, kind) in PolicyKind::ALL.into_iter().enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(f, "{before}{kind}")?;
        }
        Ok(())
    }
}

impl Error for UnknownPolicy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for kind in PolicyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }

    #[test]
    fn each_is_known_to_mark_uses_or_not() {
        use crate::{Chosen, Hits, Policy as _};
        for kind in PolicyKind::ALL {
            let marks = Chosen::of(kind, 8).hits() == Hits::Marked;
            assert_eq!(kind.marks_uses(), marks, "{kind}");
        }
    }

    #[test]
    fn an_unknown_name_says_which_there_are() {
        let error = "LRU".parse::<PolicyKind>().expect_err("names are in small letters");
        assert_eq!(
            error.to_string(),
            "no eviction policy is called \"LRU\"; there are lru, lfu, fifo, random, sieve, \
             s3fifo, tinylfu, cost, adaptive"
        );
    }
}
