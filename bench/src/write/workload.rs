//! What is written, by whom in what order, and what must be there in the end.

use std::collections::BTreeMap;

use crate::memory::Popularity;

/// How many write at once.
pub(super) const WRITERS: usize = 256;
/// How many counters there are.
pub(super) const KEYS: u64 = 300;
/// Every third row is written again behind so many other writes of its writer.
const AGAIN_AFTER: usize = 8;

/// Which kind of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counters,
    Rows,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Counters, Self::Rows];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Rows => "rows",
        }
    }
}

/// One write: what is added to a counter, or the number in the body of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct One {
    pub(super) id: i64,
    pub(super) number: i64,
}

/// Writes, a list for each writer.
pub(super) struct Workload {
    pub(super) kind: Kind,
    pub(super) lists: Vec<Vec<One>>,
}

/// What a row holds.
pub(super) fn body(number: i64) -> String {
    format!("{number:0>100}")
}

impl Workload {
    /// About so many writes of each kind.
    pub(super) fn both(writes: usize) -> [Self; 2] {
        let each = writes / WRITERS;
        let keys = Popularity::Zipf.draw(KEYS, each * WRITERS, 7);
        let add = |(at, &key): (usize, &_)| One { id: id(key), number: id(at as u64 % 3 + 1) };
        let counters = keys.chunks(each).map(|keys| keys.iter().enumerate().map(add).collect());
        let rows = (0..WRITERS).map(|writer| rows_of(writer, each));
        [
            Self { kind: Kind::Counters, lists: counters.collect() },
            Self { kind: Kind::Rows, lists: rows.collect() },
        ]
    }

    pub(super) fn count(&self) -> usize {
        self.lists.iter().map(Vec::len).sum()
    }

    /// What each key must hold in the end. A row has one writer, so it is known which is the last.
    pub(super) fn expected(&self) -> BTreeMap<i64, i64> {
        let mut held: BTreeMap<i64, i64> = match self.kind {
            Kind::Counters => (0..KEYS).map(|key| (id(key), 0)).collect(),
            Kind::Rows => BTreeMap::new(),
        };
        for one in self.lists.iter().flatten() {
            let held = held.entry(one.id).or_insert(0);
            match self.kind {
                Kind::Counters => *held += one.number,
                Kind::Rows => *held = one.number,
            }
        }
        held
    }
}

/// Rows that no other writer writes.
fn rows_of(writer: usize, count: usize) -> Vec<One> {
    let mut list: Vec<One> = Vec::with_capacity(count);
    for at in 0..count {
        let again = at.checked_sub(AGAIN_AFTER).filter(|_| at % 3 == 2);
        let key = again.map_or_else(|| id((at * WRITERS + writer) as u64), |at| list[at].id);
        list.push(One { id: key, number: id((at * WRITERS + writer) as u64) });
    }
    list
}

fn id(number: u64) -> i64 {
    i64::try_from(number).expect("there are not so many")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_once_or_twice_and_by_one_writer() {
        let [counters, rows] = Workload::both(WRITERS * 60);
        assert_eq!((counters.count(), rows.count()), (WRITERS * 60, WRITERS * 60));
        let mut times: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (writer, list) in rows.lists.iter().enumerate() {
            list.iter().for_each(|one| times.entry(one.id).or_default().push(writer));
        }
        assert!(times.values().all(|writers| writers.len() <= 2));
        assert!(times.values().all(|writers| writers.iter().all(|one| *one == writers[0])));
        let twice = times.values().filter(|writers| writers.len() == 2).count();
        assert_eq!(twice, WRITERS * 18);
        assert_eq!(rows.expected().len(), WRITERS * 42);
    }

    #[test]
    fn counters_are_few_and_what_is_added_is_summed_up() {
        let [counters, _] = Workload::both(WRITERS * 60);
        let expected = counters.expected();
        assert_eq!(expected.len(), KEYS as usize);
        let sum: i64 = counters.lists.iter().flatten().map(|one| one.number).sum();
        assert_eq!(expected.values().sum::<i64>(), sum);
    }
}
