//! The system of record of what is explored.

use std::sync::Arc;

use larder_core::sink::{Applied, Numbered, Sequence, Sink, SinkAbilities, WriteError, WriteFault};
use larder_core::sync::{AtomicU64, Ordering};
use larder_core::{Error, ErrorKind, LoadContext, LoadError, Result, Source, Write, Written};

use super::{ABSENT, KEYS, TAG, draw, pause};

/// The system of record: a version of each key, which writers raise, and which takes its time to
/// be read.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Table>);

#[derive(Default)]
struct Table {
    versions: [AtomicU64; KEYS.len()],
    loads: AtomicU64,
}

impl Record {
    /// The version of a key.
    pub(super) fn version(&self, key: u64) -> &AtomicU64 {
        &self.0.versions[place(key)]
    }

    /// Reads a key, in some time.
    pub(super) async fn read(&self, key: u64) -> u64 {
        pause().await;
        let version = self.version(key).load(Ordering::SeqCst);
        pause().await;
        version
    }

    /// How many questions it was asked.
    pub(crate) fn loads(&self) -> u64 {
        self.0.loads.load(Ordering::SeqCst)
    }
}

impl Source<u64, u64> for Record {
    async fn load(&self, key: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        context.tag(TAG);
        Ok(if *key == ABSENT { None } else { Some(self.read(*key).await) })
    }
}

/// Each write raises the version; now and then the answer is lost.
impl Sink<u64, u64> for Record {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities { store: true, add: true, replace: true, behind: true, delete: false }
    }

    async fn write(&self, key: &u64, _: &Write<u64>) -> Result<Written<u64>, WriteError> {
        pause().await;
        let version = self.version(*key).fetch_add(1, Ordering::SeqCst) + 1;
        answered(version).await
    }

    async fn replace(
        &self,
        key: &u64,
        expected: Option<&u64>,
        _: &Write<u64>,
    ) -> Result<Written<u64>, WriteError> {
        pause().await;
        let expected = *expected.unwrap();
        let (at, next) = (self.version(*key), expected + 1);
        if at.compare_exchange(expected, next, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            pause().await;
            let other = Error::new(ErrorKind::Conflict, "it holds something else");
            return Err(WriteError::new(WriteFault::Conflict, other));
        }
        answered(next).await
    }

    async fn own(&self, _: &str) -> Result<u64> {
        Ok(1)
    }

    /// No answer is lost, so nothing comes twice.
    async fn apply(
        &self,
        _: u64,
        batch: &[Numbered<u64, u64>],
    ) -> Result<Vec<Applied<u64>>, WriteError> {
        pause().await;
        let raise = |write: &Numbered<u64, u64>| {
            let at = self.version(write.key);
            let version = match write.write {
                Write::Add(by) => {
                    let by = u64::try_from(by).unwrap();
                    at.fetch_add(by, Ordering::SeqCst) + by
                }
                Write::Store(version) => {
                    at.store(version, Ordering::SeqCst);
                    version
                }
                Write::Delete => panic!("nothing is deleted"),
            };
            Applied::Now(Written::Value(version))
        };
        let applied = batch.iter().map(raise).collect();
        pause().await;
        Ok(applied)
    }

    async fn applied(&self, keys: &[u64]) -> Result<Vec<Option<Sequence>>> {
        Ok(vec![None; keys.len()])
    }
}

/// Which key of the record it is.
pub(super) fn place(key: u64) -> usize {
    KEYS.iter().position(|&other| other == key).unwrap()
}

/// What a write returns that was committed: now and then the answer is lost.
async fn answered(version: u64) -> Result<Written<u64>, WriteError> {
    pause().await;
    if draw(8) == 0 {
        let lost = Error::new(ErrorKind::Timeout, version.to_string());
        return Err(WriteError::new(WriteFault::Unknown, lost));
    }
    Ok(Written::Value(version))
}
