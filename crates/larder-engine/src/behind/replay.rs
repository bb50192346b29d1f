//! Beginning again: what the journal holds and the sink hasn't applied.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::journal::{Record, Records};
use larder_core::sink::Sequence;
use larder_core::sync::Ordering;
use larder_core::{BoxFuture, CacheKey, Error, ErrorKind, Moment, Result, Write};

use super::Behind;
use super::dirty::{Coming, KEY_BYTES};
use super::hub::{Hub, Member, Replayed, WriteBehind};
use super::lane::Lane;
use super::record::{Entry, What, decode};
use super::room::Claim;
use crate::cache::{Cache, Parts};
use crate::engine::Engine;
use crate::runtime::oneshot;

/// So many records are read at once.
const CHUNK: usize = 1_024;
/// But no further ones once they have so many bytes.
const CHUNK_BYTES: usize = 4 << 20;

impl WriteBehind {
    /// Takes the caches over and replays the journal; then they take writes. It waits until
    /// everything that was acknowledged before waits again, or is applied, so that no read misses
    /// it.
    ///
    /// # Errors
    ///
    /// What a sink failed with: try again later, it goes on where it was. `Refused` when another
    /// process owns one of the caches. `Config` when it was started already, when the journal holds
    /// writes of a cache that nobody built, or was written by a later version. Nothing is lost by
    /// any of them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it replaying for ever; drop the caches too.
    pub async fn start(&self, engine: &Engine) -> Result<Replayed> {
        let hub = &self.0;
        hub.begin_replay()?;
        let replayed = replay(hub, engine).await;
        hub.end_replay(replayed.is_ok());
        replayed
    }
}

async fn replay(hub: &Arc<Hub>, engine: &Engine) -> Result<Replayed> {
    let members = hub.members();
    for member in &members {
        member.own(hub.journal.id()).await?;
        Arc::clone(member).run();
    }
    let mut replayed = Replayed::default();
    hub.read.store(0, Ordering::Relaxed);
    let mut records = hub.journal.read_from(0)?;
    loop {
        let chunk;
        (chunk, records) = read(engine, records).await?;
        if chunk.is_empty() {
            return Ok(replayed);
        }
        replayed.records += chunk.len() as u64;
        let mut of_cache: HashMap<&str, Vec<(u64, Entry<'_>)>> = HashMap::new();
        for record in &chunk {
            let entry = decode(&record.bytes)?;
            of_cache.entry(entry.cache).or_default().push((record.number, entry));
        }
        for (name, entries) in of_cache {
            let Some(member) = members.iter().find(|member| member.name() == name) else {
                let message = format!(
                    "the journal holds writes of a cache {name} that isn't there: declare it \
                     again, with write = \"behind\", and let it apply them"
                );
                return Err(Error::new(ErrorKind::Config, message));
            };
            replayed.before += Arc::clone(member).take_over(&entries).await?;
            // So that a journal of any length needs no more memory than writing does.
            loop {
                let settled = member.settled();
                let bounds = &hub.bounds;
                let is_full = member.keys() >= bounds.slow_from.max(1)
                    || member.bytes() >= bounds.bytes_max.max(1);
                if !is_full {
                    break;
                }
                if let Some(fault) = member.fault() {
                    return Err(fault);
                }
                member.wake();
                let soon = engine.now() + bounds.retry_after;
                crate::wait::within(&**engine.clock(), soon, settled).await;
            }
        }
        hub.read.store(replayed.records, Ordering::Relaxed);
    }
}

/// The next records. Reading may wait for a disk, so others do it.
async fn read(engine: &Engine, mut records: Records) -> Result<(Vec<Record>, Records)> {
    let (done, result) = oneshot::channel();
    engine.spawner().spawn_blocking(Box::new(move || {
        let _ = done.send(chunk(&mut records).map(|chunk| (chunk, records)));
    }));
    result.await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Internal, "the replay was dropped: the runtime is shutting down"))
    })
}

