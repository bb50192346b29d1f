//! Caches that a feed covers later than it is followed: what was told before touched nothing that
//! anybody knew of.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::{Network, Process};
use common::{Numbers, S};
use larder_core::feed::Notice;
use larder_engine::feeding::{Feeding, Touched};
use larder_test::{TestFeed, TestSource};

const HOUR: Duration = Duration::from_secs(3600);

/// Processes over one server and one log, in which 7 is 7.
struct Shop {
    network: Network,
    log: TestFeed,
}

/// One of them, which follows the feed or waits until it can.
struct Member {
    process: Process,
    feeding: Feeding,
}

impl Shop {
    fn new() -> Self {
        let network = Network::with(TestSource::of((0..10).map(|key| (key, key))));
        Self { network, log: TestFeed::new() }
    }

    async fn joins(&self) -> Member {
        let process = self.network.process().await;
        let feeding = Feeding::over("log", self.log.clone());
        feeding.start(&process.engine).unwrap();
        self.network.pass(S).await;
        Member { process, feeding }
    }

    /// Changes what 7 is, so long ago that only the feed could vouch for what was before.
    async fn change(&self) {
        self.network.source.set(7, 70);
        self.log.commit([Notice::Message("7".into())]);
        self.network.pass(10 * S).await;
    }

    /// Fills the shared tier, from a process that is gone then.
    async fn fill(&self) {
        let member = self.joins().await;
        assert_eq!(member.builds().get(&7).await.unwrap(), Some(7));
        drop(member);
        self.network.pass(S).await;
        assert!(self.network.held(7).is_some());
    }
}

impl Member {
    fn builds(&self) -> Numbers {
        let route = |notice: &Notice| match notice {
            Notice::Message(key) => {
                Touched::Keys(vec![str::from_utf8(key).unwrap().parse().unwrap()])
            }
            Notice::Changed(_) | Notice::Altered(_) => Touched::Nothing,
        };
        let builder = self.process.builder().max_staleness(2 * S).fresh_for(HOUR);
        builder.refresh_at(1.0).xfetch(0.0).feed(&self.feeding, route).build().unwrap()
    }

    fn follows(&self) -> bool {
        self.feeding.standing(&self.process.engine).follows
    }

    fn horizon_age(&self) -> Option<Duration> {
        self.feeding.standing(&self.process.engine).horizon_age
    }
}

#[tokio::test]
async fn a_cache_that_who_follows_builds_late_is_swept() {
    let shop = Shop::new();
    let first = shop.joins().await;
    shop.fill().await;
    shop.change().await;
    assert!(first.follows() && first.horizon_age().unwrap() < S);
    let cache = first.builds();
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
    shop.network.pass(S).await;
    assert!(first.horizon_age().unwrap() < S, "and is covered from then on");
    let loads = shop.network.source.loads();
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
    shop.network.pass(60 * S).await;
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
    assert!(shop.network.source.loads() <= loads + 1);
}

#[tokio::test]
async fn a_horizon_that_was_learnt_before_a_cache_was_built_does_not_vouch_for_it() {
    let shop = Shop::new();
    let first = shop.joins().await;
    shop.fill().await;
    let second = shop.joins().await;
    shop.change().await;
    assert!(first.follows() && second.horizon_age().unwrap() < S);
    let cache = second.builds();
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
}

#[tokio::test]
async fn who_follows_vouches_for_a_cache_after_everybody_has_dropped_it() {
    let shop = Shop::new();
    let first = shop.joins().await;
    let second = shop.joins().await;
    let cache = second.builds();
    assert_eq!(cache.get(&7).await.unwrap(), Some(7));
    shop.change().await;
    assert!(first.follows() && second.horizon_age().is_none(), "nobody vouches for it");
    let _same = first.builds();
    shop.network.pass(S).await;
    assert!(second.horizon_age().unwrap() < S);
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
}

/// It knows where the last one was, and what that one told of another cache is worth nothing.
#[tokio::test]
async fn who_follows_next_sweeps_what_the_last_one_did_not_cover() {
    let shop = Shop::new();
    let first = shop.joins().await;
    shop.fill().await;
    let second = shop.joins().await;
    shop.change().await;
    let cache = second.builds();
    assert!(first.follows());
    drop(first);
    shop.network.pass(10 * S).await;
    assert!(second.follows() && second.horizon_age().unwrap() < S);
    assert_eq!(second.feeding.standing(&second.process.engine).gaps, 0);
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
}
