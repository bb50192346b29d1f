//! The servers of an outage, and what is asked of them beside the load.
//!
//! It knows the configuration and the metrics of a larder, and no load.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Plan;
use crate::fleet::MAX_STALENESS;
use crate::{Larder, PATIENCE, Postgres, Redis, Reply, RespClient, accounts, concurrency};

/// How many accounts there are: all larders together can't load them all anew within the promise.
pub(super) const ACCOUNTS: u64 = 400;
/// How many of them are also read as what is always held.
pub(super) const HOT: u64 = 50;
/// How long to wait between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// What every larder runs with. There are more connections than loads, so that it is the bulkhead
/// that bounds them.
const CONFIG: &str = r#"
[listen]
resp = "{resp}"
admin = "{admin}"

[shared]
url = "REDIS"

[source.bank]
url = "POSTGRES"
changes = "announced"
connections = CONNECTIONS
loads_max = LOADS_MAX
loads_waiting_max = LOADS_WAITING_MAX

[cache.account]
key = "account:{id:int}"
load = "SELECT id, version FROM concurrency(GATE, 50), accounts WHERE id = {id}"
max_staleness = "MAX_STALENESS"
deadline = "DEADLINE"

[cache.hot]
key = "hot:{id:int}"
load = "SELECT id, version FROM concurrency(GATE, 50), accounts WHERE id = {id}"
max_staleness = "1h"
deadline = "DEADLINE"
"#;

pub(super) struct Stage {
    // Dropped in this order: who asks goes before who answers.
    pub(super) larders: Vec<Larder>,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
}

impl Stage {
    pub(super) fn set(plan: &Plan) -> Self {
        let postgres = Postgres::start();
        accounts::create(&postgres, ACCOUNTS);
        concurrency::create(&postgres);
        let redis = Redis::start();
        let config = |gate: u32| {
            CONFIG
                .replace("REDIS", &redis.url())
                .replace("POSTGRES", &postgres.url())
                .replace("CONNECTIONS", &(2 * Plan::LOADS_MAX).to_string())
                .replace("LOADS_MAX", &Plan::LOADS_MAX.to_string())
                .replace("LOADS_WAITING_MAX", &Plan::LOADS_WAITING_MAX.to_string())
                .replace("MAX_STALENESS", &format!("{} ms", MAX_STALENESS.as_millis()))
                .replace("DEADLINE", &format!("{} ms", Plan::DEADLINE.as_millis()))
                .replace("GATE", &gate.to_string())
        };
        let larders = (0..plan.larders).map(|gate| Larder::start(&plan.binary, &config(gate)));
        Self { larders: larders.collect(), redis, postgres }
    }

    /// Lets every larder hold every account, and what is hot for sure.
    pub(super) fn hold_everything(&self) {
        let deadline = Instant::now() + PATIENCE;
        let keys: Vec<String> = (1..=ACCOUNTS)
            .map(|id| format!("account:{id}"))
            .chain((1..=HOT).map(|id| format!("hot:{id}")))
            .collect();
        for larder in &self.larders {
            let mut client = RespClient::connect(("127.0.0.1", larder.resp_port()));
            for key in &keys {
                while !matches!(client.command(&["GET", key]), Reply::Bulk(_)) {
                    assert!(Instant::now() < deadline, "{key} isn't answered in {PATIENCE:?}");
                    sleep(BETWEEN_LOOKS);
                }
            }
        }
    }

    /// How often something hot was not held, in all larders.
    pub(super) fn hot_misses(&self) -> u64 {
        let misses = |larder: &Larder| larder.metric("larder_cache_misses_total", "cache=\"hot\"");
        self.larders.iter().map(misses).sum::<f64>() as u64
    }

    /// How often each larder filled Redis, or found there what it looked for.
    pub(super) fn uses(&self) -> Vec<f64> {
        self.larders.iter().map(uses).collect()
    }

    /// The most queries that each larder had in the database at one time.
    pub(super) fn queries_most(&self) -> Vec<u64> {
        (0..).zip(&self.larders).map(|(gate, _)| concurrency::most(&self.postgres, gate)).collect()
    }

    /// Waits until Redis answers.
    pub(super) fn await_pong(&self) {
        let deadline = Instant::now() + PATIENCE;
        let port = self.redis.port();
        let ping = || RespClient::try_connect(("127.0.0.1", port))?.try_command(&["PING"]);
        while !ping().is_ok_and(|reply| reply == Reply::Simple("PONG".to_owned())) {
            assert!(Instant::now() < deadline, "Redis doesn't answer within {PATIENCE:?}");
        }
    }

    /// Waits until each larder has used Redis more often than `before`, and knows that it has
    /// applied everything that was announced after it was `back`. Returns how long after that each
    /// did, for each larder.
    pub(super) fn recover(&self, before: &[f64], back: Instant) -> (Vec<Duration>, Vec<Duration>) {
        let mut used = vec![None; self.larders.len()];
        let mut heard = used.clone();
        while used.iter().chain(&heard).any(Option::is_none) {
            assert!(back.elapsed() < PATIENCE, "not used again: {used:?}, not heard: {heard:?}");
            for (at, larder) in self.larders.iter().enumerate() {
                let asked = Instant::now();
                if used[at].is_none() && uses(larder) > before[at] {
                    used[at] = Some(back.elapsed());
                }
                let age = larder.metric("larder_bus_horizon_age_seconds", "");
                if heard[at].is_none() && age < (asked - back).as_secs_f64() {
                    heard[at] = Some(back.elapsed());
                }
            }
            sleep(BETWEEN_LOOKS);
        }
        let all = |times: Vec<Option<Duration>>| times.into_iter().flatten().collect();
        (all(used), all(heard))
    }
}

fn uses(larder: &Larder) -> f64 {
    larder.metric("larder_cache_shared_fills_total", "")
        + larder.metric("larder_cache_shared_hit_age_seconds_count", "")
}
