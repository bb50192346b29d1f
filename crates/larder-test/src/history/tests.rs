//! Histories that must be accepted, and histories that must be rejected.

use super::*;

const KEY: u64 = 7;

/// What happens, in this order: `b` and a name begins an operation; `w` and `s` end it as a write
/// that drops and one that marks stale, `r` as a read, each with a version.
fn history(events: &str) -> History {
    let history = History::new();
    let mut begun = BTreeMap::new();
    for event in events.split_whitespace() {
        let (what, rest) = event.split_at(1);
        let (name, version) = rest.split_once('=').unwrap_or((rest, ""));
        let version = || version.parse().unwrap();
        match what {
            "b" => drop(begun.insert(name, history.begin())),
            "w" => history.wrote(begun[name], KEY, version(), Announced::Dropping),
            "s" => history.wrote(begun[name], KEY, version(), Announced::Loosely),
            "r" => history.read(begun[name], KEY, version()),
            _ => panic!("{event}"),
        }
    }
    history
}

fn accepted(events: &str) {
    assert_eq!(history(events).check().map(|_| ()), Ok(()), "{events}");
}

/// It is rejected for a read that returned `found` and not one of `bounds`.
fn rejected(events: &str, found: u64, bounds: std::ops::RangeInclusive<u64>) -> Violation {
    let violation = history(events).check().expect_err(events);
    assert_eq!((violation.found, &violation.bounds), (found, &bounds), "{events}");
    violation
}

#[test]
fn a_read_before_every_write_gives_what_was_there() {
    accepted("");
    accepted("bA rA=0 bW wW=1");
    rejected("bA rA=1 bW wW=1", 1, 0..=0);
}

#[test]
fn a_read_after_an_announced_write_gives_it() {
    accepted("bW wW=1 bA rA=1");
    let violation = rejected("bW wW=1 bA rA=0", 0, 1..=1);
    assert_eq!((violation.read, violation.write), ((2, 3), Some((0, 1))));
}

#[test]
fn a_read_that_overlaps_a_write_may_give_either() {
    for found in 0..=1 {
        accepted(&format!("bA bW wW=1 rA={found}"));
        accepted(&format!("bW bA wW=1 rA={found}"));
        accepted(&format!("bW bA rA={found} wW=1"));
        accepted(&format!("bA bW rA={found} wW=1"));
    }
    rejected("bA bW wW=1 rA=2", 2, 0..=1);
}

#[test]
fn overlapping_reads_may_go_back_until_the_write_is_announced() {
    accepted("bW bA rA=1 bB rB=0 wW=1");
    rejected("bW bA rA=1 wW=1 bB rB=0", 0, 1..=1);
}

#[test]
fn a_version_from_the_future_is_rejected() {
    rejected("bA rA=1 bW wW=1 bB rB=1", 1, 0..=0);
    rejected("bW wW=1 bA rA=9", 9, 1..=1);
}

#[test]
fn the_highest_version_counts_whoever_ends_last() {
    accepted("bV bW wW=2 bA rA=2 wV=1");
    rejected("bV bW wW=2 wV=1 bA rA=1", 1, 2..=2);
    rejected("bV bW wW=2 bA wV=1 rA=1", 1, 2..=2);
}

#[test]
fn a_stale_mark_binds_nobody_until_a_drop_follows() {
    accepted("bV sV=1 bA rA=0 bB rB=1 bC rC=0");
    accepted("bV wV=1 bW sW=2 bA rA=1");
    rejected("bV wV=1 bW sW=2 bA rA=0", 0, 1..=2);
    rejected("bV sV=1 bW wW=2 bA rA=1", 1, 2..=2);
}

#[test]
fn of_many_violations_the_read_that_began_first_is_named() {
    let violation = rejected("bW wW=3 bA bB rB=1 rA=2", 2, 3..=3);
    assert_eq!(
        violation.to_string(),
        "a read of key 7 from 2 to 5 returned version 2, and version 3 was written and announced \
         from 0 to 1"
    );
    let violation = rejected("bW bA rA=3 wW=1", 3, 0..=1);
    assert!(violation.to_string().ends_with("the highest by then, 1, was begun at 0"));
    let violation = rejected("bA rA=1", 1, 0..=0);
    assert!(violation.to_string().ends_with("no write had begun by then"));
}

#[test]
fn keys_bind_only_themselves() {
    let history = history("bW wW=1");
    let read = history.begin();
    history.read(read, KEY + 1, 0);
    assert_eq!(history.check(), Ok(1));
    assert_eq!((history.head(KEY), history.head(KEY + 1)), (1, 0));
    history.read(read, KEY, 0);
    assert_eq!(history.check().unwrap_err().key, KEY);
}

/// The searches agree with the rule read off word by word.
#[test]
fn the_quick_judgement_is_that_of_the_rule() {
    let mut draw = 1_u64;
    let mut next = |n: u64| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33) % n
    };
    let mut verdicts = [0, 0];
    for _ in 0..2_000 {
        let history = History::new();
        let mut version = 0;
        let mut open: Vec<(Begun, bool)> = Vec::new();
        for _ in 0..12 {
            if open.is_empty() || next(2) == 0 {
                open.push((history.begin(), next(2) == 0));
                continue;
            }
            let at = usize::try_from(next(open.len() as u64)).unwrap();
            match open.swap_remove(at) {
                (begun, true) => {
                    version += 1;
                    let how = if next(3) == 0 { Announced::Loosely } else { Announced::Dropping };
                    history.wrote(begun, KEY, version, how);
                }
                (begun, false) => history.read(begun, KEY, version.saturating_sub(next(3) / 2)),
            }
        }
        let keys = history.keys();
        let empty = Operations::default();
        let all = keys.get(&KEY).unwrap_or(&empty);
        let (writes, reads) = (all.writes.clone(), all.reads.clone());
        drop(keys);
        let kept = reads.iter().all(|read| {
            let announced = writes
                .iter()
                .filter(|write| write.announced == Announced::Dropping && write.ended < read.began);
            let begun = writes.iter().filter(|write| write.began < read.ended);
            announced.map(|write| write.version).max().unwrap_or(0) <= read.version
                && read.version <= begun.map(|write| write.version).max().unwrap_or(0)
        });
        assert_eq!(history.check().is_ok(), kept, "{writes:?} {reads:?}");
        verdicts[usize::from(kept)] += 1;
    }
    assert!(verdicts.iter().all(|&times| times > 200), "{verdicts:?}");
}
