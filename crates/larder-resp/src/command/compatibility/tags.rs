//! What the page of compatibility says of plain keys that have tags.

pub(super) const TAGS: &str = "
## Plain keys in Redis that have tags

Where plain keys live in the Redis of `[shared]`, `LARDER.SET key value TAGS …` leaves the value
there as it was set. A tag that is invalidated deletes nothing by itself: what it strikes is deleted
when the next command comes for it **through any larder**, before that command. So to every command
such a key has expired. A client that goes straight to Redis sees the value until then, or until it
expires. In a cluster there are neither tags nor leases, which is said of each `LARDER.` command on
plain keys: the marks of tags live on one server, and keys on another.

| the command, through larder | when a tag has struck the key | a key with tags |
|---|---|---|
| `GET` `MGET` `EXISTS` `STRLEN` `TTL` `DUMP` …, `WATCH` | isn't there | keeps them |
| `SET` `MSET` `SETEX` `GETSET` `GETDEL` `DEL` … | wasn't there | loses them |
| `SETNX` `MSETNX`, `SET` with `NX` or `XX` | wasn't there | loses them if other bytes are set |
| `APPEND` `INCR` `SETRANGE` `SETBIT` `PFADD` … | begins anew | keeps them |
| `EXPIRE` `PERSIST` `GETEX` … | isn't there | keeps them as long |
| `RENAME` `RENAMENX` `COPY` | isn't there | has them under the new name, too |
| scripts, by the keys that they are told | isn't there | loses them if other bytes are set |
| all of these in a transaction | as above | as above |
| `KEYS` `SCAN` `RANDOMKEY` `DBSIZE`, `SORT` by patterns, what blocks | may be there still | |

- Bytes that a client sets straight in Redis have no tags, unless they are the same as before.
  `EXPIRE` and `PERSIST` straight in Redis reach the tags when the next command comes through a
  larder; let it come before the old end.
- Whoever watches a key isn't told that a tag has struck it, before somebody comes for it.
- A Redis that starts again has forgotten all keys with tags: what its disk brings back may be
  older than what was struck.
- Where Redis may evict (`maxmemory` with any policy but `noeviction`), tags need an end (`EX`):
  there the tags may go before the key, which then stays until it expires.
- The first tag or lease in the life of a Redis takes a second. Until then none of this costs
  anything; afterwards each command on plain keys carries a script of some two kilobytes, in the
  same round trip.
- In a transaction a command names at most 1,024 keys, once tags or leases are in use.
";
