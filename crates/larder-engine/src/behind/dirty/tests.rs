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
    assert!(!map.settle(&1, Written::Unsaid));
    assert_eq!(taken(&map), [(Write::Add(6), 5)]);
    let read = push(&map, 1, Write::Delete, 6);
    assert_eq!(read, Read { seen: Seen::Value(None), last: 6 });
    assert!(!map.settle(&1, Written::Unsaid));
    assert_eq!(taken(&map), [(Write::Delete, 6)]);
    assert!(map.settle(&1, Written::Absent));
    map.close(&1);
    assert_eq!((map.keys(), map.bytes(), map.oldest(), map.read(&1)), (0, 0, None, None));
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
    map.settle(&1, Written::Unsaid);
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
    assert_eq!(map.read(&1), Some(Read { seen: Seen::Value(Some(1)), last: 1 }));
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
    assert_eq!(map.pin(&1), Beneath::Clean);
    push(&map, 1, Write::Add(5), 1);
    assert_eq!(map.pin(&1), Beneath::Pinned);
    assert_eq!(taken(&map), []);
    push(&map, 1, Write::Add(2), 2);
    assert_eq!(map.unpin(&1, Some(Some(100))), Some(Seen::Value(Some(107))));
    assert_eq!(taken(&map), [(Write::Add(7), 2)]);
    push(&map, 1, Write::Add(1), 3);
    assert_eq!(map.pin(&1), Beneath::Known(Some(108)));
}

#[test]
fn what_flies_or_is_being_closed_says_nothing_of_what_is_beneath() {
    let map = map();
    push(&map, 1, Write::Add(5), 1);
    taken(&map);
    assert_eq!(map.pin(&1), Beneath::Flies);
    assert!(map.settle(&1, Written::Unsaid));
    assert_eq!(map.pin(&1), Beneath::Flies);
    map.close(&1);
    assert_eq!(map.pin(&1), Beneath::Clean);
}

#[test]
fn a_write_that_comes_while_a_key_is_being_closed_keeps_it() {
    let map = map();
    push(&map, 1, Write::Store(1), 1);
    taken(&map);
    assert!(map.settle(&1, Written::Unsaid));
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
    map.settle(&1, Written::Value(50));
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
    /// Everything that flies is applied, or, as the sink knows, not.
    Land(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let write = prop_oneof![
        (0_i64..100).prop_map(Write::Store),
        Just(Write::Delete),
        (-9_i64..9).prop_map(Write::Add),
    ];
    prop_oneof![
        4 => (0_u64..4, write, proptest::bool::weighted(0.1))
            .prop_map(|(key, write, letter)| Step::Push(key, write, letter)),
        2 => (1_usize..4).prop_map(Step::Take),
        2 => any::<bool>().prop_map(Step::Land),
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

proptest! {
    /// Whatever joins and whatever fails: when everything has landed, the table holds what it would
    /// hold had each write been applied by itself; and on the way each key's numbers only grow,
    /// and what is seen is what was acknowledged.
    #[test]
    fn joined_writes_mean_what_each_of_them_meant(steps in vec(step(), 1..80)) {
        let map = map();
        let (mut truth, mut table) = (HashMap::new(), HashMap::new());
        let mut applied: HashMap<u64, u64> = HashMap::new();
        let mut flying = Vec::new();
        let mut number = 0;
        let mut land = |flying: &mut Vec<Numbered<u64, i64>>, lands: bool| {
            for taken in flying.drain(..) {
                if !lands {
                    map.give_back(&taken.key);
                    continue;
                }
                let before = applied.insert(taken.key, taken.sequence.number);
                assert!(before < Some(taken.sequence.number));
                apply(&mut table, taken.key, &taken.write);
                let held = table.get(&taken.key).copied();
                if map.settle(&taken.key, held.map_or(Written::Absent, Written::Value)) {
                    map.close(&taken.key);
                }
            }
        };
        for step in steps {
            match step {
                Step::Push(key, write, is_letter) => {
                    number += 1;
                    apply(&mut truth, key, &write);
                    let letter = is_letter.then_some(number);
                    let coming = Coming { letter, ..coming(write) };
                    map.push(&key, coming, |_| Ok(number)).unwrap();
                }
                Step::Take(max) => flying.extend(map.take(max, usize::MAX)),
                Step::Land(lands) => land(&mut flying, lands),
            }
            for key in 0..4 {
                if let Some(Read { seen: Seen::Value(seen), .. }) = map.read(&key) {
                    prop_assert_eq!(seen, truth.get(&key).copied());
                }
            }
        }
        land(&mut flying, true);
        loop {
            flying.extend(map.take(2, usize::MAX));
            if flying.is_empty() {
                break;
            }
            land(&mut flying, true);
        }
        prop_assert_eq!((map.keys(), map.bytes(), map.oldest()), (0, 0, None));
        prop_assert_eq!(table, truth);
    }
}
