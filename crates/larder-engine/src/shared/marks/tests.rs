//! What the table says of entries, against what was struck.

use std::time::Duration;

use larder_core::shared::Incarnation;

use super::*;

const TAG: u64 = 7 << 48 | 1;

fn entry(clock: u64, tags: &[u64]) -> Envelope {
    Envelope {
        is_stale: false,
        stamp: 1,
        incarnation: Incarnation(1),
        marks: 5,
        clock: MarkClock(clock),
        lifetime: Duration::from_secs(1),
        fresh_for: Duration::from_secs(1),
        stale_for: Duration::ZERO,
        cost: Duration::ZERO,
        weight: None,
        schema: 0,
        tags: tags.to_vec(),
        validator: None,
        payload: None,
    }
}

fn learnt(marks: Vec<(Mark, Invalidation, MarkClock)>) -> MarkTable {
    let table = MarkTable::default();
    assert!(table.learn(&Marks { incarnation: 5, clock: MarkClock(100), marks }, table.era()));
    table
}

fn hear(table: &MarkTable, mark: Mark, strike: Invalidation, clock: u64) -> bool {
    table.heard([mark].into_iter(), strike, (MarkClock(clock), 5))
}

fn cache() -> Mark {
    Mark::Cache("user".into())
}

fn prefix(prefix: &str) -> Mark {
    Mark::Prefix { cache: "user".into(), prefix: prefix.into() }
}

#[test]
fn a_mark_strikes_what_was_filled_without_knowing_of_it() {
    let marks = [
        (Mark::Tag(7), &[TAG][..], Some(Fate::Dropped), Some(Fate::Stands)),
        (Mark::Tag(8), &[TAG], Some(Fate::Stands), Some(Fate::Stands)),
        (cache(), &[], Some(Fate::Dropped), Some(Fate::Stands)),
        (Mark::Cache("order".into()), &[], Some(Fate::Stands), Some(Fate::Stands)),
        (prefix("user:4"), &[], Some(Fate::Dropped), Some(Fate::Stands)),
        (prefix("user:5"), &[], Some(Fate::Stands), Some(Fate::Stands)),
        (Mark::All, &[], Some(Fate::Dropped), Some(Fate::Stands)),
    ];
    for (mark, tags, before, since) in marks {
        let table = learnt(vec![(mark.clone(), Invalidation::Drop, MarkClock(50))]);
        assert_eq!(table.fate("user", "user:42", &entry(49, tags)), before, "{mark:?}");
        assert_eq!(table.fate("user", "user:42", &entry(50, tags)), since, "{mark:?}");
    }
}

#[test]
fn the_harder_fate_wins_and_an_older_mark_changes_nothing() {
    let table = learnt(vec![]);
    assert!(hear(&table, Mark::Tag(7), Invalidation::MarkStale, 120));
    assert_eq!(table.fate("user", "k", &entry(119, &[TAG])), Some(Fate::Staled));
    assert!(hear(&table, cache(), Invalidation::Drop, 130));
    assert_eq!(table.fate("user", "k", &entry(119, &[TAG])), Some(Fate::Dropped));
    assert!(hear(&table, cache(), Invalidation::Drop, 110));
    assert_eq!(table.fate("user", "k", &entry(125, &[TAG])), Some(Fate::Dropped));
    assert_eq!(table.known(), Some((5, MarkClock(130))));
}

#[test]
fn while_nothing_is_known_nothing_serves_and_what_is_heard_is_kept() {
    let table = MarkTable::default();
    assert_eq!((table.known(), table.fate("user", "k", &entry(200, &[]))), (None, None));
    assert!(hear(&table, cache(), Invalidation::Drop, 150));
    assert!(
        table.learn(&Marks { incarnation: 5, clock: MarkClock(100), marks: vec![] }, table.era())
    );
    assert_eq!(table.fate("user", "k", &entry(149, &[])), Some(Fate::Dropped));
    assert_eq!(table.known(), Some((5, MarkClock(150))));
    table.unknown();
    assert_eq!(table.fate("user", "k", &entry(200, &[])), None);
}

#[test]
fn marks_of_another_incarnation_are_noticed() {
    let table = learnt(vec![]);
    assert!(!table.heard([Mark::All].into_iter(), Invalidation::Drop, (MarkClock(1), 6)));
    assert_eq!(table.fate("user", "k", &Envelope { marks: 6, ..entry(200, &[]) }), None);
}

#[test]
fn too_many_heard_while_nothing_is_known_must_be_read_again() {
    let table = MarkTable::default();
    for clock in 0..HEARD_MAX as u64 {
        assert!(hear(&table, cache(), Invalidation::Drop, clock));
    }
    let marks = Marks { incarnation: 5, ..Marks::default() };
    assert!(!table.learn(&marks, table.era()));
    assert_eq!(table.known(), None);
    assert!(table.learn(&marks, table.era()));
}

#[test]
fn beyond_the_limit_of_prefixes_the_whole_cache_is_struck() {
    let table = learnt(vec![]);
    for number in 0..PREFIXES_MAX as u64 {
        assert!(hear(&table, prefix(&format!("p{number}")), Invalidation::Drop, 200 + number));
    }
    assert_eq!(table.fate("user", "q", &entry(100, &[])), Some(Fate::Stands));
    // It came late: others are later, and the whole must be struck as late as they were.
    assert!(hear(&table, prefix("late"), Invalidation::Drop, 150));
    assert_eq!(table.fate("user", "p63", &entry(200, &[])), Some(Fate::Dropped));
    assert_eq!(table.fate("user", "q", &entry(100, &[])), Some(Fate::Dropped));
}
