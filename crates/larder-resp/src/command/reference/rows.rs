//! What the reference page says of commands that write keys of caches.

pub(super) const ROWS: &str = "
## Rows

Behind a key of a cache stands a row. `store`, `add` and `delete` in `[cache.NAME]` say how rows are
written, and `write` when that is done: the reply comes when a row is committed and everybody has
been told (`around`, `through`), or when the write is durable in the journal (`behind`).
[How](concepts/writing.md). Whoever reads through this server then reads what was written, in the
same pipeline and on every other connection.

| command | on a key of a cache |
|---|---|
| `SET key value` | Stores the row, by `store`: a JSON object whose fields its parameters name, \
or the bytes. |
| `SET` with `NX`, `XX`, `GET`; `SETNX`; `GETSET` | Reads the row from the database, and stores \
it if nobody else wrote it since; begins again eight times, then `CONFLICT`. |
| `INCR` `DECR` `INCRBY` `DECRBY` | Adds to the number in the row, by `add`, and replies what \
that makes, with what waits in the journal. |
| `LARDER.DELETE key [key …]` | Deletes rows, by `delete`, one after the other, and replies how \
many it was asked to. |
| `DEL` `UNLINK` | Leave the row: what is held of it is invalidated. |
| `SET` with `EX` `PX` `EXAT` `PXAT` `KEEPTTL`; `SETEX` `PSETEX` `GETEX` `EXPIRE` `PERSIST` … | \
Refused: how long it is held is declared with the cache. |
| `MSET` `MSETNX` | Refused: rows are stored each by itself. `SET` each key; one pipeline has \
room for many. |
| `GETDEL` | Refused, since `DEL` deletes no row: `GET` the key, then `LARDER.DELETE` it. |
| `APPEND` `SETRANGE` `SETBIT` | Refused: `SET` the whole value. |
| `INCRBYFLOAT` | Refused: rows count in whole numbers. |
| `RENAME` `RENAMENX` `COPY` | Refused: `GET` the one key and `SET` the other. |
| `LARDER.SET` | Refused: the tags of a row are those that its load says. |
| any of them in a transaction | Refused, and with it the transaction. |

- What is refused is `REFUSED`, and nothing was asked. A write that no statement is declared for
  names the one that is missing.
- `INCR` replies the number that is the whole value, or that stands in the column which `counter`
  names, or in the only column beside those of the key. Where none does, the row is written all the
  same, and the error says so. Behind a journal the sum may have what others added meanwhile, if
  nothing else was known of the row; and so it may where `add` doesn't return the row.
- `INCR` of a row that isn't there does what `add` does then. If that changes nothing, or a
  condition of `add` spares the row, the reply is an error.
- **Who repeats a command whose reply was lost may count twice.** The same holds where an error says
  that the write may be committed, or that it counts, and after `INTERNAL`. After every other error
  nothing was written. Set clients to retry reads only.
- A write that has begun is carried through, whether or not its client is still there. Of a
  `LARDER.DELETE` of several keys each row is a write; after an error the message says how many rows
  were deleted before.
- Of a pipeline each write is done before the next one begins. Those that a journal acknowledges
  wait for one sync together as long as their keys differ: at most 256, or 256 KiB.
- Behind a journal the database sees a row later. What it refuses then is no error here, but a dead
  letter.
";
