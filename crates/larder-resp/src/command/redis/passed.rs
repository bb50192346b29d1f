//! The commands that may go to the Redis behind larder, by name: one line each.
//!
//! Arity, group and flags are those of Redis 7.0, the flags as far as they tell a client how to
//! treat a command. Tests compare each line with what a real server says.

use super::RedisCommand;
use crate::command::places::Keys;
use crate::command::way::Topic::{Channels, Patterns, Shards};
use crate::command::way::Transacts::{Discard, Exec, Multi, Unwatch, Watch};
use crate::command::way::Way::{
    Answers, Blocks, MayBlock, Names, Only, Publishes, Shared, Split, Transaction,
};
use crate::command::way::{Shown, Subscribes, Topic, Way};

const NONE: Keys = Keys::None;
const ONE: Keys = Keys::Range(1, 1, 1);
const TWO: Keys = Keys::Range(1, 2, 1);
const ALL: Keys = Keys::Range(1, -1, 1);
const BUT_LAST: Keys = Keys::Range(1, -2, 1);
const PAIRS: Keys = Keys::Range(1, -1, 2);
const SECOND: Keys = Keys::Range(2, 2, 1);
const STORED: Keys = Keys::StoredCounted;

const fn counted(at: usize) -> Keys {
    Keys::Counted(at)
}

const fn subscribes(to: Topic) -> Way {
    Way::Subscribes(Subscribes { to, ends: false })
}

const fn unsubscribes(to: Topic) -> Way {
    Way::Subscribes(Subscribes { to, ends: true })
}

macro_rules! table {
    ($($name:literal $arity:literal $group:literal $flags:literal, $way:expr, $keys:expr;)*) => {
        &[$(RedisCommand {
            name: $name,
            arity: $arity,
            group: $group,
            flags: $flags,
            way: $way,
            keys: $keys,
        }),*]
    };
}

