//! What is announced on a bus, byte by byte.
//!
//! Numbers are big-endian. A *text* is its length in two bytes, then UTF-8.
//!
//! ```text
//!  0  1  version: 1
//!  1  1  kind
//!  2  8  the process that announces
//! 10     by kind:
//!        1 token      8 its number
//!        2 keys       1 strike   text cache   then to the end: text key …
//!        3 tags       1 strike   then to the end: 8 hash of a tag …
//!        4 cache      1 strike   text cache
//!        5 prefix     1 strike   text cache   text prefix
//!        6 all        1 strike
//!        7 writing    16 intent  8 milliseconds  text cache  text key
//!        8 written    16 intent  text cache  text key
//!        9 answer     text feed  16 position  2 how many: text cache …
//!                     then to the end: 8 process  8 number of its token …
//! strike: 1 drop, 2 mark stale
//! ```
//!
//! A reader that meets a version or a kind that it doesn't know can't tell what it has missed, and
//! does as after a gap.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::feed::FeedPosition;
use crate::shared::{Intent, Invalidation};

/// A run of a process, random: what an earlier run of it sent is not taken for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId(pub u64);

impl ProcessId {
    /// No process: what a server tells by itself of entries that changed in it, in whatever way. A
    /// fill is told like an invalidation.
    pub const NOBODY: Self = Self(0);
}

/// What is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Nothing changed; its sender wants to read it back.
    Token {
        /// Which of its tokens.
        number: u64,
    },
    /// These keys of a cache were invalidated.
    Keys {
        /// How.
        strike: Invalidation,
        /// The cache.
        cache: Box<str>,
        /// Their texts; at least one.
        keys: Vec<Box<str>>,
    },
    /// Everything with tags of these hashes was invalidated.
    Tags {
        /// How.
        strike: Invalidation,
        /// The hashes; at least one.
        hashes: Vec<u64>,
    },
    /// Everything of a cache was invalidated.
    Cache {
        /// How.
        strike: Invalidation,
        /// The cache.
        cache: Box<str>,
    },
    /// Everything of a cache whose key begins so was invalidated.
    Prefix {
        /// How.
        strike: Invalidation,
        /// The cache.
        cache: Box<str>,
        /// How the keys begin.
        prefix: Box<str>,
    },
    /// Somebody is about to commit a write of a key, which is invalidated: until its end, or for
    /// so long, nobody may keep what was loaded.
    Writing {
        /// Which write.
        intent: Intent,
        /// For how long at most, in milliseconds.
        millis: u64,
        /// The cache.
        cache: Box<str>,
        /// The key's text.
        key: Box<str>,
    },
    /// That write has ended, and the key is invalidated once more.
    Written {
        /// Which write.
        intent: Intent,
        /// The cache.
        cache: Box<str>,
        /// The key's text.
        key: Box<str>,
    },
    /// Who follows a feed has passed the end that its log had when these tokens had been read, and
    /// everything that it was told before has been announced.
    Answer {
        /// The feed.
        feed: Box<str>,
        /// How far it was applied.
        position: FeedPosition,
        /// To which caches; at most 65,535.
        caches: Vec<Box<str>>,
        /// Whose tokens; at least one.
        tokens: Vec<(ProcessId, u64)>,
    },
    /// Everything was invalidated.
    All {
        /// How.
        strike: Invalidation,
    },
}

const VERSION: u8 = 1;

impl Announcement {
    /// The most bytes that an announcement takes: a little less than a mebibyte, which is what a
    /// message of NATS may have with everything around it. Who has more keys or tags than fit
    /// announces several times.
    pub const BYTES_MAX: usize = (1 << 20) - (1 << 10);

