//! PUBSUB: which channels there are, and how many listen to them. Of several servers each knows
//! its own clients, so all are asked.

use crate::codec::{Reply, Writer};
use crate::command::Call;
use crate::command::everywhere::{each, number};
use crate::reads::{MergedReply, Replies};

use super::{all, all_of_all, write_names};

/// How the reply is made; without it, the reply from upstream is its own.
pub(super) fn reply(call: &Call<'_>, divided: bool) -> Option<MergedReply> {
    let names = call.is(1, "CHANNELS") || call.is(1, "SHARDCHANNELS");
    let shards = call.is(1, "SHARDCHANNELS");
    let counts = call.is(1, "NUMSUB") || call.is(1, "SHARDNUMSUB");
    match (divided, names) {
        (false, true) => Some(Box::new(|came, _, reply| all(came, reply))),
        (false, false) => None,
        (true, true) if shards => Some(Box::new(|came, _, reply| all_of_all(came, reply))),
        (true, true) => Some(Box::new(|came, _, reply| each_once(came, reply))),
        (true, false) => Some(Box::new(move |came, _, reply| sum(came, counts, reply))),
    }
}

/// Names, each once, though clients of several servers listen to it.
fn each_once(mut came: Replies, reply: &mut Writer<'_>) {
    match came.pop().map(each) {
        Some(Ok(replies)) => {
            let mut names: Vec<Reply> = Vec::new();
            let mut known = std::collections::HashSet::new();
            for name in replies.into_iter().flat_map(elements) {
                if let Reply::Bulk(text) = &name
                    && known.insert(text.clone())
                {
                    names.push(name);
                }
            }
            write_names(&names, reply);
        }
        Some(Err(refusal)) => refusal.write(reply),
        None => reply.null(),
    }
}

/// The sum of numbers: one, or one behind each name. What is neither (HELP) is the first one's.
fn sum(mut came: Replies, counts: bool, reply: &mut Writer<'_>) {
    let replies = match came.pop().map(each) {
        Some(Ok(replies)) => replies,
        Some(Err(refusal)) => return refusal.write(reply),
        None => return reply.null(),
    };
    if !counts {
        return match replies.first() {
            Some(Reply::Array(lines)) => {
                reply.array(lines.len());
                lines.iter().for_each(|line| match line {
                    Reply::Simple(text) | Reply::Bulk(text) => {
                        reply.simple(&String::from_utf8_lossy(text));
                    }
                    _ => reply.null(),
                });
            }
            _ => reply.integer(replies.iter().map(number).sum()),
        };
    }
    let mut rows: Vec<Vec<Reply>> = replies.into_iter().map(elements).collect();
    let Some(mut first) = rows.pop() else { return reply.null() };
    for (at, place) in first.iter_mut().enumerate() {
        if let Reply::Integer(count) = place {
            *count += rows.iter().filter_map(|row| row.get(at)).map(number).sum::<i64>();
        }
    }
    reply.array(first.len());
    first.iter().for_each(|place| match place {
        Reply::Bulk(name) => reply.bulk(name),
        other => reply.integer(number(other)),
    });
}

fn elements(reply: Reply) -> Vec<Reply> {
    match reply {
        Reply::Array(elements) => elements,
        _ => Vec::new(),
    }
}
