//! KEYS, SCAN, RANDOMKEY and PUBSUB: replies from upstream that name keys or channels, without
//! larder's own.
//!
//! Where plain keys live on several servers, all of them are asked, and SCAN goes from one to the
//! next: its cursor ends with 14 bits for a slot, which says whose turn it is. So it costs nothing
//! between two calls, and each call asks one server. Keys of slots that move between two calls may
//! be told twice, or not at all.

mod channels;

use std::sync::Arc;

use bytes::Bytes;

use super::Call;
use super::everywhere;
use super::forward::arguments;
use super::way::Shown;
use crate::codec::{Reply, ReplyError, ReplyLimits, Writer, decode_reply};
use crate::exchange::{Ends, Exchange};
use crate::fault;
use crate::keyspace::is_larders;
use crate::reads::{MergedReply, Replies};
use crate::upstream::{REPLIES_BYTES_MAX, To, Upstream};

/// How much is taken of a reply that is read here. Longer ones don't come.
pub(super) const LIMITS: ReplyLimits = ReplyLimits {
    line_bytes_max: REPLIES_BYTES_MAX as u32,
    bulk_bytes_max: REPLIES_BYTES_MAX as u32,
    reply_bytes_max: REPLIES_BYTES_MAX as u32,
    elements_max: REPLIES_BYTES_MAX as u32,
    depth_max: 8,
};

/// So many keys are drawn by one RANDOMKEY; if all are larder's own, it has none to tell.
const DRAWS: usize = 16;

/// So many bits of a cursor say which server's it is.
const SLOT_BITS: u32 = 14;

/// How a command is sent, and how its reply is made of what comes.
pub(super) fn filter<'c>(
    call: &Call<'c>,
    names: Shown,
    divided: bool,
) -> (impl FnOnce(&mut Exchange) + use<'c>, Option<MergedReply>) {
    let mut words: Vec<_> = arguments(call).into_iter().map(<[u8]>::to_vec).collect();
    let (to, times) = match names {
        _ if !divided => (To::Any, if names == Shown::Random { DRAWS } else { 1 }),
        Shown::Random => (To::Turn, DRAWS),
        Shown::All | Shown::Channels => (To::All, 1),
        Shown::BehindCursor => (To::Any, 1),
    };
    let mut turn = None;
    if let (Shown::BehindCursor, true, Some(cursor)) = (names, divided, cursor(&words)) {
        let slot = (cursor % (1 << SLOT_BITS)) as u16;
        words[1] = (cursor >> SLOT_BITS).to_string().into_bytes();
        turn = call.service.keyspace.upstream().map(|upstream| (Arc::clone(upstream), slot));
    }
    let to = turn.as_ref().map_or(to, |(_, slot)| To::Slot(*slot));
    let write = move |exchange: &mut Exchange| {
        (0..times).for_each(|_| exchange.push(&words, to, Ends::Reply));
    };
    let reply: MergedReply = match names {
        Shown::Random => Box::new(move |drawn, _, reply| draw(drawn, divided, reply)),
        Shown::Channels => return (write, channels::reply(call, divided)),
        Shown::All if divided => Box::new(|came, _, reply| all_of_all(came, reply)),
        Shown::All => Box::new(|came, _, reply| all(came, reply)),
        Shown::BehindCursor => Box::new(|came, _, reply| page(came, turn, reply)),
    };
    (write, Some(reply))
}

/// The number behind SCAN, if it is one.
fn cursor(words: &[Vec<u8>]) -> Option<u64> {
    std::str::from_utf8(words.get(1)?).ok()?.parse().ok()
}

/// An array of names.
fn all(mut came: Replies, reply: &mut Writer<'_>) {
    match came.pop().map(read) {
        Some(Ok(Ok(Some((Reply::Array(names), _))))) => write_names(&names, reply),
        other => write_other(other, reply),
    }
}

/// The same, of each server.
fn all_of_all(mut came: Replies, reply: &mut Writer<'_>) {
    match came.pop().map(everywhere::each) {
        Some(Ok(replies)) => {
            let names = replies.into_iter().flat_map(|names| match names {
                Reply::Array(names) => names,
                _ => Vec::new(),
            });
            write_names(&names.collect::<Vec<_>>(), reply);
        }
        Some(Err(refusal)) => refusal.write(reply),
        None => reply.null(),
    }
}

