//! What the server's eviction policy means for us, in words.

use std::fmt;

use larder_core::Result;
use redis::Value;

use crate::reply;

/// What a server does when it is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvictionPolicy {
    name: String,
    bytes_max: u64,
}

impl EvictionPolicy {
    /// Its name, as Redis has it: `noeviction`, `allkeys-lru`, …
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes the server may take; `None` where there is no limit.
    #[must_use]
    pub fn bytes_max(&self) -> Option<u64> {
        Some(self.bytes_max).filter(|&bytes| bytes != 0)
    }

    pub(crate) fn read(answer: Value) -> Result<Self> {
        let mut policy = Self { name: String::new(), bytes_max: 0 };
        for (name, value) in reply::pairs(answer)? {
            match reply::text(name)?.as_str() {
                "maxmemory-policy" => policy.name = reply::text(value)?,
                "maxmemory" => policy.bytes_max = reply::number(value)?,
                _ => {}
            }
        }
        Ok(policy)
    }
}

/// One sentence: what happens when it is full, and what that costs.
impl fmt::Display for EvictionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.name.as_str() {
            _ if self.bytes_max == 0 => {
                "no maxmemory: it never evicts, and takes what memory there is; entries go when \
                 their lifetime ends"
            }
            "noeviction" => {
                "noeviction: when it is full, fills are refused and the source is asked instead; \
                 invalidations still get through"
            }
            name if name.starts_with("allkeys-") => {
                "it may evict anything: entries, which is what it is for, and marks and bus too, \
                 which is noticed and costs every entry; volatile-lru keeps those"
            }
            name if name.starts_with("volatile-") => {
                "it evicts what has an end: entries and leases, never marks or bus, as it should \
                 be"
            }
            _ => "a policy that this version doesn't know",
        };
        f.write_str(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_is_put_into_words() {
        for (name, bytes_max, words) in [
            ("noeviction", 1, "fills are refused"),
            ("noeviction", 0, "no maxmemory"),
            ("allkeys-lfu", 1, "marks and bus too"),
            ("volatile-lru", 1, "never marks or bus"),
            ("newer", 1, "doesn't know"),
        ] {
            let policy = EvictionPolicy { name: name.to_owned(), bytes_max };
            assert!(policy.to_string().contains(words), "{policy}");
        }
    }
}
