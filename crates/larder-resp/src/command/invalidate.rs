//! LARDER.INVALIDATE: by key, tag, prefix, or a whole cache.

use larder_core::terms::TAG_BYTES_MAX;
use larder_core::{Error, ErrorKind, Result};
use larder_engine::Invalidation;

use super::writes::forget;
use super::{Call, Outcome, Says, shared_plain};

/// `LARDER.INVALIDATE [SOFT] [POSITION] KEYS key … | TAGS tag … | PREFIX prefix | CACHE name`.
///
/// KEYS replies of how many keys something was held, TAGS how many tags were named, since how
/// many entries have them nobody counts, PREFIX how many entries were struck, CACHE 1. What can't
/// be fails the command before anything is done.
pub(super) fn invalidate(call: &mut Call<'_>) -> Outcome {
    let soft = call.is(1, "SOFT");
    let what = if soft { Invalidation::MarkStale } else { Invalidation::Drop };
    let at = if soft { 2 } else { 1 };
    let (says, at) = match call.is(at, "POSITION") {
        true => (Says::CountAndPosition, at + 1),
        false => (Says::Count, at),
    };
    let first = at + 1;
    let named = call.request.len().saturating_sub(first);
    match named {
        0 => call.syntax(),
        _ if call.is(at, "KEYS") => match shared_plain::forget(call, first, what, says) {
            Some(outcome) => outcome,
            None => forget(call, first, what, says),
        },
        _ if call.is(at, "TAGS") => tags(call, first, what, says),
        1 if call.is(at, "PREFIX") => prefix(call, first, what, says),
        1 if call.is(at, "CACHE") => cache(call, first, what, says),
        _ => call.syntax(),
    }
}

fn tags(call: &mut Call<'_>, first: usize, what: Invalidation, says: Says) -> Outcome {
    let count = match read_tags(call, first) {
        Ok(tags) => {
            call.service.engine.invalidate_tags_here(&tags, what);
            tags.len()
        }
        Err(error) => return call.fail(&error),
    };
    call.settled(integer(count), says)
}

/// The arguments from the one at `first` on, which are tags.
pub(super) fn read_tags<'c>(call: &'c Call<'_>, first: usize) -> Result<Vec<&'c str>> {
    let tag = |tag| std::str::from_utf8(tag).ok().filter(|tag| tag.len() <= TAG_BYTES_MAX);
    call.request.iter().skip(first).map(tag).collect::<Option<_>>().ok_or_else(|| {
        let message = format!("a tag is UTF-8, of at most {TAG_BYTES_MAX} bytes");
        Error::new(ErrorKind::BadKey, message)
    })
}

fn prefix(call: &mut Call<'_>, at: usize, what: Invalidation, says: Says) -> Outcome {
    match call.service.keyspace.invalidate_prefix(&call.request[at], what) {
        Ok(struck) => call.settled(integer(struck), says),
        Err(error) => call.fail(&error),
    }
}

fn cache(call: &mut Call<'_>, at: usize, what: Invalidation, says: Says) -> Outcome {
    match call.service.keyspace.cache(&call.request[at]) {
        Ok(declared) => match declared.cache.invalidate_all_here(what) {
            Ok(()) => call.settled(1, says),
            Err(error) => call.fail(&error),
        },
        Err(sentence) => {
            call.reply.error("ERR", sentence);
            Outcome::Written
        }
    }
}

fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
