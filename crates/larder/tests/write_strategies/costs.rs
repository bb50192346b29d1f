//! What a write costs before its caller has its answer, and where the next read comes from.

use std::time::Duration;

use futures_util::future::join_all;
use larder::Tier;
use larder_test::Proxy;

use crate::mode::{Level, Mode};
use crate::process::Process;
use crate::scene::Scene;
use crate::table::{Cost, Told};
use larder_crash::TestDatabase;

/// How much later everything arrives, each way: what is sent without waiting is one round trip.
const DELAY: Duration = Duration::from_millis(20);
/// Nothing was sent for so long: longer than a reply takes.
const QUIET: Duration = Duration::from_millis(250);
/// The smallest numbers count: the first write opens a connection, and prepares.
const TRIES: u64 = 3;

pub(crate) async fn measured(scene: &Scene, base: u64) -> Vec<Cost> {
    let modes = Mode::ALONE.into_iter().chain(Mode::SHARING);
    join_all(modes.map(|mode| one(scene, mode, base))).await
}

/// Waits until nothing is sent any more: what was loaded is in the tier.
async fn quiet(wires: &[&Proxy]) {
    let counts = || wires.iter().map(|wire| wire.counts()).collect::<Vec<_>>();
    let mut before = counts();
    loop {
        tokio::time::sleep(QUIET).await;
        let now = counts();
        if now == before {
            return;
        }
        before = now;
    }
}

async fn one(scene: &Scene, mode: Mode, base: u64) -> Cost {
    let TestDatabase::Postgres(postgres) = &*scene.database else { unreachable!("it is one") };
    let wire = |port| {
        let proxy = Proxy::to(("127.0.0.1", port));
        proxy.delay(DELAY);
        proxy
    };
    let (database, tier) = (wire(postgres.port()), wire(scene.redis.port()));
    let mut place = scene.place(mode, base);
    place.database = format!("postgres://postgres@127.0.0.1:{}/postgres", database.port());
    // Announcements go with the tier's own steps; what comes over the bus isn't counted.
    place.tier = tier.port();
    let id = base + mode.number();
    scene.insert(id).await;
    let process = Process::open(&place, None).await.unwrap();
    process.joined().await;
    let mut least: Option<Cost> = None;
    for time in 0..TRIES {
        process.held(id).await;
        quiet(&[&database, &tier]).await;
        let before = [&database, &tier].map(|wire| wire.counts().round_trips);
        assert_eq!(process.write(id, &format!("new {time}")).await, Told::Success);
        let after = [&database, &tier].map(|wire| wire.counts().round_trips);
        let next = (!mode.is_behind()).then_some(process.tier_of(id).await);
        let (database, shared) = (after[0] - before[0], after[1] - before[1]);
        let cost = Cost { mode, database, shared, next };
        least = Some(least.map_or(cost, |least| Cost {
            database: least.database.min(database),
            shared: least.shared.min(shared),
            ..cost
        }));
    }
    let cost = least.unwrap();
    assert!(cost.next != Some(Tier::Shared) || mode.level != Level::Alone);
    cost
}
