//! Replays against models, the optimum against every choice, samples against the whole.

use std::cell::RefCell;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_policy::{Entries, Hits, Lru, Policy, USES_MAX};
use proptest::prelude::*;

use crate::curve::{CURVE_KEYS, Sketch};
use crate::request::numbered;
use crate::*;

fn record(requests: &[Request]) -> Requests {
    record_within(Bounds::default(), requests)
}

fn record_within(bounds: Bounds, requests: &[Request]) -> Requests {
    let mut recorder = Recorder::new(bounds);
    for request in requests {
        recorder.push(request);
    }
    recorder.finish(1.0, None)
}

fn reads(keys: impl IntoIterator<Item = u64>) -> Vec<Request> {
    keys.into_iter().map(|key| Request::read(numbered(key))).collect()
}

fn all() -> Vec<Contender> {
    Contender::all().collect()
}

fn threads(count: usize) -> NonZero<usize> {
    NonZero::new(count).unwrap()
}

/// The optimum's hits.
fn belady_of(requests: &Requests, unit: Unit, capacity: u64) -> Outcome {
    belady(requests, &Future::of(requests), unit, capacity, |_| {})
}

fn lru_of(requests: &Requests, unit: Unit, capacity: u64) -> Outcome {
    replay(Lru::new(capacity), requests, unit, capacity, |_| {})
}

/// Keys by Zipf's law with exponent 1, from a small generator.
fn zipf(count: usize, keys: u64, mut seed: u64) -> Vec<u64> {
    let harmonic = (keys as f64).ln();
    let draw = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (seed >> 11) as f64 / (1_u64 << 53) as f64;
        ((unit * harmonic).exp() as u64).min(keys)
    };
    (0..count).map(draw).collect()
}

/// What a trace of anything may ask for.
fn anything() -> impl Strategy<Value = Vec<Request>> {
    let op = prop_oneof![6 => Just(Op::Read), 2 => Just(Op::Write), 1 => Just(Op::Remove)];
    let request = (0..12_u64, op, 0..6_u32, 0..4_u64, proptest::option::of(0..20_u64));
    proptest::collection::vec(request, 0..200).prop_map(|drawn| {
        let mut now = 0;
        drawn
            .into_iter()
            .map(move |(key, op, size, later, ttl_ms)| {
                now += later;
                Request { key: numbered(key), op, size: Some(size), time_ms: Some(now), ttl_ms }
            })
            .collect()
    })
}

/// An LRU cache as a list, the oldest first.
struct Model {
    entries: Vec<(u64, u64, u64)>,
    capacity: u64,
}

impl Model {
    fn make_room(&mut self, more: u64) {
        while self.entries.iter().map(|entry| entry.1).sum::<u64>() + more > self.capacity {
            self.entries.remove(0);
        }
    }

    fn insert(&mut self, key: u64, weight: u64, now: u64, expires: u64) {
        if weight <= self.capacity && expires > now {
            self.make_room(weight);
            self.entries.push((key, weight, expires));
        }
    }

    /// Whether a read hits.
    fn request(&mut self, request: &Request, unit: Unit) -> bool {
        let weight = match unit {
            Unit::Entries => 1,
            Unit::Bytes => u64::from(request.size.unwrap_or(0).max(1)),
        };
        let now = request.time_ms.unwrap_or(0);
        let expires = request.ttl_ms.map_or(u64::MAX, |ttl| now + ttl);
        self.entries.retain(|entry| entry.2 > now);
        let find = |model: &Self| model.entries.iter().position(|entry| entry.0 == request.key);
        match (request.op, find(self)) {
            (Op::Read, Some(at)) => {
                let entry = self.entries.remove(at);
                self.entries.push(entry);
                return true;
            }
            (Op::Read, None) => self.insert(request.key, weight, now, expires),
            (Op::Remove, Some(at)) => {
                self.entries.remove(at);
            }
            (Op::Remove, None) => {}
            (Op::Write, held) => {
                if let Some(at) = held {
                    if weight > self.capacity || expires <= now {
                        self.entries.remove(at);
                    } else {
                        self.make_room(weight.saturating_sub(self.entries[at].1));
                    }
                }
                match find(self) {
                    Some(at) => self.entries[at] = (request.key, weight, expires),
                    None => self.insert(request.key, weight, now, expires),
                }
            }
        }
        false
    }
}

