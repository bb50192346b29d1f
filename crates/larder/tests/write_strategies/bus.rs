//! Announcements that come a moment later, and ones that don't come.

use futures_util::future::join_all;
use larder_test::Proxy;

use crate::mode::Mode;
use crate::scene::{Scene, here, seen_early};
use crate::table::{Failure, Observed, Seen};

pub(crate) async fn nothing_fails(scene: &Scene, base: u64) -> Failure {
    let rows = join_all(Mode::SHARING.map(|mode| quiet(scene, mode, base))).await;
    Failure { name: "Nothing fails", rows }
}

async fn quiet(scene: &Scene, mode: Mode, base: u64) -> Observed {
    let bus = Proxy::to(("127.0.0.1", scene.redis.port()));
    let pair = scene.pair(mode, base, Some(bus.port())).await;
    let (writer, reader, id) = (&pair.writer, &pair.reader, pair.id);
    // The moment is made long.
    bus.stall();
    let told = writer.write(id, "new").await;
    let here = here(writer, id, told).await;
    assert_eq!(reader.read(id).await.as_deref(), Ok("old"), "{mode:?}");
    bus.heal();
    let early = seen_early(reader, id, true).await;
    let elsewhere = match early {
        Some(seen) => seen,
        None => {
            writer.apply().await;
            reader.catch_up().await;
            assert_eq!(reader.read(id).await.as_deref(), Ok("new"), "{mode:?}");
            Seen::Applied
        }
    };
    pair.observed(told, scene.body(id).await != "new", here, elsewhere)
}

pub(crate) async fn is_cut(scene: &Scene, base: u64) -> Failure {
    let rows = join_all(Mode::SHARING.map(|mode| cut(scene, mode, base))).await;
    Failure { name: "The other process is cut off from the bus", rows }
}

async fn cut(scene: &Scene, mode: Mode, base: u64) -> Observed {
    let bus = Proxy::to(("127.0.0.1", scene.redis.port()));
    let pair = scene.pair(mode, base, Some(bus.port())).await;
    let (writer, reader, id) = (&pair.writer, &pair.reader, pair.id);
    bus.cut();
    let told = writer.write(id, "new").await;
    let here = here(writer, id, told).await;
    writer.apply().await;
    let elsewhere = seen_early(reader, id, false).await.expect("the window is over");
    pair.observed(told, scene.body(id).await != "new", here, elsewhere)
}
