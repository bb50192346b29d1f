//! Two writers of one key at once.

use futures_util::future::join_all;

use crate::mode::Mode;
use crate::process::{Place, Process};
use crate::scene::Scene;
use crate::table::{Failure, Observed, Seen, Told};

/// So often both write at once.
const ROUNDS: usize = 5;

pub(crate) async fn all(scene: &Scene, base: u64) -> [Failure; 2] {
    let one = join_all(Mode::SHARING.map(|mode| in_one(scene, mode, base))).await;
    let two = join_all(Mode::SHARING.map(|mode| in_two(scene, mode, base + 20))).await;
    [
        Failure { name: "Two tasks of one process write the same key at once", rows: one },
        Failure { name: "Two processes write the same key at once", rows: two },
    ]
}

async fn in_one(scene: &Scene, mode: Mode, base: u64) -> Observed {
    let pair = scene.pair(mode, base, None).await;
    let (writer, reader, id) = (&pair.writer, &pair.reader, pair.id);
    for round in 0..ROUNDS {
        Box::pin(together(writer, writer, id, round)).await;
        // Before anything else is done.
        let read = writer.read(id).await.unwrap();
        writer.apply().await;
        let truth = scene.body(id).await;
        assert_eq!(read, truth, "{mode:?}");
        reader.catch_up().await;
        for process in [writer, reader] {
            assert_eq!(process.read(id).await.as_deref(), Ok(&*truth), "{mode:?}");
        }
    }
    pair.observed(Told::Success, false, Seen::Last, Seen::LastHeard)
}

async fn in_two(scene: &Scene, mode: Mode, base: u64) -> Observed {
    let pair = scene.pair(mode, base, None).await;
    let (writer, reader, id) = (&pair.writer, &pair.reader, pair.id);
    let journal = pair.place.journal.as_ref().map(|folder| format!("{folder}-of-the-second"));
    let place = Place { journal, ..pair.place.clone() };
    let second = match Process::open(&place, None).await {
        Ok(second) => second,
        Err(error) => {
            let told = Told::NoSecond(error.kind());
            return pair.observed(told, false, Seen::Last, Seen::LastHeard);
        }
    };
    second.joined().await;
    for round in 0..ROUNDS {
        Box::pin(together(writer, &second, id, round)).await;
        let truth = scene.body(id).await;
        for process in [writer, &second, reader] {
            process.catch_up().await;
            assert_eq!(process.read(id).await.as_deref(), Ok(&*truth), "{mode:?}");
        }
    }
    pair.observed(Told::Success, false, Seen::LastHeard, Seen::LastHeard)
}

/// Both write, something different each time.
async fn together(one: &Process, other: &Process, id: u64, round: usize) {
    let (one_says, other_says) = (format!("one {round}"), format!("other {round}"));
    let told = tokio::join!(one.write(id, &one_says), other.write(id, &other_says));
    assert_eq!(told, (Told::Success, Told::Success));
}
