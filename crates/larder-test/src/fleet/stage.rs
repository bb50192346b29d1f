//! The servers of a run, and how they are told of each other.
//!
//! It knows the configuration and the names of things in Redis, and neither load nor faults.

use std::net::SocketAddr;

use super::{FORGOTTEN, Plan};
use crate::{Larder, Postgres, Proxy, Redis, accounts};

/// What every larder runs with.
const CONFIG: &str = r#"
[listen]
resp = "{resp}"

[shared]
url = "redis://REDIS"

[source.bank]
url = "POSTGRES"
changes = "announced"

[cache.account]
key = "account:{id:int}"
load = "SELECT id, version FROM accounts WHERE id = {id}"
"#;

pub(super) struct Stage {
    // Dropped in this order: who asks goes before who answers.
    pub(super) larders: Vec<Larder>,
    /// Between the first larder and Redis.
    pub(super) proxy: Proxy,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
}

impl Stage {
    pub(super) fn set(plan: &Plan) -> Self {
        let postgres = Postgres::start();
        accounts::create(&postgres, plan.keys + FORGOTTEN);
        let redis = if plan.fault.saves() { Redis::start_saving() } else { Redis::start() };
        let direct = SocketAddr::from(([127, 0, 0, 1], redis.port()));
        let proxy = Proxy::to(direct);
        let config = |at: usize| {
            let redis = if at == 0 { proxy.address() } else { direct };
            CONFIG.replace("REDIS", &redis.to_string()).replace("POSTGRES", &postgres.url())
                + &plan.promise
        };
        let larders = (0..plan.larders).map(|at| Larder::start(&plan.binary, &config(at)));
        Self { larders: larders.collect(), proxy, redis, postgres }
    }

    /// The larder that is paused or killed.
    pub(super) fn victim(&self) -> &Larder {
        self.larders.last().expect("a fleet is two larders or more")
    }

    /// How often the accounts were asked for.
    pub(super) fn queries(&self) -> u64 {
        self.postgres.calls("%FROM accounts WHERE id%")
    }

    /// What a client asks a larder for.
    pub(super) fn key(id: u64) -> String {
        format!("account:{id}")
    }

    /// What its entry is called in Redis.
    pub(super) fn entry(id: u64) -> String {
        format!("larder:{{account/account:{id}}}")
    }

    /// What the announcements are called in Redis.
    pub(super) const ANNOUNCEMENTS: &str = "larder.b:{bus}:stream";

    /// The version in an answer: `{"id":7,"version":42}`.
    pub(super) fn version(answer: &[u8]) -> Option<u64> {
        let (_, version) = str::from_utf8(answer).ok()?.split_once("\"version\":")?;
        version.strip_suffix('}')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_an_answer_and_nothing_else() {
        assert_eq!(Stage::version(br#"{"id":7,"version":42}"#), Some(42));
        for other in [&br#"{"id":7}"#[..], br#"{"id":7,"version":}"#, b"", b"\xff"] {
            assert_eq!(Stage::version(other), None);
        }
    }
}
