//! A pool: a part of memory with a bound, a policy and a name of its own.
//!
//! Which cache keeps its entries in which pool is not known here.

use std::fmt;
use std::sync::Arc;

use larder_core::{Key, Value};
use larder_engine::MemoryTier;
use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;

/// A part of memory, bounded for itself.
#[derive(Clone)]
pub struct Pool {
    /// Whose entries it holds.
    pub name: PoolName,
    /// The entries.
    pub memory: Arc<MemoryTier<Key, Value>>,
    /// What decides which entry is evicted.
    pub policy: PolicyKind,
    /// Which entries may be evicted.
    pub candidates: Candidates,
}

/// Whose entries a pool holds. It shows itself as metrics call it: `shared`, `plain`,
/// `cache.NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolName {
    /// Those of all caches that have no pool of their own.
    Shared,
    /// Plain keys.
    Plain,
    /// Those of the cache of this name.
    Cache(Box<str>),
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared => f.write_str("shared"),
            Self::Plain => f.write_str("plain"),
            Self::Cache(name) => write!(f, "cache.{name}"),
        }
    }
}

impl Pool {
    /// The bound of its bytes; 0 when only its entries are bounded.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        self.memory.bounds().bytes_max().unwrap_or(0)
    }

    /// What Redis would call its policy. `allkeys-lru` and its kin are Redis's own names; the
    /// others are formed alike.
    #[must_use]
    pub fn redis_policy(&self) -> String {
        let keys = match self.candidates {
            Candidates::All => "allkeys",
            Candidates::Expiring => "volatile",
        };
        format!("{keys}-{}", self.policy)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}
