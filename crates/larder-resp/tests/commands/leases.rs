//! LARDER.GET … LEASE and LARDER.FILL of declared keys at two larders that share a tier.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Key, KeyTemplate, Value};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, Raw, Sharing, memory_tier};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};
use larder_resp::codec::Reply;
use larder_resp::{Declared, Keyspace, Pool, PoolName, Service};
use larder_test::{ManualClock, SimClient, SimShared, TestSource};

use crate::common::{Client, Process, S, assert_error, bulk, field, int, settle, text};
use crate::larder::names;

/// How long a load may take; a lease lasts for twice that.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

struct Larder {
    service: Arc<Service>,
    tier: SimClient,
    source: TestSource<Key, Value>,
}

impl Larder {
    async fn new(clock: &ManualClock, server: &SimShared) -> Self {
        let tier = server.client();
        let spawn = TokioSpawn::current().unwrap();
        let engine = Engine::new(Arc::new(clock.clone()), Arc::new(spawn));
        let sharing = Sharing::over(Arc::new(tier.clone())).own_bus(Arc::new(tier.clone()));
        engine.share(sharing).await.unwrap();
        let source = TestSource::answering(|key: &Key| Some(Value::raw(key.as_bytes().to_vec())));
        let (policy, candidates) = (PolicyKind::Lru, Candidates::All);
        let memory = Arc::new(memory_tier(Bounds::bytes(1 << 20), policy, None));
        let cache = Cache::builder("user")
            .max_staleness(60 * S)
            .load_timeout(LOAD_TIMEOUT)
            .deadline(LOAD_TIMEOUT)
            .source(source.clone())
            .memory(Arc::clone(&memory))
            .shared(Raw)
            .engine(&engine)
            .build()
            .unwrap();
        let template = KeyTemplate::parse("user:{id:int}").unwrap();
        let keyspace =
            Keyspace::new(vec![Declared { template, cache, counter: None }], None).unwrap();
        let pools = vec![Pool { name: PoolName::Shared, memory, policy, candidates }];
        let service = Arc::new(Service::new(keyspace, &engine, pools, Arc::new(Process)));
        settle().await;
        Self { service, tier, source }
    }

    fn client(&self) -> Client {
        Client::new(&self.service)
    }
}

async fn two() -> (ManualClock, [Larder; 2]) {
    let clock = ManualClock::new();
    let server = SimShared::new(Arc::new(clock.clone()));
    let larders = [Larder::new(&clock, &server).await, Larder::new(&clock, &server).await];
    (clock, larders)
}

/// The token of a client that may fill.
async fn token(client: &mut Client, key: &str) -> String {
    let reply = client.command(&["LARDER.GET", key, "LEASE"]).await;
    assert_eq!(names(&reply), ["value", "tier", "state", "reason", "token"], "{reply:?}");
    text(field(&reply, "token")).to_owned()
}

async fn assert_busy(client: &mut Client, key: &str, left: Duration) {
    let reply = client.command(&["LARDER.GET", key, "LEASE"]).await;
    assert_eq!(names(&reply), ["value", "tier", "state", "reason", "busy_ms"], "{reply:?}");
    let texts = ["tier", "state", "reason"].map(|name| text(field(&reply, name)));
    assert_eq!(texts, ["shared", "gone", "busy"]);
    let left = i64::try_from(left.as_millis()).unwrap();
    assert_eq!((field(&reply, "value"), field(&reply, "busy_ms")), (&Reply::Null, &int(left)));
}

#[tokio::test]
async fn one_client_has_the_token_and_what_it_fills_both_larders_have() {
    let (clock, [a, b]) = two().await;
    let (mut first, mut second, mut third) = (a.client(), a.client(), b.client());
    let given = token(&mut first, "user:1").await;
    clock.advance(2 * S);
    for other in [&mut second, &mut third] {
        assert_busy(other, "user:1", 2 * LOAD_TIMEOUT - 2 * S).await;
    }
    // From whichever connection, once.
    let fill = ["LARDER.FILL", "user:1", &given, "mine", "TAGS", "t"];
    assert_eq!(second.command(&fill).await, int(1));
    assert_eq!(first.command(&fill).await, int(0));
    let reply = third.talk("LARDER.GET user:1 LEASE").await;
    assert_eq!((field(&reply, "value"), text(field(&reply, "tier"))), (&bulk("mine"), "shared"));
    assert_eq!(field(&reply, "age_ms"), &int(2000));
    assert_eq!((a.source.loads(), b.source.loads()), (0, 0));
    third.talk("LARDER.INVALIDATE TAGS t").await;
    settle().await;
    assert_ne!(token(&mut first, "user:1").await, given);
}

#[tokio::test]
async fn who_is_too_late_fills_nothing() {
    let (clock, [a, b]) = two().await;
    let (mut slow, mut quick) = (a.client(), b.client());
    let late = token(&mut slow, "user:1").await;
    clock.advance(2 * LOAD_TIMEOUT + S);
    settle().await;
    let given = token(&mut quick, "user:1").await;
    assert_eq!(quick.command(&["LARDER.FILL", "user:1", &given, "new"]).await, int(1));
    assert_eq!(slow.command(&["LARDER.FILL", "user:1", &late, "old"]).await, int(0));
    for client in [&mut slow, &mut quick] {
        assert_eq!(client.talk("GET user:1").await, bulk("new"));
    }
}

#[tokio::test]
async fn who_goes_away_leaves_the_lease_to_the_next() {
    let (_clock, [a, b]) = two().await;
    let (mut stays, mut leaves, mut next) = (a.client(), a.client(), b.client());
    token(&mut stays, "user:1").await;
    token(&mut leaves, "user:2").await;
    assert_busy(&mut next, "user:2", 2 * LOAD_TIMEOUT).await;
    drop(leaves);
    settle().await;
    token(&mut next, "user:2").await;
    assert_busy(&mut next, "user:1", 2 * LOAD_TIMEOUT).await;
}

#[tokio::test]
async fn a_token_that_was_not_given_out_here_is_refused_and_a_pipeline_has_its_order() {
    let (_clock, [a, b]) = two().await;
    let (mut one, mut other) = (a.client(), b.client());
    let given = token(&mut one, "user:1").await;
    let reply = other.command(&["LARDER.FILL", "user:1", &given, "v"]).await;
    assert_error(&reply, "REFUSED", "the token was not given out here for this key");
    let reply = one.command(&["LARDER.FILL", "user:2", &given, "v"]).await;
    assert_error(&reply, "REFUSED", "the token was not given out here for this key");
    let fill = format!("LARDER.FILL user:1 {given} v");
    let lines = ["GET user:7", "LARDER.GET user:7 LEASE", &fill, "GET user:1", "PING"];
    let replies = one.talk_all(&lines).await;
    assert_eq!(field(&replies[1], "value"), &bulk("user:7"));
    assert_eq!(replies[2..4], [int(1), bulk("v")]);
    assert_eq!(replies[4], Reply::Simple("PONG".into()));
}

#[tokio::test]
async fn without_the_tier_a_token_fills_the_larder_that_gave_it_out() {
    let (_clock, [a, b]) = two().await;
    a.tier.down();
    let mut client = a.client();
    let given = token(&mut client, "user:1").await;
    assert_eq!(client.command(&["LARDER.FILL", "user:1", &given, "mine"]).await, int(1));
    assert_eq!(client.talk("GET user:1").await, bulk("mine"));
    token(&mut b.client(), "user:1").await;
}
