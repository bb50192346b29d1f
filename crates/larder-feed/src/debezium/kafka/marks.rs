//! What is kept beside the offsets: which reading acknowledged them, and how far it counted.
//!
//! Offsets of several partitions have no order: one reading may be ahead in one and another one in
//! another. So a place is a reading's number and how many batches it had delivered. Each reading
//! takes the next number, and writes it down before it delivers anything; so places of a later one
//! are greater, and no two readings ever have the same.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use crate::debezium::records::Place;

/// So many bits count the batches of a reading, and so many the readings.
const BATCH_BITS: u32 = 32;
const READING_BITS: u32 = 24;
const WORD: &str = "larder";

/// What stands beside one partition's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which run of readings.
    log: u32,
    /// The last reading that began.
    reading: u32,
    /// What was acknowledged, by it or one before it.
    acknowledged: u64,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        if parts.next() != Some(WORD) {
            return None;
        }
        let log = u32::from_str_radix(parts.next()?, 16).ok()?;
        let reading = parts.next()?.parse().ok()?;
        let acknowledged = parts.next()?.parse().ok()?;
        (parts.next().is_none()).then_some(Self { log, reading, acknowledged })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{WORD} {:08x} {} {}", self.log, self.reading, self.acknowledged)
    }
}

/// How one reading counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    mark: Mark,
    batches: u32,
    is_continued: bool,
}

impl Count {
    /// The reading after those that left these texts, one for each partition; of a new run where
    /// that isn't known, or where something was lost.
    pub(super) fn after<'a>(texts: impl IntoIterator<Item = &'a str>, is_lost: bool) -> Self {
        let marks: Option<Vec<Mark>> = texts.into_iter().map(Mark::parse).collect();
        let marks = marks.filter(|_| !is_lost).unwrap_or_default();
        let newest = marks.iter().copied().reduce(|one, other| Mark {
            log: one.log,
            reading: one.reading.max(other.reading),
            acknowledged: one.acknowledged.max(other.acknowledged),
        });
        let known = newest.filter(|newest| {
            newest.reading < (1 << READING_BITS) - 1
                && marks.iter().all(|mark| mark.log == newest.log)
        });
        match known {
            Some(known) => Self {
                mark: Mark { reading: known.reading + 1, ..known },
                batches: 0,
                is_continued: true,
            },
            None => {
                let log = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
                let mark = Mark { log, reading: 1, acknowledged: 0 };
                Self { mark, batches: 0, is_continued: false }
            }
        }
    }

    /// The place that was acknowledged when this reading began, if it is known.
    pub(super) fn begins(&self) -> Option<Place> {
        let place = Place { log: self.mark.log, number: self.mark.acknowledged };
        self.is_continued.then_some(place)
    }

    /// The number of the next batch; `None` when there is none left, which is after four billion.
    pub(super) fn next(&mut self) -> Option<u64> {
        self.batches = self.batches.checked_add(1)?;
        Some(u64::from(self.mark.reading) << BATCH_BITS | u64::from(self.batches))
    }

    /// What is kept beside the offsets when this reading begins, and when so much of it was
    /// acknowledged.
    pub(super) fn text(&self, acknowledged: Option<u64>) -> String {
        let acknowledged = acknowledged.unwrap_or(self.mark.acknowledged);
        Mark { acknowledged, ..self.mark }.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_reading_has_greater_places_than_all_before_it() {
        let mut one = Count::after([], false);
        assert_eq!(one.begins(), None);
        let (first, second) = (one.next().unwrap(), one.next().unwrap());
        assert!(first < second);
        // Two that died before they acknowledged anything.
        let two = Count::after([&*one.text(Some(first)), &*one.text(None)], false);
        let mut three = Count::after([&*two.text(None)], false);
        assert_eq!(three.begins().unwrap().number, first);
        assert_eq!(three.begins().unwrap().log, two.begins().unwrap().log);
        assert!(three.next().unwrap() > two.clone().next().unwrap());
        assert!(three.next().unwrap() < 1 << 56);
    }

    #[test]
    fn what_isnt_known_or_was_lost_begins_a_new_run() {
        let (one, other) = (Count::after([], false), Count::after([], false));
        let (one, other) = (one.text(None), other.text(None));
        for (texts, is_lost) in [
            (vec![&*one, ""], false),
            (vec![&*one, "somebody else's"], false),
            (vec![&*one, &*other], false),
            (vec![&*one], true),
        ] {
            assert_eq!(Count::after(texts, is_lost).begins(), None);
        }
        assert!(Count::after([&*one], false).begins().is_some());
    }

    #[test]
    fn the_last_number_is_followed_by_none_and_the_last_reading_by_a_new_run() {
        let mut count = Count::after([], false);
        count.batches = u32::MAX;
        assert_eq!(count.next(), None);
        let text = format!("larder 00000001 {} 5", (1 << READING_BITS) - 1);
        assert_eq!(Count::after([&*text], false).begins(), None);
    }
}
