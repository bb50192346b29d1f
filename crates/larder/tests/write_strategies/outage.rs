//! A database that is down, and one whose answer to a commit is lost.

use std::time::Duration;

use futures_util::future::join_all;
use larder_test::{PATIENCE, Proxy};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, query_scalar};

use crate::mode::Mode;
use crate::process::WINDOW;
use crate::scene::{Pair, Scene, here, seen_early};
use crate::table::{Failure, Observed, Seen, Told};
use crate::turning::{PAUSE, until};
use larder_crash::TestDatabase;

/// Longer than a batch may take.
const BATCH: Duration = Duration::from_secs(11);

fn postgres(scene: &Scene) -> &larder_test::Postgres {
    match &*scene.database {
        TestDatabase::Postgres(postgres) => postgres,
        TestDatabase::Sqlite(_) => unreachable!("a file is never down"),
    }
}

pub(crate) async fn is_down() -> Failure {
    let scene = Scene::over(TestDatabase::postgres());
    let pairs = join_all(Mode::SHARING.map(|mode| scene.pair(mode, 0, None))).await;
    tokio::task::block_in_place(|| postgres(&scene).kill());
    let during = join_all(pairs.iter().map(while_down)).await;
    tokio::task::block_in_place(|| postgres(&scene).restart());
    let rows = pairs.iter().zip(during).map(|(pair, during)| back(&scene, pair, during));
    Failure { name: "The database is down", rows: join_all(rows).await }
}

/// What the writer is told, and what both read.
async fn while_down(pair: &Pair) -> (Told, Seen, Option<Seen>) {
    let Pair { writer, reader, id, .. } = pair;
    let told = writer.write(*id, "new").await;
    let here = here(writer, *id, told).await;
    reader.catch_up().await;
    let elsewhere = match reader.read(*id).await {
        Ok(body) if body == "old" && told.is_refused() => Some(Seen::Unchanged),
        Ok(body) if body == "old" => None,
        Ok(body) => panic!("{body}"),
        Err(kind) => Some(Seen::Fails(kind)),
    };
    (told, here, elsewhere)
}

async fn back(scene: &Scene, pair: &Pair, during: (Told, Seen, Option<Seen>)) -> Observed {
    let (told, here, elsewhere) = during;
    let Pair { writer, reader, id, .. } = pair;
    writer.apply().await;
    reader.catch_up().await;
    let written = if told.is_refused() { "old" } else { "new" };
    // What had failed is asked for again, and answered.
    let mut tries = 0;
    while reader.read(*id).await.is_err() {
        tries += 1;
        assert!(tries < 1_000, "{:?}", pair.place.mode);
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(reader.read(*id).await.as_deref(), Ok(written), "{:?}", pair.place.mode);
    pair.observed(told, scene.body(*id).await != written, here, elsewhere.unwrap_or(Seen::Back))
}

pub(crate) async fn answer_is_lost(scene: &Scene, base: u64) -> Failure {
    let rows = join_all(Mode::SHARING.map(|mode| lost(scene, mode, base))).await;
    Failure { name: "The answer to the commit is lost", rows }
}

async fn lost(scene: &Scene, mode: Mode, base: u64) -> Observed {
    let wire = Proxy::to(("127.0.0.1", postgres(scene).port()));
    let mut place = scene.place(mode, base);
    place.database = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let pair = scene.pair_at(place, base, None).await;
    let (writer, reader, id) = (&pair.writer, &pair.reader, pair.id);
    // The write waits in the database for another one, until its answer can't come back.
    let (mut other, mut third) = (connect(scene).await, connect(scene).await);
    other.execute("BEGIN").await.unwrap();
    let lock = format!("SELECT pg_backend_pid() FROM items WHERE id = {id} FOR UPDATE");
    let pid: i32 = query_scalar(AssertSqlSafe(lock)).fetch_one(&mut other).await.unwrap();
    let fails = async {
        if mode.is_behind() {
            until("it waits in the journal", || writer.waiting() == 1).await;
        }
        // What waits in a journal is applied by the clock.
        let turn = || writer.advance(if mode.is_behind() { PAUSE } else { Duration::ZERO });
        let waits = format!("SELECT {pid} = ANY (pg_blocking_pids(pid)) FROM pg_stat_activity");
        until_so(&mut third, &format!("SELECT bool_or(x) FROM ({waits}) AS _ (x)"), turn).await;
        wire.stall_replies();
        other.execute("ROLLBACK").await.unwrap();
        if !mode.is_behind() {
            let is_new = format!("SELECT body = 'new' FROM items WHERE id = {id}");
            until_so(&mut third, &is_new, || ()).await;
        }
        writer.advance(if mode.is_behind() { BATCH } else { WINDOW });
    };
    let (told, ()) = tokio::join!(writer.write(id, "new"), fails);
    wire.cut();
    wire.heal();
    let here = here(writer, id, told).await;
    writer.apply().await;
    let elsewhere = seen_early(reader, id, true).await.expect("it was announced");
    let elsewhere = if mode.is_behind() { Seen::Applied } else { elsewhere };
    pair.observed(told, scene.body(id).await != "new", here, elsewhere)
}

async fn connect(scene: &Scene) -> PgConnection {
    PgConnection::connect(&scene.database.url()).await.unwrap()
}

/// Asks until it is so, and does something in between.
async fn until_so(connection: &mut PgConnection, question: &str, turn: impl Fn()) {
    let asks = async {
        while !query_scalar::<_, bool>(AssertSqlSafe(question.to_owned()))
            .fetch_one(&mut *connection)
            .await
            .unwrap()
        {
            turn();
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, asks).await.expect(question);
}
