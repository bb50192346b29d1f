//! Opening a journal: reading what is there, judging it, and making it durable.
//!
//! What is found may stand in the system's cache and nowhere else: the process was killed before
//! it synced, or a sync failed, after which a system may take its pages for written although the
//! disk doesn't have them. So whatever isn't proven to be durable is written once more and
//! synced, before anybody is told of it. Every step can be broken off and begun anew.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};

use crate::files::{File, Folder, read_whole};
use crate::format::{
    Beginning, Header, Identity, SEGMENT_BYTES_MAX, Seed, segment_first, segment_name,
};
use crate::judge::{Found, judge};
use crate::log::Log;
use crate::mark::{self, Mark, Slot};
use crate::omit::Omit;
use crate::options::Settings;
use crate::repair::Repair;
use crate::report::{Damage, Recovery};
use crate::scan::{Scan, scan};
use crate::shared::Standing;

/// What leftovers of files end with that were about to get their name.
pub(crate) const NEW_SUFFIX: &str = ".new";

/// A journal that may be written to.
pub(crate) struct Recovered {
    pub(crate) identity: Identity,
    pub(crate) log: Log,
    pub(crate) standing: Standing,
    pub(crate) recovery: Recovery,
}

/// A segment as it was found.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) file: Box<dyn File>,
    /// Its header, if it can be read.
    pub(crate) header: Option<Header>,
    /// Where the last byte ends that isn't zero.
    pub(crate) filled: usize,
}

/// Opens what is in a folder, or makes a new journal there.
pub(crate) fn recover(
    folder: Arc<dyn Folder>,
    path: &str,
    settings: Settings,
) -> Result<Recovered> {
    let unreadable = |error: io::Error| {
        let message = format!("the journal in {path} can't be recovered");
        Error::new(ErrorKind::Internal, message).caused_by(error)
    };
    let Some(lock) = folder.lock().map_err(unreadable)? else {
        let holder = folder.holder();
        let message = format!(
            "the journal in {path} is open in {holder}: end that one first, or give this one a \
             folder of its own"
        );
        return Err(Error::new(ErrorKind::Refused, message));
    };
    let mut firsts = list(&*folder).map_err(unreadable)?;
    let found = match Mark::find(&*folder).map_err(unreadable)? {
        mark::Found::Mark(mark) => Some(mark),
        mark::Found::Version(version) => return Err(of_version(path, version)),
        mark::Found::Nothing if firsts.is_empty() => {
            let slot = Slot { identity: identity(), turn: 1, first: 1, witness: 1 };
            Some(Mark::make(&*folder, slot).map_err(unreadable)?)
        }
        mark::Found::Nothing | mark::Found::Damaged => None,
    };
    let slot = found.as_ref().map(Mark::slot);
    let first = slot.map_or(firsts.first().copied().unwrap_or(1), |slot| slot.first);
    // Those that have only records that nobody needs. The process ended before it removed them.
    let obsolete = firsts.partition_point(|&segment| segment <= first).saturating_sub(1);
    let obsolete: Vec<u64> = firsts.drain(..obsolete).collect();

    let mut reading = Reading { path, settings: &settings, identity: None, witness: 0 };
    if let Some(slot) = slot {
        reading.identity = Some(slot.identity);
        reading.witness = slot.witness;
    }
    let (mut segments, mut contents) = (Vec::new(), Vec::new());
    for (at, &segment) in firsts.iter().enumerate() {
        let below = firsts.get(at + 1).copied().unwrap_or(u64::MAX);
        let file = folder.open(&segment_name(segment)).map_err(unreadable)?;
        let (segment, content) = reading.read(file, segment, below, unreadable)?;
        segments.push(segment);
        contents.push(content);
    }
    let witness = if settings.omits(Omit::Witness) { 0 } else { reading.witness };
    let mut verdict = judge(&contents, first, witness);
    verdict.damage.is_mark_lost = slot.is_none();
    if !verdict.damage.is_none() && !settings.accept_loss {
        return Err(lost(path, verdict.damage));
    }
    let identity = reading.identity.unwrap_or_else(identity);
    let witness = reading.witness;
    let repair = Repair { folder: &*folder, settings: &settings, identity, witness };
    let mut mark = match found {
        Some(mut mark) => {
            mark.settle().map_err(unreadable)?;
            if !verdict.damage.is_none() {
                // Those that say so may be among what is removed now.
                mark.write(first, witness).and_then(|()| mark.sync()).map_err(unreadable)?;
            }
            mark
        }
        None => {
            let slot = Slot { identity, turn: 1, first, witness: witness.max(first) };
            Mark::make(&*folder, slot).map_err(unreadable)?
        }
    };
    let repaired = repair.carry_out(segments, &verdict, &obsolete).map_err(unreadable)?;
    mark.write(first, verdict.next).map_err(unreadable)?;
    let recovery = Recovery {
        records: verdict.kept.iter().map(|kept| kept.run.below - kept.run.first.max(first)).sum(),
        cut_bytes: repaired.cut_bytes,
        lost: (!verdict.damage.is_none()).then_some(verdict.damage),
    };
    let standing = Standing { first, next: verdict.next, segments: repaired.segments };
    let active = repaired.active;
    let path = path.to_owned();
    let log = Log { folder, path, settings, active, mark, _lock: lock };
    Ok(Recovered { identity, log, standing, recovery })
}

