//! The page that says of every command of Redis what becomes of it here, made from both tables.

use std::fmt::Write as _;

use super::TABLE;
use super::foreign::{self, Fate};

/// The groups of Redis in the order of the page, with their headings.
const GROUPS: [(&str, &str); 15] = [
    ("string", "Strings"),
    ("generic", "Keys"),
    ("bitmap", "Bitmaps"),
    ("hash", "Hashes"),
    ("list", "Lists"),
    ("set", "Sets"),
    ("sorted-set", "Sorted sets"),
    ("stream", "Streams"),
    ("geo", "Places"),
    ("hyperloglog", "HyperLogLog"),
    ("pubsub", "Pub/Sub"),
    ("transactions", "Transactions"),
    ("scripting", "Scripts"),
    ("connection", "The connection"),
    ("server", "The server"),
];

/// A group of Redis that has nothing but refused commands here, so it stands last.
const CLUSTER: (&str, &str) = ("cluster", "Clusters");

const OPENING: &str = "\
# What works as in Redis

<!-- Generated from the commands by `UPDATE_DOCS=1 cargo test -p larder-resp reference`. -->

Every command of Redis 7.0, and what becomes of it on **plain keys**, those outside the namespaces
of declared caches. What commands do to declared keys stands in [Commands](commands.md).

- **here**: larder executes it. A differential test compares its answers with those of a real
  Redis, byte for byte.
- **Redis**: larder hands it on to the Redis behind it, if `[shared] url` names one. Otherwise the
  answer is an error that says so.
- **refused**: it isn't for the clients of a larder, with or without a Redis behind it.

A name that no Redis knows gets Redis's own `unknown command`.

## Where a command that is here differs

- `KEYS`, `SCAN` and `RANDOMKEY` see plain keys only, never declared ones: what a cache holds is a
  part of what there is.
- `SCAN` returns a key that is held from the first call to the last **exactly once**, however much
  is written or evicted in between; Redis, at least once. A cursor is a place in the order of
  hashes: it costs the server nothing, never grows old, and means nothing after a restart. One call
  looks at `COUNT` entries, at most 10,000, among them those of caches that share the memory; so it
  may return no key, and a cursor with which to go on.
- `KEYS` and `RANDOMKEY` look at as much of memory as it takes, and everybody else on that thread
  waits. A reply of `KEYS` beyond 64 MiB is refused: use `SCAN`.
- `MSET` and `MSETNX` set all keys or none, even where memory has room only for some. But for a
  moment other clients may see a part of them, and a key that is renamed under neither name; a
  failing one takes nothing back that somebody else has written since.
- `INCRBYFLOAT` counts in the 80 bits of Redis on x86-64, wherever larder runs.
- A lifetime ends in 584 years at the latest.
- `SELECT` and `COPY … DB` know one database, 0.
- A value is no longer than an entry may be, 1 MiB unless configured otherwise. What would be is
  `REFUSED`, and what was held stays.

## Plain keys in Redis that have tags

Where plain keys live in the Redis of `[shared]`, `LARDER.SET key value TAGS …` leaves the value
there as it was set. A tag that is invalidated deletes nothing by itself: what it strikes is deleted
when the next command comes for it **through any larder**, before that command. So to every command
such a key has expired. A client that goes straight to Redis sees the value until then, or until it
expires.

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

/// The page, in Markdown.
#[must_use]
pub fn compatibility() -> String {
    let mut page = OPENING.to_owned();
    // Writing into a String can't fail.
    for (group, heading) in GROUPS.into_iter().chain([CLUSTER]) {
        let _ = write!(page, "\n## {heading}\n\n| command | | |\n|---|---|---|\n");
        let mut lines = Vec::new();
        for command in TABLE.iter().filter(|command| command.group == group) {
            let call = format!("{} {}", command.name, command.arguments);
            let call = call.trim_end().replace('|', "\\|");
            lines.push((command.name, format!("| `{}` | here | `{call}` |", command.name)));
        }
        for command in foreign::all().filter(|command| command.group == group) {
            let fate = match command.fate {
                Fate::Upstream => "Redis | ".to_owned(),
                Fate::Refused(reason) => format!("refused | {reason}"),
            };
            lines.push((command.name, format!("| `{}` | {fate} |", command.name)));
        }
        lines.sort_unstable();
        for (_, line) in lines {
            let _ = writeln!(page, "{line}");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page in the repository is the one that the tables make.
    #[test]
    fn the_reference_page_of_compatibility_is_up_to_date() {
        larder_test::assert_page("redis-compatibility.md", &compatibility(), "larder-resp");
    }

    #[test]
    fn every_command_of_redis_has_a_place_on_the_page() {
        let page = compatibility();
        let own = TABLE.iter().map(|command| command.name);
        let own = own.filter(|name| !name.starts_with("LARDER."));
        for name in own.chain(foreign::all().map(|command| command.name)) {
            assert_eq!(page.matches(&format!("\n| `{name}` |")).count(), 1, "{name}");
        }
    }
}
