//! What was found when a journal was opened.

use std::fmt;
use std::ops::Range;

/// What opening a journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisRecovery {
    /// There was none of this name.
    pub is_new: bool,
    /// How many records are there and still needed.
    pub records: u64,
    /// The server has started again, or another one has taken its place, since the process that had
    /// the journal last wrote there. What the server hadn't saved or passed on by then is lost, and
    /// nobody can tell if there was anything: it would have had this number and those behind it,
    /// which are given again. `None` where that can't be.
    pub may_lack_from: Option<u64>,
    /// What was lost and accepted now.
    pub lost: Option<RecordsLost>,
}

impl RedisRecovery {
    /// What may be lost, in a sentence; `None` where nothing can be.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let from = self.may_lack_from?;
        Some(format!(
            "the server of the journal was started again, or replaced by another one, since it was \
             last written to: records from {from} on may be lost, if there were any"
        ))
    }
}

/// Records that are gone although they are needed: the error inside of a refusal to open.
///
/// The journal says which ones it holds, and they aren't there. Redis doesn't lose them one by one:
/// somebody has removed or trimmed them, or it evicted the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordsLost {
    /// The numbers of the records that are gone, in order.
    pub lost: Vec<Range<u64>>,
}

impl RecordsLost {
    /// Those of `needed` that aren't among `numbers`, which are in order.
    pub(super) fn among(needed: Range<u64>, numbers: impl Iterator<Item = u64>) -> Self {
        let (mut lost, mut at) = (Vec::new(), needed.start);
        for number in numbers.filter(|number| needed.contains(number)).chain([needed.end]) {
            if at < number {
                lost.push(at..number);
            }
            at = number + 1;
        }
        Self { lost }
    }
}

impl fmt::Display for RecordsLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lost are the records")?;
        // However many there are, it stays a line.
        for (at, range) in self.lost.iter().take(8).enumerate() {
            let opening = if at == 0 { "" } else { "," };
            match range.end - range.start {
                1 => write!(f, "{opening} {}", range.start)?,
                _ => write!(f, "{opening} {} to {}", range.start, range.end - 1)?,
            }
        }
        match self.lost.len().saturating_sub(8) {
            0 => Ok(()),
            more => write!(f, ", and {more} more ranges"),
        }
    }
}

impl std::error::Error for RecordsLost {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let among = |numbers: &[u64]| RecordsLost::among(3..9, numbers.iter().copied()).lost;
        assert_eq!(among(&[3, 4, 5, 6, 7, 8]), []);
        assert_eq!(among(&[1, 2, 4, 5, 8, 9]), [3..4, 6..8]);
        assert_eq!(among(&[]), [Range { start: 3, end: 9 }]);
        let lost = RecordsLost { lost: vec![3..4, 6..9] };
        assert_eq!(lost.to_string(), "lost are the records 3, 6 to 8");
        let lost = RecordsLost { lost: (0..20).map(|at| at * 2..at * 2 + 1).collect() };
        assert!(lost.to_string().ends_with(" 14, and 12 more ranges"), "{lost}");
    }
}