/// What Redis 7.0 has.
pub(super) static PASSED: &[RedisCommand] = table! {
    "APPEND" 3 "string" "write denyoom fast", Shared, ONE;
    "BITCOUNT" -2 "bitmap" "readonly", Shared, ONE;
    "BITFIELD" -2 "bitmap" "write denyoom", Shared, ONE;
    "BITFIELD_RO" -2 "bitmap" "readonly fast", Shared, ONE;
    "BITOP" -4 "bitmap" "write denyoom", Shared, Keys::Range(2, -1, 1);
    "BITPOS" -3 "bitmap" "readonly", Shared, ONE;
    "BLMOVE" 6 "list" "write denyoom noscript blocking", Blocks, TWO;
    "BLMPOP" -5 "list" "write blocking movablekeys", Blocks, counted(2);
    "BLPOP" -3 "list" "write noscript blocking", Blocks, BUT_LAST;
    "BRPOP" -3 "list" "write noscript blocking", Blocks, BUT_LAST;
    "BRPOPLPUSH" 4 "list" "write denyoom noscript blocking", Blocks, TWO;
    "BZMPOP" -5 "sorted-set" "write blocking movablekeys", Blocks, counted(2);
    "BZPOPMAX" -3 "sorted-set" "write noscript blocking fast", Blocks, BUT_LAST;
    "BZPOPMIN" -3 "sorted-set" "write noscript blocking fast", Blocks, BUT_LAST;
    "COPY" -3 "generic" "write denyoom", Shared, TWO;
    "DBSIZE" 1 "server" "readonly fast", Shared, NONE;
    "DECR" 2 "string" "write denyoom fast", Shared, ONE;
    "DECRBY" 3 "string" "write denyoom fast", Shared, ONE;
    "DEL" -2 "generic" "write", Split, ALL;
    "DISCARD" 1 "transactions" "noscript fast", Transaction(Discard), NONE;
    "DUMP" 2 "generic" "readonly", Shared, ONE;
    "ECHO" 2 "connection" "fast", Answers, NONE;
    "EVAL" -3 "scripting" "noscript movablekeys", Shared, counted(2);
    "EVALSHA" -3 "scripting" "noscript movablekeys", Shared, counted(2);
    "EVALSHA_RO" -3 "scripting" "readonly noscript movablekeys", Shared, counted(2);
    "EVAL_RO" -3 "scripting" "readonly noscript movablekeys", Shared, counted(2);
    "EXEC" 1 "transactions" "noscript", Transaction(Exec), NONE;
    "EXISTS" -2 "generic" "readonly fast", Split, ALL;
    "EXPIRE" -3 "generic" "write fast", Shared, ONE;
    "EXPIREAT" -3 "generic" "write fast", Shared, ONE;
    "EXPIRETIME" 2 "generic" "readonly fast", Shared, ONE;
    "FCALL" -3 "scripting" "noscript movablekeys", Shared, counted(2);
    "FCALL_RO" -3 "scripting" "readonly noscript movablekeys", Shared, counted(2);
    "FUNCTION" -2 "scripting" "", Only(&["LOAD", "LIST", "DELETE", "DUMP", "STATS", "HELP"]), NONE;
    "GEOADD" -5 "geo" "write denyoom", Shared, ONE;
    "GEODIST" -4 "geo" "readonly", Shared, ONE;
    "GEOHASH" -2 "geo" "readonly", Shared, ONE;
    "GEOPOS" -2 "geo" "readonly", Shared, ONE;
    "GEORADIUS" -6 "geo" "write denyoom movablekeys", Shared, Keys::Near(6);
    "GEORADIUSBYMEMBER" -5 "geo" "write denyoom movablekeys", Shared, Keys::Near(5);
    "GEORADIUSBYMEMBER_RO" -5 "geo" "readonly", Shared, ONE;
    "GEORADIUS_RO" -6 "geo" "readonly", Shared, ONE;
    "GEOSEARCH" -7 "geo" "readonly", Shared, ONE;
    "GEOSEARCHSTORE" -8 "geo" "write denyoom", Shared, TWO;
    "GET" 2 "string" "readonly fast", Shared, ONE;
    "GETBIT" 3 "bitmap" "readonly fast", Shared, ONE;
    "GETDEL" 2 "string" "write fast", Shared, ONE;
    "GETEX" -2 "string" "write fast", Shared, ONE;
    "GETRANGE" 4 "string" "readonly", Shared, ONE;
    "GETSET" 3 "string" "write denyoom fast", Shared, ONE;
    "HDEL" -3 "hash" "write fast", Shared, ONE;
    "HEXISTS" 3 "hash" "readonly fast", Shared, ONE;
    "HGET" 3 "hash" "readonly fast", Shared, ONE;
    "HGETALL" 2 "hash" "readonly", Shared, ONE;
    "HINCRBY" 4 "hash" "write denyoom fast", Shared, ONE;
    "HINCRBYFLOAT" 4 "hash" "write denyoom fast", Shared, ONE;
    "HKEYS" 2 "hash" "readonly", Shared, ONE;
    "HLEN" 2 "hash" "readonly fast", Shared, ONE;
    "HMGET" -3 "hash" "readonly fast", Shared, ONE;
    "HMSET" -4 "hash" "write denyoom fast", Shared, ONE;
    "HRANDFIELD" -2 "hash" "readonly", Shared, ONE;
    "HSCAN" -3 "hash" "readonly", Shared, ONE;
    "HSET" -4 "hash" "write denyoom fast", Shared, ONE;
    "HSETNX" 4 "hash" "write denyoom fast", Shared, ONE;
    "HSTRLEN" 3 "hash" "readonly fast", Shared, ONE;
    "HVALS" 2 "hash" "readonly", Shared, ONE;
    "INCR" 2 "string" "write denyoom fast", Shared, ONE;
    "INCRBY" 3 "string" "write denyoom fast", Shared, ONE;
    "INCRBYFLOAT" 3 "string" "write denyoom fast", Shared, ONE;
    "KEYS" 2 "generic" "readonly", Names(Shown::All), NONE;
    "LCS" -3 "string" "readonly", Shared, TWO;
    "LINDEX" 3 "list" "readonly", Shared, ONE;
    "LINSERT" 5 "list" "write denyoom", Shared, ONE;
    "LLEN" 2 "list" "readonly fast", Shared, ONE;
    "LMOVE" 5 "list" "write denyoom", Shared, TWO;
    "LMPOP" -4 "list" "write movablekeys", Shared, counted(1);
    "LOLWUT" -1 "server" "readonly fast", Shared, NONE;
    "LPOP" -2 "list" "write fast", Shared, ONE;
    "LPOS" -3 "list" "readonly", Shared, ONE;
    "LPUSH" -3 "list" "write denyoom fast", Shared, ONE;
    "LPUSHX" -3 "list" "write denyoom fast", Shared, ONE;
    "LRANGE" 4 "list" "readonly", Shared, ONE;
    "LREM" 4 "list" "write", Shared, ONE;
    "LSET" 4 "list" "write denyoom", Shared, ONE;
    "LTRIM" 4 "list" "write", Shared, ONE;
    "MEMORY" -2 "server" "", Only(&["USAGE", "HELP"]), SECOND;
    "MGET" -2 "string" "readonly fast", Split, ALL;
    "MSET" -3 "string" "write denyoom", Shared, PAIRS;
    "MSETNX" -3 "string" "write denyoom", Shared, PAIRS;
    "MULTI" 1 "transactions" "noscript fast", Transaction(Multi), NONE;
    "OBJECT" -2 "generic" "", Shared, SECOND;
    "PERSIST" 2 "generic" "write fast", Shared, ONE;
    "PEXPIRE" -3 "generic" "write fast", Shared, ONE;
    "PEXPIREAT" -3 "generic" "write fast", Shared, ONE;
    "PEXPIRETIME" 2 "generic" "readonly fast", Shared, ONE;
    "PFADD" -2 "hyperloglog" "write denyoom fast", Shared, ONE;
    "PFCOUNT" -2 "hyperloglog" "readonly", Shared, ALL;
    "PFMERGE" -2 "hyperloglog" "write denyoom", Shared, ALL;
    "PING" -1 "connection" "fast", Answers, NONE;
    "PSETEX" 4 "string" "write denyoom", Shared, ONE;
    "PSUBSCRIBE" -2 "pubsub" "pubsub noscript", subscribes(Patterns), NONE;
    "PTTL" 2 "generic" "readonly fast", Shared, ONE;
    "PUBLISH" 3 "pubsub" "pubsub fast", Publishes, NONE;
    "PUBSUB" -2 "pubsub" "", Names(Shown::Channels), NONE;
    "PUNSUBSCRIBE" -1 "pubsub" "pubsub noscript", unsubscribes(Patterns), NONE;
    "RANDOMKEY" 1 "generic" "readonly", Names(Shown::Random), NONE;
    "RENAME" 3 "generic" "write", Shared, TWO;
    "RENAMENX" 3 "generic" "write fast", Shared, TWO;
    "RESTORE" -4 "generic" "write denyoom", Shared, ONE;
    "RPOP" -2 "list" "write fast", Shared, ONE;
    "RPOPLPUSH" 3 "list" "write denyoom", Shared, TWO;
    "RPUSH" -3 "list" "write denyoom fast", Shared, ONE;
    "RPUSHX" -3 "list" "write denyoom fast", Shared, ONE;
    "SADD" -3 "set" "write denyoom fast", Shared, ONE;
    "SCAN" -2 "generic" "readonly", Names(Shown::BehindCursor), NONE;
    "SCARD" 2 "set" "readonly fast", Shared, ONE;
    "SCRIPT" -2 "scripting" "", Only(&["LOAD", "EXISTS", "FLUSH", "SHOW", "HELP"]), NONE;
    "SDIFF" -2 "set" "readonly", Shared, ALL;
    "SDIFFSTORE" -3 "set" "write denyoom", Shared, ALL;
    "SET" -3 "string" "write denyoom", Shared, ONE;
    "SETBIT" 4 "bitmap" "write denyoom", Shared, ONE;
    "SETEX" 4 "string" "write denyoom", Shared, ONE;
    "SETNX" 3 "string" "write denyoom fast", Shared, ONE;
    "SETRANGE" 4 "string" "write denyoom", Shared, ONE;
    "SINTER" -2 "set" "readonly", Shared, ALL;
    "SINTERCARD" -3 "set" "readonly movablekeys", Shared, counted(1);
    "SINTERSTORE" -3 "set" "write denyoom", Shared, ALL;
    "SISMEMBER" 3 "set" "readonly fast", Shared, ONE;
    "SMEMBERS" 2 "set" "readonly", Shared, ONE;
    "SMISMEMBER" -3 "set" "readonly fast", Shared, ONE;
    "SMOVE" 4 "set" "write fast", Shared, TWO;
    "SORT" -2 "generic" "write denyoom movablekeys", Shared, Keys::Sort;
    "SORT_RO" -2 "generic" "readonly movablekeys", Shared, Keys::Sort;
    "SPOP" -2 "set" "write fast", Shared, ONE;
    "SPUBLISH" 3 "pubsub" "pubsub fast", Publishes, NONE;
    "SRANDMEMBER" -2 "set" "readonly", Shared, ONE;
    "SREM" -3 "set" "write fast", Shared, ONE;
    "SSCAN" -3 "set" "readonly", Shared, ONE;
    "SSUBSCRIBE" -2 "pubsub" "pubsub noscript", subscribes(Shards), NONE;
    "STRLEN" 2 "string" "readonly fast", Shared, ONE;
    "SUBSCRIBE" -2 "pubsub" "pubsub noscript", subscribes(Channels), NONE;
    "SUBSTR" 4 "string" "readonly", Shared, ONE;
    "SUNION" -2 "set" "readonly", Shared, ALL;
    "SUNIONSTORE" -3 "set" "write denyoom", Shared, ALL;
    "SUNSUBSCRIBE" -1 "pubsub" "pubsub noscript", unsubscribes(Shards), NONE;
    "TIME" 1 "server" "fast", Shared, NONE;
    "TOUCH" -2 "generic" "readonly fast", Split, ALL;
    "TTL" 2 "generic" "readonly fast", Shared, ONE;
    "TYPE" 2 "generic" "readonly fast", Shared, ONE;
    "UNLINK" -2 "generic" "write fast", Split, ALL;
    "UNSUBSCRIBE" -1 "pubsub" "pubsub noscript", unsubscribes(Channels), NONE;
    "UNWATCH" 1 "transactions" "noscript fast", Transaction(Unwatch), NONE;
    "WATCH" -2 "transactions" "noscript fast", Transaction(Watch), ALL;
    "XACK" -4 "stream" "write fast", Shared, ONE;
    "XADD" -5 "stream" "write denyoom fast", Shared, ONE;
    "XAUTOCLAIM" -6 "stream" "write fast", Shared, ONE;
    "XCLAIM" -6 "stream" "write fast", Shared, ONE;
    "XDEL" -3 "stream" "write fast", Shared, ONE;
    "XGROUP" -2 "stream" "", Shared, SECOND;
    "XINFO" -2 "stream" "", Shared, SECOND;
    "XLEN" 2 "stream" "readonly fast", Shared, ONE;
    "XPENDING" -3 "stream" "readonly", Shared, ONE;
    "XRANGE" -4 "stream" "readonly", Shared, ONE;
    "XREAD" -4 "stream" "readonly blocking movablekeys", MayBlock, Keys::Streams;
    "XREADGROUP" -7 "stream" "write blocking movablekeys", MayBlock, Keys::Streams;
    "XREVRANGE" -4 "stream" "readonly", Shared, ONE;
    "XSETID" -3 "stream" "write denyoom fast", Shared, ONE;
    "XTRIM" -4 "stream" "write", Shared, ONE;
    "ZADD" -4 "sorted-set" "write denyoom fast", Shared, ONE;
    "ZCARD" 2 "sorted-set" "readonly fast", Shared, ONE;
    "ZCOUNT" 4 "sorted-set" "readonly fast", Shared, ONE;
    "ZDIFF" -3 "sorted-set" "readonly movablekeys", Shared, counted(1);
    "ZDIFFSTORE" -4 "sorted-set" "write denyoom movablekeys", Shared, STORED;
    "ZINCRBY" 4 "sorted-set" "write denyoom fast", Shared, ONE;
    "ZINTER" -3 "sorted-set" "readonly movablekeys", Shared, counted(1);
    "ZINTERCARD" -3 "sorted-set" "readonly movablekeys", Shared, counted(1);
    "ZINTERSTORE" -4 "sorted-set" "write denyoom movablekeys", Shared, STORED;
    "ZLEXCOUNT" 4 "sorted-set" "readonly fast", Shared, ONE;
    "ZMPOP" -4 "sorted-set" "write movablekeys", Shared, counted(1);
    "ZMSCORE" -3 "sorted-set" "readonly fast", Shared, ONE;
    "ZPOPMAX" -2 "sorted-set" "write fast", Shared, ONE;
    "ZPOPMIN" -2 "sorted-set" "write fast", Shared, ONE;
    "ZRANDMEMBER" -2 "sorted-set" "readonly", Shared, ONE;
    "ZRANGE" -4 "sorted-set" "readonly", Shared, ONE;
    "ZRANGEBYLEX" -4 "sorted-set" "readonly", Shared, ONE;
    "ZRANGEBYSCORE" -4 "sorted-set" "readonly", Shared, ONE;
    "ZRANGESTORE" -5 "sorted-set" "write denyoom", Shared, TWO;
    "ZRANK" 3 "sorted-set" "readonly fast", Shared, ONE;
    "ZREM" -3 "sorted-set" "write fast", Shared, ONE;
    "ZREMRANGEBYLEX" 4 "sorted-set" "write", Shared, ONE;
    "ZREMRANGEBYRANK" 4 "sorted-set" "write", Shared, ONE;
    "ZREMRANGEBYSCORE" 4 "sorted-set" "write", Shared, ONE;
    "ZREVRANGE" -4 "sorted-set" "readonly", Shared, ONE;
    "ZREVRANGEBYLEX" -4 "sorted-set" "readonly", Shared, ONE;
    "ZREVRANGEBYSCORE" -4 "sorted-set" "readonly", Shared, ONE;
    "ZREVRANK" 3 "sorted-set" "readonly fast", Shared, ONE;
    "ZSCAN" -3 "sorted-set" "readonly", Shared, ONE;
    "ZSCORE" 3 "sorted-set" "readonly fast", Shared, ONE;
    "ZUNION" -3 "sorted-set" "readonly movablekeys", Shared, counted(1);
    "ZUNIONSTORE" -4 "sorted-set" "write denyoom movablekeys", Shared, STORED;
};

/// What later versions have. A server that is older says that it doesn't know them.
pub(super) static LATER: &[RedisCommand] = table! {
    "HEXPIRE" -6 "hash" "write denyoom fast", Shared, ONE;
    "HEXPIREAT" -6 "hash" "write denyoom fast", Shared, ONE;
    "HEXPIRETIME" -5 "hash" "readonly fast", Shared, ONE;
    "HGETDEL" -5 "hash" "write fast", Shared, ONE;
    "HGETEX" -5 "hash" "write fast", Shared, ONE;
    "HPERSIST" -5 "hash" "write fast", Shared, ONE;
    "HPEXPIRE" -6 "hash" "write denyoom fast", Shared, ONE;
    "HPEXPIREAT" -6 "hash" "write denyoom fast", Shared, ONE;
    "HPEXPIRETIME" -5 "hash" "readonly fast", Shared, ONE;
    "HPTTL" -5 "hash" "readonly fast", Shared, ONE;
    "HSETEX" -6 "hash" "write denyoom fast", Shared, ONE;
    "HTTL" -5 "hash" "readonly fast", Shared, ONE;
    "XACKDEL" -6 "stream" "write fast", Shared, ONE;
    "XDELEX" -5 "stream" "write fast", Shared, ONE;
};
