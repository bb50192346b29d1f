//! The process that writes is killed.

use futures_util::future::join_all;

use crate::child::Doomed;
use crate::mode::Mode;
use crate::process::Process;
use crate::scene::{Scene, seen_early};
use crate::sink::Step;
use crate::table::{Failure, Observed, Seen, Told};

pub(crate) async fn both(scene: &Scene, base: u64) -> Vec<Failure> {
    let at = |step, base| join_all(Mode::SHARING.map(|mode| one(scene, mode, step, base)));
    let (acknowledged, committed) =
        tokio::join!(at(Step::Acknowledged, base), at(Step::Committed, base + 50));
    vec![
        Failure {
            name: "The process is killed when the write was acknowledged",
            rows: acknowledged,
        },
        Failure {
            name: "The process is killed between the commit and its announcement",
            rows: committed,
        },
    ]
}

async fn one(scene: &Scene, mode: Mode, step: Step, base: u64) -> Observed {
    let (place, id) = (scene.place(mode, base), base + mode.number());
    scene.insert(id).await;
    let reader = scene.reader(&place, None).await;
    reader.hold(id).await;
    let doomed = place.clone();
    let kill = move || Doomed::start(&doomed, id, step).kill();
    tokio::task::spawn_blocking(kill).await.unwrap();
    let is_acknowledged = mode.is_behind() || step == Step::Acknowledged;
    let told = if is_acknowledged { Told::Success } else { Told::Nothing };
    let elsewhere = match seen_early(&reader, id, true).await {
        Some(seen) => seen,
        None => {
            if mode.is_behind() {
                // What it had acknowledged is applied, if it wasn't.
                let again = Process::open(&place, None).await.unwrap();
                again.apply().await;
                let letters = "SELECT count(*) FROM larder_dead_letters";
                assert_eq!(scene.database.number(letters).await, 0);
            }
            reader.catch_up().await;
            match reader.read(id).await.as_deref() {
                Ok("new") => Seen::Started,
                _ => scene.seen_late(&reader, id).await,
            }
        }
    };
    let lost = scene.body(id).await != "new";
    assert!(!lost || is_acknowledged, "it was committed: {mode:?}");
    Observed { mode, told, lost, here: Seen::Nobody, elsewhere }
}
