//! The commands of Redis that larder doesn't have, and what becomes of each: another command
//! that isn't here is unknown, as in Redis.
//!
//! Each of Redis 7.0 is either in the table of commands or in this one; a test compares them with
//! what a real server lists. How a command reaches the Redis behind is not known here.

use super::Call;

/// What becomes of a command that larder doesn't have itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The Redis behind larder executes it on plain keys, if there is one.
    Upstream,
    /// It isn't for the clients of a larder, for this reason.
    Refused(&'static str),
}

/// One command of Redis that larder doesn't have itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Its name, in capitals.
    pub(crate) name: &'static str,
    /// The group that Redis's own COMMAND DOCS names.
    pub(crate) group: &'static str,
    /// What becomes of it.
    pub(crate) fate: Fate,
}

impl Foreign {
    /// Says why it isn't executed where there is no Redis behind larder, and what would help.
    pub(super) fn refuse(&self, call: &mut Call<'_>) {
        let name = self.name;
        match self.fate {
            Fate::Upstream => call.reply.error(
                "ERR",
                format_args!(
                    "{name} needs a Redis behind larder: set [shared] url = \"redis://…\""
                ),
            ),
            Fate::Refused(reason) => {
                call.reply.error("REFUSED", format_args!("{name} is not for clients: {reason}"));
            }
        }
    }
}

/// The foreign command of this name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<Foreign> {
    all().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Foreign> {
    BLOCKS.iter().flat_map(|block| {
        let Block { group, fate, names } = *block;
        names.split_ascii_whitespace().map(move |name| Foreign { name, group, fate })
    })
}

/// Commands of one group that have one fate.
struct Block {
    group: &'static str,
    fate: Fate,
    /// Their names, with blanks between them.
    names: &'static str,
}

static BLOCKS: &[Block] = &[
    Block { group: "string", fate: Fate::Upstream, names: "LCS" },
    Block { group: "bitmap", fate: Fate::Upstream, names: "BITFIELD BITFIELD_RO BITOP" },
    Block { group: "generic", fate: Fate::Upstream, names: "DUMP OBJECT RESTORE SORT SORT_RO" },
    Block {
        group: "hash",
        fate: Fate::Upstream,
        names: "\
            HDEL HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD \
            HSCAN HSET HSETNX HSTRLEN HVALS",
    },
    Block {
        group: "list",
        fate: Fate::Upstream,
        names: "\
            BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH \
            LPUSHX LRANGE LREM LSET LTRIM RPOP RPOPLPUSH RPUSH RPUSHX",
    },
    Block {
        group: "set",
        fate: Fate::Upstream,
        names: "\
            SADD SCARD SDIFF SDIFFSTORE SINTER SINTERCARD SINTERSTORE SISMEMBER SMEMBERS \
            SMISMEMBER SMOVE SPOP SRANDMEMBER SREM SSCAN SUNION SUNIONSTORE",
    },
    Block {
        group: "sorted-set",
        fate: Fate::Upstream,
        names: "\
            BZMPOP BZPOPMAX BZPOPMIN ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER \
            ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE \
            ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK \
            ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE \
            ZUNION ZUNIONSTORE",
    },
    Block {
        group: "stream",
        fate: Fate::Upstream,
        names: "\
            XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP \
            XREVRANGE XSETID XTRIM",
    },
    Block {
        group: "geo",
        fate: Fate::Upstream,
        names: "\
            GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO \
            GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE",
    },
    Block { group: "hyperloglog", fate: Fate::Upstream, names: "PFADD PFCOUNT PFMERGE" },
    Block {
        group: "scripting",
        fate: Fate::Upstream,
        names: "EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO FUNCTION SCRIPT",
    },
    Block {
        group: "transactions",
        fate: Fate::Upstream,
        names: "DISCARD EXEC MULTI UNWATCH WATCH",
    },
    Block {
        group: "pubsub",
        fate: Fate::Upstream,
        names: "\
            PSUBSCRIBE PUBLISH PUBSUB PUNSUBSCRIBE SPUBLISH SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE \
            UNSUBSCRIBE",
    },
    Block { group: "server", fate: Fate::Upstream, names: "LOLWUT TIME" },
    Block { group: "generic", fate: Fate::Refused("there is one database, 0"), names: "MOVE" },
    Block { group: "server", fate: Fate::Refused("there is one database, 0"), names: "SWAPDB" },
    Block {
        group: "generic",
        fate: Fate::Refused(
            "it would open a connection to wherever a client says; DUMP and RESTORE copy a key",
        ),
        names: "MIGRATE",
    },
    Block {
        group: "generic",
        fate: Fate::Refused(
            "replicas follow one connection to Redis, and clients share those of larder",
        ),
        names: "WAIT",
    },
    Block {
        group: "server",
        fate: Fate::Refused(
            "every client would miss at once; LARDER.INVALIDATE forgets by tag or cache",
        ),
        names: "FLUSHALL FLUSHDB",
    },
    Block {
        group: "server",
        fate: Fate::Refused("memory is never written to disk; what must last is in the database"),
        names: "SAVE BGSAVE BGREWRITEAOF LASTSAVE",
    },
    Block {
        group: "server",
        fate: Fate::Refused("larder has no replicas: each one holds what its own clients read"),
        names: "REPLICAOF SLAVEOF SYNC PSYNC REPLCONF RESTORE-ASKING FAILOVER ROLE",
    },
    Block {
        group: "cluster",
        fate: Fate::Refused("larder is no node of a cluster; every larder answers for every key"),
        names: "CLUSTER ASKING READONLY READWRITE",
    },
    Block {
        group: "server",
        fate: Fate::Refused("larder has one password, which its configuration says"),
        names: "ACL",
    },
    Block {
        group: "server",
        fate: Fate::Refused(
            "it would show every client what all others read; the key log samples without values",
        ),
        names: "MONITOR",
    },
    Block {
        group: "server",
        fate: Fate::Refused("larder measures itself; INFO, LARDER.STATS and /metrics tell what"),
        names: "LATENCY MEMORY SLOWLOG",
    },
    Block {
        group: "server",
        fate: Fate::Refused("it is for those who develop Redis"),
        names: "DEBUG",
    },
    Block {
        group: "hyperloglog",
        fate: Fate::Refused("it is for those who develop Redis"),
        names: "PFDEBUG PFSELFTEST",
    },
    Block {
        group: "server",
        fate: Fate::Refused("code of others is not loaded at run time"),
        names: "MODULE",
    },
    Block {
        group: "server",
        fate: Fate::Refused("a client must not end the server for all others; end its process"),
        names: "SHUTDOWN",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TABLE;

    #[test]
    fn no_command_has_two_fates() {
        let own = TABLE.iter().map(|command| command.name);
        let mut names: Vec<_> = own.chain(all().map(|command| command.name)).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(twice, None);
    }

    #[test]
    fn a_name_is_found_in_any_case() {
        assert_eq!(find(b"hSet").map(|command| command.fate), Some(Fate::Upstream));
        assert!(matches!(find(b"flushall").map(|command| command.fate), Some(Fate::Refused(_))));
        assert_eq!((find(b"GET"), find(b"NONSENSE")), (None, None));
    }
}
