//! Where the keys of Redis's commands stand, and in which way each command goes to a Redis that
//! is the upstream.
//!
//! One table, sorted by name. A command that isn't in it doesn't go there. It knows nothing of
//! what keys mean: whose they are, the keyspace says.

use super::expiry::integer;
use crate::codec::Request;

/// A command that may go upstream, or is refused because it mustn't.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Its name, in capitals.
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    pub(crate) keys: Keys,
}

/// How a command goes upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// On a connection that others use too.
    Shared,
    /// On one of its own, since it keeps the connection waiting.
    Blocks,
    /// The same, if it says BLOCK.
    MayBlock,
    /// As far as its keys are plain; the declared ones are answered here.
    Split,
    /// Its reply names keys or channels, of which larder's own are left out.
    Names(Names),
    /// It begins or ends a transaction.
    Transaction(Transacts),
    /// It subscribes, or ends subscriptions.
    Subscribes(Subscribes),
    /// As [`Shared`](Way::Shared); its first argument is a channel.
    Publishes,
    /// Only where the connection is in a state in which Redis is to answer it.
    Answers,
    /// Only these of its subcommands.
    Only(&'static [&'static str]),
    /// Not at all, for this reason.
    Refused(&'static str),
}

/// Which part of a reply names keys or channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// All of it, an array.
    All,
    /// The array behind a cursor.
    BehindCursor,
    /// All of it, one name.
    Random,
    /// That of the subcommands CHANNELS and SHARDCHANNELS.
    Channels,
}

/// What a command does to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transacts {
    Watch,
    Unwatch,
    Multi,
    Exec,
    Discard,
}

/// What a command does to subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscribes {
    /// To what.
    pub(crate) to: Topic,
    /// Whether it ends subscriptions.
    pub(crate) ends: bool,
}

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Channels,
    Patterns,
    Shards,
}

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

/// The entry of this name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Foreign> {
    let mut capitals = [0; NAME_BYTES_MAX];
    let capitals = capitals.get_mut(..name.len())?;
    capitals.copy_from_slice(name);
    capitals.make_ascii_uppercase();
    let at = FOREIGN.binary_search_by(|entry| entry.name.as_bytes().cmp(capitals));
    at.ok().map(|at| &FOREIGN[at])
}

/// No name in the table is longer.
const NAME_BYTES_MAX: usize = 24;

const NONE: Keys = Keys::None;
const ONE: Keys = Keys::Range(1, 1, 1);
const TWO: Keys = Keys::Range(1, 2, 1);
const ALL: Keys = Keys::Range(1, -1, 1);
const BUT_LAST: Keys = Keys::Range(1, -2, 1);
const PAIRS: Keys = Keys::Range(1, -1, 2);
const SECOND: Keys = Keys::Range(2, 2, 1);

const OWN_AFFAIR: Way = Way::Refused("what concerns the Redis itself is to be done there");
const REPLICAS: Way = Way::Refused(
    "it tells of what one connection has written, and larder writes through connections that \
     its clients share",
);
const DATABASES: Way = Way::Refused("larder uses one database of that Redis");
const ALL_KEYS: Way =
    Way::Refused("it would take what larder itself keeps in that Redis; delete keys by name");

const fn subscribes(to: Topic) -> Way {
    Way::Subscribes(Subscribes { to, ends: false })
}

const fn unsubscribes(to: Topic) -> Way {
    Way::Subscribes(Subscribes { to, ends: true })
}

macro_rules! table {
    ($($name:literal $way:expr, $keys:expr;)*) => {
        &[$(Foreign { name: $name, way: $way, keys: $keys }),*]
    };
}

