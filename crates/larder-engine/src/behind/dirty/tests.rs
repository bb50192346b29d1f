//! The dirty map against what it stands for: writes applied one by one.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Map = Dirty<u64, i64>;

fn map() -> Map {
    Dirty::new(Some(Box::new(|value, difference| Ok(value.copied().unwrap_or(0) + difference))))
}

fn coming(write: Write<i64>) -> Coming<i64> {
    Coming { write, epoch: 1, letter: None, weight: 8, now: Moment::ZERO }
}

fn push(map: &Map, key: u64, write: Write<i64>, number: u64) -> Read<i64> {
    map.push(&key, coming(write), |_| Ok(number)).unwrap()
}

fn base() -> Arc<Base> {
    Arc::new(Base { at: Moment::ZERO, born: 0, rider: None })
}

fn applied(written: Written<i64>) -> Settled<i64> {
    Settled::Applied(written, Some(base()))
}

/// Pins a key, and returns how often it was doubted.
fn pin(map: &Map, key: u64) -> u64 {
    match map.pin(&key) {
        Beneath::Pinned(doubts) => doubts,
        other => panic!("{other:?}"),
    }
}

fn found(value: i64, doubts: u64) -> Option<Found<i64>> {
    Some(Found { value: Some(value), base: base(), doubts })
}

fn seen(map: &Map, key: u64) -> Option<Seen<i64>> {
    map.read(&key).map(|read| read.seen)
}

fn taken(map: &Map) -> Vec<(Write<i64>, u64)> {
    map.take(9, usize::MAX).into_iter().map(|taken| (taken.write, taken.sequence.number)).collect()
}

#[test]
fn writes_of_a_key_join_and_what_flies_stays_as_it_is() {
    let map = map();
    push(&map, 1, Write::Add(5), 1);
    push(&map, 1, Write::Store(10), 2);
    push(&map, 1, Write::Add(1), 3);
    push(&map, 1, Write::Add(2), 4);
    assert_eq!(map.oldest(), Some((1, Moment::ZERO)));
    assert_eq!(taken(&map), [(Write::Store(10), 2)]);
    push(&map, 1, Write::Add(3), 5);
    assert_eq!(taken(&map), []);
    assert!(!map.settle(&1, applied(Written::Unsaid)));
    assert_eq!(taken(&map), [(Write::Add(6), 5)]);
    let read = push(&map, 1, Write::Delete, 6);
    assert_eq!((read.seen, read.last), (Seen::Value(None), 6));
    assert!(!map.settle(&1, applied(Written::Unsaid)));
    assert_eq!(taken(&map), [(Write::Delete, 6)]);
    assert!(map.settle(&1, applied(Written::Absent)));
    map.close(&1);
    assert_eq!((map.keys(), map.bytes(), map.oldest(), seen(&map, 1)), (0, 0, None, None));
}

#[test]
fn what_takes_the_place_of_others_needs_their_records_until_it_is_durable() {
    let map = map();
    push(&map, 1, Write::Add(5), 1);
    push(&map, 1, Write::Store(10), 2);
    push(&map, 1, Write::Store(11), 3);
    map.durable_below(3);
    assert_eq!(map.oldest(), Some((1, Moment::ZERO)));
    map.durable_below(4);
    assert_eq!(map.oldest(), Some((3, Moment::ZERO)));
}

#[test]
fn what_takes_the_place_of_others_waits_for_as_long_as_they_did() {
    let map = map();
    let later = Moment::ZERO + std::time::Duration::from_secs(1);
    push(&map, 1, Write::Store(1), 1);
    let again = Coming { now: later, ..coming(Write::Store(2)) };
    map.push(&1, again, |_| Ok(2)).unwrap();
    map.durable_below(3);
    assert_eq!(map.oldest(), Some((2, Moment::ZERO)));
}

#[test]
fn a_dead_letter_is_neither_joined_nor_taken_over() {
    let map = map();
    let letter = Coming { letter: Some(7), ..coming(Write::Add(1)) };
    map.push(&1, letter, |_| Ok(1)).unwrap();
    push(&map, 1, Write::Add(2), 2);
    push(&map, 1, Write::Store(3), 3);
    let first = map.take(9, usize::MAX);
    assert_eq!((first.len(), first[0].letter, &first[0].write), (1, Some(7), &Write::Add(1)));
    map.settle(&1, applied(Written::Unsaid));
    assert_eq!(taken(&map), [(Write::Store(3), 3)]);
}

