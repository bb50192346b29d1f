//! A ticket as text, for callers in other processes.
//!
//! Nothing is kept for it here, so tokens that are never used cost nothing. What it says is
//! believed as far as it can be checked: it was given out by this engine, for this key, and not in
//! the future. Its fence then tells whether anything happened since.

use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use larder_core::Moment;

use crate::engine::Engine;
use crate::fence::Fence;
use crate::ticket::Permit;

/// A ticket as text: 80 hexadecimal digits that mean something to the process that gave them
/// out, until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    nonce: u64,
    hash: u64,
    epoch: u64,
    born: u64,
    taken_at: u64,
}

impl Token {
    /// A token that was never given out before, and that stands for no ticket: the text of a lease
    /// that something else keeps.
    #[must_use]
    pub fn unique(engine: &Engine) -> Self {
        let taken_at = engine.now().as_nanos();
        Self { nonce: engine.nonce(), hash: engine.stamp(), epoch: 0, born: 0, taken_at }
    }

    pub(crate) fn new(engine: &Engine, permit: Permit) -> Self {
        Self {
            nonce: engine.nonce(),
            hash: permit.fence.hash,
            epoch: permit.fence.epoch,
            born: permit.fence.born,
            taken_at: permit.taken_at.as_nanos(),
        }
    }

    /// What the token permits, if it was given out by this engine for this key.
    pub(crate) fn redeem<Q: Hash + ?Sized>(
        self,
        engine: &Engine,
        scope: u64,
        key: &Q,
    ) -> Option<Permit> {
        let now = engine.epochs().capture(scope, key, 0);
        let genuine = self.nonce == engine.nonce()
            && self.hash == now.hash
            && self.taken_at <= engine.now().as_nanos()
            && self.born <= engine.events().count();
        genuine.then_some(Permit {
            fence: Fence { hash: self.hash, epoch: self.epoch, born: self.born },
            taken_at: Moment::from_nanos(self.taken_at),
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nonce, hash, epoch, born, taken_at } = self;
        write!(f, "{nonce:016x}{hash:016x}{epoch:016x}{born:016x}{taken_at:016x}")
    }
}

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAToken;

impl fmt::Display for NotAToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token has 80 hexadecimal digits")
    }
}

impl std::error::Error for NotAToken {}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 80 || !digits {
            return Err(NotAToken);
        }
        let part = |at: usize| {
            u64::from_str_radix(&text[at * 16..(at + 1) * 16], 16).map_err(|_| NotAToken)
        };
        Ok(Self {
            nonce: part(0)?,
            hash: part(1)?,
            epoch: part(2)?,
            born: part(3)?,
            taken_at: part(4)?,
        })
    }
}
