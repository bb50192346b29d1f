//! The promise by the clock, kept and broken.

use std::ops::RangeInclusive;

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const DELTA: Duration = Duration::from_millis(10);

/// A write of key 7: when the commit began and returned, and when it had been announced.
fn write(version: u64, began: u64, committed: Option<u64>, announced: Option<u64>) -> Write {
    Write {
        key: 7,
        version,
        began: ms(began),
        committed: committed.map(ms),
        announced: announced.map(ms),
    }
}

fn read(version: u64, began: u64, ended: u64) -> Read {
    Read { process: 3, key: 7, version, began: ms(began), ended: ms(ended) }
}

fn report(writes: &[Write], reads: &[Read]) -> Report {
    let checker = Checker::new();
    writes.iter().for_each(|write| checker.wrote(*write));
    reads.iter().for_each(|read| checker.read(*read));
    checker.check(DELTA)
}

/// Whether a read may return each of the versions 0 to 3.
#[track_caller]
fn allows(writes: &[Write], began: u64, ended: u64, allowed: RangeInclusive<u64>) {
    for version in 0..=3 {
        let report = report(writes, &[read(version, began, ended)]);
        assert_eq!(report.violations == 0, allowed.contains(&version), "{version}: {report}");
        assert_eq!(report.reads, 1);
    }
}

#[test]
fn a_version_may_be_seen_from_when_its_commit_begins() {
    let writes = [write(1, 10, Some(20), Some(30))];
    allows(&writes, 0, 10, 0..=0);
    allows(&writes, 0, 11, 0..=1);
}

#[test]
fn a_version_is_due_delta_after_its_announcement_returned() {
    let writes = [write(1, 10, Some(20), Some(30))];
    allows(&writes, 40, 41, 0..=1);
    allows(&writes, 41, 42, 1..=1);
    let unannounced = [write(1, 10, Some(20), None)];
    allows(&unannounced, 1_000, 1_001, 0..=1);
}

#[test]
fn an_unknown_outcome_may_be_seen_and_is_never_due() {
    let unknown = write(2, 50, None, None);
    let known = write(1, 10, Some(20), Some(30));
    allows(&[known, unknown], 1_000, 1_001, 1..=2);
    // Nor does an invalidation after it make it so.
    allows(&[known, write(2, 50, None, Some(60))], 1_000, 1_001, 1..=2);
    // It didn't happen, so the next one makes the same version.
    allows(&[known, unknown, write(2, 70, Some(80), Some(90))], 1_000, 1_001, 2..=2);
}

#[test]
fn the_highest_version_counts_whoever_is_announced_last() {
    let writes = [write(2, 10, Some(20), Some(30)), write(1, 5, Some(6), Some(50))];
    allows(&writes, 41, 42, 2..=2);
    allows(&writes, 61, 62, 2..=2);
}

#[test]
fn keys_bind_only_themselves() {
    let other = Read { key: 8, ..read(0, 1_000, 1_001) };
    let report = report(&[write(1, 10, Some(20), Some(30))], &[other]);
    assert_eq!((report.reads, report.violations), (1, 0));
}

#[test]
fn the_staleness_is_counted_from_the_first_announcement_of_a_higher_version() {
    let writes = [
        write(1, 10, Some(11), Some(12)),
        write(2, 20, Some(21), Some(28)),
        write(3, 22, Some(23), Some(24)),
    ];
    let staleness = |version, began| {
        let report = report(&writes, &[read(version, began, began + 10)]);
        report.staleness.worst.map(|(staleness, _)| staleness)
    };
    assert_eq!(staleness(0, 30), Some(ms(18)));
    assert_eq!(staleness(1, 30), Some(ms(6)));
    assert_eq!(staleness(2, 30), Some(ms(6)));
    assert_eq!(staleness(3, 30), None);
    assert_eq!(staleness(1, 20), None);
}

#[test]
fn the_report_names_the_first_violations_and_counts_all() {
    let reads: Vec<Read> = (0..100).rev().map(|at| read(0, 1_000 + at, 2_000)).collect();
    let report = report(&[write(1, 10, Some(20), Some(30))], &reads);
    assert_eq!((report.reads, report.violations), (100, 100));
    let shown: Vec<Duration> = report.first.iter().map(|one| one.read.began).collect();
    assert_eq!(shown, (1_000..1_010).map(ms).collect::<Vec<_>>());
    let text = report.to_string();
    let first = "\n  process 3 read key 7 from 1s to 2s and got version 0, superseded 970ms before: \
                 at least 1 was due\n";
    assert!(
        text.starts_with("100 of 100 reads broke the promise\n") && text.contains(first),
        "{text}"
    );
    let early = self::report(&[], &[read(1, 1, 2)]).to_string();
    assert!(early.contains("version 1, which nobody had begun to commit: the highest was 0"));
}

