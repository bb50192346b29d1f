//! The rules by which a verdict is found, each with its threshold.
//!
//! Pure arithmetic on what was measured; what a rule can't know it doesn't guess.

use std::time::Duration;

use super::units::{bytes, count, grouped, percent, time};
use super::worth::share;
use super::{Verdict, VerdictKind, Worth};

/// Fewer reads than that say nothing about a ratio.
const READS_MIN: u64 = 100;
/// Fewer loads, reloads or invalidations than that say nothing about theirs.
const LOADS_MIN: u64 = 100;
/// So many failed loads are no accident.
const ERRORS_MIN: u64 = 10;
/// The share of failed loads from which on the source is what is wrong.
const ERRORS_SHARE_MIN: f64 = 0.1;
/// Hits that are at least every second read are reason enough for what they cost.
const HITS_GOOD: f64 = 0.5;
/// The share of fills that leave nothing behind.
const NOT_KEPT_SHARE_MIN: f64 = 0.5;
/// The share of loads that find nothing.
const ABSENT_SHARE_MIN: f64 = 0.9;
/// A round trip over a network: who has a database elsewhere pays it with every read.
const SPARED_MIN: Duration = Duration::from_micros(100);
/// The share of one connection's time that is worth having even of cheap loads.
const BUSY_MIN: f64 = 0.01;
/// With more hits than that, more memory changes little.
const HITS_ROOMY: f64 = 0.8;
/// The share of its bound from which on memory is full: what is freed and filled again breathes.
const FULL_MIN: f64 = 0.9;
/// Evictions for each load that needed a place.
const EVICTED_SHARE_MIN: f64 = 0.5;
/// The share of loads for keys that had been loaded before: what more memory could spare.
const RETURNING_MIN: f64 = 0.2;
/// Loads for each read: with fewer a longer window could spare next to nothing.
const LOADS_SHARE_MIN: f64 = 0.05;
/// The share of reloads that brought the same value.
const SAME_SHARE_MIN: f64 = 0.9;
/// With the longer window that is proposed, at most so many reloads bring a change.
const CHANGED_SHARE_AIM: f64 = 0.25;
/// What is measured of one window says little about another that is much longer.
const LONGER_MAX: f64 = 10.0;
/// How long keys get to be read again, if the window is longer.
const SETTLED_MAX: Duration = Duration::from_secs(3_600);
/// Where so few reads hit, a part of the key that is always new is to blame.
const HITS_FRAGMENTED: f64 = 0.2;
/// Where so few reads hit, the source works as if there were no cache.
const HITS_FEW: f64 = 0.1;

/// The rules, in the order in which they are asked. The first that has something to say does.
const RULES: [fn(&Worth) -> Option<Verdict>; 11] = [
    failing_source,
    mostly_invalidated,
    too_few_reads,
    not_kept,
    all_absent,
    cheap_loads,
    too_small,
    too_short,
    too_cold,
    fragmented,
    spares_little,
];

/// What is to be said about a cache of which this was measured: the first of the
/// [rules](super#the-rules) that applies.
#[must_use]
pub fn verdict(worth: &Worth) -> Verdict {
    RULES.iter().find_map(|rule| rule(worth)).unwrap_or_else(|| worth_it(worth))
}

fn failing_source(worth: &Worth) -> Option<Verdict> {
    let failed = share(worth.load_errors, worth.loads);
    (worth.load_errors >= ERRORS_MIN && failed >= ERRORS_SHARE_MIN).then(|| {
        let loads = count(worth.loads, "load");
        say(
            VerdictKind::FailingSource,
            format!("failing source: {} of {loads} failed", percent(failed)),
        )
    })
}

fn mostly_invalidated(worth: &Worth) -> Option<Verdict> {
    let more = worth.invalidations >= LOADS_MIN && worth.invalidations > worth.reads();
    (more && worth.hit_ratio() < HITS_GOOD).then(|| {
        let (written, read) =
            (count(worth.invalidations, "invalidation"), count(worth.reads(), "read"));
        say(
            VerdictKind::MostlyInvalidated,
            format!("mostly invalidated: {written} and {read}, {}", hits(worth)),
        )
    })
}