#[test]
fn where_no_number_is_to_be_had_nothing_happens() {
    let map = map();
    let full = |_| Err(Error::new(ErrorKind::Shed, "full"));
    assert!(map.push(&1, coming(Write::Store(1)), full).is_err());
    assert_eq!((map.keys(), map.bytes()), (0, 0));
    push(&map, 1, Write::Store(1), 1);
    assert!(map.push(&1, coming(Write::Store(2)), full).is_err());
    let read = map.read(&1).unwrap();
    assert_eq!((read.seen, read.last), (Seen::Value(Some(1)), 1));
}

#[test]
fn a_sum_that_no_number_can_hold_is_refused_and_nothing_lost() {
    let map = Dirty::<u64, i64>::new(None);
    push(&map, 1, Write::Add(i64::MAX), 1);
    let error = map.push(&1, coming(Write::Add(1)), |_| panic!("it must not be appended"));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(taken(&map), [(Write::Add(i64::MAX), 1)]);
}

#[test]
fn what_is_beneath_is_read_while_nothing_is_applied() {
    let map = map();
    assert!(matches!(map.pin(&1), Beneath::Clean));
    push(&map, 1, Write::Add(5), 1);
    let doubts = pin(&map, 1);
    assert_eq!(taken(&map), []);
    push(&map, 1, Write::Add(2), 2);
    let read = map.unpin(&1, found(100, doubts)).unwrap();
    assert_eq!(read.seen, Seen::Value(Some(107)));
    assert_eq!(taken(&map), [(Write::Add(7), 2)]);
    push(&map, 1, Write::Add(1), 3);
    assert!(matches!(map.pin(&1), Beneath::Known(Some(108), Some(_), _)));
}

#[test]
fn what_was_read_beneath_is_read_again_once_somebody_may_have_changed_it() {
    let map = map();
    push(&map, 1, Write::Add(5), 1);
    let doubts = pin(&map, 1);
    map.unpin(&1, found(100, doubts));
    assert_eq!(seen(&map, 1), Some(Seen::Value(Some(105))));
    map.doubt(&1);
    assert_eq!(seen(&map, 1), Some(Seen::Beneath));
    // What is being read meanwhile is good for its reader alone.
    let doubts = pin(&map, 1);
    map.doubt(&1);
    let read = map.unpin(&1, found(100, doubts)).unwrap();
    assert_eq!((read.seen, seen(&map, 1)), (Seen::Value(Some(105)), Some(Seen::Beneath)));
    let doubts = pin(&map, 1);
    map.unpin(&1, found(200, doubts));
    map.doubt_unless(&1, |base| base.is_some());
    assert_eq!(seen(&map, 1), Some(Seen::Value(Some(205))));
    // A write that says all of it rests on nothing.
    push(&map, 1, Write::Store(7), 2);
    map.doubt(&1);
    assert_eq!(seen(&map, 1), Some(Seen::Value(Some(7))));
}

#[test]
fn what_a_write_returned_is_not_counted_on_where_somebody_overlapped_it() {
    let map = map();
    push(&map, 1, Write::Store(1), 1);
    taken(&map);
    push(&map, 1, Write::Add(1), 2);
    map.doubt(&1);
    assert!(!map.settle(&1, applied(Written::Value(1))));
    assert_eq!(seen(&map, 1), Some(Seen::Beneath));
    // What was applied and not returned rests on its transaction, too.
    push(&map, 2, Write::Store(1), 3);
    assert_eq!(taken(&map).len(), 2);
    push(&map, 2, Write::Add(1), 4);
    map.settle(&2, applied(Written::Unsaid));
    assert_eq!(seen(&map, 2), Some(Seen::Value(Some(2))));
    map.doubt(&2);
    assert_eq!(seen(&map, 2), Some(Seen::Beneath));
}

