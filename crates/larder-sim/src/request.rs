//! One request of a trace, whatever form it was written in.
//!
//! It knows no key's text: a key is a number of 64 bits, so that a trace of any keys takes the
//! same memory. Two of a hundred million keys are one number with a chance of 1 in 3,700.

use foldhash::quality::FixedState;
use std::hash::BuildHasher;

/// What is done with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// It is read; a miss loads and fills it. Only reads count in hit ratios.
    Read,
    /// A value is stored, whether the key was held or not.
    Write,
    /// It is removed.
    Remove,
}

/// One request of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The key, as a number that is well mixed in all its bits.
    pub key: u64,
    /// What is done with it.
    pub op: Op,
    /// How large the value is, in bytes; `None` where the trace doesn't tell.
    pub size: Option<u32>,
    /// When, in milliseconds from any moment; `None` where the trace doesn't tell.
    pub time_ms: Option<u64>,
    /// How long a value filled by this request lives, in milliseconds; `None` for ever.
    pub ttl_ms: Option<u64>,
}

impl Request {
    /// A read of `key`, with nothing known but that.
    pub fn read(key: u64) -> Self {
        Self { key, op: Op::Read, size: None, time_ms: None, ttl_ms: None }
    }
}

/// The key with this number in the trace.
pub(crate) fn numbered(number: u64) -> u64 {
    mix(number ^ 0x5851_f42d_4c95_7f2d)
}

/// The key with this text. The same in every run of one build.
pub(crate) fn named(text: &[u8]) -> u64 {
    FixedState::with_seed(0).hash_one(text)
}

/// Where in the sample a key stands: it is kept where this is at most the sample's threshold.
/// Independent of the key's own bits, by which the policies sample again.
pub(crate) fn rank(key: u64) -> u64 {
    mix(key ^ 0x2545_f491_4f6c_dd1d)
}

/// The finish of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// 2014): each bit of the result depends on each bit given, and no two numbers give one.
fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
