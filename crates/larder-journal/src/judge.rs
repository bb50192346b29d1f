//! What holes between good records mean: a tail that was torn while it was being written, or a
//! loss of what was durable.
//!
//! At a power cut any part of what was not synced may be on the disk, and in any order: a record
//! may be torn and the one behind it whole. So a hole alone proves nothing. What proves a loss is
//! a *witness*: whoever wrote it knew that everything below some number was durable. Every record
//! is one, every segment (the ones before it were synced before it was made), and the mark. Holes
//! below the greatest witness are losses; at the first hole above it the journal ends.
//!
//! A pure function: it knows neither files nor bytes.

use crate::report::Damage;
use crate::scan::Run;

/// What was found in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) first: u64,
    /// Up to where, from here to `first`, nothing is missed, since its loss was accepted.
    pub(crate) behind: u64,
    pub(crate) runs: Vec<Run>,
}

/// A run that stays, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Which of the segments.
    pub(crate) segment: usize,
    pub(crate) run: Run,
    /// The number that follows what is before it.
    pub(crate) behind: u64,
}

/// What is to be made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) kept: Vec<Kept>,
    pub(crate) damage: Damage,
    /// The number of the next record.
    pub(crate) next: u64,
    /// The number behind the last one that is kept: less than `next` after a loss at the end.
    pub(crate) behind: u64,
}

/// `first` is the oldest number that is needed; everything below `witness` was durable.
pub(crate) fn judge(segments: &[Found], first: u64, witness: u64) -> Verdict {
    let mut verdict = Verdict { next: first, behind: first, ..Verdict::default() };
    for (at, segment) in segments.iter().enumerate() {
        // Part of what is missing before this segment was accepted once. The rest is a loss: the
        // segment is its witness.
        if segment.behind < segment.first && verdict.next < segment.first {
            verdict.damage.add(verdict.next..segment.behind);
            verdict.next = segment.first;
        }
        for &run in &segment.runs {
            if run.below <= verdict.next {
                continue;
            }
            if run.first > verdict.next {
                if verdict.next >= witness {
                    return verdict;
                }
                let hole = verdict.next..run.first.min(witness);
                verdict.next = hole.end;
                verdict.damage.add(hole);
                if run.first > verdict.next {
                    return verdict;
                }
            }
            verdict.kept.push(Kept { segment: at, run, behind: verdict.behind });
            verdict.next = run.below;
            verdict.behind = run.below;
        }
    }
    if verdict.next < witness {
        verdict.damage.add(verdict.next..witness);
        verdict.next = witness;
    }
    verdict
}
