//! Every sentence, and every threshold from both sides.

use std::time::Duration;

use larder_core::Window;
use larder_core::freshness::Declared;

use super::VerdictKind::{
    AllAbsent, FailingSource, Fragmented, MostlyInvalidated, NotKept, NotWorthIt, TooEarly,
    TooShort, TooSmall, WorthIt,
};
use super::{Fragment, Fragments, VerdictKind, Worth, verdict};

const MIB: u64 = 1 << 20;

fn window(seconds: u64) -> Window {
    let max_staleness = Some(Duration::from_secs(seconds));
    Window::resolve(Declared { max_staleness, ..Declared::default() }).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A cache after an hour with a window of two seconds: 94 % hits, loads of 4.1 ms.
fn good() -> Worth {
    Worth {
        hits: 94_000,
        misses: 6_000,
        loads: 6_000,
        distinct: 1_000,
        load_time_spent: millis(24_600),
        load_time_saved: millis(385_400),
        bytes: 14 * MIB,
        byte_seconds: (12 * MIB * 3_600) as f64,
        memory_bytes: 14 * MIB,
        memory_bytes_max: 256 * MIB,
        elapsed: Duration::from_secs(3_600),
        ..Worth::nothing(window(2))
    }
}

/// Few hits for no reason that anything could be done about: 30 %, and loads of 4.1 ms.
fn poor() -> Worth {
    Worth {
        hits: 30_000,
        misses: 70_000,
        loads: 70_000,
        distinct: 70_000,
        load_time_spent: millis(287_000),
        load_time_saved: millis(123_000),
        ..good()
    }
}

/// Loads of a cache that is full and evicts what it will need.
fn small() -> Worth {
    Worth {
        hits: 4_100,
        misses: 5_900,
        loads: 5_400,
        distinct: 2_160,
        evicted: 4_752,
        memory_bytes: 12 * MIB,
        memory_bytes_max: 12 * MIB,
        ..good()
    }
}

/// Loads that bring what was there.
fn short() -> Worth {
    Worth {
        hits: 8_000,
        misses: 2_000,
        loads: 2_000,
        reloads: 1_240,
        reloads_same: 1_203,
        ..good()
    }
}

/// A part of the key that is always new.
fn split() -> Worth {
    let fragment = Fragment {
        name: "tenant".to_owned(),
        distinct: 67_900,
        loads: 70_000,
        distinct_without: 40,
    };
    Worth { hits: 3_000, misses: 97_000, fragment: Some(fragment), ..poor() }
}

#[test]
fn each_kind_has_its_sentence() {
    let day = Duration::from_secs(86_400);
    for (worth, kind, sentence) in [
        (
            Worth { load_errors: 3_720, ..good() },
            FailingSource,
            "failing source: 62 % of 6,000 loads failed",
        ),
        (
            Worth { hits: 200, misses: 1_000, invalidations: 5_400, ..good() },
            MostlyInvalidated,
            "mostly invalidated: 5,400 invalidations and 1,200 reads, 17 % hits",
        ),
        (Worth { hits: 5, misses: 7, ..good() }, TooEarly, "too early to say: 12 reads"),
        (Worth { hits: 0, misses: 1, ..good() }, TooEarly, "too early to say: 1 read"),
        (Worth::nothing(window(2)), TooEarly, "too early to say: 0 reads"),
        (
            Worth { window: window(0), ..good() },
            NotKept,
            "not kept: max_staleness is 0 s, so that every read asks the source",
        ),
        (
            Worth { fills_not_kept: 66_500, fills_refused: 700, ..poor() },
            NotKept,
            "not kept: 96 % of 70,000 loads stored nothing (66,500 too heavy or too old, 700 \
             overtaken by an invalidation)",
        ),
        (
            Worth { absent: 5_820, ..good() },
            AllAbsent,
            "nearly all absent: 97 % of 6,000 loads found nothing; check the keys, or put a Bloom \
             filter in front",
        ),
        (
            Worth { load_time_spent: millis(240), load_time_saved: millis(3_760), ..good() },
            NotWorthIt,
            "not worth it: 94 % hits, and 40 µs loads, of which a hit spares next to nothing",
        ),
        (
            small(),
            TooSmall,
            "too small: 41 % hits, 4,752 evictions, and 60 % of the loads are for keys loaded \
             before; give it more than 12 MiB",
        ),
        (
            short(),
            TooShort,
            "too short: 97 % of 1,240 reloads brought the same value; a window of 18 s instead of \
             2 s would spare 89 % of them",
        ),
        (
            Worth { window: window(3_600), elapsed: Duration::from_secs(40), ..split() },
            TooEarly,
            "too early to say: 3 % hits after 40 s of a window of 1 h",
        ),
        (
            split(),
            Fragmented,
            "fragmented: 3 % hits, and nearly every value of {tenant} is new (67,900 in 70,000 \
             loads); without it there would be 40 keys",
        ),
        (
            Worth { hits: 3_000, misses: 97_000, load_time_spent: millis(14_000), ..poor() },
            NotWorthIt,
            "not worth it: 3 % hits, 0.2 ms loads",
        ),
        (
            Worth { load_time_spent: millis(14), load_time_saved: millis(6), ..few_reads() },
            NotWorthIt,
            "not worth it: 30 % hits, 0.2 ms loads, 60 µs spared for each read",
        ),
        (Worth { hits: 3, misses: 97, loads: 0, ..good() }, NotWorthIt, "not worth it: 3 % hits"),
        (
            Worth { load_time_saved: Duration::from_secs(11_520), elapsed: day, ..good() },
            WorthIt,
            "worth it: 94 % hits, 4.1 ms loads, 3 h 12 min of loading saved, 512 KiB held",
        ),
        (
            good(),
            WorthIt,
            "worth it: 94 % hits, 4.1 ms loads, 6 min 25 s of loading saved, 12 MiB held",
        ),
        (Worth { loads: 0, ..good() }, WorthIt, "worth it: 94 % hits, 12 MiB held"),
    ] {
        let verdict = verdict(&worth);
        assert_eq!((verdict.kind, verdict.to_string().as_str()), (kind, sentence));
        assert_eq!(verdict.sentence, sentence);
    }
}

/// A hundred reads in an hour, of which 30 hit.
fn few_reads() -> Worth {
    Worth { hits: 30, misses: 70, loads: 70, distinct: 70, ..good() }
}

/// What is said of the first and no longer of the second.
#[track_caller]
fn edge(kind: VerdictKind, just: &Worth, beyond: &Worth) {
    let (just, beyond) = (verdict(just), verdict(beyond));
    assert_eq!(just.kind, kind, "{just}");
    assert_ne!(beyond.kind, kind, "{beyond}");
}

#[test]
fn a_source_fails_from_ten_errors_and_a_tenth_of_the_loads_on() {
    let with = |load_errors, loads| Worth { load_errors, loads, ..good() };
    edge(FailingSource, &with(600, 6_000), &with(599, 6_000));
    edge(FailingSource, &with(10, 100), &with(9, 9));
}

#[test]
fn invalidations_have_to_outnumber_the_reads_and_hits_be_few() {
    let with = |invalidations, hits, misses| Worth { invalidations, hits, misses, ..good() };
    edge(MostlyInvalidated, &with(1_001, 0, 1_000), &with(1_000, 0, 1_000));
    edge(MostlyInvalidated, &with(100, 0, 0), &with(99, 0, 0));
    edge(MostlyInvalidated, &with(5_000, 499, 501), &with(5_000, 500, 500));
}

#[test]
fn a_hundred_reads_are_enough() {
    let with = |hits| Worth { hits, misses: 10, ..good() };
    edge(TooEarly, &with(89), &with(90));
}

#[test]
fn fills_that_stay_out_count_from_half_of_the_answers_on() {
    let with = |fills_refused, fills_not_kept| Worth { fills_refused, fills_not_kept, ..poor() };
    edge(NotKept, &with(15_000, 20_000), &with(15_000, 19_999));
    let with = |loads| Worth { loads, fills_not_kept: loads, ..poor() };
    edge(NotKept, &with(100), &with(99));
    let with = |hits| Worth { hits, misses: 1_000 - hits, fills_not_kept: 70_000, ..poor() };
    edge(NotKept, &with(499), &with(500));
    edge(NotKept, &Worth { window: window(0), ..good() }, &Worth { window: window(1), ..good() });
}

#[test]
fn absences_count_from_nine_of_ten_answers_on() {
    let with = |absent, loads, load_errors| Worth { absent, loads, load_errors, ..good() };
    edge(AllAbsent, &with(5_400, 6_000, 0), &with(5_399, 6_000, 0));
    edge(AllAbsent, &with(100, 100, 0), &with(99, 99, 0));
    // A failure is no answer: nine errors leave 91 answers.
    edge(AllAbsent, &with(100, 109, 9), &with(91, 100, 9));
}

#[test]
fn loads_are_cheap_below_a_tenth_of_a_millisecond_if_they_are_seldom() {
    // 6,000 loads, and all of them with all hits below a hundredth of an hour.
    let with = |spent, saved| Worth {
        load_time_spent: millis(spent),
        load_time_saved: millis(saved),
        ..small()
    };
    let cheap = |worth: &Worth| worth.loads * 100 > worth.load_time_spent.as_micros() as u64;
    assert!(cheap(&with(539, 35_460)) && !cheap(&with(540, 35_459)));
    // What isn't cheap any more is worth more memory.
    edge(NotWorthIt, &with(539, 35_460), &with(540, 35_459));
    edge(NotWorthIt, &with(539, 35_460), &with(539, 35_461));
}

#[test]
fn memory_is_too_small_only_if_full_evicting_and_asked_again() {
    let full = |memory_bytes| Worth { memory_bytes, memory_bytes_max: 1_000, ..small() };
    edge(TooSmall, &full(900), &full(899));
    edge(TooSmall, &full(1_000), &Worth { memory_bytes_max: 0, ..small() });
    let evicting = |evicted| Worth { evicted, ..small() };
    edge(TooSmall, &evicting(2_700), &evicting(2_699));
    let hitting =
        |hits| Worth { hits, misses: 10_000 - hits, loads: 1_000, distinct: 1, ..small() };
    edge(TooSmall, &hitting(7_999), &hitting(8_000));
    // A scan asks for nothing again; a fifth of the loads has to.
    let again = |distinct| Worth { distinct, ..small() };
    edge(TooSmall, &again(4_320), &again(4_321));
    // Nor do loads that failed: they brought nothing that could have been kept.
    let failing = |distinct| Worth { loads: 5_900, load_errors: 500, distinct, ..small() };
    edge(TooSmall, &failing(4_320), &failing(4_321));
    // Where nobody counted keys, remembered reloads are the witness.
    let reloads = |reloads| Worth { distinct: 0, reloads, ..small() };
    edge(TooSmall, &reloads(1_080), &reloads(1_079));
    let loads = |loads| Worth { loads, evicted: loads, distinct: 1, ..small() };
    edge(TooSmall, &loads(100), &loads(99));
}

#[test]
fn callers_that_join_and_refreshes_need_no_place_in_memory() {
    // 3,000 misses joined other flights: 2,900 loads, of which half evicted something.
    edge(
        TooSmall,
        &Worth { loads: 2_900, distinct: 1_000, evicted: 1_450, ..small() },
        &Worth { loads: 2_900, distinct: 1_000, evicted: 1_449, ..small() },
    );
    // 50,000 refreshes beside 5,900 misses.
    edge(
        TooSmall,
        &Worth { loads: 50_000, distinct: 2_000, evicted: 2_950, ..small() },
        &Worth { loads: 50_000, distinct: 2_000, evicted: 2_949, ..small() },
    );
}

#[test]
fn a_window_is_too_short_if_it_makes_the_loads_and_they_bring_nothing_new() {
    let same = |reloads, reloads_same| Worth { reloads, reloads_same, ..short() };
    edge(TooShort, &same(1_000, 900), &same(1_000, 899));
    edge(TooShort, &same(100, 100), &same(99, 99));
    let loads = |loads| Worth { loads, hits: 9_500, misses: 500, ..short() };
    edge(TooShort, &loads(500), &loads(499));
    let elsewhere = |evicted, invalidations| Worth { evicted, invalidations, ..short() };
    edge(TooShort, &elsewhere(500, 499), &elsewhere(500, 500));
    let mut unused = short();
    unused.window.fresh_for = Duration::ZERO;
    edge(TooShort, &short(), &unused);
}

#[test]
fn refreshes_in_the_background_are_loads_that_a_longer_window_spares() {
    let worth = Worth { hits: 10_000, misses: 0, ..short() };
    assert_eq!(verdict(&worth).kind, TooShort);
}

#[test]
fn the_proposed_window_brings_a_change_with_a_quarter_of_the_reloads_at_most() {
    for (same, proposed) in [
        (1_000, "20 s instead of 2 s would spare 90 %"),
        (990, "20 s instead of 2 s would spare 90 %"),
        (970, "18 s instead of 2 s would spare 89 %"),
        (950, "10 s instead of 2 s would spare 80 %"),
        (900, "4 s instead of 2 s would spare 50 %"),
    ] {
        let worth = Worth { reloads: 1_000, reloads_same: same, ..short() };
        let sentence = verdict(&worth).sentence;
        assert!(sentence.contains(proposed), "{same}: {sentence}");
    }
}

#[test]
fn a_cold_cache_is_not_blamed_until_its_window_or_an_hour_has_passed() {
    let after = |seconds, window_seconds| Worth {
        elapsed: Duration::from_secs(seconds),
        window: window(window_seconds),
        ..split()
    };
    edge(TooEarly, &after(599, 600), &after(600, 600));
    edge(TooEarly, &after(3_599, 86_400), &after(3_600, 86_400));
    // Nor are few hits without a fragment; and nobody waits for what is good already.
    let plain = Worth { fragment: None, ..after(599, 600) };
    edge(TooEarly, &plain, &Worth { elapsed: Duration::from_secs(600), ..plain.clone() });
    let warm = Worth { window: window(86_400), elapsed: Duration::from_secs(40), ..good() };
    assert_eq!(verdict(&warm).kind, WorthIt);
}

#[test]
fn a_part_that_is_always_new_is_no_fault_where_keys_are_read_again() {
    let hitting = |hits| Worth { hits, misses: 10_000 - hits, ..split() };
    edge(Fragmented, &hitting(1_999), &hitting(2_000));
    assert_eq!(verdict(&hitting(2_000)).kind, WorthIt);
}

#[test]
fn unique_order_numbers_are_blamed_only_where_nobody_reads_an_order_twice() {
    let orders = Fragments::new(2);
    for number in 0..2_000_u32 {
        orders.note(&[&(number % 10).to_string(), &number.to_string()]);
    }
    let fragment = orders.worst(&["shop", "no"]);
    assert_eq!(fragment.as_ref().map(|fragment| fragment.name.as_str()), Some("no"));
    let read_again = Worth { hits: 94_000, misses: 2_000, fragment: fragment.clone(), ..good() };
    assert_eq!(verdict(&read_again).kind, WorthIt);
    let read_once = Worth { hits: 100, misses: 2_000, fragment, ..poor() };
    assert_eq!(verdict(&read_once).kind, Fragmented);

    // Users that are each read once are no matter of the key.
    let users = Fragments::new(1);
    (0..2_000_u32).for_each(|id| users.note(&[&id.to_string()]));
    let read_once = Worth { fragment: users.worst(&["id"]), ..read_once };
    assert_eq!(verdict(&read_once).kind, NotWorthIt);
}

#[test]
fn hits_are_few_below_a_tenth() {
    let with = |hits| Worth { hits, misses: 10_000 - hits, ..poor() };
    edge(NotWorthIt, &with(999), &with(1_000));
    let without_loads = |hits| Worth { loads: 0, ..with(hits) };
    edge(NotWorthIt, &without_loads(999), &without_loads(1_000));
}

#[test]
fn little_is_spared_below_a_round_trip_a_read_and_a_hundredth_of_the_time() {
    let with = |micros, seconds| Worth {
        load_time_spent: Duration::from_secs(100),
        load_time_saved: Duration::from_micros(micros),
        elapsed: Duration::from_secs(seconds),
        ..poor()
    };
    // 100,000 reads: 0.1 ms for each is 10 s, a hundredth of 1,000 s.
    edge(NotWorthIt, &with(9_999_000, 1_000), &with(10_000_000, 1_001));
    edge(NotWorthIt, &with(9_990_000, 1_000), &with(9_990_000, 999));
}

#[test]
fn what_is_held_is_a_mean_over_time_and_what_is_there_before_any_has_passed() {
    let half = Worth { elapsed: Duration::from_secs(7_200), ..good() };
    assert_eq!(half.bytes_mean(), 6 * MIB);
    assert_eq!(Worth { elapsed: Duration::ZERO, ..good() }.bytes_mean(), 14 * MIB);
    assert_eq!(Worth { byte_seconds: 0.0, ..good() }.bytes_mean(), 14 * MIB);
}

#[test]
fn what_hits_saved_is_unknown_without_loads_and_never_overflows() {
    assert_eq!(Worth::estimate_saved(9, 0, millis(1)), Duration::ZERO);
    assert_eq!(Worth::estimate_saved(9, 2, millis(1)), Duration::from_micros(4_500));
    let most = Worth::estimate_saved(u64::MAX, 1, Duration::MAX);
    assert_eq!(most, Duration::from_nanos(u64::MAX));
    assert_eq!(Worth { loads: 0, ..good() }.load_mean(), None);
    assert_eq!(good().load_mean(), Some(Duration::from_micros(4_100)));
}

#[test]
fn the_kinds_have_words_of_their_own() {
    let mut words = VerdictKind::ALL.map(VerdictKind::as_str).to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), VerdictKind::ALL.len());
}

#[test]
fn numbers_at_their_ends_are_judged_without_a_panic() {
    let most = Worth {
        hits: u64::MAX,
        misses: u64::MAX,
        loads: u64::MAX,
        load_time_spent: Duration::MAX,
        load_time_saved: Duration::MAX,
        fills_refused: u64::MAX,
        fills_not_kept: u64::MAX,
        reloads: u64::MAX,
        reloads_same: u64::MAX,
        evicted: u64::MAX,
        invalidations: u64::MAX,
        bytes: u64::MAX,
        byte_seconds: f64::MAX,
        memory_bytes: u64::MAX,
        memory_bytes_max: u64::MAX,
        elapsed: Duration::MAX,
        ..good()
    };
    // More errors and absences than loads, as when counters are read one after the other.
    let odd = Worth { load_errors: 9, absent: 90, loads: 5, reloads_same: 9, ..good() };
    for worth in [most, odd, Worth { elapsed: Duration::ZERO, ..good() }] {
        assert!(!verdict(&worth).sentence.is_empty());
    }
}
