//! What a run showed, in numbers and in words.

use std::collections::BTreeMap;
use std::fmt;

use super::Fault;
use crate::checker;

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// What failed.
    pub fault: Fault,
    /// How often.
    pub strikes: u32,
    /// The judgement of all reads that were answered with a value.
    pub reads: checker::Report,
    /// How often each larder was caught with an account whose writer forgot to announce.
    pub control: Vec<usize>,
    /// How many commits there were.
    pub writes: u64,
    /// How many of them could never be announced. They bind nobody.
    pub unannounced: u64,
    /// How often an announcement was refused, and tried again.
    pub announced_again: u64,
    /// How many answers were no version of an account, and no error.
    pub odd: u64,
    /// The errors that reads and announcements had: by their code, or by what happened to the
    /// connection.
    pub errors: BTreeMap<String, Errors>,
    /// How often the database was asked for an account, under load.
    pub queries: u64,
    /// What was found when all was quiet.
    pub sweep: Sweep,
}

/// Errors of one kind.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    /// How many there were.
    pub times: u64,
    /// What the first one said.
    pub first: String,
}

/// What was found when all was quiet.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// How many entries Redis held that a larder would serve.
    pub entries: usize,
    /// How many answers and entries were wrong and stayed so.
    pub wrong: usize,
    /// Some of them, in words, at most [`SHOWN_MAX`](Self::SHOWN_MAX) of a larder or of Redis.
    pub shown: Vec<String>,
}

impl Report {
    /// Whether each larder would have been found out.
    #[must_use]
    pub fn is_controlled(&self) -> bool {
        !self.control.is_empty() && self.control.iter().all(|&caught| caught > 0)
    }

    /// How many reads, answers and entries were wrong.
    #[must_use]
    pub fn violations(&self) -> usize {
        self.reads.violations + self.odd as usize + self.sweep.wrong
    }

    /// Fails the test with the whole report if anything was wrong, if a larder found a defect of
    /// its own (`INTERNAL`), if nothing was read or written, or if a larder wasn't caught by the
    /// [control](super#the-control).
    ///
    /// # Panics
    ///
    /// When it was.
    pub fn assert_kept(&self) {
        assert!(self.violations() == 0, "{self}");
        assert!(!self.errors.contains_key("INTERNAL"), "{self}");
        let announced = self.writes - self.unannounced;
        assert!(self.reads.reads > 0 && announced > 0, "nothing was checked: {self}");
        assert!(self.is_controlled(), "nothing would have been found: {self}");
    }
}

impl Default for Report {
    fn default() -> Self {
        Self {
            fault: Fault::Nothing,
            strikes: 0,
            reads: checker::Report::default(),
            control: Vec::new(),
            writes: 0,
            unannounced: 0,
            announced_again: 0,
            odd: 0,
            errors: BTreeMap::new(),
            queries: 0,
            sweep: Sweep::default(),
        }
    }
}

impl Sweep {
    /// How many wrong things of a larder, or of Redis, are described.
    pub const SHOWN_MAX: usize = 5;

    pub(super) fn add(&mut self, wrong: &[String]) {
        self.wrong += wrong.len();
        self.shown.extend(wrong.iter().take(Self::SHOWN_MAX).cloned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} times: {}", self.fault, self.strikes, self.reads)?;
        let Self { writes, unannounced, announced_again, queries, .. } = self;
        writeln!(
            f,
            "{writes} commits, announced again {announced_again} times, {unannounced} never; \
             {queries} queries"
        )?;
        writeln!(f, "caught with what nobody announced, each larder: {:?} times", self.control)?;
        if self.odd > 0 {
            writeln!(f, "{} answers were neither a version nor an error", self.odd)?;
        }
        for Errors { times, first } in self.errors.values() {
            writeln!(f, "{times} times: {first}")?;
        }
        let Sweep { entries, wrong, shown } = &self.sweep;
        write!(f, "at the end: {entries} entries in Redis, {wrong} wrong")?;
        shown.iter().try_for_each(|wrong| write!(f, "\n  {wrong}"))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn is_kept(change: impl FnOnce(&mut Report)) -> bool {
        let reads = checker::Report { reads: 1, ..checker::Report::default() };
        let mut report = Report { reads, control: vec![3, 1], writes: 1, ..Report::default() };
        change(&mut report);
        catch_unwind(AssertUnwindSafe(|| report.assert_kept())).is_ok()
    }

    #[test]
    fn a_run_fails_by_whatever_was_wrong_and_when_nothing_was_checked() {
        let errors = |code: &str| BTreeMap::from([(code.to_owned(), Errors::default())]);
        assert!(is_kept(|_| {}));
        assert!(is_kept(|report| report.errors = errors("SHAREDDOWN")));
        assert!(!is_kept(|report| report.errors = errors("INTERNAL")));
        assert!(!is_kept(|report| report.reads.violations = 1));
        assert!(!is_kept(|report| report.odd = 1));
        assert!(!is_kept(|report| report.sweep.add(&["wrong".to_owned()])));
        assert!(!is_kept(|report| report.reads.reads = 0));
        assert!(!is_kept(|report| report.unannounced = 1));
        assert!(!is_kept(|report| report.control = vec![3, 0]));
        assert!(!is_kept(|report| report.control = Vec::new()));
    }

    #[test]
    fn a_sweep_counts_all_and_shows_some() {
        let mut sweep = Sweep::default();
        sweep.add(&vec!["wrong".to_owned(); 40]);
        assert_eq!((sweep.wrong, sweep.shown.len()), (40, Sweep::SHOWN_MAX));
    }
}
