//! The servers of a round: a Redis and two larders, and proxies between them.
//!
//! It knows the configuration, and neither load nor faults.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use larder_test::{Larder, Postgres, Proxy, Redis};
use tempfile::TempDir;

/// What every larder runs with.
const CONFIG: &str = r#"
[listen]
resp = "{resp}"
admin = "{admin}"

[shared]
url = "redis://REDIS"

[source.bank]
url = "postgres://postgres@POSTGRES/postgres"
FEED
[cache.account]
key = "account:{aid:int}"
load = "SELECT aid, version, abalance FROM pgbench_accounts WHERE aid = {aid}"
"#;
/// How many larders there are.
const LARDERS: usize = 2;
/// So long after their start they have found each other and the log.
const SETTLED: Duration = Duration::from_secs(2);

/// What the larders are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Entries live for a second: the promise, without a feed.
    ShortTtl,
    /// They live for an hour, and the promise is broken.
    LongTtl,
    /// They live for an hour, and the log is followed.
    Feed,
}

impl Mode {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ShortTtl => "short-ttl",
            Self::LongTtl => "long-ttl",
            Self::Feed => "feed",
        }
    }

    const fn promise(self) -> &'static str {
        match self {
            Self::ShortTtl => "max_staleness = \"1s\"\n",
            Self::LongTtl => "max_staleness = \"1h\"\n",
            Self::Feed => "max_staleness = \"1s\"\nfresh_for = \"1h\"\n",
        }
    }

    fn config(self, redis: SocketAddr, postgres: SocketAddr) -> String {
        let feed = if self == Self::Feed { "feed = \"logical\"\n" } else { "" };
        CONFIG
            .replace("REDIS", &redis.to_string())
            .replace("POSTGRES", &postgres.to_string())
            .replace("FEED\n", feed)
            + self.promise()
    }
}

pub(super) struct Stage<'a> {
    // Dropped in this order: who asks goes before who answers.
    /// The first follows the log, as it is there first; until it doesn't.
    pub(super) larders: Vec<Larder>,
    /// Between the first larder and Redis.
    pub(super) to_redis: Proxy,
    /// Between it and Postgres.
    pub(super) to_postgres: Proxy,
    pub(super) redis: Redis,
    pub(super) postgres: &'a Postgres,
}

impl<'a> Stage<'a> {
    pub(super) fn set(binary: &Path, mode: Mode, postgres: &'a Postgres) -> Result<Self, String> {
        let redis = Redis::start();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let direct = (address(redis.port()), address(postgres.port()));
        let (to_redis, to_postgres) = (Proxy::to(direct.0), Proxy::to(direct.1));
        if mode == Mode::Feed {
            install(binary, &mode.config(direct.0, direct.1))?;
        }
        let larders = (0..LARDERS).map(|at| {
            let (redis, postgres) = match at {
                0 => (to_redis.address(), to_postgres.address()),
                _ => direct,
            };
            let larder = Larder::start(binary, &mode.config(redis, postgres));
            sleep(SETTLED);
            larder
        });
        Ok(Self { larders: larders.collect(), to_redis, to_postgres, redis, postgres })
    }

    /// What a client asks a larder for.
    pub(super) fn key(id: u64) -> String {
        format!("account:{id}")
    }

    /// The version in an answer: `{"aid":7,"version":42,"abalance":-3}`.
    pub(super) fn version(answer: &[u8]) -> Option<u64> {
        let (_, rest) = str::from_utf8(answer).ok()?.split_once("\"version\":")?;
        rest.split(|one: char| !one.is_ascii_digit()).next()?.parse().ok()
    }

    /// A number of all larders' metrics pages together.
    pub(super) fn metric(&self, name: &str) -> f64 {
        self.larders.iter().map(|larder| larder.metric(name, "cache=\"account\"")).sum()
    }
}

/// Prepares the database, once, as an operator does.
fn install(binary: &Path, config: &str) -> Result<(), String> {
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let file = folder.path().join("larder.toml");
    // It is only read.
    let config = config.replace("{resp}", "127.0.0.1:7379").replace("{admin}", "127.0.0.1:7381");
    fs::write(&file, config).map_err(|error| error.to_string())?;
    let mut install = Command::new(binary);
    let said = install.args(["feed", "install"]).arg(&file).output();
    let said = said.map_err(|error| format!("{}: {error}", binary.display()))?;
    match said.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_an_answer_and_nothing_else() {
        let version = |answer: &str| Stage::version(answer.as_bytes());
        assert_eq!(version(r#"{"aid":7,"version":42,"abalance":-3}"#), Some(42));
        assert_eq!(version(r#"{"aid":7}"#), None);
        assert_eq!(version(r#"{"aid":7,"version":null}"#), None);
    }

    #[test]
    fn only_a_feed_is_followed() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(Mode::Feed.config(address, address).contains("feed = \"logical\"\n[cache"));
        assert!(!Mode::LongTtl.config(address, address).to_lowercase().contains("feed"));
    }
}