/// The most reads of unit entries that any cache can hit: every choice is tried.
fn best(keys: &[u64], held: &[u64], capacity: usize) -> u64 {
    let Some((key, rest)) = keys.split_first() else { return 0 };
    if held.contains(key) {
        // A value that is held may be dropped at its next miss as well as now.
        return 1 + best(rest, held, capacity);
    }
    let mut most = best(rest, held, capacity);
    if held.len() < capacity {
        let more = [held, &[*key]].concat();
        return most.max(best(rest, &more, capacity));
    }
    for victim in 0..held.len() {
        let mut other = held.to_vec();
        other[victim] = *key;
        most = most.max(best(rest, &other, capacity));
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lru_hits_what_the_model_hits(
        trace in anything(), capacity in 1..15_u64, bytes in any::<bool>(),
    ) {
        let unit = if bytes { Unit::Bytes } else { Unit::Entries };
        let mut model = Model { entries: Vec::new(), capacity };
        let hits: Vec<_> =
            trace.iter().filter(|request| model.request(request, unit)).collect();
        let outcome = lru_of(&record(&trace), unit, capacity);
        prop_assert_eq!(outcome.hits, hits.len() as u64);
        let hit_bytes: u64 = hits.iter().map(|hit| u64::from(hit.size.unwrap_or(0))).sum();
        prop_assert_eq!(outcome.hit_bytes, hit_bytes);
        let reads = trace.iter().filter(|request| request.op == Op::Read).count();
        prop_assert_eq!(outcome.reads, reads as u64);
    }

    #[test]
    fn belady_is_the_best_of_all_choices(
        keys in proptest::collection::vec(0..6_u64, 0..14), capacity in 1..4_usize,
    ) {
        let outcome = belady_of(&record(&reads(keys.clone())), Unit::Entries, capacity as u64);
        prop_assert_eq!(outcome.hits, best(&keys, &[], capacity));
    }

    #[test]
    fn no_policy_hits_more_than_belady(
        keys in proptest::collection::vec(0..40_u64, 0..400), capacity in 1..30_u64,
    ) {
        let requests = record(&reads(keys));
        let study = Study { sizes: vec![Size::Entries(capacity)], contenders: all() };
        let results = study.run(&requests, threads(1), &|_| {});
        let most = results.rows[0].outcomes[0].hits;
        for (contender, outcome) in results.contenders.iter().zip(&results.rows[0].outcomes) {
            prop_assert!(outcome.hits <= most, "{contender}: {} of {most}", outcome.hits);
            prop_assert_eq!(outcome.reads, requests.len() as u64);
        }
    }

    #[test]
    fn every_contender_gets_through_any_trace(
        trace in anything(), capacity in 1..15_u64, bytes in any::<bool>(),
    ) {
        let requests = record(&trace);
        let size = if bytes { Size::Bytes(capacity) } else { Size::Entries(capacity) };
        let study = Study { sizes: vec![size], contenders: all() };
        let results = study.run(&requests, threads(1), &|_| {});
        for outcome in &results.rows[0].outcomes {
            prop_assert!(outcome.hits <= outcome.reads && outcome.hit_bytes <= outcome.bytes);
            prop_assert!((0.0..=1.0).contains(&outcome.hit_ratio()));
        }
    }

    #[test]
    fn a_bound_of_requests_holds_and_keys_are_kept_whole(
        keys in proptest::collection::vec(0..50_u64, 0..300), requests_max in 1..40_u32,
    ) {
        let bounds = Bounds { sample: 1.0, requests_max };
        let requests = record_within(bounds, &reads(keys.clone()));
        prop_assert!(requests.len() <= requests_max as usize);
        prop_assert_eq!(requests.total(), keys.len() as u64);
        // What is kept is the trace of the kept keys, in order and in full.
        let kept: Vec<u64> =
            keys.iter().map(|&key| numbered(key)).filter(|key| requests.hashes.contains(key)).collect();
        let here: Vec<u64> = requests
            .columns
            .keys()
            .iter()
            .map(|&number| requests.hashes[number as usize])
            .collect();
        prop_assert_eq!(kept, here);
    }
}

#[test]
fn the_optimum_of_a_loop_and_of_a_scan_is_known() {
    // Of a loop over 10 keys a cache of 4 can hold 4, and they hit from the second round on.
    let requests = record(&reads((0..100).map(|at| at % 10)));
    let outcome = belady_of(&requests, Unit::Entries, 4);
    assert_eq!(outcome.hits, 36);
    assert_eq!(lru_of(&requests, Unit::Entries, 4).hits, 0);
    assert_eq!(lru_of(&requests, Unit::Entries, 10).hits, 90);
    assert_eq!(belady_of(&record(&reads(0..100)), Unit::Entries, 4).hits, 0);
}

#[test]
fn the_optimum_keeps_nothing_that_will_be_overwritten_or_removed() {
    let read = |key| Request::read(numbered(key));
    let op = |op, key| Request { op, ..read(key) };
    // The removal makes the second read of 1 a miss; that of 2 is a hit even in a cache of one.
    let trace = [read(1), read(2), op(Op::Remove, 1), read(2), read(1)];
    assert_eq!(belady_of(&record(&trace), Unit::Entries, 1).hits, 1);
    // What was written is read without a load.
    let trace = [op(Op::Write, 1), read(2), read(1)];
    let outcome = belady_of(&record(&trace), Unit::Entries, 1);
    assert_eq!((outcome.reads, outcome.hits), (2, 1));
}

#[test]
fn an_expired_entry_is_a_miss_and_leaves_its_room() {
    let read = |key, time_ms, ttl_ms| Request {
        time_ms: Some(time_ms),
        ttl_ms,
        ..Request::read(numbered(key))
    };
    let trace = [
        read(1, 0, Some(10)),
        read(1, 9, Some(10)),
        // The hit at 9 did not renew it.
        read(1, 10, None),
        read(1, 1000, Some(10)),
        read(2, 1000, Some(5)),
        read(3, 1005, None),
        read(1, 1006, None),
    ];
    let requests = record(&trace);
    let outcome = lru_of(&requests, Unit::Entries, 2);
    // The second entry's time is over when the third needs room, so the first stays.
    assert_eq!((outcome.hits, outcome.expired, outcome.evicted), (3, 2, 0));
    assert_eq!(belady_of(&requests, Unit::Entries, 2).hits, 3);
}

#[test]
fn a_value_heavier_than_the_cache_is_refused_and_counted() {
    let sized = |key, size| Request { size: Some(size), ..Request::read(numbered(key)) };
    let requests = record(&[sized(1, 10), sized(2, 11), sized(1, 10), sized(2, 11), sized(3, 0)]);
    let outcome = lru_of(&requests, Unit::Bytes, 10);
    assert_eq!((outcome.hits, outcome.refused), (1, 2));
    assert_eq!((outcome.bytes, outcome.hit_bytes), (42, 10));
    assert!((outcome.byte_hit_ratio() - 10.0 / 42.0).abs() < 1e-9);
    // What takes no bytes weighs one.
    assert_eq!(outcome.evicted, 1);
}

/// A policy that notes which uses it is shown, and evicts what was inserted first.
struct Noting<'a> {
    hits: Hits,
    mask: u32,
    held: Vec<u32>,
    shown: &'a RefCell<Vec<(u32, u8)>>,
}

