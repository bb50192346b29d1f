//! Walks that stop and go on, while the tier grows, shrinks and changes in between.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Shows one page and notes how often each key was seen.
fn page(
    memory: &Numbers,
    from: Cursor,
    max: usize,
    seen: &mut BTreeMap<u64, u32>,
) -> Option<Cursor> {
    memory.page(from, max, NOW, |key, held| {
        assert_eq!(*held.value, key * 10);
        *seen.entry(*key).or_default() += 1;
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_key_that_is_held_all_the_time_is_shown_exactly_once(
        kept in 1..200_u64,
        changes in vec((1..400_usize, any::<bool>(), 1..20_usize), 0..40),
        shards in prop_oneof![Just(1_usize), Just(4)],
    ) {
        let memory: Numbers = tier(Bounds::entries(1 << 20).shards(shards));
        (0..kept).for_each(|key| assert_eq!(put(&memory, key, 0), Insert::Stored));
        let (mut seen, mut at) = (BTreeMap::new(), Some(Cursor::START));
        let mut changes = changes.into_iter();
        while let Some(from) = at {
            let (others, come, max) = changes.next().unwrap_or((1, false, 50));
            at = page(&memory, from, max, &mut seen);
            // The table grows or shrinks, and every kept entry moves to another slot.
            for other in 0..others as u64 * 8 {
                let key = 1_000_000 + other;
                match come {
                    true => assert_eq!(put(&memory, key, 0), Insert::Stored),
                    false => memory.remove(&key, NOW, RemovalCause::Removed, |_| ()),
                }
            }
            (0..kept).for_each(|key| assert_eq!(put(&memory, key, 0), Insert::Stored));
            memory.assert_invariants();
        }
        prop_assert!((0..kept).all(|key| seen.get(&key) == Some(&1)), "{seen:?}");
    }
}

#[test]
fn a_page_is_about_as_long_as_was_asked_for() {
    let memory = entries(10_000);
    (0..10_000).for_each(|key| assert_eq!(put(&memory, key, 0), Insert::Stored));
    let (mut at, mut pages) = (Some(Cursor::START), 0);
    while let Some(from) = at {
        let mut seen = BTreeMap::new();
        at = page(&memory, from, 100, &mut seen);
        // One bucket has twelve lanes, and a few entries behind it.
        assert!(seen.len() < 100 + 40, "{}", seen.len());
        pages += 1;
    }
    assert!((72..=101).contains(&pages), "{pages}");
}

#[test]
fn what_has_expired_is_not_shown_and_a_cursor_from_nowhere_ends() {
    let memory = entries(10);
    assert_eq!(put_until(&memory, 1, at(0)), Insert::Stored);
    assert_eq!(put_until(&memory, 2, at(2)), Insert::Stored);
    let mut seen = Vec::new();
    let end = memory.page(Cursor::START, 10, at(1), |key, _| seen.push(*key));
    assert_eq!((end, seen), (None, vec![2]));
    for number in [1 << 32, u64::MAX] {
        assert_eq!(memory.page(Cursor::from_number(number), 10, NOW, |_, _| panic!()), None);
    }
    assert_eq!(entries(0).page(Cursor::START, 0, NOW, |_, _| panic!()), None);
}
