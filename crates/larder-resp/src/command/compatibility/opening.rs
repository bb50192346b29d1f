//! What the page of compatibility says before its tables.

pub(super) const OPENING: &str = "\
# What works as in Redis

<!-- Generated from the commands by `UPDATE_DOCS=1 cargo test -p larder-resp reference`. -->

Every command of Redis 7.0, and what becomes of it on **plain keys**, those outside the namespaces
of declared caches. What commands do to declared keys stands in [Commands](commands.md), and
which of them write the rows behind those, [there](commands.md#rows).

- **here**: larder executes it. A differential test compares its answers with those of a real
  Redis, byte for byte.
- **Redis**: larder hands it on to [the Redis behind it](#where-there-is-a-redis-behind-larder), if
  `[shared] url` names one. Otherwise the answer is an error that says so.
- **refused**: it isn't for the clients of a larder, with or without a Redis behind it.

A name that no Redis knows gets Redis's own `unknown command`. `COMMAND` tells what is here, and
with a Redis behind larder also what is passed through.

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

## Where there is a Redis behind larder

Then every command on plain keys is executed there, those that are *here*, too: over TCP, TLS or a
socket file, by one server, by the master that Sentinels name, or by a cluster, of which clients
need to know nothing. Its replies come as they are.

- A command that was sent and whose reply was lost is `SHAREDDOWN` and never sent again: it may have
  been executed. What a server refused because it is no master any more, or no longer has the slot,
  was not executed, and goes to the one that is or has, with what larder sends beside it.
- After a failover the new master is found within two seconds of the Sentinels' knowing it; in
  between, what the old one still takes is lost with it, as for every client of Redis.
- **The keys of a script or function are those that it declares.** Only those are checked: whether
  they are plain, and in a cluster, in which slot they are. What else it touches, larder's own keys
  and those under the names of caches included, nobody sees. Declare every key, as Redis asks.
- The key log holds keys of caches alone, and plain keys only where larder itself keeps them: what
  passes through takes no room in its memory, which is what the log is there to study.

### Where that Redis is a cluster

- Commands with keys of one slot go to the server that has it; `MOVED` and `ASK` are followed.
- `MGET`, `DEL`, `UNLINK`, `EXISTS`, `TOUCH`, `MSET` with keys of several slots: split, and the
  replies merged. Each part is atomic by itself and no more: another client may see half of an
  `MSET`, and when a part fails, the others may have been executed.
- Others with keys of several slots (`MSETNX`, `RENAME`, `SUNION`, scripts, …): `CROSSSLOT`, as
  Redis says; put what belongs together in one slot by a hash tag, `{cart:7}:items`.
- `KEYS`, `DBSIZE`, `SCRIPT LOAD`, `SCRIPT EXISTS`, `SCRIPT FLUSH`, `FUNCTION LOAD`, `FUNCTION
  DELETE`, `PUBSUB`: all masters are asked, and if one fails, so does the command.
- `SCAN`: one master after the other; the cursor says which, and ends with 0 behind the last. A
  call asks one of them, so `COUNT` bounds it as in Redis. Keys of slots that move meanwhile may
  come twice, or not at all.
- `RANDOMKEY`: up to 16 draws, each of another master.
- `PUBLISH`: the master of the channel's slot, so messages of one channel stay in order; its
  number counts the listeners of that one alone, as in Redis Cluster.
- `SUBSCRIBE`, `PSUBSCRIBE`: any master: messages come from all.
- `SSUBSCRIBE`, `SPUBLISH`: the master of the channels' slot; channels of several slots are
  `CROSSSLOT`, or need another connection.
- Those that block: the master of the keys' slot.
- `MULTI`, `WATCH`, `EXEC`: the first key says which master; a key of another slot is `CROSSSLOT`,
  and spoils the transaction. Commands without keys are executed by that master alone.
- `LARDER.SET`, `LARDER.GET`, `LARDER.FILL`, `LARDER.INVALIDATE KEYS` of plain keys: `REFUSED`. The
  marks of [tags](#plain-keys-in-redis-that-have-tags) live on one server, and a key on another.
- `EVAL`, `EVALSHA`, `FCALL` without keys, `TIME`, `LOLWUT`, `FUNCTION LIST`: any master. One that
  doesn't know the script says `NOSCRIPT`, and client libraries then send it.

Commands of one pipeline are executed in order as far as one master has them; those of several run
at the same time. While a slot moves, what is sent there for the second time may come behind what
was sent after it; what needs several keys of which only some have arrived waits a little; and a
transaction on it, or a command that blocks, may be told `TRYAGAIN` or `EXECABORT`, and is then not
executed.
";
