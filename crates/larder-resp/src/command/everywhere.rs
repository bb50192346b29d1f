//! Commands without keys, where plain keys live on several servers: those that only all of them
//! together can answer, and how one reply is made of theirs.
//!
//! What names keys or channels in its reply is in `filter`. Every other command without keys any
//! server can answer.

use super::Call;
use super::filter::{LIMITS, write_refusal};
use crate::codec::{Reply, ReplyError, Writer, decode_reply};
use crate::fault;
use crate::reads::{Answers, MergedReply, Replies};

/// What the replies of all servers together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// All the same, so the first one's says it.
    First,
    /// The sum of numbers.
    Sum,
    /// Arrays of numbers: what all of them have.
    Least,
}

/// How the replies of all servers become one, if all are to be asked.
pub(super) fn everywhere(call: &Call<'_>) -> Option<Merge> {
    let sub = |names: &[&str]| names.iter().any(|name| call.is(1, name));
    if call.is(0, "DBSIZE") {
        Some(Merge::Sum)
    } else if call.is(0, "SCRIPT") && sub(&["EXISTS"]) {
        Some(Merge::Least)
    } else if call.is(0, "SCRIPT") && sub(&["LOAD", "FLUSH"])
        || call.is(0, "FUNCTION") && sub(&["LOAD", "DELETE"])
    {
        Some(Merge::First)
    } else {
        None
    }
}

pub(super) fn reply(merge: Merge) -> MergedReply {
    Box::new(move |mut replies: Replies, _: Answers, reply: &mut Writer<'_>| {
        match replies.pop().map(each) {
            Some(Ok(replies)) => write(merge, &replies, reply),
            Some(Err(refusal)) => refusal.write(reply),
            None => reply.null(),
        }
    })
}

/// What stands in the place of a reply of all servers.
pub(super) enum Refusal {
    Error(larder_core::Error),
    Odd(Result<Option<(Reply, usize)>, ReplyError>),
}

impl Refusal {
    pub(super) fn write(self, reply: &mut Writer<'_>) {
        match self {
            Self::Error(error) => fault::error(reply, &error),
            Self::Odd(read) => write_refusal(read, reply),
        }
    }
}

/// What each server replied, none of it an error.
pub(super) fn each(came: larder_core::Result<bytes::Bytes>) -> Result<Vec<Reply>, Refusal> {
    let bytes = came.map_err(Refusal::Error)?;
    let replies = match decode_reply(&bytes, &LIMITS) {
        Ok(Some((Reply::Array(replies), _))) => replies,
        other => return Err(Refusal::Odd(other)),
    };
    match replies.iter().position(|reply| matches!(reply, Reply::Error(_))) {
        Some(at) => Err(Refusal::Odd(Ok(replies.into_iter().nth(at).map(|reply| (reply, 0))))),
        None => Ok(replies),
    }
}

fn write(merge: Merge, replies: &[Reply], reply: &mut Writer<'_>) {
    match merge {
        Merge::First => match replies.first() {
            Some(Reply::Bulk(text)) => reply.bulk(text),
            Some(Reply::Simple(text)) => reply.simple(&String::from_utf8_lossy(text)),
            _ => reply.null(),
        },
        Merge::Sum => reply.integer(replies.iter().map(number).sum()),
        Merge::Least => {
            let arrays = replies.iter().map(|reply| match reply {
                Reply::Array(numbers) => numbers.iter().map(number).collect(),
                _ => Vec::new(),
            });
            let least = arrays.reduce(|one: Vec<i64>, other| {
                one.into_iter().zip(other).map(|(one, other)| one.min(other)).collect()
            });
            let least = least.unwrap_or_default();
            reply.array(least.len());
            least.into_iter().for_each(|number| reply.integer(number));
        }
    }
}

pub(super) fn number(reply: &Reply) -> i64 {
    match reply {
        Reply::Integer(number) => *number,
        _ => 0,
    }
}