/// Every command that may go upstream, and those that are refused where there is one, by name.
pub(crate) static FOREIGN: &[Foreign] = table! {
    "ACL" OWN_AFFAIR, NONE;
    "APPEND" Way::Shared, ONE;
    "ASKING" OWN_AFFAIR, NONE;
    "BGREWRITEAOF" OWN_AFFAIR, NONE;
    "BGSAVE" OWN_AFFAIR, NONE;
    "BITCOUNT" Way::Shared, ONE;
    "BITFIELD" Way::Shared, ONE;
    "BITFIELD_RO" Way::Shared, ONE;
    "BITOP" Way::Shared, Keys::Range(2, -1, 1);
    "BITPOS" Way::Shared, ONE;
    "BLMOVE" Way::Blocks, TWO;
    "BLMPOP" Way::Blocks, Keys::Counted(2);
    "BLPOP" Way::Blocks, BUT_LAST;
    "BRPOP" Way::Blocks, BUT_LAST;
    "BRPOPLPUSH" Way::Blocks, TWO;
    "BZMPOP" Way::Blocks, Keys::Counted(2);
    "BZPOPMAX" Way::Blocks, BUT_LAST;
    "BZPOPMIN" Way::Blocks, BUT_LAST;
    "CLUSTER" OWN_AFFAIR, NONE;
    "COPY" Way::Shared, TWO;
    "DBSIZE" Way::Shared, NONE;
    "DEBUG" OWN_AFFAIR, NONE;
    "DECR" Way::Shared, ONE;
    "DECRBY" Way::Shared, ONE;
    "DEL" Way::Split, ALL;
    "DISCARD" Way::Transaction(Transacts::Discard), NONE;
    "DUMP" Way::Shared, ONE;
    "ECHO" Way::Answers, NONE;
    "EVAL" Way::Shared, Keys::Counted(2);
    "EVALSHA" Way::Shared, Keys::Counted(2);
    "EVALSHA_RO" Way::Shared, Keys::Counted(2);
    "EVAL_RO" Way::Shared, Keys::Counted(2);
    "EXEC" Way::Transaction(Transacts::Exec), NONE;
    "EXISTS" Way::Split, ALL;
    "EXPIRE" Way::Shared, ONE;
    "EXPIREAT" Way::Shared, ONE;
    "EXPIRETIME" Way::Shared, ONE;
    "FAILOVER" OWN_AFFAIR, NONE;
    "FCALL" Way::Shared, Keys::Counted(2);
    "FCALL_RO" Way::Shared, Keys::Counted(2);
    "FLUSHALL" ALL_KEYS, NONE;
    "FLUSHDB" ALL_KEYS, NONE;
    "FUNCTION" Way::Only(&["LOAD", "LIST", "DELETE", "DUMP", "STATS", "HELP"]), NONE;
    "GEOADD" Way::Shared, ONE;
    "GEODIST" Way::Shared, ONE;
    "GEOHASH" Way::Shared, ONE;
    "GEOPOS" Way::Shared, ONE;
    "GEORADIUS" Way::Shared, Keys::Near(6);
    "GEORADIUSBYMEMBER" Way::Shared, Keys::Near(5);
    "GEORADIUSBYMEMBER_RO" Way::Shared, ONE;
    "GEORADIUS_RO" Way::Shared, ONE;
    "GEOSEARCH" Way::Shared, ONE;
    "GEOSEARCHSTORE" Way::Shared, TWO;
    "GET" Way::Shared, ONE;
    "GETBIT" Way::Shared, ONE;
    "GETDEL" Way::Shared, ONE;
    "GETEX" Way::Shared, ONE;
    "GETRANGE" Way::Shared, ONE;
    "GETSET" Way::Shared, ONE;
    "HDEL" Way::Shared, ONE;
    "HEXISTS" Way::Shared, ONE;
    "HEXPIRE" Way::Shared, ONE;
    "HEXPIREAT" Way::Shared, ONE;
    "HEXPIRETIME" Way::Shared, ONE;
    "HGET" Way::Shared, ONE;
    "HGETALL" Way::Shared, ONE;
    "HGETDEL" Way::Shared, ONE;
    "HGETEX" Way::Shared, ONE;
    "HINCRBY" Way::Shared, ONE;
    "HINCRBYFLOAT" Way::Shared, ONE;
    "HKEYS" Way::Shared, ONE;
    "HLEN" Way::Shared, ONE;
    "HMGET" Way::Shared, ONE;
    "HMSET" Way::Shared, ONE;
    "HPERSIST" Way::Shared, ONE;
    "HPEXPIRE" Way::Shared, ONE;
    "HPEXPIREAT" Way::Shared, ONE;
    "HPEXPIRETIME" Way::Shared, ONE;
    "HPTTL" Way::Shared, ONE;
    "HRANDFIELD" Way::Shared, ONE;
    "HSCAN" Way::Shared, ONE;
    "HSET" Way::Shared, ONE;
    "HSETEX" Way::Shared, ONE;
    "HSETNX" Way::Shared, ONE;
    "HSTRLEN" Way::Shared, ONE;
    "HTTL" Way::Shared, ONE;
    "HVALS" Way::Shared, ONE;
    "INCR" Way::Shared, ONE;
    "INCRBY" Way::Shared, ONE;
    "INCRBYFLOAT" Way::Shared, ONE;
    "KEYS" Way::Names(Names::All), NONE;
    "LASTSAVE" OWN_AFFAIR, NONE;
    "LATENCY" OWN_AFFAIR, NONE;
    "LCS" Way::Shared, TWO;
    "LINDEX" Way::Shared, ONE;
    "LINSERT" Way::Shared, ONE;
    "LLEN" Way::Shared, ONE;
    "LMOVE" Way::Shared, TWO;
    "LMPOP" Way::Shared, Keys::Counted(1);
    "LOLWUT" Way::Shared, NONE;
    "LPOP" Way::Shared, ONE;
    "LPOS" Way::Shared, ONE;
    "LPUSH" Way::Shared, ONE;
    "LPUSHX" Way::Shared, ONE;
    "LRANGE" Way::Shared, ONE;
    "LREM" Way::Shared, ONE;
    "LSET" Way::Shared, ONE;
    "LTRIM" Way::Shared, ONE;
    "MEMORY" Way::Only(&["USAGE", "HELP"]), SECOND;
    "MGET" Way::Split, ALL;
    "MIGRATE" OWN_AFFAIR, NONE;
    "MODULE" OWN_AFFAIR, NONE;
    "MONITOR" OWN_AFFAIR, NONE;
    "MOVE" DATABASES, NONE;
    "MSET" Way::Shared, PAIRS;
    "MSETNX" Way::Shared, PAIRS;
    "MULTI" Way::Transaction(Transacts::Multi), NONE;
    "OBJECT" Way::Shared, SECOND;
    "PERSIST" Way::Shared, ONE;
    "PEXPIRE" Way::Shared, ONE;
    "PEXPIREAT" Way::Shared, ONE;
    "PEXPIRETIME" Way::Shared, ONE;
    "PFADD" Way::Shared, ONE;
    "PFCOUNT" Way::Shared, ALL;
    "PFDEBUG" OWN_AFFAIR, NONE;
    "PFMERGE" Way::Shared, ALL;
    "PFSELFTEST" OWN_AFFAIR, NONE;
    "PING" Way::Answers, NONE;
    "PSETEX" Way::Shared, ONE;
    "PSUBSCRIBE" subscribes(Topic::Patterns), NONE;
    "PSYNC" OWN_AFFAIR, NONE;
    "PTTL" Way::Shared, ONE;
    "PUBLISH" Way::Publishes, NONE;
    "PUBSUB" Way::Names(Names::Channels), NONE;
    "PUNSUBSCRIBE" unsubscribes(Topic::Patterns), NONE;
    "RANDOMKEY" Way::Names(Names::Random), NONE;
    "READONLY" OWN_AFFAIR, NONE;
    "READWRITE" OWN_AFFAIR, NONE;
    "RENAME" Way::Shared, TWO;
    "RENAMENX" Way::Shared, TWO;
    "REPLCONF" OWN_AFFAIR, NONE;
    "REPLICAOF" OWN_AFFAIR, NONE;
    "RESTORE" Way::Shared, ONE;
    "RESTORE-ASKING" OWN_AFFAIR, NONE;
    "ROLE" OWN_AFFAIR, NONE;
    "RPOP" Way::Shared, ONE;
    "RPOPLPUSH" Way::Shared, TWO;
    "RPUSH" Way::Shared, ONE;
    "RPUSHX" Way::Shared, ONE;
    "SADD" Way::Shared, ONE;
    "SAVE" OWN_AFFAIR, NONE;
    "SCAN" Way::Names(Names::BehindCursor), NONE;
    "SCARD" Way::Shared, ONE;
    "SCRIPT" Way::Only(&["LOAD", "EXISTS", "FLUSH", "SHOW", "HELP"]), NONE;
    "SDIFF" Way::Shared, ALL;
    "SDIFFSTORE" Way::Shared, ALL;
    "SET" Way::Shared, ONE;
    "SETBIT" Way::Shared, ONE;
    "SETEX" Way::Shared, ONE;
    "SETNX" Way::Shared, ONE;
    "SETRANGE" Way::Shared, ONE;
    "SHUTDOWN" OWN_AFFAIR, NONE;
    "SINTER" Way::Shared, ALL;
    "SINTERCARD" Way::Shared, Keys::Counted(1);
    "SINTERSTORE" Way::Shared, ALL;
    "SISMEMBER" Way::Shared, ONE;
    "SLAVEOF" OWN_AFFAIR, NONE;
    "SLOWLOG" OWN_AFFAIR, NONE;
    "SMEMBERS" Way::Shared, ONE;
    "SMISMEMBER" Way::Shared, ONE;
    "SMOVE" Way::Shared, TWO;
    "SORT" Way::Shared, Keys::Sort;
    "SORT_RO" Way::Shared, Keys::Sort;
    "SPOP" Way::Shared, ONE;
    "SPUBLISH" Way::Publishes, NONE;
    "SRANDMEMBER" Way::Shared, ONE;
    "SREM" Way::Shared, ONE;
    "SSCAN" Way::Shared, ONE;
    "SSUBSCRIBE" subscribes(Topic::Shards), NONE;
    "STRLEN" Way::Shared, ONE;
    "SUBSCRIBE" subscribes(Topic::Channels), NONE;
    "SUBSTR" Way::Shared, ONE;
    "SUNION" Way::Shared, ALL;
    "SUNIONSTORE" Way::Shared, ALL;
    "SUNSUBSCRIBE" unsubscribes(Topic::Shards), NONE;
    "SWAPDB" DATABASES, NONE;
    "SYNC" OWN_AFFAIR, NONE;
    "TIME" Way::Shared, NONE;
    "TOUCH" Way::Split, ALL;
    "TTL" Way::Shared, ONE;
    "TYPE" Way::Shared, ONE;
    "UNLINK" Way::Split, ALL;
    "UNSUBSCRIBE" unsubscribes(Topic::Channels), NONE;
    "UNWATCH" Way::Transaction(Transacts::Unwatch), NONE;
    "WAIT" REPLICAS, NONE;
    "WAITAOF" REPLICAS, NONE;
    "WATCH" Way::Transaction(Transacts::Watch), ALL;
    "XACK" Way::Shared, ONE;
    "XACKDEL" Way::Shared, ONE;
    "XADD" Way::Shared, ONE;
    "XAUTOCLAIM" Way::Shared, ONE;
    "XCLAIM" Way::Shared, ONE;
    "XDEL" Way::Shared, ONE;
    "XDELEX" Way::Shared, ONE;
    "XGROUP" Way::Shared, SECOND;
    "XINFO" Way::Shared, SECOND;
    "XLEN" Way::Shared, ONE;
    "XPENDING" Way::Shared, ONE;
    "XRANGE" Way::Shared, ONE;
    "XREAD" Way::MayBlock, Keys::Streams;
    "XREADGROUP" Way::MayBlock, Keys::Streams;
    "XREVRANGE" Way::Shared, ONE;
    "XSETID" Way::Shared, ONE;
    "XTRIM" Way::Shared, ONE;
    "ZADD" Way::Shared, ONE;
    "ZCARD" Way::Shared, ONE;
    "ZCOUNT" Way::Shared, ONE;
    "ZDIFF" Way::Shared, Keys::Counted(1);
    "ZDIFFSTORE" Way::Shared, Keys::StoredCounted;
    "ZINCRBY" Way::Shared, ONE;
    "ZINTER" Way::Shared, Keys::Counted(1);
    "ZINTERCARD" Way::Shared, Keys::Counted(1);
    "ZINTERSTORE" Way::Shared, Keys::StoredCounted;
    "ZLEXCOUNT" Way::Shared, ONE;
    "ZMPOP" Way::Shared, Keys::Counted(1);
    "ZMSCORE" Way::Shared, ONE;
    "ZPOPMAX" Way::Shared, ONE;
    "ZPOPMIN" Way::Shared, ONE;
    "ZRANDMEMBER" Way::Shared, ONE;
    "ZRANGE" Way::Shared, ONE;
    "ZRANGEBYLEX" Way::Shared, ONE;
    "ZRANGEBYSCORE" Way::Shared, ONE;
    "ZRANGESTORE" Way::Shared, TWO;
    "ZRANK" Way::Shared, ONE;
    "ZREM" Way::Shared, ONE;
    "ZREMRANGEBYLEX" Way::Shared, ONE;
    "ZREMRANGEBYRANK" Way::Shared, ONE;
    "ZREMRANGEBYSCORE" Way::Shared, ONE;
    "ZREVRANGE" Way::Shared, ONE;
    "ZREVRANGEBYLEX" Way::Shared, ONE;
    "ZREVRANGEBYSCORE" Way::Shared, ONE;
    "ZREVRANK" Way::Shared, ONE;
    "ZSCAN" Way::Shared, ONE;
    "ZSCORE" Way::Shared, ONE;
    "ZUNION" Way::Shared, Keys::Counted(1);
    "ZUNIONSTORE" Way::Shared, Keys::StoredCounted;
};

