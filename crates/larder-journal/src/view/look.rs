//! One look at all files of a journal, which its owner may be changing.
//!
//! The order in which they are read is what makes it a truth about some moment:
//!
//! 1. The mark, for what is proven to be durable.
//! 2. The names of the segments. Whatever 1 vouches for is in one of them, or was removed.
//! 3. The mark again, for what is needed. What was removed before 2 is below it, because the mark
//!    is written before a segment is removed.
//! 4. The segments. One that is gone by now was removed since 3: then all begins anew.
//!
//! A record may be missing in 4 and still be vouched for by one behind it, although nothing is
//! lost: where a page of a segment was read before the one record was written, and the next page
//! after the other one was. So what looks lost is looked at again. Whatever was written when
//! somebody vouched for it is seen by a look that begins later, so only what two looks miss is
//! lost.

use std::io;

use larder_core::{Error, ErrorKind, Result};

use super::{JournalStatus, Oldest};
use crate::files::{Folder, Times};
use crate::format::{HEADER_BYTES, Identity, segment_first, segment_name};
use crate::judge::{Found, Verdict, judge};
use crate::mark::{self, Mark, Slot};
use crate::options::Settings;
use crate::recovery::{Reading, of_version};
use crate::scan::Run;

/// So often it is begun anew at most.
const LOOKS_MAX: usize = 16;

/// What was found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) identity: Identity,
    pub(super) first: u64,
    durable_below: u64,
    verdict: Verdict,
    /// The first numbers of the segments that were read.
    segments: Vec<u64>,
    count: usize,
    bytes: u64,
    tail_bytes: u64,
    oldest: Option<Oldest>,
}

/// Why a look is no truth about any moment.
enum Failed {
    /// It changed meanwhile.
    Changed,
    For(Error),
}

impl Look {
    pub(super) fn take(folder: &dyn Folder, path: &str) -> Result<Self> {
        let mut before = None;
        for _ in 0..LOOKS_MAX {
            match Self::attempt(folder, path) {
                Ok(look) if look.verdict.damage.is_none() => return Ok(look),
                Ok(look) if before.as_ref() == Some(&look.verdict.damage) => return Ok(look),
                Ok(look) => before = Some(look.verdict.damage),
                Err(Failed::Changed) => {}
                Err(Failed::For(error)) => return Err(error),
            }
        }
        let message = format!("the journal in {path} changes faster than it can be read");
        Err(Error::new(ErrorKind::Refused, message))
    }

    fn attempt(folder: &dyn Folder, path: &str) -> Result<Self, Failed> {
        let unreadable = |error: io::Error| unreadable(path, error);
        let vouched = slot(folder, path)?;
        let names = folder.list().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_journal(path),
            _ => unreadable(error),
        });
        let names = names.map_err(Failed::For)?;
        let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment_first(name)).collect();
        firsts.sort_unstable();
        let needed = slot(folder, path)?;
        if firsts.is_empty() && needed.is_none() && !names.iter().any(|name| name == mark::NAME) {
            return Err(Failed::For(no_journal(path)));
        }
        let first = needed.map_or(firsts.first().copied().unwrap_or(1), |slot| slot.first);
        let obsolete = firsts.partition_point(|&segment| segment <= first).saturating_sub(1);

        let settings = Settings::default();
        let witness = vouched.map_or(0, |slot| slot.witness);
        let identity = needed.or(vouched).map(|slot| slot.identity);
        let mut reading = Reading { path, settings: &settings, identity, witness };
        let (mut contents, mut files) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut count = 0;
        for (at, &segment) in firsts.iter().enumerate() {
            let file = match folder.open(&segment_name(segment)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound && at < obsolete => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Failed::Changed);
                }
                Err(error) => return Err(Failed::For(unreadable(error))),
            };
            count += 1;
            bytes += file.length().map_err(|error| Failed::For(unreadable(error)))?;
            if at < obsolete {
                continue;
            }
            let times = file.times().map_err(|error| Failed::For(unreadable(error)))?;
            let below = firsts.get(at + 1).copied().unwrap_or(u64::MAX);
            let (read, found) =
                reading.read(file, segment, below, unreadable).map_err(Failed::For)?;
            files.push((read.filled, times));
            contents.push(found);
        }
        let mut verdict = judge(&contents, first, reading.witness);
        verdict.damage.is_mark_lost = needed.is_none();
        let oldest = oldest(&verdict, first, &files);
        let tail_bytes = tail(&contents, &verdict, &files);
        Ok(Self {
            identity: reading.identity.unwrap_or_default(),
            first,
            durable_below: reading.witness.min(verdict.next),
            verdict,
            count,
            segments: firsts.split_off(obsolete),
            bytes,
            tail_bytes,
            oldest,
        })
    }

    /// Which parts of which segments are to be read for the records that are needed.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u64, Run)> + '_ {
        let kept = self.verdict.kept.iter().filter(|kept| kept.run.below > self.first);
        kept.map(|kept| (self.segments[kept.segment], kept.run))
    }

    pub(super) fn status(self, opened_by: String) -> JournalStatus {
        let needed = |run: Run| run.below - run.first.max(self.first).min(run.below);
        JournalStatus {
            id: format!("{:032x}", u128::from_be_bytes(self.identity)),
            opened_by,
            pending: self.verdict.kept.iter().map(|kept| needed(kept.run)).sum(),
            first: self.first,
            next: self.verdict.next,
            durable_below: self.durable_below,
            segments: self.count,
            bytes: self.bytes,
            tail_bytes: self.tail_bytes,
            oldest: self.oldest,
            damage: (!self.verdict.damage.is_none()).then_some(self.verdict.damage),
        }
    }
}

/// Where a segment's last byte is that isn't zero, and its times.
type File = (usize, Option<Times>);

/// The times of the segment that has the oldest record that is needed.
fn oldest(verdict: &Verdict, first: u64, files: &[File]) -> Option<Oldest> {
    let kept = verdict.kept.iter().find(|kept| kept.run.below > first)?;
    let times = files[kept.segment].1?;
    Some(Oldest { not_before: times.made, not_after: times.written })
}

/// What is behind the last record that stays, zeros left out.
fn tail(contents: &[Found], verdict: &Verdict, files: &[File]) -> u64 {
    let last = verdict.kept.last();
    let from = last.map_or(0, |kept| kept.segment);
    let ends = (from..contents.len()).map(|at| match last {
        Some(kept) if kept.segment == at => kept.run.to,
        // A header on its own is a segment that nothing was written to yet.
        _ => HEADER_BYTES,
    });
    let behind = ends.zip(&files[from..]).map(|(end, (filled, _))| filled.saturating_sub(end));
    behind.sum::<usize>() as u64
}

/// The mark, if it can be read.
fn slot(folder: &dyn Folder, path: &str) -> Result<Option<Slot>, Failed> {
    match Mark::find(folder) {
        Ok(mark::Found::Mark(mark)) => Ok(Some(mark.slot())),
        Ok(mark::Found::Nothing | mark::Found::Damaged) => Ok(None),
        Ok(mark::Found::Version(version)) => Err(Failed::For(of_version(path, version))),
        Err(error) => Err(Failed::For(unreadable(path, error))),
    }
}

fn no_journal(path: &str) -> Error {
    Error::new(ErrorKind::Config, format!("there is no journal in {path}"))
}

pub(super) fn unreadable(path: &str, error: io::Error) -> Error {
    let message = format!("the journal in {path} can't be read");
    Error::new(ErrorKind::Internal, message).caused_by(error)
}