#[test]
fn what_was_buried_is_not_seen() {
    let map = map();
    push(&map, 1, Write::Store(1), 1);
    taken(&map);
    push(&map, 1, Write::Add(1), 2);
    assert_eq!(seen(&map, 1), Some(Seen::Value(Some(2))));
    map.settle(&1, Settled::Buried);
    assert_eq!(seen(&map, 1), Some(Seen::Beneath));
}

#[test]
fn what_flies_or_is_being_closed_says_nothing_of_what_is_beneath() {
    let map = map();
    push(&map, 1, Write::Add(5), 1);
    taken(&map);
    assert!(matches!(map.pin(&1), Beneath::Flies));
    assert!(map.settle(&1, applied(Written::Unsaid)));
    assert!(matches!(map.pin(&1), Beneath::Flies));
    map.close(&1);
    assert!(matches!(map.pin(&1), Beneath::Clean));
}

#[test]
fn a_write_that_comes_while_a_key_is_being_closed_keeps_it() {
    let map = map();
    push(&map, 1, Write::Store(1), 1);
    taken(&map);
    assert!(map.settle(&1, applied(Written::Unsaid)));
    push(&map, 1, Write::Store(2), 2);
    map.close(&1);
    assert_eq!(taken(&map), [(Write::Store(2), 2)]);
}

#[test]
fn what_another_writer_left_beneath_shows_once_the_sink_says_it() {
    let map = map();
    push(&map, 1, Write::Store(1), 1);
    push(&map, 1, Write::Add(1), 2);
    taken(&map);
    push(&map, 1, Write::Add(1), 3);
    map.settle(&1, applied(Written::Value(50)));
    assert_eq!(map.read(&1).unwrap().seen, Seen::Value(Some(52)));
}

#[test]
fn a_batch_has_no_more_keys_or_bytes_than_it_may_and_the_oldest_first() {
    let map = map();
    for key in 0..100 {
        push(&map, key, Write::Store(0), key);
    }
    assert_eq!(map.take(10, usize::MAX).len(), 10);
    assert_eq!(map.take(usize::MAX, 24).len(), 3);
    assert_eq!(map.take(usize::MAX, 1).len(), 1);
    let single = self::map();
    let shard = |key: &u64| std::ptr::from_ref(single.shard(key));
    let same: Vec<u64> = (0..1000).filter(|key| shard(key) == shard(&0)).take(3).collect();
    same.iter().enumerate().for_each(|(at, &key)| {
        push(&single, key, Write::Store(0), at as u64);
    });
    let order: Vec<u64> = single.take(9, usize::MAX).into_iter().map(|taken| taken.key).collect();
    assert_eq!(order, same);
}

#[derive(Clone, Debug)]
enum Step {
    Push(u64, Write<i64>, bool),
    Take(usize),
    /// Everything that flies is applied, or, as the sink knows, not. Somebody else may write a key
    /// before that is known.
    Land(bool, Option<(u64, i64)>),
    /// Somebody else writes a key.
    Foreign(u64, i64),
    /// Somebody reads beneath a key, which somebody else may write meanwhile.
    Beneath(u64, Option<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    let write = prop_oneof![
        (0_i64..100).prop_map(Write::Store),
        Just(Write::Delete),
        (-9_i64..9).prop_map(Write::Add),
    ];
    let foreign = || (0_u64..4, 1000_i64..2000);
    prop_oneof![
        4 => (0_u64..4, write, proptest::bool::weighted(0.1))
            .prop_map(|(key, write, letter)| Step::Push(key, write, letter)),
        2 => (1_usize..4).prop_map(Step::Take),
        2 => (any::<bool>(), proptest::option::of(foreign()))
            .prop_map(|(lands, foreign)| Step::Land(lands, foreign)),
        1 => foreign().prop_map(|(key, value)| Step::Foreign(key, value)),
        2 => (0_u64..4, proptest::option::of(1000_i64..2000))
            .prop_map(|(key, foreign)| Step::Beneath(key, foreign)),
    ]
}

/// What a table of numbers holds after a write.
fn apply(rows: &mut HashMap<u64, i64>, key: u64, write: &Write<i64>) {
    match write {
        Write::Store(value) => drop(rows.insert(key, *value)),
        Write::Delete => drop(rows.remove(&key)),
        Write::Add(difference) => *rows.entry(key).or_default() += difference,
    }
}

/// The map, and a table that others write as well.
struct World {
    map: Map,
    table: HashMap<u64, i64>,
    /// What was acknowledged and isn't in the table, one by one, with its number.
    waiting: HashMap<u64, Vec<(u64, Write<i64>)>>,
    applied: HashMap<u64, u64>,
    flying: Vec<Numbered<u64, i64>>,
}

impl World {
    /// The table, and on top of it everything that waits.
    fn truth(&self, key: u64) -> Option<i64> {
        let row = self.table.get(&key).map(|value| (key, *value));
        let mut rows: HashMap<u64, i64> = row.into_iter().collect();
        let waiting = self.waiting.get(&key).into_iter().flatten();
        waiting.for_each(|(_, write)| apply(&mut rows, key, write));
        rows.get(&key).copied()
    }

