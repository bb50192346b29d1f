//! The options of `[cache.NAME]` that say how it is written.

use larder_engine::{Install, WriteMode};

use super::super::value::{Line, Timeout};
use super::{Default, Opt};

pub(in super::super) static STORE: Opt<Line> = Opt::new(
    "store",
    Default::Words("values can't be stored"),
    "The statement that stores a value: `INSERT INTO users (id, name) VALUES ({id}, {name}) ON \
     CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING *`. A name in braces is a \
     parameter of the key, or else a field of the JSON document that is stored; with `column = \
     \"raw\"` `{value}` is all of it. A field that is missing is refused. Only with `rows = \
     \"one\"`.",
)
.elsewhere(&["upsert", "insert", "save", "put"]);

pub(in super::super) static DELETE: Opt<Line> = Opt::new(
    "delete",
    Default::Words("rows can't be deleted"),
    "The statement that deletes: `DELETE FROM users WHERE id = {id}`.",
)
.elsewhere(&["remove", "erase"]);

pub(in super::super) static ADD: Opt<Line> = Opt::new(
    "add",
    Default::Words("nothing can be added"),
    "The statement that adds the integer `{delta}`: `INSERT INTO visits VALUES ({page}, {delta}) \
     ON CONFLICT (page) DO UPDATE SET n = n + excluded.n RETURNING n`.",
)
.elsewhere(&["increment", "incr", "counter_sql"]);

pub(in super::super) static WRITE: Opt<WriteMode> = Opt::new(
    "write",
    Default::Value("around"),
    "What a write does. `around`: the database commits it, and the next read loads. `through`: \
     what the statement returned takes the place of what was held, if nothing overlapped; without \
     a `RETURNING` that has the columns of `load` it is as around. `behind`: it returns when the \
     `[journal]` has it, and is applied later, in batches. See [writing](concepts/writing.md).",
)
.elsewhere(&["write_mode", "write_policy", "mode"]);

pub(in super::super) static INSTALL: Opt<Install> = Opt::new(
    "install",
    Default::Value("if_cached"),
    "When `write = \"through\"` keeps what was written: `if_cached`, if something was held of the \
     key, so that what is written and never read takes no room; or `always`.",
)
.elsewhere(&["allocate", "write_allocate"]);

pub(in super::super) static WRITE_TIMEOUT: Opt<Timeout> = Opt::new(
    "write_timeout",
    Default::Value("10s"),
    "How long a write may take; the database is told as well. One that takes longer is committed \
     or not, which nobody knows then. What is written behind is applied in its own time.",
);

pub(in super::super) static COUNTER: Opt<Line> = Opt::new(
    "counter",
    Default::Words("the only column that is no parameter of the key"),
    "Which column of the document `add` adds to, so that it is known before the database says it. \
     A raw value is one column, and needs none.",
)
.elsewhere(&["add_column", "counts"]);
