//! What a lease's token says, byte by byte. It travels through clients, so what comes back may be
//! anything.
//!
//! ```text
//!  0  8  the process that took the lease
//!  8  4  the connection that it was taken over, as the process counts them
//! 12  4  of the hash of the key's name, the lower half
//! 16  8  CAS of the item
//! 24  4  the server's clock before the grant, in seconds since 1970
//! 28  1  what it is over: 1 a stub, 2 a stale entry, 3 an entry that was seen
//! ```
//!
//! Numbers are big-endian. It is no secret and proves nothing: whoever may fill may invent one.

use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use larder_core::shared::{Incarnation, Invalidation, Lease};

use crate::codec::{Request, SECONDS_MAX};
use crate::name::Name;
use crate::renewals::Id;

/// The only run that a Memcached has: one that starts again is empty. Entries are filled under the
/// run of their lease, so the connection stands in the token instead.
const RUN: Incarnation = Incarnation(0);

/// What a lease stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The process that took it.
    pub(crate) process: u64,
    /// The connection that it was taken over.
    pub(crate) generation: u32,
    /// The hash of the key's name, whose lower half is kept.
    pub(crate) hash: u64,
    /// The item's number when it was taken.
    pub(crate) cas: u64,
    /// The server's clock, not after the grant.
    pub(crate) granted: u32,
    /// What it is over.
    pub(crate) over: Over,
}

/// What a lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Nothing: a stub that ends with the lease.
    Stub,
    /// An entry that was marked stale.
    Stale,
    /// An entry that was seen, and is fresh to others.
    Seen,
}

impl Token {
    /// The lease with this token.
    pub(crate) fn lease(&self) -> Lease {
        let mut out = BytesMut::with_capacity(Lease::TOKEN_BYTES_MAX);
        out.put_u64(self.process);
        out.put_u32(self.generation);
        out.put_u32(self.hash as u32);
        out.put_u64(self.cas);
        out.put_u32(self.granted);
        out.put_u8(match self.over {
            Over::Stub => 1,
            Over::Stale => 2,
            Over::Seen => 3,
        });
        Lease { token: out.freeze(), incarnation: RUN }
    }

    /// What it is called among the renewed ones.
    pub(crate) fn id(&self) -> Id {
        Id { generation: self.generation, cas: self.cas }
    }

    /// What the lease says, if `process` took it for the key whose name has this `hash`.
    pub(crate) fn read(lease: &Lease, process: u64, hash: u64) -> Option<Self> {
        let rest: &mut &[u8] = &mut &lease.token[..];
        let token = Self {
            process: rest.try_get_u64().ok()?,
            generation: rest.try_get_u32().ok()?,
            hash: (rest.try_get_u32().ok()? == hash as u32).then_some(hash)?,
            cas: rest.try_get_u64().ok()?,
            granted: rest.try_get_u32().ok()?,
            over: match rest.try_get_u8().ok()? {
                1 => Over::Stub,
                2 => Over::Stale,
                3 => Over::Seen,
                _ => return None,
            },
        };
        let is_ours = token.process == process && lease.incarnation == RUN;
        (is_ours && token.cas != 0 && rest.is_empty()).then_some(token)
    }
}

impl Over {
    /// What lets the next one win the item with this number, as long as it has it.
    pub(crate) fn give_back(self, name: Name, cas: u64) -> Request {
        match self {
            Self::Stub => Request::Delete { name, cas: Some(cas), strike: Invalidation::Drop },
            Self::Stale => {
                Request::Delete { name, cas: Some(cas), strike: Invalidation::MarkStale }
            }
            Self::Seen => Request::Rewrite { name, cas },
        }
    }
}

/// A lease in seconds: at least `time`, because a second that has begun counts as over there.
pub(crate) fn lease_seconds(time: Duration) -> u32 {
    let begun = u64::from(time.subsec_nanos() > 0);
    let seconds = time.as_secs().saturating_add(begun + 1);
    u32::try_from(seconds).unwrap_or(SECONDS_MAX).min(SECONDS_MAX)
}

// A token must fit.
const _: () = assert!(29 <= Lease::TOKEN_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token {
        process: 0x0102_0304_0506_0708,
        generation: 9,
        hash: 0x1111_2222_3333_4444,
        cas: 77,
        granted: 1_800_000_000,
        over: Over::Seen,
    };

    #[test]
    fn a_token_is_read_by_the_process_that_took_it_for_the_same_key() {
        let lease = TOKEN.lease();
        assert_eq!(Token::read(&lease, TOKEN.process, TOKEN.hash), Some(TOKEN));
        assert_eq!(Token::read(&lease, 1, TOKEN.hash), None);
        assert_eq!(Token::read(&lease, TOKEN.process, 5), None);
        let other = Lease { incarnation: Incarnation(1), ..lease };
        assert_eq!(Token::read(&other, TOKEN.process, TOKEN.hash), None);
    }

    /// A second that has begun counts as over to the server.
    #[test]
    fn a_lease_lasts_at_least_its_time() {
        let seconds = |millis| lease_seconds(Duration::from_millis(millis));
        assert_eq!([1, 1_000, 1_001, 10_000].map(seconds), [2, 2, 3, 11]);
        assert_eq!(lease_seconds(Duration::MAX), SECONDS_MAX);
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let lease = TOKEN.lease();
        for length in 0..lease.token.len() {
            let cut = Lease { token: lease.token.slice(..length), ..lease.clone() };
            assert_eq!(Token::read(&cut, TOKEN.process, TOKEN.hash), None);
        }
        let longer = [&lease.token[..], b"x"].concat();
        let longer = Lease { token: longer.into(), ..lease.clone() };
        assert_eq!(Token::read(&longer, TOKEN.process, TOKEN.hash), None);
        // Zero is what a server without CAS gives every item, and "any" to one with it.
        let zero = Token { cas: 0, ..TOKEN }.lease();
        assert_eq!(Token::read(&zero, TOKEN.process, TOKEN.hash), None);
    }
}
