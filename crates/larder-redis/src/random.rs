//! Numbers that no other process and no earlier moment has: tokens of leases, runs of a bus. They
//! are unlike each other, not secret.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::{BufMut, Bytes, BytesMut};
use larder_core::sync::{AtomicU64, Ordering};

/// The source of such numbers: a counter, hashed under a random key.
#[derive(Debug, Default)]
pub(crate) struct Random {
    key: RandomState,
    /// Relaxed: only that each value is given once matters.
    count: AtomicU64,
}

impl Random {
    fn number(&self) -> u64 {
        self.key.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// The token of a lease.
    pub(crate) fn token(&self) -> Bytes {
        let mut token = BytesMut::with_capacity(TOKEN_BYTES);
        token.put_u64(self.number());
        token.put_u64(self.number());
        token.freeze()
    }

    /// The name of a run or of an incarnation, as eight hexadecimal digits.
    pub(crate) fn run(&self) -> Bytes {
        format!("{:08x}", self.number() >> 32).into()
    }
}

/// The length of a token.
pub(crate) const TOKEN_BYTES: usize = 16;
