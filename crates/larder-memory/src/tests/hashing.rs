//! Hashers of all kinds fill all shards.

use super::*;

/// Hashes a number to itself, shifted.
#[derive(Clone, Copy, Default)]
struct Shifted(u32, u64);

impl std::hash::Hasher for Shifted {
    fn write(&mut self, _: &[u8]) {
        panic!("only numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.1 = number << self.0;
    }

    fn finish(&self) -> u64 {
        self.1
    }
}

impl std::hash::BuildHasher for Shifted {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

#[test]
fn keys_spread_over_all_shards_whichever_bits_a_hasher_fills() {
    fn check(hasher: impl std::hash::BuildHasher, what: &str) {
        let memory = Builder::new(Bounds::entries(5000).shards(8)).hasher(hasher).build();
        for key in 0..4000_u64 {
            assert_eq!(memory.insert(key, key, 0, Moment::MAX, NOW), Insert::Stored);
        }
        memory.assert_invariants();
        assert_eq!(memory.entries(), 4000, "{what}: some shard was full");
    }
    for shift in [0, 8, 20, 32, 40, 48] {
        check(Shifted(shift, 0), &format!("shifted by {shift}"));
    }
    for seed in 0..300 {
        check(foldhash::fast::FixedState::with_seed(seed * 0x1234_5678_9ABC), &seed.to_string());
    }
}
