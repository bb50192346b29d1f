//! What is kept in a stream of larder's own: how far everything was applied, in which stream, and
//! who leads.
//!
//! ```text
//! larder LOG NUMBER AT STAMP MADE-AT RUN LEADER
//! ```
//!
//! Words with a space between them, so that `nats stream get` shows what it is.

use std::fmt;

/// A text with more bytes is none of ours.
const BYTES_MAX: usize = 512;
const WORD: &str = "larder";
/// Stands for nothing.
const NOTHING: &str = "-";

/// Nanoseconds since 1970 by the server's clock. They are compared, and never counted with.
pub(super) type Stamp = i128;

/// A message of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    /// Its number.
    pub(super) sequence: u64,
    /// When the stream took it.
    pub(super) stamp: Stamp,
}

/// Which stream a number is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// When it was made.
    pub(super) made_at: Stamp,
    /// Which run of the server has it: a single server that was killed may have forgotten messages
    /// that it had accepted. `None` in a cluster, whose majority hasn't.
    pub(super) run: Option<String>,
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Which log the places are of: another one after everything that may have been missed.
    pub(super) log: u32,
    /// The last batch that was applied everywhere.
    pub(super) number: u64,
    /// What is read next stands behind this one.
    pub(super) at: At,
    pub(super) origin: Origin,
    /// Who leads.
    pub(super) leader: Option<u64>,
}

impl Kept {
    /// Reads it; `None` where it is nothing that larder has written.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok().filter(|text| text.len() <= BYTES_MAX)?;
        let mut words = text.split(' ');
        if words.next() != Some(WORD) {
            return None;
        }
        let log = hex(words.next()?)?;
        let number = words.next()?.parse().ok()?;
        let (sequence, stamp) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let made_at = words.next()?.parse().ok()?;
        let some = |word: &str| (word != NOTHING).then(|| word.to_owned());
        let run = some(words.next()?);
        let leader = match some(words.next()?) {
            Some(leader) => Some(hex(&leader)?),
            None => None,
        };
        let at = At { sequence, stamp };
        let kept = Self {
            log: u32::try_from(log).ok()?,
            number,
            at,
            origin: Origin { made_at, run },
            leader,
        };
        words.next().is_none().then_some(kept)
    }
}

fn hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word, 16).ok()
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, number, at: At { sequence, stamp }, origin, leader } = self;
        let run = origin.run.as_deref().unwrap_or(NOTHING);
        write!(f, "{WORD} {log:08x} {number} {sequence} {stamp} {} {run} ", origin.made_at)?;
        match leader {
            Some(leader) => write!(f, "{leader:016x}"),
            None => f.write_str(NOTHING),
        }
    }
}

/// A stream as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) origin: Origin,
    /// The first message that is still there, or would be.
    pub(super) first: u64,
    /// The last that it ever took.
    pub(super) last: At,
}

impl Found {
    /// Whether what comes behind a place that was kept isn't there any more, or may not be. `there`
    /// is when the message at the place was taken, if it is still there.
    pub(super) fn has_lost(&self, kept: &Kept, there: Option<Stamp>) -> bool {
        let sequence = kept.at.sequence;
        // Made anew, or started anew.
        kept.origin != self.origin
            // What it had taken it has forgotten, and may have given the numbers out again.
            || sequence > self.last.sequence
            || there.is_some_and(|there| there != kept.at.stamp)
            // Removed before it was read.
            || sequence.saturating_add(1) < self.first
    }

    /// Where is read on when something was lost: behind everything that is gone, and at the end of
    /// a stream that is another one.
    pub(super) fn begins(&self, kept: Option<&Kept>) -> At {
        match kept {
            Some(kept)
                if kept.origin.made_at == self.origin.made_at
                    && kept.at.sequence < self.last.sequence =>
            {
                let sequence = kept.at.sequence.max(self.first.saturating_sub(1));
                // Whoever looks there later finds no message of this stamp, or none at all.
                let stamp = if sequence == kept.at.sequence { kept.at.stamp } else { 0 };
                At { sequence, stamp }
            }
            _ => self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(sequence: u64) -> Kept {
        let origin = Origin { made_at: 7, run: Some("RUN".to_owned()) };
        Kept { log: 1, number: 3, at: At { sequence, stamp: 50 }, origin, leader: Some(9) }
    }

    fn found(first: u64, last: u64) -> Found {
        Found { origin: kept(0).origin, first, last: At { sequence: last, stamp: 99 } }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let leaderless = Kept { leader: None, ..kept(5) };
        let nowhere = Origin { made_at: i128::MIN, run: None };
        let clustered = Kept { log: u32::MAX, number: u64::MAX, origin: nowhere, ..kept(u64::MAX) };
        for kept in [kept(5), leaderless, clustered] {
            assert_eq!(Kept::parse(kept.to_string().as_bytes()), Some(kept));
        }
        let text = kept(5).to_string();
        let long = format!("{text}{}", " ".repeat(BYTES_MAX));
        for odd in ["", "larder", &text[1..], &text[..text.len() - 20], &format!("{text} x"), &long]
        {
            assert_eq!(Kept::parse(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn anything_may_stand_where_it_is_kept() {
        bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
            if let Some(kept) = Kept::parse(bytes) {
                assert_eq!(Kept::parse(kept.to_string().as_bytes()), Some(kept));
            }
        });
    }

    #[test]
    fn a_place_is_lost_when_what_comes_behind_it_may_be_gone() {
        assert!(!found(1, 9).has_lost(&kept(5), Some(50)));
        // Everything up to it was removed, and it was read.
        assert!(!found(6, 9).has_lost(&kept(5), None));
        assert!(!found(10, 9).has_lost(&kept(9), None));
        assert!(found(7, 9).has_lost(&kept(5), None), "removed before it was read");
        assert!(found(1, 4).has_lost(&kept(5), None), "it ends before the place");
        assert!(found(1, 9).has_lost(&kept(5), Some(51)), "another message stands there");
        for origin in [
            Origin { made_at: 8, ..kept(0).origin },
            Origin { run: None, ..kept(0).origin },
            Origin { run: Some("ANOTHER".to_owned()), ..kept(0).origin },
        ] {
            assert!(Found { origin, ..found(1, 9) }.has_lost(&kept(5), Some(50)));
        }
    }

    #[test]
    fn after_a_loss_what_is_left_is_read_unless_it_is_another_stream() {
        assert_eq!(found(7, 9).begins(Some(&kept(5))), At { sequence: 6, stamp: 0 });
        assert_eq!(found(1, 9).begins(Some(&kept(5))), kept(5).at);
        let end = found(1, 9).last;
        assert_eq!(found(1, 9).begins(Some(&kept(20))), end);
        assert_eq!(found(1, 9).begins(None), end);
        let another = Found { origin: Origin { made_at: 8, run: None }, ..found(1, 9) };
        assert_eq!(another.begins(Some(&kept(5))), end);
    }
}