impl Policy for Noting<'_> {
    fn hits(&self) -> Hits {
        self.hits
    }
    fn new(_: u64) -> Self {
        unreachable!("tests make it themselves")
    }
    fn resize(&mut self, _: u64) {}
    fn sample(&self) -> u32 {
        self.mask
    }
    fn insert(&mut self, slot: u32, entries: &impl Entries) {
        assert_eq!((entries.uses(slot), entries.weight(slot), entries.cost(slot)), (0, 1, 1));
        self.held.push(slot);
    }
    fn hit(&mut self, slot: u32, entries: &impl Entries) {
        assert!(self.held.contains(&slot));
        self.shown.borrow_mut().push((entries.hash(slot), entries.uses(slot)));
    }
    fn remove(&mut self, slot: u32, _: &impl Entries) {
        self.held.retain(|&held| held != slot);
    }
    fn evict(&mut self, _: &impl Entries) -> Option<u32> {
        (!self.held.is_empty()).then(|| self.held.remove(0))
    }
    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        assert_eq!(entries.uses(from), entries.uses(to));
        assert_eq!(entries.hash(from), entries.hash(to));
        for held in &mut self.held {
            *held = if *held == from { to } else { *held };
        }
    }
    fn len(&self) -> usize {
        self.held.len()
    }
    fn shrink(&mut self, _: u32) {}
    fn allocated(&self) -> usize {
        0
    }
    fn assert_invariants(&self, _: &impl Entries) {}
}