/// What is learnt from one segment after the other.
pub(crate) struct Reading<'a> {
    pub(crate) path: &'a str,
    pub(crate) settings: &'a Settings,
    pub(crate) identity: Option<Identity>,
    pub(crate) witness: u64,
}

impl Reading<'_> {
    pub(crate) fn read(
        &mut self,
        file: Box<dyn File>,
        first: u64,
        below: u64,
        unreadable: impl Fn(io::Error) -> Error,
    ) -> Result<(Segment, Found)> {
        let bytes = read_whole(&*file, SEGMENT_BYTES_MAX).map_err(unreadable)?;
        let header = match Header::decode(&bytes) {
            Beginning::Version(version) => return Err(of_version(self.path, version)),
            Beginning::Header(header) => {
                let identity = *self.identity.get_or_insert(header.identity);
                if header.identity != identity || header.first != first {
                    let (path, name) = (self.path, segment_name(first));
                    let message = format!(
                        "{name} in {path} belongs to another journal: take it out of there"
                    );
                    return Err(Error::new(ErrorKind::Refused, message));
                }
                Some(header)
            }
            Beginning::Unreadable => None,
        };
        let identity = self.identity.unwrap_or_default();
        let seed = Seed::new(&identity, first, self.settings);
        let Scan { runs, witness } = scan(&bytes, &seed, first, below);
        self.witness = self.witness.max(witness).max(first);
        let filled = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let behind = header.map_or(first, |header| header.behind);
        let segment = Segment { first, file, header, filled };
        Ok((segment, Found { first, behind, runs }))
    }
}

/// The segments, in order. Leftovers are removed.
fn list(folder: &dyn Folder) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for name in folder.list()? {
        // Only our own: who knows what else is in there.
        let named = name.strip_suffix(NEW_SUFFIX);
        if named.is_some_and(|name| name == mark::NAME || segment_first(name).is_some()) {
            folder.remove(&name)?;
        }
        firsts.extend(segment_first(&name));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Sixteen bytes that no other journal has.
fn identity() -> Identity {
    let mut identity = [0; 16];
    for half in identity.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one("journal").to_be_bytes());
    }
    identity
}

pub(crate) fn of_version(path: &str, version: u32) -> Error {
    let message = format!(
        "the journal in {path} was written by a later version of larder (format {version}): open \
         it with that one"
    );
    Error::new(ErrorKind::Refused, message)
}

fn lost(path: &str, damage: Damage) -> Error {
    let message = format!(
        "the journal in {path} has lost what was durable; to go on with what is left, open it once \
         with accept_loss"
    );
    Error::new(ErrorKind::Refused, message).caused_by(damage)
}