fn too_few_reads(worth: &Worth) -> Option<Verdict> {
    (worth.reads() < READS_MIN).then(|| {
        let reads = count(worth.reads(), "read");
        say(VerdictKind::TooEarly, format!("too early to say: {reads}"))
    })
}

fn not_kept(worth: &Worth) -> Option<Verdict> {
    if !worth.window.keeps() {
        let sentence = "not kept: max_staleness is 0 s, so that every read asks the source";
        return Some(say(VerdictKind::NotKept, sentence.to_owned()));
    }
    let lost = worth.fills_refused.saturating_add(worth.fills_not_kept);
    let lost = share(lost, worth.answered());
    let many = worth.answered() >= LOADS_MIN && lost >= NOT_KEPT_SHARE_MIN;
    (many && worth.hit_ratio() < HITS_GOOD).then(|| {
        let (heavy, late) = (grouped(worth.fills_not_kept), grouped(worth.fills_refused));
        let (lost, loads) = (percent(lost), count(worth.answered(), "load"));
        say(
            VerdictKind::NotKept,
            format!(
                "not kept: {lost} of {loads} stored nothing ({heavy} too heavy or too old, \
                 {late} overtaken by an invalidation)"
            ),
        )
    })
}

fn all_absent(worth: &Worth) -> Option<Verdict> {
    let absent = share(worth.absent, worth.answered());
    (worth.answered() >= LOADS_MIN && absent >= ABSENT_SHARE_MIN).then(|| {
        let (absent, loads) = (percent(absent), count(worth.answered(), "load"));
        say(
            VerdictKind::AllAbsent,
            format!(
                "nearly all absent: {absent} of {loads} found nothing; check the keys, or put a \
                 Bloom filter in front"
            ),
        )
    })
}

fn cheap_loads(worth: &Worth) -> Option<Verdict> {
    let load = worth.load_mean().filter(|&load| load < SPARED_MIN)?;
    let at_best = worth.load_time_spent.saturating_add(worth.load_time_saved);
    is_seldom(at_best, worth).then(|| {
        let (hits, load) = (hits(worth), time(load));
        say(
            VerdictKind::NotWorthIt,
            format!(
                "not worth it: {hits}, and {load} loads, of which a hit spares next to nothing"
            ),
        )
    })
}

fn too_small(worth: &Worth) -> Option<Verdict> {
    let bound = worth.memory_bytes_max;
    let full = bound > 0 && share(worth.memory_bytes, bound) >= FULL_MIN;
    // Callers that joined need no place, and refreshes have theirs.
    let places = worth.loads.min(worth.misses);
    let evicted = share(worth.evicted, places) >= EVICTED_SHARE_MIN;
    let returning = worth.returning();
    let few = worth.hit_ratio() < HITS_ROOMY && returning >= RETURNING_MIN;
    (full && evicted && few && places >= LOADS_MIN).then(|| {
        let (hits, evictions) = (hits(worth), count(worth.evicted, "eviction"));
        let (returning, bound) = (percent(returning), bytes(bound));
        say(
            VerdictKind::TooSmall,
            format!(
                "too small: {hits}, {evictions}, and {returning} of the loads are for keys \
                 loaded before; give it more than {bound}"
            ),
        )
    })
}

