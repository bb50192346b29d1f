//! What an answer to a plain read or to a question for a lease means. No I/O, no clock.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use larder_core::envelope::{Envelope, STATE_AT, STATE_STALE};
use larder_core::shared::{Incarnation, Invalidation, SharedEntry};
use larder_core::{Error, ErrorKind, Result};

use crate::codec::{Ask, DATA, Flags, Reply, Request};
use crate::error;
use crate::name::Name;
use crate::token::Over;

/// What an answer to a question for a lease means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is held, and the caller can use it.
    Hit(SharedEntry),
    /// It is held; the lease is over it.
    Stale(SharedEntry, u64, Over),
    /// Nothing is held; the lease is over a stub.
    Miss(u64),
    /// Somebody has a lease over a stub, which ends within this time.
    Busy(Duration),
    /// Somebody has won the item with this number, and that has no end.
    Won(u64, Option<SharedEntry>, Over),
    /// It is to be asked again, so: the last reply is to be judged.
    Again(Vec<Request>),
}

/// What is held of a key, by the answer to a plain read.
pub(crate) fn held(server: &str, name: &Name, reply: Reply) -> Result<Option<SharedEntry>> {
    match reply {
        Reply::Value { data, flags } => Ok(entry(name, &data, &flags)),
        Reply::Missing => Ok(None),
        Reply::Failed(failure) => Err(error::refused(server, &failure)),
        _ => Err(error::astray(server)),
    }
}

/// What the answer to a question for a lease of `seconds` means, for who has `seen` a stamp.
pub(crate) fn asked(
    server: &str,
    name: &Name,
    seen: Option<u64>,
    seconds: u32,
    reply: Reply,
) -> Result<Verdict> {
    let (data, flags) = match reply {
        Reply::Value { data, flags } => (data, flags),
        Reply::Failed(failure) => return Err(error::refused(server, &failure)),
        _ => return Err(error::astray(server)),
    };
    if flags.cas == 0 {
        return Err(error::unfit(server, "was started with -C: without CAS there are no leases"));
    }
    let ask = |recache| Request::Get { name: name.clone(), ask: Some(Ask { seconds, recache }) };
    let anew = || {
        let (name, cas) = (name.clone(), Some(flags.cas));
        Verdict::Again(vec![Request::Delete { name, cas, strike: Invalidation::Drop }, ask(false)])
    };
    if let Some(entry) = entry(name, &data, &flags) {
        let is_seen = seen.is_some() && Envelope::stamp_of(&entry.envelope) == seen;
        let over = if flags.stale { Over::Stale } else { Over::Seen };
        return Ok(match flags {
            Flags { stale: false, .. } if !is_seen => Verdict::Hit(entry),
            Flags { won: true, .. } => Verdict::Stale(entry, flags.cas, over),
            Flags { taken: true, .. } => Verdict::Won(flags.cas, Some(entry), over),
            _ => Verdict::Again(vec![ask(true)]),
        });
    }
    Ok(match flags {
        // What is no entry of this key is in the way: that of a key with the same hash.
        Flags { client: DATA, taken: true, .. } => Verdict::Won(flags.cas, None, Over::Stub),
        Flags { client: DATA, .. } => anew(),
        Flags { won: true, stale: false, .. } => Verdict::Miss(flags.cas),
        // A stub that was invalidated ends with the lease that it was for: that is too early.
        Flags { won: true, .. } => anew(),
        // A stub that was made longer has forgotten that it was won.
        Flags { taken, .. } if taken || data.is_empty() => {
            Verdict::Busy(Duration::from_secs(flags.remaining.unwrap_or(seconds).into()))
        }
        _ => anew(),
    })
}

/// What takes the win of the item with this number over, and asks for it.
pub(crate) fn take_over(name: &Name, cas: u64, over: Over, seconds: u32) -> [Request; 2] {
    let ask = Some(Ask { seconds, recache: over == Over::Seen });
    [over.give_back(name.clone(), cas), Request::Get { name: name.clone(), ask }]
}

