//! The reference page of the commands, made from the table.

mod rows;

use std::fmt::Write as _;

use larder_core::ErrorKind;

use super::TABLE;
use rows::ROWS;

/// The groups in the order of the page, with their headings.
const GROUPS: [(&str, &str); 6] = [
    ("string", "Strings"),
    ("bitmap", "Strings as bits"),
    ("generic", "Keys"),
    ("larder", "larder's own"),
    ("connection", "The connection"),
    ("server", "The server"),
];

const OPENING: &str = "\
# Commands

<!-- Generated from the commands by `UPDATE_DOCS=1 cargo test -p larder-resp reference`. -->

larder speaks RESP2 and RESP3. A key in the namespace of a declared cache (`[cache.NAME] key = …`)
fits its template or is a `BADKEY`; it is loaded through by whatever reads it, invalidated by
`DEL`, and [written](#rows) by what sets it, where that is declared. Every other key is plain and
behaves as in Redis 7.0. What becomes of a command of Redis that isn't here stands in
[the table of compatibility](redis-compatibility.md).

Where a shared Redis holds the plain keys, every command on them is passed through to it, these and
all others that Redis has: hashes, lists, streams, scripts, transactions, subscriptions. Its replies
come as they are. What names keys of caches and plain keys is split (`DEL`, `UNLINK`, `EXISTS`,
`TOUCH`, `MGET`) or refused (`REFUSED`), as is what names larder's own keys and channels there,
which begin with `larder:` or `larder.`, and what concerns the Redis itself (`FLUSHALL`, `WAIT`,
…). A transaction has plain keys only. Who subscribes, watches or blocks has a connection
for itself meanwhile; if it is lost in a transaction or with subscriptions, the client is
disconnected, as by a Redis that goes. Without the Redis plain keys are `SHAREDDOWN` at once, and
declared keys are served. The keys of a script are those that it declares: what else it touches
nobody checks. The replies to one pipeline take at most 128 MiB at a time. What changes where that
Redis is a cluster stands in
[the table of compatibility](redis-compatibility.md#where-that-redis-is-a-cluster).

Pipelined reads of declared keys that memory doesn't hold are loaded together, one batch for each
cache. A number has one spelling: `user:042` is a `BADKEY`. Only what `redis-benchmark -r` writes,
twelve digits padded with zeros, is understood as the number that it means: `user:000000000042` is
`user:42`.
";

const LARDER: &str = "\
`LARDER.GET` replies a map: `value` (null for an absence), `tier` (`memory`, `shared`, `source`),
`age_ms` (since its load began), `current_ms` (since it was last known to be the source's), `state`
(`fresh`, `stale`) and `reason` (`held`, `refreshing`, `loaded`, `joined`, `uncached`; beyond the
promise, under `stale_on_error`, `failing` or `slow`). With `LEASE` a miss isn't loaded: `state` is
`gone`, and `token` is the permission to fill. `LARDER.FILL` replies 1 when the value is kept and 0
when the key was invalidated, written or deleted since the token was given, or there is no room for
the value. A declared key has its lifetime from its declaration, and the `TAGS` that the client
says: only who loaded the row knows them.

Over a shared tier one client of all larders has the token of a key, and what it fills all of them
have. The others are told `busy` as the `reason`, and in `busy_ms` for how long at most: ask again
after some milliseconds, or load without filling. The token is good once, at the larder that gave
it out, for twice the `load_timeout` of the source, and until its connection ends: then the next
client gets one. The token of a plain key in the shared Redis is good at every larder, for 10
seconds. Of such a key `age_ms` and `current_ms` are told if it has tags.

`LARDER.INVALIDATE` forgets what is held, and whatever a load that began before would bring; `SOFT`
marks it stale, so that it is served while one refresh runs. What can't be is an error, and nothing
is done then.

- `KEYS` replies of how many of the keys something was held. Plain keys are forgotten, as by `DEL`.
- `TAGS` strikes everything that has one of the tags, in all caches, in the same time however much
  that is. So nobody counts it: the reply is how many tags were named.
- `PREFIX` strikes the declared keys that begin so, and replies how many entries those were. It
  looks at every entry in the memory of the caches that it concerns: where a tag does, use a tag. A
  cache whose keys all begin so is struck as by `CACHE`, and counts as one. A prefix with which no
  declared key can begin is an error.
- `CACHE` strikes everything that a cache holds, in the same time however much that is, and
  replies 1.

Plain keys are touched by `KEYS`, and by `TAGS` where `LARDER.SET` gave them any: nothing stands
behind them that could be read again, so to forget one is to delete it, and `SOFT` does that, too.
The tags of a plain key stay with it when it is counted in, written into, renamed, copied or given
another expiry; `SET` and `MSET` take them away; and where plain keys live in Redis, see
[there](redis-compatibility.md#plain-keys-in-redis-that-have-tags). Tags share 65,536 marks, so that
one time in as many a tag forgets what has another one: don't keep in a tagged key what you can't
make again.
";

const ERRORS: &str = "
## Errors

The first word of an error tells what a client can do.

| word | what to do |
|---|---|
";

/// The page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = [OPENING, ROWS].concat();
    // Writing into a String can't fail.
    for (group, heading) in GROUPS {
        let _ = write!(page, "\n## {heading}\n\n");
        if group == "larder" {
            page.push_str(LARDER);
            page.push('\n');
        }
        page.push_str("| command | what it does |\n|---|---|\n");
        for command in TABLE.iter().filter(|command| command.group == group) {
            let call = format!("{} {}", command.name, command.arguments);
            let call = call.trim_end().replace('|', "\\|");
            let _ = writeln!(page, "| `{call}` | {} |", command.summary);
        }
    }
    page.push_str(ERRORS);
    for kind in ErrorKind::all() {
        let _ = writeln!(page, "| `{}` | {} |", kind.code(), advice(kind));
    }
    page.push_str("| `ERR` and others | As in Redis. |\n");
    page
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BadKey => "The key can't name anything here. Don't ask again.",
        ErrorKind::SourceDown => "The database can't be reached. Ask again after the time it says.",
        ErrorKind::SharedDown => {
            "The shared tier can't be reached, or a reply was lost: it says if the command may \
             have been executed. Ask again."
        }
        ErrorKind::Timeout => "The deadline or the load's timeout passed. Ask again.",
        ErrorKind::Shed => "Too much is waiting already. Ask again after the time it says.",
        ErrorKind::Refused => "It is understood and not allowed. Ask for something else.",
        ErrorKind::Conflict => "Somebody else changed it meanwhile. Read it again.",
        ErrorKind::NoRoom => {
            "Memory is full of keys that may not be evicted. Delete some, or raise the limit."
        }
        ErrorKind::Loader => "The database answered with an error of its own, which is told.",
        ErrorKind::Config => "The configuration asks for what can't be. Change it.",
        _ => "A defect of larder. Please report it.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page in the repository is the one that the table makes.
    #[test]
    fn the_reference_page_is_up_to_date() {
        larder_test::assert_page("commands.md", &reference(), "larder-resp");
    }

    #[test]
    fn every_command_has_a_place_on_the_page() {
        for command in TABLE {
            assert!(GROUPS.iter().any(|(group, _)| *group == command.group), "{}", command.name);
        }
    }
}