/// Which uses a policy is shown of a trace.
fn shown(hits: Hits, mask: u32, trace: &[Request]) -> Vec<(u32, u8)> {
    let shown = RefCell::new(Vec::new());
    let policy = Noting { hits, mask, held: Vec::new(), shown: &shown };
    replay(policy, &record(trace), Unit::Entries, 3, |_| {});
    shown.into_inner()
}

#[test]
fn a_policy_is_shown_the_uses_that_it_asks_for() {
    let hash = |key| (numbered(key) >> 32) as u32;
    let trace = reads([1, 1, 1, 1, 1, 1]);
    assert_eq!(shown(Hits::Unseen, 0, &trace), []);
    assert_eq!(shown(Hits::Exact, u32::MAX, &trace), vec![(hash(1), 0); 5]);
    // Only uses that raise the count, and the count stops.
    let marked: Vec<_> = (1..=USES_MAX).map(|uses| (hash(1), uses)).collect();
    assert_eq!(shown(Hits::Marked, 0, &trace), marked);
    // Only hashes in the sample.
    let trace: Vec<_> = reads((0..64).flat_map(|key| [key, key]));
    let mask = 3;
    let expected: Vec<_> =
        (0..64).map(hash).filter(|hash| hash & mask == 0).map(|hash| (hash, 1)).collect();
    assert!(!expected.is_empty());
    assert_eq!(shown(Hits::Marked, mask, &trace), expected);
}

#[test]
fn a_write_to_a_held_key_moves_it_with_its_uses() {
    let write = Request { op: Op::Write, ..Request::read(numbered(1)) };
    let mut trace = reads([1, 1, 1]);
    trace.push(write);
    trace.extend(reads([1, 1]));
    let uses: Vec<_> = shown(Hits::Marked, 0, &trace).iter().map(|shown| shown.1).collect();
    assert_eq!(uses, [1, 2, 3]);
}

#[test]
fn a_study_gives_the_same_on_any_number_of_threads_and_tells_its_progress() {
    let requests = record(&reads(zipf(150_000, 5_000, 1)));
    let sizes = vec![Size::Part(0.5), Size::Entries(100), Size::Part(0.01)];
    let study = Study { sizes, contenders: all() };
    let done = AtomicU64::new(0);
    let one = study.run(&requests, threads(1), &|more| {
        done.fetch_add(more, Ordering::Relaxed);
    });
    assert_eq!(done.into_inner(), study.work(&requests));
    assert_eq!(study.run(&requests, threads(3), &|_| {}), one);
    assert_eq!(one.rows[1].capacity, 100);
    // A larger cache hits more.
    let lru = one.contenders.iter().position(|contender| contender.name() == "lru").unwrap();
    assert!(one.rows[0].outcomes[lru].hits > one.rows[2].outcomes[lru].hits);
}

#[test]
fn a_sampled_curve_is_close_to_the_exact_one() {
    // So many keys that the sample is one in four.
    let requests = record(&reads(zipf(500_000, 4 * CURVE_KEYS as u64, 7)));
    let sketch = Sketch::of(&requests, Unit::Entries, 8);
    assert!(sketch.requests.sample() < 0.5, "{}", sketch.requests.sample());
    let near = (sketch.requests.keys() as f64 / CURVE_KEYS as f64 - 1.0).abs();
    assert!(near < 0.05, "{} keys", sketch.requests.keys());
    let contenders: Vec<Contender> =
        ["belady", "lru", "fifo", "sieve"].iter().map(|name| name.parse().unwrap()).collect();
    let study = Study { sizes: sketch.sizes, contenders };
    let exact = study.run(&requests, threads(2), &|_| {});
    let sampled = study.run(&sketch.requests, threads(2), &|_| {});
    let mut errors = Vec::new();
    for (exact, sampled) in exact.rows.iter().zip(&sampled.rows) {
        assert_eq!(exact.capacity, sampled.capacity);
        for (exact, sampled) in exact.outcomes.iter().zip(&sampled.outcomes) {
            errors.push((exact.hit_ratio() - sampled.hit_ratio()).abs());
        }
    }
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let most = errors.iter().copied().fold(0.0, f64::max);
    assert!(mean < 0.015 && most < 0.05, "mean {mean}, most {most}");
}

