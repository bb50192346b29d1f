//! A cache that is written behind and has a filter: what was acknowledged is never denied.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, mpsc};

use larder_core::sink::{Applied, Numbered, Sequence, Sink, SinkAbilities, WriteError, WriteFault};
use larder_core::{
    CacheKey, Changes, Error, ErrorKind, KeyText, LoadContext, LoadError, Reason, Result, Source,
    Write, Written, keys_of,
};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, Invalidation, MessagePack};
use larder_test::{ManualClock, TestJournal};

use crate::BOUNDS;
use crate::common::{S, settle};

type Look = Box<dyn FnOnce()>;

thread_local! {
    /// This thread has hashed a key for the filter.
    static HAS_ASKED: Cell<bool> = const { Cell::new(false) };
    /// What it does when it hashes one for anything else after that.
    static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
}

/// A key by whose hash somebody may look around. Filters alone use the hasher of the standard
/// library.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hashed(u64);

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        if std::any::type_name::<H>() == std::any::type_name::<DefaultHasher>() {
            HAS_ASKED.set(true);
        } else if HAS_ASKED.get()
            && let Some(look) = LOOK.take()
        {
            look();
        }
        self.0.hash(hasher);
    }
}

impl CacheKey for Hashed {
    fn write(&self, text: &mut KeyText) {
        self.0.write(text);
    }

    fn parse(text: &str) -> Option<Self> {
        u64::parse(text).map(Self)
    }
}

#[derive(Clone, Default)]
struct Rows(Arc<Mutex<HashMap<u64, i64>>>);

impl Source<Hashed, i64> for Rows {
    async fn load(&self, key: &Hashed, _: &mut LoadContext) -> Result<Option<i64>, LoadError> {
        Ok(self.0.lock().unwrap().get(&key.0).copied())
    }
}

impl Sink<Hashed, i64> for Rows {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities { store: true, behind: true, ..SinkAbilities::default() }
    }

    async fn write(&self, _: &Hashed, _: &Write<i64>) -> Result<Written<i64>, WriteError> {
        let error = Error::new(ErrorKind::Refused, "it is written behind");
        Err(WriteError::new(WriteFault::Poison, error))
    }

    async fn own(&self, _: &str) -> Result<u64> {
        Ok(1)
    }

    async fn apply(
        &self,
        _: u64,
        batch: &[Numbered<Hashed, i64>],
    ) -> Result<Vec<Applied<i64>>, WriteError> {
        let mut rows = self.0.lock().unwrap();
        let store = |write: &Numbered<Hashed, i64>| {
            let Write::Store(value) = write.write else { panic!("it is only stored to") };
            rows.insert(write.key.0, value);
            Applied::Now(Written::Value(value))
        };
        Ok(batch.iter().map(store).collect())
    }

    async fn applied(&self, keys: &[Hashed]) -> Result<Vec<Option<Sequence>>> {
        Ok(vec![None; keys.len()])
    }
}

/// A row is new, waits to be applied, and isn't in the filter, as the list that this was built from
/// since hasn't got it.
///
/// 1. R asks the filter, which doesn't know the key,
/// 2. it is applied, announced to the filter, and forgotten as something that waits,
/// 3. R, who finds that nothing waits, must not be told "absent".
#[tokio::test]
async fn a_row_that_is_new_is_found_whenever_it_is_applied() {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current().unwrap()));
    let bounds = BehindBounds { delay: 60 * S, ..BOUNDS };
    let behind = WriteBehind::with(Arc::new(TestJournal::default()), bounds);
    let rows = Rows::default();
    let cache = Cache::builder("rows")
        .engine(&engine)
        .max_staleness(1000 * S)
        .changes(Changes::Announced)
        .source(rows.clone())
        .sink(rows.clone())
        .filter(keys_of((0..10).map(Hashed)))
        .behind(&behind, MessagePack)
        .build()
        .unwrap();
    behind.start(&engine).await.unwrap();
    settle().await;
    let (mut new, mut denied) = (Hashed(1_000), false);
    while !denied {
        new.0 += 1;
        denied = cache.ask(&new).await.unwrap().reason == Reason::Filtered;
    }
    cache.put(&new, 5).await.unwrap();
    cache.invalidate_all_here(Invalidation::Drop).unwrap();
    clock.advance(2 * S);
    cache.get(&Hashed(0)).await.unwrap();
    settle().await;
    assert!(cache.filter_stats().unwrap().ready && rows.0.lock().unwrap().is_empty());
    let (came, mut comes) = tokio::sync::mpsc::unbounded_channel();
    let (let_go, goes) = mpsc::channel::<()>();
    let runtime = tokio::runtime::Handle::current();
    let reads = cache.clone();
    let read = tokio::task::spawn_blocking(move || {
        let (looks, over) = (came.clone(), came);
        LOOK.set(Some(Box::new(move || {
            looks.send(()).unwrap();
            goes.recv().unwrap();
        })));
        HAS_ASKED.set(false);
        let read = runtime.block_on(reads.get(&new)).unwrap();
        LOOK.set(None);
        over.send(()).unwrap();
        read
    });
    comes.recv().await.unwrap();
    clock.advance(60 * S);
    settle().await;
    assert_eq!(rows.0.lock().unwrap().len(), 1);
    // Who never looked around is done.
    let _ = let_go.send(());
    assert_eq!(read.await.unwrap(), Some(5));
}
