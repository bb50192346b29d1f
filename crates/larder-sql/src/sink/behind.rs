//! The part of the contract that writes behind: ownership, batches, dead letters.

use std::str::from_utf8;

use larder_core::sink::{Applied, DeadLetter, Numbered, Sequence, WriteError, WriteFault};
use larder_core::{Error, ErrorKind, Key, Result, Value, Write};

use super::{Either, SqlSink, WRITES_BYTES_MAX, WRITES_MAX, refused};
use crate::changes::{
    ApplyJob, Asking, BuryJob, Ended, Entry, Letter, Owned, TablesQuestion as Question, Told, mark,
};
use crate::database::either;
use crate::fault;
use crate::guard::KEYS_MAX;
use crate::load::Format;

/// The longest reason of a dead letter, in bytes.
const REASON_BYTES_MAX: usize = 4_096;

impl SqlSink {
    pub(super) async fn take_over(&self, owner: &str) -> Result<u64> {
        let told = self.ask("takeover", Question::Own(owner)).await?;
        match told {
            Told::Owned(Owned::Now(epoch)) => u64::try_from(epoch).map_err(|_| odd_number()),
            Told::Owned(Owned::By(other)) => {
                let cache = &self.cache;
                let what = format!(
                    "the cache {cache} is written behind by {other}, and only one process may do \
                     that: stop it, or, if it is gone for good and what it had not yet written \
                     with it, say UPDATE larder_owner SET owner = NULL WHERE cache = '{}'",
                    cache.replace('\'', "''")
                );
                Err(Error::new(ErrorKind::Refused, what))
            }
            _ => Err(odd_answer()),
        }
    }

    pub(super) async fn give_back(&self, epoch: u64) -> Result<()> {
        let epoch = i64::try_from(epoch).map_err(|_| odd_number())?;
        self.ask("handover", Question::Disown(epoch)).await.map(drop)
    }

    pub(super) async fn apply_all(
        &self,
        epoch: u64,
        batch: &[Numbered<Key, Value>],
    ) -> Result<Vec<Applied<Value>>, WriteError> {
        let epoch = i64::try_from(epoch).map_err(|_| fault::own(odd_number()))?;
        check_size(batch).map_err(fault::own)?;
        let mut entries = Vec::with_capacity(batch.len());
        for (at, numbered) in batch.iter().enumerate() {
            entries.push(self.entry(at, numbered)?);
        }
        entries.sort_by(|one, other| one.mark.key.cmp(other.mark.key));
        if entries.windows(2).any(|two| two[0].mark.key == two[1].mark.key) {
            let what = "a batch with two writes of one key";
            return Err(fault::own(Error::new(ErrorKind::Refused, what)));
        }
        either!(Either: &self.changes, changes => {
            let (cache, entries) = (&*self.cache, &*entries);
            let ended = changes.run("batch", batch.len(), |plan, pace| ApplyJob {
                plan, changes, cache, epoch, entries, pace,
            });
            let mut applied = self.owned(ended.await?)?;
            for (applied, numbered) in applied.iter_mut().zip(batch) {
                if let Applied::Now(written) = applied {
                    let parameters = self.read(&numbered.key).map_err(fault::own)?;
                    *written = self.of_key(&parameters, written.clone());
                }
            }
            Ok(applied)
        })
    }

