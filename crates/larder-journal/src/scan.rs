//! What is found in the bytes of a segment: runs of good records, and what the headers witness.
//!
//! A pure function over any bytes at all: it never fails, and takes time in proportion to their
//! number. It finds; what a hole between two runs means is judged elsewhere.

use crate::format::{FRAME_BYTES, Frame, HEADER_BYTES, Seed};

/// Good records, one directly behind the other in the file and in number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u64,
    /// The number behind the last.
    pub(crate) below: u64,
    /// Where in the file the first begins.
    pub(crate) from: usize,
    /// Where the last ends.
    pub(crate) to: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// In the order of the file, which is that of their numbers.
    pub(crate) runs: Vec<Run>,
    /// The greatest witness of all headers, damaged payloads behind them or not.
    pub(crate) witness: u64,
}

/// Looks for records with numbers from `first` to below `below`, where the header of a segment
/// ends.
pub(crate) fn scan(bytes: &[u8], seed: &Seed, first: u64, below: u64) -> Scan {
    let mut scan = Scan::default();
    let mut at = HEADER_BYTES;
    let mut expected = first;
    while at + FRAME_BYTES <= bytes.len() {
        let frame = Frame::decode(&bytes[at..], seed);
        let Some(frame) = frame.filter(|frame| (expected..below).contains(&frame.number)) else {
            at = next_candidate(bytes, at);
            continue;
        };
        scan.witness = scan.witness.max(frame.witness);
        let payload = at + FRAME_BYTES;
        match bytes.get(payload..payload + frame.length) {
            Some(found) if frame.fits(found, seed) => {
                scan.add(frame.number, at, payload + frame.length);
                at = payload + frame.length;
            }
            // The header is good, so its length is: what follows begins there.
            Some(_) => at = payload + frame.length,
            None => at = payload,
        }
        expected = frame.number + 1;
    }
    scan
}

/// Where, behind `at`, a record may begin.
fn next_candidate(bytes: &[u8], at: usize) -> usize {
    // The number's bytes, which are 8 to 16 of a record, are not all zero.
    match bytes[at + 1..].iter().position(|&byte| byte != 0) {
        Some(zeros) => (at + 1 + zeros).saturating_sub(15).max(at + 1),
        None => bytes.len(),
    }
}

impl Scan {
    fn add(&mut self, number: u64, from: usize, to: usize) {
        match self.runs.last_mut() {
            Some(run) if run.below == number && run.to == from => {
                run.below = number + 1;
                run.to = to;
            }
            _ => self.runs.push(Run { first: number, below: number + 1, from, to }),
        }
    }
}

/// The records of a run: header, and where in the file it is.
pub(crate) fn frames<'a>(
    bytes: &'a [u8],
    seed: &'a Seed,
    run: Run,
) -> impl Iterator<Item = (Frame, usize)> + 'a {
    let mut at = run.from;
    std::iter::from_fn(move || {
        let frame = (at < run.to).then(|| Frame::decode(&bytes[at..], seed)).flatten()?;
        let found = (frame, at);
        at += FRAME_BYTES + frame.length;
        Some(found)
    })
}
