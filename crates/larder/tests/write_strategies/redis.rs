//! A Redis that is down, and one that has forgotten.

use futures_util::future::join_all;
use larder_test::Redis;

use crate::mode::Mode;
use crate::scene::{Pair, Scene, here, seen_early};
use crate::table::{Failure, Observed, Seen};

pub(crate) async fn is_down(scene: &Scene, base: u64) -> Failure {
    let scene = Scene::with(&scene.database, Redis::start());
    let pairs = join_all(Mode::SHARING.map(|mode| scene.pair(mode, base, None))).await;
    tokio::task::block_in_place(|| scene.redis.kill());
    let during = join_all(pairs.iter().map(|pair| down(&scene, pair))).await;
    tokio::task::block_in_place(|| scene.redis.restart());
    join_all(pairs.iter().map(|pair| back(&scene, pair))).await;
    Failure { name: "Redis is down", rows: during }
}

async fn down(scene: &Scene, pair: &Pair) -> Observed {
    let Pair { writer, reader, id, .. } = pair;
    let told = writer.write(*id, "new").await;
    let here = here(writer, *id, told).await;
    writer.apply().await;
    let elsewhere = match told.is_refused() {
        true => {
            assert_eq!(reader.read(*id).await.as_deref(), Ok("old"));
            Seen::Unchanged
        }
        false => seen_early(reader, *id, false).await.expect("the window is over"),
    };
    let written = if told.is_refused() { "old" } else { "new" };
    pair.observed(told, scene.body(*id).await != written, here, elsewhere)
}

/// What wasn't told is told, and everybody reads what is true.
async fn back(scene: &Scene, pair: &Pair) {
    let Pair { writer, reader, id, .. } = pair;
    writer.turn_until("all is told", || writer.untold() == 0).await;
    reader.joined_again().await;
    let body = scene.body(*id).await;
    assert_eq!(reader.read(*id).await, Ok(body), "{:?}", pair.place.mode);
}

pub(crate) async fn forgot(scene: &Scene, base: u64) -> [Failure; 2] {
    let empty = Scene::with(&scene.database, Redis::start());
    let older = Scene::with(&scene.database, Redis::start_saving());
    let (empty, older) = tokio::join!(came_back(&empty, base), came_back(&older, base + 20));
    [
        Failure { name: "Redis was restarted empty after the write", rows: empty },
        Failure {
            name: "Redis fails over to what it was before the write, and has the old value again",
            rows: older,
        },
    ]
}

async fn came_back(scene: &Scene, base: u64) -> Vec<Observed> {
    let pairs = join_all(Mode::SHARING.map(|mode| scene.pair(mode, base, None))).await;
    // Whoever keeps nothing on disk comes back empty all the same.
    tokio::task::block_in_place(|| scene.redis.save());
    let writes = pairs.iter().map(|pair| async {
        let told = pair.writer.write(pair.id, "new").await;
        pair.writer.apply().await;
        pair.reader.catch_up().await;
        told
    });
    let told = join_all(writes).await;
    tokio::task::block_in_place(|| scene.redis.kill());
    tokio::task::block_in_place(|| scene.redis.restart());
    let rows = pairs.iter().zip(told).map(|(pair, told)| async move {
        let Pair { writer, reader, place, id } = pair;
        let here = here(writer, *id, told).await;
        let newcomer = scene.reader(place, None).await;
        for process in [reader, &newcomer] {
            let read = process.read(*id).await;
            assert_eq!(read.as_deref(), Ok("new"), "{:?}", place.mode);
        }
        pair.observed(told, scene.body(*id).await != "new", here, Seen::AtOnce)
    });
    join_all(rows).await
}