/// A cursor and an array of names. It may be empty and not the last, as in Redis.
fn page(mut came: Replies, turn: Option<(Arc<dyn Upstream>, u16)>, reply: &mut Writer<'_>) {
    let came = came.pop().map(read);
    if let Some(Ok(Ok(Some((Reply::Array(parts), _))))) = &came
        && let [Reply::Bulk(cursor), Reply::Array(names)] = &parts[..]
    {
        let cursor = match turn {
            None => Some(cursor.to_vec()),
            Some((upstream, slot)) => next_cursor(cursor, &*upstream, slot),
        };
        let Some(cursor) = cursor else {
            return reply.error("INTERNAL", "a cursor of the shared Redis is too large");
        };
        reply.array(2);
        reply.bulk(&cursor);
        return write_names(names, reply);
    }
    write_other(came, reply);
}

/// The cursor behind a page of one server: on this one, or at the beginning of the next.
fn next_cursor(cursor: &[u8], upstream: &dyn Upstream, slot: u16) -> Option<Vec<u8>> {
    let cursor: u64 = std::str::from_utf8(cursor).ok()?.parse().ok()?;
    let next = match cursor {
        0 => upstream.next_first(slot).map_or(0, u64::from),
        on => on.checked_mul(1 << SLOT_BITS)? | u64::from(slot),
    };
    Some(next.to_string().into_bytes())
}

/// The first of several keys that isn't larder's own. One of several servers may have none.
fn draw(drawn: Replies, divided: bool, reply: &mut Writer<'_>) {
    for one in drawn {
        match read(one) {
            Ok(Ok(Some((Reply::Bulk(name), _)))) if is_larders(&name) => {}
            Ok(Ok(Some((Reply::Bulk(name), _)))) => return reply.bulk(&name),
            Ok(Ok(Some((Reply::Null, _)))) if divided => {}
            Ok(Ok(Some((Reply::Null, _)))) => break,
            other => return write_other(Some(other), reply),
        }
    }
    reply.null();
}

fn write_names(names: &[Reply], reply: &mut Writer<'_>) {
    let shown = || {
        names.iter().filter_map(|name| match name {
            Reply::Bulk(name) if !is_larders(name) => Some(name),
            _ => None,
        })
    };
    reply.array(shown().count());
    shown().for_each(|name| reply.bulk(name));
}

/// What reading a reply came to.
type Read = Result<Option<(Reply, usize)>, ReplyError>;

fn read(came: larder_core::Result<Bytes>) -> larder_core::Result<Read> {
    came.map(|bytes| decode_reply(&bytes, &LIMITS))
}

fn write_other(read: Option<larder_core::Result<Read>>, reply: &mut Writer<'_>) {
    match read {
        Some(Ok(read)) => write_refusal(read, reply),
        Some(Err(error)) => fault::error(reply, &error),
        None => reply.null(),
    }
}

/// Passes an error from upstream on; anything else was not expected.
pub(super) fn write_refusal(read: Read, reply: &mut Writer<'_>) {
    match read {
        Ok(Some((Reply::Error(error), _))) => {
            let error = String::from_utf8_lossy(&error);
            let (code, text) = error.split_once(' ').unwrap_or((&error, ""));
            reply.error(code, text);
        }
        Ok(_) => reply.error("INTERNAL", "the shared Redis gave a reply of an unexpected kind"),
        Err(error) => reply.error("INTERNAL", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Protocol;
    use crate::upstream::{Dedicated, Requests};

    /// Three servers, whose first slots are 0, 5461 and 10923.
    #[derive(Debug)]
    struct Three;

    impl Upstream for Three {
        fn slot(&self, _: &[u8]) -> Option<u16> {
            Some(0)
        }

        fn next_first(&self, slot: u16) -> Option<u16> {
            [5461, 10_923].into_iter().find(|&first| first > slot)
        }

        fn forward(
            &self,
            _: Requests,
        ) -> larder_core::BoxFuture<'static, Vec<larder_core::Result<Bytes>>> {
            Box::pin(async { Vec::new() })
        }

        fn open(
            &self,
            _: Protocol,
            _: Option<u16>,
        ) -> larder_core::BoxFuture<'static, larder_core::Result<Box<dyn Dedicated>>> {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn a_cursor_goes_from_server_to_server_and_ends() {
        let next = |cursor: &str, slot| {
            let next = next_cursor(cursor.as_bytes(), &Three, slot)?;
            String::from_utf8(next).unwrap().parse::<u64>().ok()
        };
        assert_eq!(next("3", 0), Some(3 << 14));
        assert_eq!(next("0", 0), Some(5461));
        assert_eq!(next("7", 5461), Some(7 << 14 | 5461));
        assert_eq!(next("0", 5461), Some(10_923));
        assert_eq!(next("0", 10_923), Some(0));
        assert_eq!(next(&(1_u64 << 50).to_string(), 0), None);
        assert_eq!(next("x", 0), None);
    }
}
