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

    /// The one of two that costs us more, by what the sentence about it says; of two that cost the
    /// same, the one with less room.
    pub(crate) fn worse(self, other: Self) -> Self {
        let by_cost = self.cost().cmp(&other.cost());
        if by_cost.then_with(|| other.bytes_max.cmp(&self.bytes_max)).is_lt() {
            other
        } else {
            self
        }
    }

    /// What it costs us when the server is full, as a rank: nothing; what memory there is; every
    /// entry now and then; every fill from then on; nobody knows.
    fn cost(&self) -> u8 {
        match self.name.as_str() {
            _ if self.bytes_max == 0 => 1,
            "noeviction" => 3,
            name if name.starts_with("allkeys-") => 2,
            name if name.starts_with("volatile-") => 0,
            _ => 4,
        }
    }

    /// Whether it evicts what has no end.
    pub(crate) fn evicts_anything(&self) -> bool {
        self.bytes_max != 0 && self.name.starts_with("allkeys-")
    }

    /// As the server's section `memory` says, which more users may read than its configuration.
    pub(crate) fn read_info(info: &str) -> Self {
        let field = |name| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let bytes_max = field("maxmemory:").and_then(|bytes| bytes.parse().ok());
        let name = field("maxmemory_policy:").unwrap_or_default().to_owned();
        Self { name, bytes_max: bytes_max.unwrap_or(0) }
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
    fn the_worse_policy_is_the_one_that_costs_more_whoever_is_asked_first() {
        let policy =
            |(name, bytes_max): (&str, u64)| EvictionPolicy { name: name.to_owned(), bytes_max };
        // From the best to the worst.
        let ranked = [
            ("volatile-lru", 2),
            ("volatile-ttl", 1),
            ("volatile-lru", 0),
            ("allkeys-lfu", 1),
            ("noeviction", 2),
            ("noeviction", 1),
            ("newer", 1),
        ];
        for (at, better) in ranked.into_iter().enumerate() {
            for worse in ranked.into_iter().skip(at) {
                assert_eq!(policy(better).worse(policy(worse)), policy(worse));
                assert_eq!(policy(worse).worse(policy(better)), policy(worse));
            }
        }
    }

    #[test]
    fn what_a_server_says_of_its_memory_is_read() {
        let info = |policy: &str, bytes: u64| {
            EvictionPolicy::read_info(&format!(
                "# Memory\r\nmaxmemory:{bytes}\r\nmaxmemory_policy:{policy}\r\n"
            ))
        };
        assert_eq!(info("volatile-lru", 7).bytes_max(), Some(7));
        assert!(info("allkeys-lru", 7).evicts_anything());
        assert!(!info("allkeys-lru", 0).evicts_anything());
        assert!(!info("volatile-lru", 7).evicts_anything());
        assert!(!info("noeviction", 7).evicts_anything());
    }

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