/// The answer to a deletion, or to what gives back: whether there was something doesn't matter.
pub(crate) fn done(server: &str, reply: &Reply) -> Result<()> {
    match reply {
        Reply::Done(_) | Reply::Missing | Reply::Exists | Reply::NotStored => Ok(()),
        Reply::Failed(failure) => Err(error::refused(server, failure)),
        _ => Err(error::astray(server)),
    }
}

/// The answer to a fill, or to a renewal: the new number, or `None` where the lease was void.
pub(crate) fn stored(server: &str, reply: &Reply) -> Result<Option<u64>> {
    match reply {
        Reply::Done(flags) => Ok(Some(flags.cas)),
        Reply::Missing | Reply::Exists | Reply::NotStored => Ok(None),
        Reply::Failed(failure) => Err(error::refused(server, failure)),
        _ => Err(error::astray(server)),
    }
}

/// A key that the tier doesn't take.
pub(crate) fn key_too_long(bytes: usize, bytes_max: usize) -> Error {
    let message = format!("a key of {bytes} bytes; Memcached is given at most {bytes_max}");
    Error::new(ErrorKind::BadKey, message)
}

/// The entry in an item's data, if it is this key's.
fn entry(name: &Name, data: &Bytes, flags: &Flags) -> Option<SharedEntry> {
    let envelope = Some(data).filter(|_| flags.client == DATA).and_then(|data| name.open(data))?;
    let envelope = if flags.stale { marked_stale(envelope) } else { envelope };
    // A second that has begun counts as over.
    let seconds = flags.remaining.unwrap_or(0).saturating_sub(1);
    let remaining = Duration::from_secs(seconds.into());
    Some(SharedEntry { envelope, remaining, incarnation: Incarnation(0) })
}

/// The server knows that it is stale, but can't write it into the envelope.
fn marked_stale(envelope: Bytes) -> Bytes {
    let mut envelope = BytesMut::from(envelope);
    if let Some(state) = envelope.get_mut(STATE_AT) {
        *state = STATE_STALE;
    }
    envelope.freeze()
}

#[cfg(test)]
mod tests {
    use larder_core::envelope::{STAMP_AT, STATE_FRESH};

    use super::*;

    const SEEN: u64 = 0x0707_0707_0707_0707;

    fn key() -> Name {
        Name::new("n", b"key")
    }

    /// The beginning of an envelope: version, state, stamp.
    fn envelope(stamp: u64) -> Bytes {
        let mut bytes = BytesMut::from(&[1, STATE_FRESH][..]);
        bytes.extend_from_slice(&stamp.to_be_bytes());
        assert_eq!(bytes.len(), STAMP_AT + 8);
        bytes.freeze()
    }

    fn flags(letters: &str) -> Flags {
        Flags {
            cas: 5,
            remaining: Some(30),
            client: u32::from(letters.contains('1')),
            won: letters.contains('W'),
            taken: letters.contains('Z'),
            stale: letters.contains('X'),
        }
    }

    /// The judgement on an item with this data, flags, and seen stamp.
    fn check(data: Bytes, letters: &str, seen: Option<u64>) -> Verdict {
        let reply = Reply::Value { data, flags: flags(letters) };
        asked("server", &key(), seen, 10, reply).unwrap()
    }

    fn shared(stamp: u64, is_stale: bool) -> SharedEntry {
        let envelope = if is_stale { marked_stale(envelope(stamp)) } else { envelope(stamp) };
        let remaining = Duration::from_secs(29);
        SharedEntry { envelope, remaining, incarnation: Incarnation(0) }
    }

    fn ask(recache: bool) -> Request {
        Request::Get { name: key(), ask: Some(Ask { seconds: 10, recache }) }
    }

    fn anew() -> Verdict {
        let drop = Request::Delete { name: key(), cas: Some(5), strike: Invalidation::Drop };
        Verdict::Again(vec![drop, ask(false)])
    }

