//! KEYS, SCAN, RANDOMKEY and PUBSUB CHANNELS: replies from upstream that name keys or channels,
//! without larder's own.

use bytes::Bytes;

use super::Call;
use super::keys::Names;
use crate::codec::{Reply, ReplyError, ReplyLimits, Writer, decode_reply};
use crate::fault;
use crate::keyspace::is_larders;
use crate::reads::{Answers, Replies};
use crate::upstream::REPLIES_BYTES_MAX;

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

type MergedReply = Box<dyn FnOnce(Replies, Answers, &mut Writer<'_>) + Send>;

/// How often a command is sent, and how its reply is made of what comes.
pub(super) fn filter(call: &Call<'_>, names: Names) -> (usize, Option<MergedReply>) {
    let channels = call.is(1, "CHANNELS") || call.is(1, "SHARDCHANNELS");
    match names {
        Names::Random => (DRAWS, Some(Box::new(|drawn, _, reply| draw(drawn, reply)))),
        Names::Channels if !channels => (1, None),
        Names::All | Names::Channels => (1, Some(Box::new(|came, _, reply| all(came, reply)))),
        Names::BehindCursor => (1, Some(Box::new(|came, _, reply| page(came, reply)))),
    }
}

/// An array of names.
fn all(mut came: Replies, reply: &mut Writer<'_>) {
    match came.pop().map(read) {
        Some(Ok(Ok(Some((Reply::Array(names), _))))) => write_names(&names, reply),
        other => write_other(other, reply),
    }
}

/// A cursor and an array of names. It may be empty and not the last, as in Redis.
fn page(mut came: Replies, reply: &mut Writer<'_>) {
    let came = came.pop().map(read);
    if let Some(Ok(Ok(Some((Reply::Array(parts), _))))) = &came
        && let [Reply::Bulk(cursor), Reply::Array(names)] = &parts[..]
    {
        reply.array(2);
        reply.bulk(cursor);
        return write_names(names, reply);
    }
    write_other(came, reply);
}

/// The first of several keys that isn't larder's own.
fn draw(drawn: Replies, reply: &mut Writer<'_>) {
    for one in drawn {
        match read(one) {
            Ok(Ok(Some((Reply::Bulk(name), _)))) if is_larders(&name) => {}
            Ok(Ok(Some((Reply::Bulk(name), _)))) => return reply.bulk(&name),
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
