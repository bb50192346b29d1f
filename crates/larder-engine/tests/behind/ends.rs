//! Ends and beginnings: what comes while it is stopped, and how much a replay takes at once.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use larder_core::{ErrorKind, Journal, LoadError};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::{Cache, Codec, Engine, MessagePack};
use larder_test::TestJournal;

use super::{BOUNDS, Process, fresh};
use crate::common::S;
use crate::table::Table;

#[tokio::test]
async fn a_replay_waits_where_what_it_read_takes_as_many_bytes_as_may_wait() {
    let (_, journal, process) = fresh().await;
    for key in 0..9 {
        process.put(key, 1).await.unwrap();
    }
    let table = Table::default();
    table.rows(|rows| rows.holds = true);
    let bounds = BehindBounds { bytes_max: 512, ..BOUNDS };
    let next = Process::over(&table, &journal.after_the_end(0), bounds);
    let (engine, behind) = (next.engine.clone(), next.behind.clone());
    let starting = tokio::spawn(async move { behind.start(&engine).await });
    next.turn(S).await;
    assert!(!starting.is_finished());
    table.let_go();
    next.turn(S).await;
    assert_eq!(starting.await.unwrap().unwrap().records, 9);
    next.turn(2 * S).await;
    assert_eq!((0..9).filter_map(|key| table.held(key)).sum::<i64>(), 9);
}

/// A codec that says when it has begun, and goes on when it is told.
struct Slow {
    begun: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Codec<i64> for Slow {
    fn encode(&self, value: &i64) -> Result<(u8, Bytes), LoadError> {
        self.begun.send(())?;
        self.go_on.lock().unwrap().recv()?;
        MessagePack.encode(value)
    }

    fn decode(&self, encoding: u8, bytes: &Bytes) -> Result<i64, LoadError> {
        MessagePack.decode(encoding, bytes)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_when_its_cache_was_given_back_is_shed_and_not_written_down() {
    let (table, journal) = (Table::default(), TestJournal::default());
    let (begun, has_begun) = channel();
    let (goes_on, go_on) = channel();
    let engine = Engine::on_tokio().unwrap();
    let behind = WriteBehind::over(Arc::new(journal.clone()));
    let cache: Cache<u64, i64> = Cache::builder("numbers")
        .engine(&engine)
        .max_staleness(S)
        .sink(table.clone())
        .behind(&behind, Slow { begun, go_on: Mutex::new(go_on) })
        .build()
        .unwrap();
    behind.start(&engine).await.unwrap();
    let writing = tokio::spawn(async move { cache.put(&1, 1).await.map(|wrote| wrote.written) });
    tokio::task::block_in_place(|| has_begun.recv().unwrap());
    behind.stop(&engine, S).await.unwrap();
    assert_eq!(table.rows(|rows| rows.owner.clone()), None);
    goes_on.send(()).unwrap();
    assert_eq!(writing.await.unwrap().unwrap_err().kind(), ErrorKind::Shed);
    assert_eq!(journal.standing().next, 0);
}

/// No clock is turned: who isn't woken waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_hears_of_what_is_applied_at_the_same_moment() {
    for _ in 0..300 {
        let (table, journal) = (Table::default(), TestJournal::default());
        let process = Process::start(&table, &journal).await;
        process.put(1, 1).await.unwrap();
        let stopped = process.behind.stop(&process.engine, S).await.unwrap();
        assert_eq!((stopped.left, table.held(1)), (0, Some(1)));
    }
}