    /// In bytes, as `from` announces it.
    ///
    /// # Panics
    ///
    /// When a name, a key or a prefix is longer than 65,535 bytes, which none may be, or when more
    /// than so many caches are named.
    #[must_use]
    pub fn encode(&self, from: ProcessId) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(VERSION);
        out.put_u8(self.kind());
        out.put_u64(from.0);
        if let Some(strike) = self.strike() {
            out.put_u8(match strike {
                Invalidation::Drop => 1,
                Invalidation::MarkStale => 2,
            });
        }
        match self {
            Self::Token { number } => out.put_u64(*number),
            Self::Keys { cache, keys, .. } => {
                put_text(&mut out, cache);
                keys.iter().for_each(|key| put_text(&mut out, key));
            }
            Self::Tags { hashes, .. } => hashes.iter().for_each(|&hash| out.put_u64(hash)),
            Self::Cache { cache, .. } => put_text(&mut out, cache),
            Self::Prefix { cache, prefix, .. } => {
                put_text(&mut out, cache);
                put_text(&mut out, prefix);
            }
            Self::All { .. } => {}
            Self::Writing { intent, millis, cache, key } => {
                out.put_u128(intent.0);
                out.put_u64(*millis);
                put_text(&mut out, cache);
                put_text(&mut out, key);
            }
            Self::Written { intent, cache, key } => {
                out.put_u128(intent.0);
                put_text(&mut out, cache);
                put_text(&mut out, key);
            }
            Self::Answer { feed, position, caches, tokens } => {
                put_text(&mut out, feed);
                out.put_u128(position.0);
                out.put_u16(u16::try_from(caches.len()).expect("as said"));
                caches.iter().for_each(|cache| put_text(&mut out, cache));
                for (process, number) in tokens {
                    out.put_u64(process.0);
                    out.put_u64(*number);
                }
            }
        }
        out.freeze()
    }

    /// What the bytes say, and who says it; `None` when they are of a version or a kind that this
    /// one doesn't know, or no announcement at all.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(ProcessId, Self)> {
        if bytes.len() > Self::BYTES_MAX {
            return None;
        }
        let rest = &mut &*bytes;
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let kind = rest.try_get_u8().ok()?;
        let from = ProcessId(rest.try_get_u64().ok()?);
        let announcement = match kind {
            1 => Self::Token { number: rest.try_get_u64().ok()? },
            2 => Self::Keys {
                strike: take_strike(rest)?,
                cache: take_text(rest)?,
                keys: take_some(rest, take_text)?,
            },
            3 => Self::Tags {
                strike: take_strike(rest)?,
                hashes: take_some(rest, |rest| rest.try_get_u64().ok())?,
            },
            4 => Self::Cache { strike: take_strike(rest)?, cache: take_text(rest)? },
            5 => Self::Prefix {
                strike: take_strike(rest)?,
                cache: take_text(rest)?,
                prefix: take_text(rest)?,
            },
            6 => Self::All { strike: take_strike(rest)? },
            7 => Self::Writing {
                intent: Intent(rest.try_get_u128().ok()?),
                millis: rest.try_get_u64().ok()?,
                cache: take_text(rest)?,
                key: take_text(rest)?,
            },
            8 => Self::Written {
                intent: Intent(rest.try_get_u128().ok()?),
                cache: take_text(rest)?,
                key: take_text(rest)?,
            },
            9 => Self::Answer {
                feed: take_text(rest)?,
                position: FeedPosition(rest.try_get_u128().ok()?),
                caches: take_counted(rest)?,
                tokens: take_some(rest, |rest| {
                    Some((ProcessId(rest.try_get_u64().ok()?), rest.try_get_u64().ok()?))
                })?,
            },
            _ => return None,
        };
        rest.is_empty().then_some((from, announcement))
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Token { .. } => 1,
            Self::Keys { .. } => 2,
            Self::Tags { .. } => 3,
            Self::Cache { .. } => 4,
            Self::Prefix { .. } => 5,
            Self::All { .. } => 6,
            Self::Writing { .. } => 7,
            Self::Written { .. } => 8,
            Self::Answer { .. } => 9,
        }
    }

    fn strike(&self) -> Option<Invalidation> {
        match *self {
            Self::Token { .. }
            | Self::Writing { .. }
            | Self::Written { .. }
            | Self::Answer { .. } => None,
            Self::Keys { strike, .. }
            | Self::Tags { strike, .. }
            | Self::Cache { strike, .. }
            | Self::Prefix { strike, .. }
            | Self::All { strike } => Some(strike),
        }
    }
}