#[test]
fn hit_ratios_are_adjusted_for_a_hot_key_in_the_sample_or_not() {
    // One key has half of the requests; whether the sample has it must not matter much.
    let hot = 1_000_000;
    for sample in [0.5, 0.25, 0.125] {
        let keys = zipf(100_000, 10_000, 3);
        let trace = reads(keys.into_iter().flat_map(|key| [key, hot]));
        let exact = lru_of(&record(&trace), Unit::Entries, 1000).hit_ratio();
        let sampled = record_within(Bounds { sample, ..Bounds::default() }, &trace);
        let capacity = Size::Entries(1000).capacity_sampled(&sampled);
        assert_eq!(capacity, (1000.0 * sample) as u64);
        let outcome = lru_of(&sampled, Unit::Entries, capacity);
        let plain = outcome.hits as f64 / outcome.reads as f64;
        let (adjusted, plain) = ((outcome.hit_ratio() - exact).abs(), (plain - exact).abs());
        assert!(adjusted < 0.03, "{sample}: {adjusted}, unadjusted {plain}");
        assert!(plain > 2.0 * adjusted, "{sample}: {adjusted}, unadjusted {plain}");
    }
}

#[test]
fn a_trace_that_was_sampled_when_it_was_written_scales() {
    let trace = reads(zipf(200_000, 20_000, 5));
    let whole = record(&trace);
    let exact = lru_of(&whole, Unit::Entries, 2000).hit_ratio();
    let sampled = whole.sampled(0.25);
    // What a key log of that sample would hold.
    let mut recorder = Recorder::new(Bounds::default());
    for &number in sampled.columns.keys() {
        recorder.push(&Request::read(sampled.hashes[number as usize]));
    }
    let log = recorder.finish(0.25, Some(200_000));
    assert_eq!(log.sample(), 0.25);
    let keys = log.keys_in_all() / whole.keys() as f64;
    assert!((keys - 1.0).abs() < 0.05, "{keys}");
    let study =
        Study { sizes: vec![Size::Entries(2000)], contenders: vec!["lru".parse().unwrap()] };
    let results = study.run(&log, threads(1), &|_| {});
    assert_eq!((results.rows[0].capacity, results.rows[0].capacity_sampled), (2000, 500));
    let found = results.rows[0].outcomes[0].hit_ratio();
    assert!((found - exact).abs() < 0.02, "{found} and {exact}");
}

#[test]
fn a_curve_of_bytes_ends_where_everything_fits() {
    let sized = |key: u64| Request { size: Some(100), ..Request::read(numbered(key)) };
    let requests = record(&(0..200).map(|at| sized(at % 50)).collect::<Vec<_>>());
    assert_eq!(requests.footprint(), 5000);
    let sketch = Sketch::of(&requests, Unit::Bytes, 5);
    assert_eq!(sketch.sizes.last(), Some(&Size::Bytes(5000)));
    assert!(sketch.sizes.len() > 1);
    // Few keys: no two points are one size.
    let few = Sketch::of(&record(&reads([1, 2, 1])), Unit::Entries, 24);
    assert_eq!(few.sizes.last(), Some(&Size::Entries(2)));
    assert!(few.sizes.len() <= 2);
    // And none at all.
    assert!(!Sketch::of(&record(&[]), Unit::Entries, 3).sizes.is_empty());
}

#[test]
fn sizes_are_parts_entries_or_bytes() {
    let good = [
        ("0.2%", Size::Part(0.002)),
        ("100 %", Size::Part(1.0)),
        ("7", Size::Entries(7)),
        ("1B", Size::Bytes(1)),
        ("2 KiB", Size::Bytes(2048)),
        ("3GiB", Size::Bytes(3 << 30)),
    ];
    for (text, size) in good {
        assert_eq!(text.parse(), Ok(size), "{text}");
    }
    for bad in ["", "0", "0%", "101%", "-1", "1.5", "1MB", "MiB", "99999999TiB", "NaN%", "x"] {
        assert_eq!(bad.parse::<Size>(), Err(BadSize), "{bad}");
    }
    let requests = record(&reads(0..1999));
    assert_eq!(Size::Part(0.1).capacity(&requests), 199);
    assert_eq!(Size::Part(0.0001).capacity(&requests), 1);
}

#[test]
fn a_contender_has_a_name() {
    for contender in all() {
        assert_eq!(contender.name().parse(), Ok(contender));
    }
    let error = "LRU".parse::<Contender>().unwrap_err();
    assert!(error.to_string().starts_with("policies are belady, adaptive, lru"), "{error}");
}
