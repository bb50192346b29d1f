//! Where the keys of a request stand.
//!
//! It knows nothing of what keys mean: whose they are, the keyspace says.

use super::expiry::integer;
use crate::codec::Request;

/// Where a command's keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    /// First, last, step; a negative last counts from the end.
    Range(usize, isize, usize),
    /// So many as the argument here says, behind it.
    Counted(usize),
    /// The first argument, and so many as the second says.
    StoredCounted,
    /// The first half of what stands behind STREAMS.
    Streams,
    /// The first argument, and what stands behind STORE.
    Sort,
    /// The first argument, and what stands behind STORE or STOREDIST, from the argument here on.
    Near(usize),
}

/// The places of the keys of one request, in their order.
pub(crate) enum Places {
    Range(std::iter::StepBy<std::ops::Range<usize>>),
    List(std::vec::IntoIter<usize>),
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Self::Range(range) => range.next(),
            Self::List(list) => list.next(),
        }
    }
}

impl Keys {
    /// Where the keys of a request stand. A request that Redis takes for malformed may have none
    /// here: Redis says so itself, and does nothing.
    pub(crate) fn places(self, request: &Request<'_>) -> Places {
        let count = request.len();
        match self {
            Self::None => range(0, 0, 1),
            Self::Range(first, last, step) => {
                let end = match usize::try_from(last) {
                    Ok(last) => (last + 1).min(count),
                    Err(_) => (count + 1).saturating_sub(last.unsigned_abs()),
                };
                range(first, end, step)
            }
            Self::Counted(at) => counted(request, at),
            Self::StoredCounted => list(std::iter::once(1).chain(counted(request, 2)), count),
            Self::Streams => streams(request),
            Self::Sort => {
                let options = options(request, 2, &[("LIMIT", 2), ("BY", 1), ("GET", 1)]);
                stored(request, options, &["STORE"])
            }
            Self::Near(options) => stored(request, options..count, &["STORE", "STOREDIST"]),
        }
    }
}

fn range(first: usize, end: usize, step: usize) -> Places {
    Places::Range((first..end.max(first)).step_by(step))
}

fn list(places: impl Iterator<Item = usize>, count: usize) -> Places {
    Places::List(places.filter(|&at| at < count).collect::<Vec<_>>().into_iter())
}

/// As many keys as the argument at `at` says, behind it; none if there aren't so many.
fn counted(request: &Request<'_>, at: usize) -> Places {
    let count = request.get(at).and_then(integer).and_then(|count| usize::try_from(count).ok());
    let end = count.and_then(|count| (at + 1).checked_add(count));
    match end.filter(|&end| end <= request.len()) {
        Some(end) => range(at + 1, end, 1),
        None => range(0, 0, 1),
    }
}

/// The first half of what stands behind STREAMS, which stands behind the other options.
fn streams(request: &Request<'_>) -> Places {
    let words = &[("GROUP", 2), ("COUNT", 1), ("BLOCK", 1), ("CLAIM", 1), ("NOACK", 0)];
    let at = options(request, 1, words).find(|&at| is(request, at, "STREAMS"));
    match at {
        Some(at) => range(at + 1, at + 1 + (request.len() - at - 1) / 2, 1),
        None => range(0, 0, 1),
    }
}

/// The first argument, and each that stands behind one of these words.
fn stored(request: &Request<'_>, options: impl Iterator<Item = usize>, words: &[&str]) -> Places {
    let behind = options.filter(|&at| words.iter().any(|word| is(request, at, word)));
    list(std::iter::once(1).chain(behind.map(|at| at + 1)), request.len())
}

/// The places of options, from the one at `at` on: so many arguments as are told here belong to
/// one of these words.
fn options(
    request: &Request<'_>,
    at: usize,
    words: &[(&str, usize)],
) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(at), move |&at| {
        let known = words.iter().find(|(word, _)| is(request, at, word));
        Some(at + 1 + known.map_or(0, |(_, arguments)| *arguments))
    })
    .take_while(|&at| at < request.len())
}