#[test]
#[should_panic(expected = "1 of 1 reads broke the promise")]
fn a_broken_promise_fails_the_test() {
    report(&[], &[]).assert_kept();
    report(&[], &[read(1, 1, 2)]).assert_kept();
}

#[test]
fn percentiles_and_histogram_count_every_read() {
    let writes = [write(1, 10, Some(20), Some(1_000))];
    // 60 reads of what was current, and 40 stale by 1 to 40 ms.
    let current = (0..60).map(|at| read(1, 1_001 + at, 2_000));
    let stale = (1..=40).map(|at| read(0, 1_000 + at, 2_000));
    let staleness = report(&writes, &current.chain(stale).collect::<Vec<_>>()).staleness;
    assert_eq!((staleness.p50, staleness.p99), (Duration::ZERO, ms(39)));
    assert_eq!(staleness.worst, Some((ms(40), read(0, 1_040, 2_000))));
    let histogram = [(0, 60), (1_024, 1), (2_048, 1), (4_096, 2), (8_192, 4), (16_384, 8)];
    let histogram = histogram.into_iter().chain([(32_768, 16), (65_536, 8)]);
    let histogram: Vec<_> =
        histogram.map(|(us, reads)| (Duration::from_micros(us), reads)).collect();
    assert_eq!(staleness.histogram, histogram);
    let none = report(&writes, &[]).staleness;
    assert_eq!((none.p50, none.p99, none.worst), (Duration::ZERO, Duration::ZERO, None));
    let hours = report(&[write(1, 0, Some(0), Some(0))], &[read(0, 7_200_000, 7_200_001)]);
    assert_eq!(hours.staleness.histogram, [(Duration::MAX, 1)]);
}

#[test]
#[should_panic(expected = "in this order")]
fn a_write_that_was_announced_before_its_commit_is_refused() {
    Checker::new().wrote(write(1, 10, Some(20), Some(19)));
}

#[test]
fn the_clock_is_shared_and_goes_forward() {
    let before = now();
    let after = std::thread::spawn(now).join().unwrap();
    assert!(before <= after && after - before < Duration::from_secs(60));
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
    for _ in 0..3_000 {
        let writes: Vec<Write> = (0..next(8))
            .map(|_| {
                let began = next(40);
                let committed = began + next(5);
                let announced = (next(4) > 0).then(|| committed + next(10));
                let key = next(2);
                let committed = (next(5) > 0).then_some(committed);
                Write { key, ..write(next(6), began, committed, announced) }
            })
            .collect();
        let reads: Vec<Read> = (0..1 + next(8))
            .map(|_| {
                let began = next(60);
                let key = next(2);
                Read { key, process: next(3), ..read(next(6), began, began + next(10)) }
            })
            .collect();
        let report = report(&writes, &reads);
        let mut broken = 0;
        let mut all = Vec::new();
        for read in &reads {
            let of_key = || writes.iter().filter(|write| write.key == read.key);
            let announced = || of_key().filter(|write| write.committed.is_some());
            let due = announced().filter(|w| w.announced.is_some_and(|at| at + DELTA < read.began));
            let begun = of_key().filter(|write| write.began < read.ended);
            let low = due.map(|write| write.version).max().unwrap_or(0);
            let high = begun.map(|write| write.version).max().unwrap_or(0);
            let higher = announced().filter(|write| write.version > read.version);
            let superseded = higher.filter_map(|write| write.announced).min();
            let stale = superseded.map_or(Duration::ZERO, |at| read.began.saturating_sub(at));
            assert_eq!(read.version < low, stale > DELTA, "{writes:?} {read:?}");
            all.push(stale);
            broken += usize::from(!(low..=high).contains(&read.version));
        }
        all.sort_unstable();
        assert_eq!(
            (report.reads, report.violations),
            (reads.len(), broken),
            "{writes:?} {reads:?}"
        );
        assert_eq!(report.first.len(), broken.min(Report::SHOWN_MAX));
        let worst = report.staleness.worst.map_or(Duration::ZERO, |(worst, _)| worst);
        assert_eq!(Some(&worst), all.last());
        assert_eq!(report.staleness.p50, all[all.len().div_ceil(2) - 1]);
        assert_eq!(report.staleness.histogram.iter().map(|(_, n)| n).sum::<usize>(), reads.len());
        verdicts[usize::from(broken > 0)] += 1;
    }
    assert!(verdicts.iter().all(|&times| times > 200), "{verdicts:?}");
}