fn chunk(records: &mut Records) -> Result<Vec<Record>> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while chunk.len() < CHUNK
        && bytes < CHUNK_BYTES
        && let Some(record) = records.next().transpose()?
    {
        bytes += record.bytes.len();
        chunk.push(record);
    }
    Ok(chunk)
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Member for Parts<K, V> {
    fn name(&self) -> &str {
        &self.name
    }

    fn own<'a>(&'a self, owner: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (sink, behind) = self.written_behind()?;
            // Taken over anew, it would refuse what this process is applying already.
            if behind.epoch() == 0 {
                behind.epoch.store(sink.own(owner).await?, Ordering::Release);
            }
            Ok(())
        })
    }

    fn disown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (sink, behind) = self.written_behind()?;
            match behind.epoch.swap(0, Ordering::AcqRel) {
                0 => Ok(()),
                epoch => sink.disown(epoch).await,
            }
        })
    }

    fn run(self: Arc<Self>) {
        let Ok((_, behind)) = self.written_behind() else { return };
        if behind.runs.swap(true, Ordering::AcqRel) {
            return;
        }
        for at in 0..behind.hub.bounds.lanes.max(1) {
            self.engine.spawn(Lane::new(&self, behind, at).run());
        }
        self.keep_pledges();
    }

    fn take_over<'a>(
        self: Arc<Self>,
        entries: &'a [(u64, Entry<'a>)],
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { self.take_over_all(entries).await })
    }

    fn oldest(&self) -> Option<(u64, Moment)> {
        self.written_behind().ok()?.1.dirty.oldest()
    }

    fn durable_below(&self, number: u64) {
        if let Ok((_, behind)) = self.written_behind() {
            behind.dirty.durable_below(number);
        }
    }

    fn keys(&self) -> usize {
        self.written_behind().map_or(0, |(_, behind)| behind.dirty.keys())
    }

    fn bytes(&self) -> usize {
        self.written_behind().map_or(0, |(_, behind)| behind.dirty.bytes())
    }

    fn fault(&self) -> Option<Error> {
        self.written_behind().ok()?.1.fault()
    }

    fn settled(&self) -> BoxFuture<'_, ()> {
        // Made here and not in the task: it hears from now on.
        match self.written_behind() {
            Ok((_, behind)) => Box::pin(behind.settled.notified()),
            Err(_) => Box::pin(std::future::ready(())),
        }
    }

    fn wake(&self) {
        if let Ok((_, behind)) = self.written_behind() {
            behind.wake.notify_waiters();
        }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    async fn take_over_all(self: &Arc<Self>, entries: &[(u64, Entry<'_>)]) -> Result<u64> {
        let (sink, behind) = self.written_behind()?;
        // What was taken over before a start failed waits already.
        let taken_below = behind.taken_below.load(Ordering::Acquire);
        let entries = &entries[entries.partition_point(|(number, _)| *number < taken_below)..];
        let keys = entries.iter().map(|(_, entry)| self.parse(entry.key));
        let keys = keys.collect::<Result<Vec<K>>>()?;
        let mut before = Vec::new();
        // Asked for each record, not for each key: it is the same question, and needs no map.
        let applied = sink.applied(&keys).await?;
        if applied.len() != keys.len() {
            return Err(self.misanswered(keys.len(), applied.len()));
        }
        for (((number, entry), key), applied) in entries.iter().zip(&keys).zip(applied) {
            let sequence = Sequence { epoch: entry.epoch, number: *number };
            if applied.is_some_and(|applied| applied >= sequence) {
                before.push(key.clone());
                continue;
            }
            let (write, weight) = match entry.what {
                What::Store { encoding, value } => {
                    let decoded = behind.codec.decode(encoding, &Bytes::copy_from_slice(value));
                    (
                        Write::Store(decoded.map_err(|error| self.unreadable(entry.key, error))?),
                        value.len(),
                    )
                }
                What::Delete => (Write::Delete, 0),
                What::Add(difference) => (Write::Add(difference), 0),
            };
            if let Some(letter) = entry.letter {
                behind.letters.note(letter);
            }
            if let Some(penetration) = &self.penetration {
                penetration.announced(key);
            }
            let _claim = self.claim_for_replay(behind, KEY_BYTES + weight).await?;
            let now = self.engine.now();
            let coming = Coming { write, epoch: entry.epoch, letter: entry.letter, weight, now };
            behind.dirty.push(key, coming, |_| Ok(*number))?;
            // Who read before the replay, a warming for instance, has put into memory what the
            // sink held without it.
            if self.strike_at_push(key, now) {
                behind.dirty.want(key);
            }
            behind.taken_below.store(number + 1, Ordering::Release);
        }
        behind.wake.notify_one();
        let count = before.len() as u64;
        // Who applied them may have ended before anybody was told, and been at it while somebody
        // read here. Where the shared tier is down it is kept, and told later.
        if !before.is_empty() {
            let _ = Cache(Arc::clone(self)).invalidate_many(&before).await;
        }
        Ok(count)
    }

    /// Room for a record. Where there is none it waits until something was applied; a record for
    /// which there would be none at all has to have it.
    async fn claim_for_replay<'a>(
        &self,
        behind: &'a Behind<K, V>,
        bytes: usize,
    ) -> Result<Claim<'a>> {
        loop {
            let settled = behind.settled.notified();
            if let Some(claim) = behind.room.claim(bytes, || behind.dirty.bytes()) {
                return Ok(claim);
            }
            if let Some(fault) = behind.fault() {
                return Err(fault);
            }
            if behind.dirty.keys() == 0 {
                return Ok(behind.room.insist(bytes));
            }
            behind.wake.notify_waiters();
            let soon = self.engine.now() + behind.hub.bounds.retry_after;
            crate::wait::within(&**self.engine.clock(), soon, settled).await;
        }
    }

    fn misanswered(&self, keys: usize, answers: usize) -> Error {
        let name = &self.name;
        let message = format!(
            "the sink of the cache {name} was asked what was applied of {keys} keys and answered \
             for {answers}: what waits stays in the journal"
        );
        Error::new(ErrorKind::Loader, message)
    }

    fn parse(&self, key: &str) -> Result<K> {
        K::parse(key).ok_or_else(|| {
            let message = format!(
                "the journal holds a write of a key that the cache {} can't have: give its keys \
                 the form back that they had, and let it apply them",
                self.name
            );
            Error::new(ErrorKind::Config, message).for_key(key)
        })
    }

    fn unreadable(&self, key: &str, error: larder_core::LoadError) -> Error {
        let message = format!(
            "the journal holds a value that the cache {} can't read: start the version that wrote \
             it, and let it apply what is pending",
            self.name
        );
        Error::new(ErrorKind::Config, message).for_key(key).caused_by(Error::from_loader(error))
    }
}