    #[test]
    fn every_combination_of_data_and_flags_means_one_thing() {
        let busy = || Verdict::Busy(Duration::from_secs(30));
        assert_eq!(check(Bytes::new(), "W", None), Verdict::Miss(5));
        assert_eq!(check(Bytes::new(), "Z", None), busy());
        assert_eq!(check(Bytes::new(), "", None), busy());
        assert_eq!(check(Bytes::new(), "XZ", None), busy());
        assert_eq!(check(Bytes::new(), "XW", None), anew());
        assert_eq!(check(Bytes::from("foreign"), "", None), anew());

        let ours = || envelope(SEEN);
        assert_eq!(check(ours(), "1", None), Verdict::Hit(shared(SEEN, false)));
        assert_eq!(check(ours(), "1Z", None), Verdict::Hit(shared(SEEN, false)));
        assert_eq!(check(ours(), "1XW", None), Verdict::Stale(shared(SEEN, true), 5, Over::Stale));
        assert_eq!(
            check(ours(), "1XZ", None),
            Verdict::Won(5, Some(shared(SEEN, true)), Over::Stale)
        );

        assert_eq!(check(ours(), "1", Some(8)), Verdict::Hit(shared(SEEN, false)));
        assert_eq!(check(ours(), "1", Some(SEEN)), Verdict::Again(vec![ask(true)]));
        assert_eq!(
            check(ours(), "1W", Some(SEEN)),
            Verdict::Stale(shared(SEEN, false), 5, Over::Seen)
        );
        assert_eq!(
            check(ours(), "1Z", Some(SEEN)),
            Verdict::Won(5, Some(shared(SEEN, false)), Over::Seen)
        );
        assert_eq!(
            check(ours(), "1XW", Some(8)),
            Verdict::Stale(shared(SEEN, true), 5, Over::Stale)
        );
    }

    #[test]
    fn an_entry_without_a_readable_stamp_is_not_the_one_that_was_seen() {
        assert!(matches!(check(Bytes::new(), "1", Some(0)), Verdict::Hit(_)));
        assert!(matches!(check(Bytes::new(), "1", None), Verdict::Hit(_)));
    }

    #[test]
    fn an_entry_of_a_key_with_the_same_hash_gives_way() {
        let name = Name::new("n", &[b'k'; 300]);
        let judge = |letters| {
            let reply = Reply::Value { data: envelope(SEEN), flags: flags(letters) };
            assert_eq!(held("server", &name, reply.clone()).unwrap(), None);
            asked("server", &name, None, 10, reply).unwrap()
        };
        assert!(matches!(judge("1"), Verdict::Again(requests) if requests.len() == 2));
        assert!(matches!(judge("1XW"), Verdict::Again(requests) if requests.len() == 2));
        assert_eq!(judge("1XZ"), Verdict::Won(5, None, Over::Stub));
    }

    #[test]
    fn without_numbers_there_are_no_leases() {
        let reply = Reply::Value { data: Bytes::new(), flags: Flags { cas: 0, ..flags("W") } };
        let error = asked("server", &key(), None, 10, reply).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }

    #[test]
    fn what_was_only_seen_is_taken_over_as_it_is_and_asked_for_as_such() {
        let rewrite = Request::Rewrite { name: key(), cas: 5 };
        assert_eq!(take_over(&key(), 5, Over::Seen, 10), [rewrite, ask(true)]);
        let mark = Request::Delete { name: key(), cas: Some(5), strike: Invalidation::MarkStale };
        assert_eq!(take_over(&key(), 5, Over::Stale, 10), [mark, ask(false)]);
    }

    #[test]
    fn a_stub_and_what_is_foreign_are_not_held() {
        let read = |data: &'static str, letters| {
            let reply = Reply::Value { data: data.into(), flags: flags(letters) };
            held("server", &key(), reply).unwrap()
        };
        assert_eq!(read("", "Z"), None);
        assert_eq!(read("foreign", ""), None);
        assert!(read("", "1").is_some_and(|entry| entry.envelope.is_empty()));
    }

    #[test]
    fn what_has_no_end_or_ends_now_has_nothing_left() {
        for remaining in [None, Some(0), Some(1)] {
            let reply =
                Reply::Value { data: envelope(1), flags: Flags { remaining, ..flags("1") } };
            let entry = held("server", &key(), reply).unwrap().unwrap();
            assert_eq!(entry.remaining, Duration::ZERO);
        }
    }
}