fn too_short(worth: &Worth) -> Option<Verdict> {
    let window = worth.window.fresh_for;
    let same = share(worth.reloads_same, worth.reloads);
    let idle = worth.reloads >= LOADS_MIN && same >= SAME_SHARE_MIN;
    let often = share(worth.loads, worth.reads()) >= LOADS_SHARE_MIN;
    let elsewhere = worth.evicted.saturating_add(worth.invalidations);
    let by_time = elsewhere.saturating_mul(2) < worth.loads;
    (idle && often && by_time && !window.is_zero()).then(|| {
        let times = times_longer(same);
        let (longer, window) = (time(window.saturating_mul(times)), time(window));
        let spared = percent(1.0 - 1.0 / f64::from(times));
        let (same, reloads) = (percent(same), count(worth.reloads, "reload"));
        say(
            VerdictKind::TooShort,
            format!(
                "too short: {same} of {reloads} brought the same value; a window of {longer} \
                 instead of {window} would spare {spared} of them"
            ),
        )
    })
}

/// How many times longer the window may be, if so many reloads bring the same value after one
/// window, until too many bring a change: after *n* windows `same`^*n* of them do not.
fn times_longer(same: f64) -> u32 {
    let times = ((1.0 - CHANGED_SHARE_AIM).ln() / same.ln()).abs();
    // All the same is infinitely many times.
    times.clamp(1.0, LONGER_MAX) as u32
}

fn too_cold(worth: &Worth) -> Option<Verdict> {
    let window = worth.window.fresh_for;
    let cold = worth.elapsed < window.min(SETTLED_MAX);
    let poor = || fragmented(worth).or_else(|| spares_little(worth)).is_some();
    (cold && poor()).then(|| {
        let (hits, elapsed, window) = (hits(worth), time(worth.elapsed), time(window));
        say(
            VerdictKind::TooEarly,
            format!("too early to say: {hits} after {elapsed} of a window of {window}"),
        )
    })
}

fn fragmented(worth: &Worth) -> Option<Verdict> {
    let fragment = worth.fragment.as_ref()?;
    (worth.hit_ratio() < HITS_FRAGMENTED).then(|| {
        let (name, hits) = (&fragment.name, hits(worth));
        let (distinct, loads) = (grouped(fragment.distinct), count(fragment.loads, "load"));
        let keys = count(fragment.distinct_without, "key");
        say(
            VerdictKind::Fragmented,
            format!(
                "fragmented: {hits}, and nearly every value of {{{name}}} is new ({distinct} in \
                 {loads}); without it there would be {keys}"
            ),
        )
    })
}

fn spares_little(worth: &Worth) -> Option<Verdict> {
    let few = worth.hit_ratio() < HITS_FEW;
    let Some(load) = worth.load_mean() else {
        let sentence = || format!("not worth it: {}", hits(worth));
        return few.then(|| say(VerdictKind::NotWorthIt, sentence()));
    };
    let spared = Worth::estimate_saved(1, worth.reads(), worth.load_time_saved);
    let little = spared < SPARED_MIN && is_seldom(worth.load_time_saved, worth);
    let (hits, load) = (hits(worth), time(load));
    if few {
        Some(say(VerdictKind::NotWorthIt, format!("not worth it: {hits}, {load} loads")))
    } else if little {
        let spared = time(spared);
        let sentence = format!("not worth it: {hits}, {load} loads, {spared} spared for each read");
        Some(say(VerdictKind::NotWorthIt, sentence))
    } else {
        None
    }
}

fn worth_it(worth: &Worth) -> Verdict {
    let (hits, held) = (hits(worth), bytes(worth.bytes_mean()));
    let sentence = match worth.load_mean() {
        Some(load) => {
            let (load, saved) = (time(load), time(worth.load_time_saved));
            format!("worth it: {hits}, {load} loads, {saved} of loading saved, {held} held")
        }
        None => format!("worth it: {hits}, {held} held"),
    };
    say(VerdictKind::WorthIt, sentence)
}

/// Whether so much loading in all is too little for the source to notice.
fn is_seldom(loading: Duration, worth: &Worth) -> bool {
    loading.as_secs_f64() < worth.elapsed.as_secs_f64() * BUSY_MIN
}

fn hits(worth: &Worth) -> String {
    format!("{} hits", percent(worth.hit_ratio()))
}

fn say(kind: VerdictKind, sentence: String) -> Verdict {
    Verdict { kind, sentence }
}
