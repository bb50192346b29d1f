//! The size of the process stays near the bound, whatever is put through the tier.
//!
//! Alone in its file, since a process has one size. It prints what it measures:
//! `cargo test --release -p larder-memory --test resident -- --nocapture`.
#![cfg(target_os = "linux")]

use std::ops::RangeInclusive;
use std::time::Duration;

use foldhash::fast::RandomState;
use larder_core::{Key, Moment};
use larder_memory::policy::{Fifo, Policy};
use larder_memory::{Bounds, Builder, Insert, Memory, RemovalCause};

/// With a policy that lets what is new in whatever it is, so that everything is churned.
type Tier = Memory<Key, Box<[u8]>, RandomState, Fifo>;

const BOUND: usize = 16 << 20;

/// How many times the bound is put through the tier for each kind of value.
const LOAD: usize = 10;

/// What the process has in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")).expect("a size in kB");
    kib.trim().parse::<usize>().expect("a number") << 10
}

/// Puts `LOAD` times the bound through the tier, each entry under a new key; the lengths of the
/// values take turns.
fn churn(tier: &Tier, lengths: &[usize]) {
    let (mut number, mut bytes) = (0_u64, 0);
    for length in lengths.iter().cycle() {
        number += 1;
        let now = Moment::from_nanos(number);
        let name = |number| Key::from(&*format!("{}:user:{number}", lengths.len()));
        let (key, value) = (name(number), vec![b'v'; *length].into_boxed_slice());
        let weight = key.heap_bytes() + length;
        let expires_at = now + Duration::from_secs(1);
        let insert = tier.insert(key, value, weight, expires_at, now);
        assert_eq!(insert, Insert::Stored);
        // Some leave out of turn, so that memory is not freed in the order of its allocation.
        if number.is_multiple_of(7) {
            let key = name(number - number % 1000 / 2);
            tier.remove(&key, now, RemovalCause::Removed, |_| ());
        }
        bytes += weight + Tier::ENTRY_OVERHEAD;
        if bytes > LOAD * BOUND {
            break;
        }
    }
}

/// Churns a tier through each kind of load in turn, the process within `ratios` of the bound
/// after each.
fn check(before: usize, loads: &[&[usize]], ratios: RangeInclusive<f64>) {
    let tier: Tier = Builder::new(Bounds::bytes(BOUND)).policy(Fifo::new).build();
    for lengths in loads {
        churn(&tier, lengths);
        let ratio = (resident() - before) as f64 / BOUND as f64;
        let (entries, bytes) = (tier.entries(), tier.bytes());
        println!("{lengths:?}: {entries} entries, {bytes} bytes, resident / bound {ratio:.3}");
        assert!(ratios.contains(&ratio), "{ratio:.3} times the bound after {lengths:?}");
        assert!(bytes > BOUND / 100 * 95, "{bytes} bytes held after {lengths:?}");
    }
}

#[test]
fn the_process_grows_by_the_bound_and_not_by_the_load() {
    let before = resident();
    check(before, &[&[100]], 0.85..=1.15);
    check(before, &[&[1000]], 0.85..=1.15);
    check(before, &[&[20, 100, 1000, 300, 5000]], 0.85..=1.15);
    // Where the size of the values changes, slots are given back in halves only: a sixteenth of
    // the bound is free slots here. The rest is not in the tier's books: it is the allocator's.
    check(before, &[&[100], &[1000]], 0.85..=1.65);
}