/// Whether a request of XREAD or XREADGROUP blocks.
pub(crate) fn blocks(request: &Request<'_>) -> bool {
    let words = &[("GROUP", 2), ("COUNT", 1), ("CLAIM", 1), ("NOACK", 0)];
    options(request, 1, words)
        .take_while(|&at| !is(request, at, "STREAMS"))
        .any(|at| is(request, at, "BLOCK"))
}

/// The patterns behind BY and GET of a SORT, which name keys, too.
pub(crate) fn sort_patterns<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a [u8]> {
    let request = *request;
    let at = options(&request, 2, &[("LIMIT", 2), ("BY", 1), ("GET", 1), ("STORE", 1)])
        .filter(|&at| is(&request, at, "BY") || is(&request, at, "GET"))
        .collect::<Vec<_>>();
    at.into_iter().filter_map(move |at| request.get(at + 1))
}

/// Whether the argument at `at` is this word, in any case.
fn is(request: &Request<'_>, at: usize, word: &str) -> bool {
    request.get(at).is_some_and(|given| given.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use larder_test::{Redis, Reply, RespClient};

    use crate::codec::{Decoder, Limits, encode_request};
    use crate::command::redis::find;

    /// The keys of a request by this table.
    fn keys_of(line: &str) -> Vec<String> {
        let words: Vec<_> = line.split(' ').collect();
        let mut bytes = Vec::new();
        encode_request(&mut bytes, &words);
        let mut decoder = Decoder::new(Limits::default());
        decoder.decode(&bytes).unwrap();
        let request = decoder.request(&bytes).unwrap();
        let entry = find(request.name()).unwrap_or_else(|| panic!("{line} isn't in the table"));
        let text = |at| String::from_utf8_lossy(&request[at]).into_owned();
        entry.keys.places(&request).map(text).collect()
    }

    #[test]
    fn keys_that_move_are_found_where_redis_finds_them() {
        let redis = Redis::start();
        let mut client = RespClient::connect(("127.0.0.1", redis.port()));
        for line in [
            "EVAL return 2 a b c",
            "EVALSHA abc 0 x",
            "FCALL f 1 k v",
            "XREAD COUNT 2 BLOCK 0 STREAMS a b 0 0",
            "XREADGROUP GROUP STREAMS me COUNT 1 NOACK STREAMS a >",
            "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
            "ZINTER 2 a b WITHSCORES",
            "ZINTERCARD 1 a LIMIT 3",
            "SINTERCARD 2 a b",
            "LMPOP 2 a b LEFT",
            "BLMPOP 0 2 a b LEFT",
            "BZMPOP 1 1 z MIN",
            "SORT a BY w_* LIMIT 0 5 GET store DESC STORE d",
            "SORT a STORE d",
            "SORT a",
            "GEORADIUS g 1 2 3 km COUNT 2 STORE d",
            "GEORADIUSBYMEMBER g STORE 3 km STOREDIST d",
            "BLPOP a b c 0",
            "BITOP AND d a b",
            "MSET a 1 b 2 c 3",
            "LMOVE a b LEFT RIGHT",
            "OBJECT ENCODING a",
            "XINFO STREAM a",
            "MEMORY USAGE a",
            "SET a b",
            "MGET a b c",
            "XGROUP CREATE s g $",
        ] {
            let mut words = vec!["COMMAND", "GETKEYS"];
            words.extend(line.split(' '));
            let expected = match client.command(&words) {
                Reply::Array(keys) => keys.iter().map(|key| key.text().to_owned()).collect(),
                Reply::Error(error) if error.contains("has no key arguments") => Vec::new(),
                other => panic!("{line}: {other:?}"),
            };
            assert_eq!(keys_of(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_malformed_names_no_key_outside_of_itself() {
        for line in ["EVAL return 9 a", "EVAL return -1 a", "EVAL return x a", "ZUNION 2 a"] {
            assert!(keys_of(line).is_empty(), "{line}");
        }
        for line in ["XREAD STREAMS", "XREAD COUNT", "SET", "MSET", "BLPOP", "EVAL", "BLPOP 0"] {
            assert!(keys_of(line).is_empty(), "{line}");
        }
        assert_eq!(keys_of("SORT a STORE"), ["a"]);
    }
}
