//! The commands of Redis that aren't for the clients of a larder, whether or not there is a Redis
//! behind it, and why.

use super::RedisCommand;
use crate::command::places::Keys;
use crate::command::way::Way;

const CLUSTER: &str = "larder is no node of a cluster; every larder answers for every key";
const DATABASES: &str = "there is one database, 0";
const DISK: &str = "memory is never written to disk; what must last is in the database";
const EVERYTHING: &str = "every client would miss at once, and a Redis behind larder lose what \
                          larder keeps there; LARDER.INVALIDATE forgets by tag or cache";
const FOLLOWERS: &str = "larder has no replicas: each one holds what its own clients read";
const MEASURES: &str = "larder measures itself; INFO, LARDER.STATS and /metrics tell what";
const REDIS: &str = "it is for those who develop Redis";
const WAITING: &str = "replicas follow one connection to Redis, and clients share those of larder";

macro_rules! table {
    ($($name:literal $group:literal $reason:expr;)*) => {
        &[$(RedisCommand {
            name: $name,
            arity: 0,
            group: $group,
            flags: "",
            way: Way::Refused($reason),
            keys: Keys::None,
        }),*]
    };
}

/// Those of Redis 7.0, by name. Their arity and flags don't matter.
pub(super) static REFUSED: &[RedisCommand] = table! {
    "ACL" "server" "larder has one password, which its configuration says";
    "ASKING" "cluster" CLUSTER;
    "BGREWRITEAOF" "server" DISK;
    "BGSAVE" "server" DISK;
    "CLUSTER" "cluster" CLUSTER;
    "DEBUG" "server" REDIS;
    "FAILOVER" "server" FOLLOWERS;
    "FLUSHALL" "server" EVERYTHING;
    "FLUSHDB" "server" EVERYTHING;
    "LASTSAVE" "server" DISK;
    "LATENCY" "server" MEASURES;
    "MIGRATE" "generic"
        "it would open a connection to wherever a client says; DUMP and RESTORE copy a key";
    "MODULE" "server" "code of others is not loaded at run time";
    "MONITOR" "server"
        "it would show every client what all others read; the key log samples without values";
    "MOVE" "generic" DATABASES;
    "PFDEBUG" "hyperloglog" REDIS;
    "PFSELFTEST" "hyperloglog" REDIS;
    "PSYNC" "server" FOLLOWERS;
    "READONLY" "cluster" CLUSTER;
    "READWRITE" "cluster" CLUSTER;
    "REPLCONF" "server" FOLLOWERS;
    "REPLICAOF" "server" FOLLOWERS;
    "RESTORE-ASKING" "server" FOLLOWERS;
    "ROLE" "server" FOLLOWERS;
    "SAVE" "server" DISK;
    "SHUTDOWN" "server" "a client must not end the server for all others; end its process";
    "SLAVEOF" "server" FOLLOWERS;
    "SLOWLOG" "server" MEASURES;
    "SWAPDB" "server" DATABASES;
    "SYNC" "server" FOLLOWERS;
    "WAIT" "generic" WAITING;
};

/// Those of later versions.
pub(super) static LATER: &[RedisCommand] = table! {
    "WAITAOF" "generic" WAITING;
};
