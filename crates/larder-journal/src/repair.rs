//! Carrying out a verdict: what stays is made durable where it belongs, the rest is taken away.
//!
//! It may be broken off anywhere: what stays is never taken away before its copy is durable, and a
//! second attempt comes to the same verdict, or to one that is asked for again.

use std::collections::VecDeque;
use std::io;

use crate::files::{File, Folder, read_whole};
use crate::format::{
    FRAME_BYTES, HEADER_BYTES, Header, Identity, SEGMENT_BYTES_MAX, Seed, segment_name,
};
use crate::judge::{Kept, Verdict};
use crate::log::Active;
use crate::omit::Omit;
use crate::options::Settings;
use crate::recovery::{NEW_SUFFIX, Segment};
use crate::scan::{Run, frames};
use crate::state;

/// What is needed to carry it out.
pub(crate) struct Repair<'a> {
    pub(crate) folder: &'a dyn Folder,
    pub(crate) settings: &'a Settings,
    pub(crate) identity: Identity,
    /// Everything below this number is proven to be durable.
    pub(crate) witness: u64,
}

/// What there is then.
pub(crate) struct Repaired {
    pub(crate) segments: VecDeque<state::Segment>,
    pub(crate) active: Option<Active>,
    pub(crate) cut_bytes: u64,
}