    fn entry<'a>(
        &self,
        at: usize,
        numbered: &'a Numbered<Key, Value>,
    ) -> Result<Entry<'a>, WriteError> {
        let Numbered { key, write, sequence, letter } = numbered;
        let parameters = self.read(key).map_err(fault::own)?;
        let (place, bound) = self.bind(key, &parameters, write).map_err(fault::own)?;
        let mark = mark(text(key).map_err(fault::own)?, *sequence).map_err(refused)?;
        let letter = letter.map(i64::try_from).transpose();
        let letter = letter.map_err(|_| fault::own(odd_number()))?;
        Ok(Entry { at, mark, letter, place, bound })
    }

    pub(super) async fn sequences(&self, keys: &[Key]) -> Result<Vec<Option<Sequence>>> {
        let mut sequences = vec![None; keys.len()];
        for (keys, sequences) in keys.chunks(KEYS_MAX).zip(sequences.chunks_mut(KEYS_MAX)) {
            let texts = keys.iter().map(text).collect::<Result<Vec<_>>>()?;
            let Told::Applied(found) = self.ask("question", Question::Applied(&texts)).await?
            else {
                return Err(odd_answer());
            };
            for (at, sequence) in found {
                if let Some(place) = sequences.get_mut(at) {
                    *place = Some(sequence);
                }
            }
        }
        Ok(sequences)
    }

    pub(super) async fn bury_one(
        &self,
        epoch: u64,
        write: &Numbered<Key, Value>,
        reason: &str,
    ) -> Result<(), WriteError> {
        let epoch = i64::try_from(epoch).map_err(|_| fault::own(odd_number()))?;
        let id = write.letter.map(i64::try_from).transpose();
        let (value, delta) = match &write.write {
            Write::Store(value) => (Some(value.bytes.to_vec()), None),
            Write::Delete => (None, None),
            Write::Add(delta) => (None, Some(*delta)),
        };
        // A key that is no text can't have come from here, and is kept as what people can read.
        let key = String::from_utf8_lossy(write.key.as_bytes()).replace('\0', "\u{fffd}");
        let letter = Letter {
            id: id.map_err(|_| fault::own(odd_number()))?,
            key,
            verb: write.write.verb().to_owned(),
            value,
            delta,
            sequence: write.sequence,
            reason: cut(reason).replace('\0', "\u{fffd}"),
        };
        either!(Either: &self.changes, changes => {
            let job = BuryJob { cache: &self.cache, epoch, letter: &letter };
            self.owned(changes.run_unplanned("burial", &job).await?)
        })
    }

    pub(super) async fn letters(&self, limit: usize) -> Result<Vec<DeadLetter<Key, Value>>> {
        let limit = i64::try_from(limit.min(WRITES_MAX)).unwrap_or(i64::MAX);
        match self.ask("question", Question::Requeued(limit)).await? {
            Told::Letters(letters) => letters.into_iter().map(|it| self.letter(it)).collect(),
            _ => Err(odd_answer()),
        }
    }

    fn letter(&self, letter: Letter) -> Result<DeadLetter<Key, Value>> {
        let value = |bytes: Vec<u8>| match self.format {
            Format::Json => Value::json(bytes),
            Format::Raw => Value::raw(bytes),
        };
        let write = match (&*letter.verb, letter.value, letter.delta) {
            ("store", Some(bytes), _) => Write::Store(value(bytes)),
            ("delete", ..) => Write::Delete,
            ("add", _, Some(delta)) => Write::Add(delta),
            _ => return Err(odd_answer()),
        };
        let id = letter.id.and_then(|id| u64::try_from(id).ok()).ok_or_else(odd_number)?;
        let (key, sequence) = (Key::from(letter.key.as_str()), letter.sequence);
        let numbered = Numbered { key, write, sequence, letter: Some(id) };
        Ok(DeadLetter { id, numbered, reason: letter.reason })
    }

    async fn ask(&self, what: &str, question: Question<'_>) -> Result<Told> {
        either!(Either: &self.changes, changes => {
            changes.ask(what, &Asking { cache: &self.cache, question }).await
        })
    }

    fn owned<T>(&self, ended: Ended<T>) -> Result<T, WriteError> {
        match ended {
            Ended::Committed(done) => Ok(done),
            Ended::Disowned | Ended::Conflict => {
                let cache = &self.cache;
                let what = format!("the cache {cache} is written behind by another process now");
                let error = Error::new(ErrorKind::Refused, what);
                Err(WriteError::new(WriteFault::Disowned, error))
            }
        }
    }
}

fn check_size(batch: &[Numbered<Key, Value>]) -> Result<()> {
    let bytes = |numbered: &Numbered<Key, Value>| match &numbered.write {
        Write::Store(value) => value.bytes.len(),
        Write::Delete | Write::Add(_) => 0,
    };
    let (count, bytes) = (batch.len(), batch.iter().map(bytes).sum::<usize>());
    if count <= WRITES_MAX && bytes <= WRITES_BYTES_MAX {
        return Ok(());
    }
    let what = format!(
        "a batch of {count} writes with {bytes} bytes, and {WRITES_MAX} writes with \
         {WRITES_BYTES_MAX} bytes are the most: apply fewer at a time"
    );
    Err(Error::new(ErrorKind::Refused, what))
}

/// The beginning of a reason that fits.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

fn text(key: &Key) -> Result<&str> {
    from_utf8(key.as_bytes())
        .map_err(|_| Error::new(ErrorKind::BadKey, larder_core::key::KeyFault::NotText.to_string()))
}

fn odd_number() -> Error {
    Error::new(ErrorKind::Internal, "a number beyond what a database can count")
}

fn odd_answer() -> Error {
    Error::new(ErrorKind::Internal, "the tables of larder hold what it never wrote")
}
