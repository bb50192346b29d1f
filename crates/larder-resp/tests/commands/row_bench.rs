//! A server with a cache that can be written, and a table behind it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use larder_core::{Error, ErrorKind, Key, KeyTemplate, Value};
use larder_engine::behind::WriteBehind;
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, Plain, Raw, WriteMode, memory_tier};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};
use larder_resp::key_log::{Note, Op};
use larder_resp::{Declared, KeyLog, Keyspace, Pool, PoolName, Service};
use larder_test::{ManualClock, TestJournal, TestSink, TestSource};

use crate::common::{Client, Process, S, settle};

pub(crate) const MODES: [WriteMode; 3] = [WriteMode::Around, WriteMode::Through, WriteMode::Behind];

pub(crate) const NOT_A_NUMBER: &str = "value is not an integer or out of range";

/// A server with a cache `user` that can be written, and a table behind it.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) source: TestSource<Key, Value>,
    pub(crate) sink: TestSink<Key, Value>,
    pub(crate) journal: TestJournal,
    pub(crate) behind: WriteBehind,
    pub(crate) engine: Engine,
    pub(crate) service: Arc<Service>,
    notes: Receiver<Note>,
}

/// What is to be different.
pub(crate) struct Setup {
    pub(crate) mode: WriteMode,
    pub(crate) add: fn(Option<&Value>, i64) -> Option<Value>,
    pub(crate) sink: fn(TestSink<Key, Value>) -> TestSink<Key, Value>,
    pub(crate) counter: Option<&'static str>,
    pub(crate) password: Option<&'static str>,
}

pub(crate) fn setup(mode: WriteMode) -> Setup {
    Setup { mode, add, sink: |sink| sink, counter: None, password: None }
}

/// An `add` that inserts the row where there is none, and counts in the column `n` of a document.
pub(crate) fn add(held: Option<&Value>, difference: i64) -> Option<Value> {
    let Some(held) = held else { return Some(Value::raw(difference.to_string())) };
    let text = std::str::from_utf8(&held.bytes).ok()?;
    let start = text.find(r#""n":"#).map_or(0, |at| at + 4);
    let end = text[start..].find('}').map_or(text.len(), |at| start + at);
    let sum = text[start..end].parse::<i64>().ok()?.checked_add(difference)?;
    Some(Value::raw([&text[..start], &sum.to_string(), &text[end..]].concat()))
}

/// The same where there is a row; without one it changes nothing.
pub(crate) fn add_to_what_is_there(held: Option<&Value>, difference: i64) -> Option<Value> {
    held.and_then(|held| add(Some(held), difference))
}

impl Bench {
    pub(crate) async fn new(mode: WriteMode) -> Self {
        Self::with(setup(mode)).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let clock = ManualClock::new();
        let spawn = TokioSpawn::current().unwrap();
        let engine = Engine::new(Arc::new(clock.clone()), Arc::new(spawn));
        let source = TestSource::of([]);
        let sink = (setup.sink)(TestSink::adding(&source, setup.add).behind());
        let journal = TestJournal::default();
        let behind = WriteBehind::over(Arc::new(journal.clone()));
        let (policy, candidates) = (PolicyKind::Lru, Candidates::All);
        let memory = Arc::new(memory_tier(Bounds::bytes(1 << 20), policy, None));
        let builder = Cache::builder("user")
            .max_staleness(60 * S)
            .source(source.clone())
            .sink(sink.clone())
            .memory(Arc::clone(&memory))
            .engine(&engine);
        let cache = match setup.mode {
            WriteMode::Behind => builder.behind(&behind, Raw).add_with(|held, difference| {
                let refused = || Error::new(ErrorKind::Refused, "nothing can be added to it");
                add(held, difference).ok_or_else(refused)
            }),
            mode => builder.write(mode),
        };
        let template = KeyTemplate::parse("user:{id:int}").unwrap();
        let (cache, counter) = (cache.build().unwrap(), setup.counter.map(Into::into));
        behind.start(&engine).await.unwrap();
        let plain = Plain::new(&engine, Arc::clone(&memory), |key, value| {
            key.heap_bytes() + value.map_or(0, |value: &Value| value.bytes.len())
        });
        let declared = vec![Declared { template, cache, counter }];
        let (log, notes) = KeyLog::new(1.0, engine.clock());
        let keyspace = Keyspace::new(declared, Some(plain)).unwrap().with_key_log(log);
        let pools = vec![Pool { name: PoolName::Shared, memory, policy, candidates }];
        let service = Service::new(keyspace, &engine, pools, Arc::new(Process));
        let service = match setup.password {
            Some(password) => service.with_password(password),
            None => service,
        };
        Self { clock, source, sink, journal, behind, engine, service: Arc::new(service), notes }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.service)
    }

    pub(crate) fn set(&self, key: &str, value: &'static str) {
        self.source.set(key.into(), Value::raw(value));
    }

    /// What the table holds.
    pub(crate) fn row(&self, key: &str) -> Option<String> {
        let value = self.source.value(&key.into())?;
        Some(String::from_utf8(value.bytes.to_vec()).unwrap())
    }

    /// Lets what was acknowledged be applied.
    pub(crate) async fn apply(&self) {
        settle().await;
        self.clock.advance(2 * S);
        settle().await;
    }

    /// What was noted in the key log.
    pub(crate) fn noted(&self) -> Vec<(Op, usize)> {
        self.notes.try_iter().map(|note| (note.op, note.size)).collect()
    }
}