impl Repair<'_> {
    pub(crate) fn carry_out(
        &self,
        segments: Vec<Segment>,
        verdict: &Verdict,
        obsolete: &[u64],
    ) -> io::Result<Repaired> {
        let mut repaired = Repaired { segments: VecDeque::new(), active: None, cut_bytes: 0 };
        // From the last to the first: a new segment hides what is behind its beginning in the
        // one that it is taken from, and that must have been taken already.
        for kept in verdict.kept.iter().rev() {
            if !is_in_place(kept, &segments) {
                self.take_out(kept, &segments[kept.segment])?;
            }
        }
        let last_kept = verdict.kept.last().map_or(0, |kept| kept.segment);
        for (at, segment) in segments.into_iter().enumerate() {
            let mut kept = verdict.kept.iter().filter(|kept| kept.segment == at).peekable();
            let stays = kept.next_if(|kept| is_first(kept, segment.first));
            let end = stays.map_or(HEADER_BYTES, |kept| kept.run.to);
            if at >= last_kept && kept.peek().is_none() {
                repaired.cut_bytes += segment.filled.saturating_sub(end) as u64;
            }
            let is_next = segment.first == verdict.next && segment.header.is_some();
            if stays.is_some() || is_next {
                self.settle(segment, stays, end, verdict, &mut repaired)?;
            } else {
                self.folder.remove(&segment_name(segment.first))?;
            }
            for kept in kept {
                self.add_taken_out(kept, verdict, &mut repaired)?;
            }
        }
        for &first in obsolete {
            self.folder.remove(&segment_name(first))?;
        }
        let ends_in_loss = verdict.damage.lost.last().is_some_and(|lost| lost.end == verdict.next);
        if ends_in_loss && repaired.active.is_none() {
            // So that the loss needn't be accepted again.
            let header = self.header(verdict.next, verdict.behind);
            let file = self.make(verdict.next, &header.encode())?;
            repaired.grow(verdict.next, verdict.next, file, HEADER_BYTES)?;
        }
        self.folder.sync()?;
        Ok(repaired)
    }

    /// Makes a segment what it should be, where it is.
    fn settle(
        &self,
        segment: Segment,
        stays: Option<&Kept>,
        end: usize,
        verdict: &Verdict,
        repaired: &mut Repaired,
    ) -> io::Result<()> {
        let Segment { first, file, header, filled } = segment;
        let unproven = match stays {
            Some(kept) => self.unproven(&*file, first, kept.run)?,
            None => Some((0, self.read(&*file, HEADER_BYTES)?)),
        };
        let is_to_be_cut = filled > end || unproven.is_some();
        if is_to_be_cut && !self.settings.omits(Omit::Cut) {
            file.cut(end as u64)?;
        }
        if let Some((from, bytes)) = &unproven
            && !self.settings.omits(Omit::Rewrite)
        {
            file.write(bytes, *from as u64)?;
        }
        // A header that can't be read, or one that doesn't know yet what was lost before it.
        let behind = stays.map_or(verdict.behind, |kept| kept.behind).min(first);
        let is_to_be_headed = header.is_none_or(|header| header.behind > behind);
        if is_to_be_headed {
            file.write(&self.header(first, behind).encode(), 0)?;
        }
        if is_to_be_cut || is_to_be_headed {
            file.sync()?;
        }
        let below = stays.map_or(first, |kept| kept.run.below);
        if below == verdict.next {
            repaired.grow(first, below, file, end)
        } else {
            repaired.add(first, below, end);
            Ok(())
        }
    }

    /// The end of a run that nobody has proven to be durable, and where it begins. With the first
    /// record the segment's header isn't either.
    fn unproven(
        &self,
        file: &dyn File,
        segment: u64,
        run: Run,
    ) -> io::Result<Option<(usize, Vec<u8>)>> {
        if run.below <= self.witness {
            return Ok(None);
        }
        let mut bytes = self.read(file, run.to)?;
        let seed = Seed::new(&self.identity, segment, self.settings);
        let found = frames(&bytes, &seed, run).find(|(frame, _)| frame.number >= self.witness);
        let from = found.map_or(0, |(_, at)| if at == run.from { 0 } else { at });
        Ok(Some((from, bytes.split_off(from))))
    }

    /// Copies a run into a segment of its own.
    fn take_out(&self, kept: &Kept, from: &Segment) -> io::Result<()> {
        let bytes = self.read(&*from.file, kept.run.to)?;
        let old = Seed::new(&self.identity, from.first, self.settings);
        let new = Seed::new(&self.identity, kept.run.first, self.settings);
        let mut copy = self.header(kept.run.first, kept.behind).encode().to_vec();
        for (frame, at) in frames(&bytes, &old, kept.run) {
            let payload = at + FRAME_BYTES;
            copy.extend_from_slice(&frame.encode(&new));
            copy.extend_from_slice(&bytes[payload..payload + frame.length]);
        }
        self.make(kept.run.first, &copy).map(drop)
    }

    fn add_taken_out(
        &self,
        kept: &Kept,
        verdict: &Verdict,
        repaired: &mut Repaired,
    ) -> io::Result<()> {
        let run = kept.run;
        let end = HEADER_BYTES + run.to - run.from;
        if run.below == verdict.next {
            let file = self.folder.open(&segment_name(run.first))?;
            return repaired.grow(run.first, run.below, file, end);
        }
        repaired.add(run.first, run.below, end);
        Ok(())
    }

    /// A new segment, durable before it gets its name.
    fn make(&self, first: u64, bytes: &[u8]) -> io::Result<Box<dyn File>> {
        let name = segment_name(first);
        let new_name = format!("{name}{NEW_SUFFIX}");
        let file = self.folder.create(&new_name)?;
        file.write(bytes, 0)?;
        file.sync()?;
        self.folder.rename(&new_name, &name)?;
        self.folder.sync()?;
        Ok(file)
    }

    fn read(&self, file: &dyn File, end: usize) -> io::Result<Vec<u8>> {
        let bytes = read_whole(file, end.min(SEGMENT_BYTES_MAX))?;
        if bytes.len() < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    fn header(&self, first: u64, behind: u64) -> Header {
        Header { identity: self.identity, first, behind }
    }
}

impl Repaired {
    fn add(&mut self, first: u64, below: u64, end: usize) {
        self.segments.push_back(state::Segment { first, below, bytes: end as u64 });
    }

    /// The segment that is to grow.
    fn grow(&mut self, first: u64, below: u64, file: Box<dyn File>, end: usize) -> io::Result<()> {
        let length = file.length()?;
        self.add(first, below, end);
        self.active = Some(Active { first, file, length, is_synced: true, is_name_synced: true });
        Ok(())
    }
}

fn is_in_place(kept: &Kept, segments: &[Segment]) -> bool {
    is_first(kept, segments[kept.segment].first)
}

/// Whether a run is what its segment begins with.
fn is_first(kept: &Kept, segment: u64) -> bool {
    kept.run.first == segment && kept.run.from == HEADER_BYTES
}