#[cfg(test)]
mod tests {
    use larder_test::{Redis, Reply, RespClient};

    use super::*;
    use crate::codec::{Decoder, Limits, encode_request};

    #[test]
    fn the_table_is_sorted_and_every_command_is_found_in_any_case() {
        assert!(FOREIGN.is_sorted_by(|a, b| a.name < b.name));
        for entry in FOREIGN {
            let found = find(entry.name.to_ascii_lowercase().as_bytes());
            assert_eq!(found.map(|found| found.name), Some(entry.name));
        }
        assert!(find(b"").is_none());
        assert!(find(&[b'A'; 1000]).is_none());
    }

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
    fn every_command_of_redis_has_its_keys_where_redis_has_them() {
        let redis = Redis::start();
        let mut client = RespClient::connect(("127.0.0.1", redis.port()));
        let Reply::Array(commands) = client.command(&["COMMAND"]) else { panic!("no commands") };
        assert!(commands.len() > 200);
        for command in commands {
            let Reply::Array(fields) = command else { panic!("no fields") };
            let number = |at: usize| match fields[at] {
                Reply::Integer(number) => isize::try_from(number).unwrap(),
                _ => panic!("no number"),
            };
            let (name, first, last, step) = (fields[0].text(), number(3), number(4), number(5));
            let movable = format!("{:?}", fields[2]).contains("movablekeys");
            let Some(entry) = find(name.as_bytes()) else {
                // These are about the connection, and answered without an upstream.
                let here = "auth client command config hello info quit reset select";
                assert!(here.split(' ').any(|here| here == name), "{name} is missing");
                continue;
            };
            if first == 0 || movable || matches!(entry.way, Way::Refused(_)) {
                continue;
            }
            // Channels of a shard have slots, as keys have; here they are channels.
            if matches!(entry.way, Way::Subscribes(_) | Way::Publishes) {
                continue;
            }
            let first = usize::try_from(first).unwrap();
            let expected = Keys::Range(first, last, usize::try_from(step).unwrap());
            assert_eq!(entry.keys, expected, "{name}");
        }
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