    /// Somebody else writes, and that is told.
    fn foreign(&mut self, key: u64, value: i64) {
        self.table.insert(key, value);
        self.map.doubt(&key);
    }

    fn land(&mut self, lands: bool, mut foreign: Option<(u64, i64)>) {
        for taken in std::mem::take(&mut self.flying) {
            let (key, number) = (taken.key, taken.sequence.number);
            if !lands {
                self.map.give_back(&key);
                continue;
            }
            let before = self.applied.insert(key, number);
            assert!(before < Some(number));
            apply(&mut self.table, key, &taken.write);
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.retain(|(of, _)| *of > number);
            }
            let written = self.table.get(&key).copied();
            if let Some((key, value)) = foreign.take_if(|(of, _)| *of == key) {
                self.foreign(key, value);
            }
            if self.map.settle(&key, applied(written.map_or(Written::Absent, Written::Value))) {
                self.map.close(&key);
            }
        }
    }

    fn read_beneath(&mut self, key: u64, foreign: Option<i64>) {
        let Beneath::Pinned(doubts) = self.map.pin(&key) else { return };
        let (value, truth) = (self.table.get(&key).copied(), self.truth(key));
        if let Some(foreign) = foreign {
            self.foreign(key, foreign);
        }
        let read = self.map.unpin(&key, Some(Found { value, base: base(), doubts })).unwrap();
        assert_eq!(read.seen, Seen::Value(truth), "it was the truth when it was read");
    }
}

proptest! {
    /// Whatever joins, whatever fails and whoever else writes: when everything has landed, the
    /// table holds what it would hold had each write been applied by itself; and on the way each
    /// key's numbers only grow, and what is seen is the table with what was acknowledged on top.
    #[test]
    fn joined_writes_mean_what_each_of_them_meant(steps in vec(step(), 1..80)) {
        let mut world = World {
            map: map(),
            table: HashMap::new(),
            waiting: HashMap::new(),
            applied: HashMap::new(),
            flying: Vec::new(),
        };
        let mut number = 0;
        for step in steps {
            match step {
                Step::Push(key, write, is_letter) => {
                    number += 1;
                    world.waiting.entry(key).or_default().push((number, write.clone()));
                    let letter = is_letter.then_some(number);
                    let coming = Coming { letter, ..coming(write) };
                    world.map.push(&key, coming, |_| Ok(number)).unwrap();
                }
                Step::Take(max) => world.flying.extend(world.map.take(max, usize::MAX)),
                Step::Land(lands, foreign) => world.land(lands, foreign),
                Step::Foreign(key, value) => world.foreign(key, value),
                Step::Beneath(key, foreign) => world.read_beneath(key, foreign),
            }
            for key in 0..4 {
                if let Some(Seen::Value(seen)) = seen(&world.map, key) {
                    prop_assert_eq!(seen, world.truth(key));
                }
            }
        }
        let truth: Vec<_> = (0..4).map(|key| world.truth(key)).collect();
        world.land(true, None);
        loop {
            world.flying.extend(world.map.take(2, usize::MAX));
            if world.flying.is_empty() {
                break;
            }
            world.land(true, None);
        }
        prop_assert_eq!((world.map.keys(), world.map.bytes(), world.map.oldest()), (0, 0, None));
        let table: Vec<_> = (0..4).map(|key| world.table.get(&key).copied()).collect();
        prop_assert_eq!(table, truth);
    }
}
