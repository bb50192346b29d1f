//! A reference that is forgotten: its entry is kept, and so is its place.
//!
//! Alone in its process: what it kept stays announced when the tier and its memory are gone, and
//! would keep whatever another tier has at the same address.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::thread;

use larder_core::Moment;
use larder_memory::{Bounds, Insert, Memory, RemovalCause};

#[test]
fn a_forgotten_reference_keeps_its_value_as_long_as_the_tier_lives() {
    let memory = Memory::new(Bounds::entries(10));
    let values = [Arc::new(1), Arc::new(2)];
    for (key, value) in values.iter().enumerate() {
        let insert = memory.insert(key, Arc::clone(value), 0, Moment::MAX, Moment::ZERO);
        assert_eq!(insert, Insert::Stored);
    }
    thread::scope(|scope| {
        let forget = || std::mem::forget(memory.get_ref(&0, Moment::ZERO));
        scope.spawn(forget).join().unwrap();
        // The places of the thread that ended are not another's.
        let reads = scope.spawn(|| memory.get_ref(&1, Moment::ZERO).is_some());
        assert!(reads.join().unwrap());
    });
    memory.clear(RemovalCause::Removed);
    while Arc::strong_count(&values[1]) > 1 {
        memory.reclaim();
    }
    (0..100).for_each(|_| memory.reclaim());
    assert_eq!(Arc::strong_count(&values[0]), 2);
    drop(memory);
    assert_eq!(Arc::strong_count(&values[0]), 1);
}