/// Texts with their count in front.
fn take_counted(rest: &mut &[u8]) -> Option<Vec<Box<str>>> {
    let count = rest.try_get_u16().ok()?;
    (0..count).map(|_| take_text(rest)).collect()
}

fn put_text(out: &mut BytesMut, text: &str) {
    let length = u16::try_from(text.len()).expect("names and keys have at most 65,535 bytes");
    out.put_u16(length);
    out.put_slice(text.as_bytes());
}

fn take_text(rest: &mut &[u8]) -> Option<Box<str>> {
    let length = usize::from(rest.try_get_u16().ok()?);
    let (text, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(str::from_utf8(text).ok()?.into())
}

fn take_strike(rest: &mut &[u8]) -> Option<Invalidation> {
    match rest.try_get_u8().ok()? {
        1 => Some(Invalidation::Drop),
        2 => Some(Invalidation::MarkStale),
        _ => None,
    }
}

/// One or more, to the end.
fn take_some<T>(rest: &mut &[u8], mut take: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let mut taken = vec![take(rest)?];
    while !rest.is_empty() {
        taken.push(take(rest)?);
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FROM: ProcessId = ProcessId(0x0102_0304_0506_0708);

    fn announcements() -> impl Strategy<Value = Announcement> {
        let strike = prop_oneof![Just(Invalidation::Drop), Just(Invalidation::MarkStale)];
        let text = || "[a-zé:]{0,9}".prop_map(Box::from);
        (strike, text(), text(), prop::collection::vec(text(), 1..4), any::<u64>(), 1..10_u8)
            .prop_map(|(strike, cache, prefix, keys, number, kind)| match kind {
                1 => Announcement::Token { number },
                2 => Announcement::Keys { strike, cache, keys },
                3 => Announcement::Tags { strike, hashes: vec![number, number / 3] },
                4 => Announcement::Cache { strike, cache },
                5 => Announcement::Prefix { strike, cache, prefix },
                6 => Announcement::All { strike },
                7 => {
                    let intent = Intent(u128::from(number) << 64 | 5);
                    Announcement::Writing { intent, millis: number / 7, cache, key: prefix }
                }
                8 => Announcement::Written { intent: Intent(number.into()), cache, key: prefix },
                _ => Announcement::Answer {
                    feed: cache,
                    position: FeedPosition(u128::from(number) << 64 | 7),
                    caches: keys,
                    tokens: vec![(ProcessId(number), 1), (FROM, number)],
                },
            })
    }

    proptest! {
        #[test]
        fn what_is_announced_is_understood(announcement in announcements()) {
            let bytes = announcement.encode(FROM);
            prop_assert_eq!(Announcement::decode(&bytes), Some((FROM, announcement)));
        }

        #[test]
        fn what_is_cut_short_is_not_understood_as_something_else(
            announcement in announcements(),
            at in any::<prop::sample::Index>(),
        ) {
            let bytes = announcement.encode(FROM);
            let cut = Announcement::decode(&bytes[..at.index(bytes.len())]);
            // A list of keys, tags or tokens that ends between two is a shorter list.
            let is_shorter_list = matches!(
                cut,
                Some((
                    _,
                    Announcement::Keys { .. }
                        | Announcement::Tags { .. }
                        | Announcement::Answer { .. }
                ))
            );
            prop_assert!(cut.is_none() || is_shorter_list);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Announcement::decode(&bytes);
        }
    }

    #[test]
    fn an_unknown_version_or_kind_is_not_understood() {
        let mut bytes = Announcement::All { strike: Invalidation::Drop }.encode(FROM).to_vec();
        assert!(Announcement::decode(&bytes).is_some());
        bytes[0] = 2;
        assert_eq!(Announcement::decode(&bytes), None);
        (bytes[0], bytes[1]) = (1, 9);
        assert_eq!(Announcement::decode(&bytes), None);
    }

    #[test]
    fn what_is_longer_than_the_limit_is_not_read() {
        let key = Box::from("k".repeat(65_000));
        let keys = vec![key; 17];
        let long = Announcement::Keys { strike: Invalidation::Drop, cache: "c".into(), keys };
        assert!(long.encode(FROM).len() > Announcement::BYTES_MAX);
        assert_eq!(Announcement::decode(&long.encode(FROM)), None);
    }
}
