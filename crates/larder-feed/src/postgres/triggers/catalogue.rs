//! How the tables are besides their rows, and whether their triggers are there.
//!
//! Triggers tell rows. What else may change an answer shows in the *shape* of a table (`shape`), to
//! which its triggers belong here: while one was missing, rows were changed that nobody told. A
//! trigger can only be made, dropped, disabled or enabled while nobody writes to the table, so
//! whatever was missed can be read when it is seen that the shape is another one.
//!
//! Nothing needs to be marked, as it must be in a log: a look takes its number of the clock first,
//! so what was committed before somebody asked for the end is found by the look that passes it.

use std::collections::BTreeSet;

use larder_core::Result;
use larder_core::change::Table;
use larder_core::feed::Notice;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::super::control::{internal, text};
use super::super::shape;
use super::in_schema;

/// What is said of each table before its shape.
const SELECT: &str = "
SELECT s.nspname::text, c.relname::text, m.elsewhere, m.child, m.unlogged,";

/// The triggers of the table and its parts, as a part of what was said last.
const TRIGGERS: &str = "
       || coalesce((SELECT string_agg(concat_ws('/', g.oid, g.xmin), ',' ORDER BY g.oid)
            FROM member q JOIN pg_trigger g ON g.tgrelid = q.oid
           WHERE q.root = c.oid AND g.tgfoid = to_regprocedure('{feed}.tell()')), '')";

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue(Vec<Entry>);

/// What it says of one table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `None` where there is none of its name.
    pub(super) table: Option<Table>,
    /// A part of it whose rows are in another database.
    pub(super) elsewhere: Option<String>,
    /// A table that inherits from it and isn't named.
    pub(super) child: Option<String>,
    /// A crash empties it, or a part of it, without a word.
    is_unlogged: bool,
    shape: String,
}

/// What is to be asked, with the names of the tables as an array. A row of each comes out.
pub(super) fn asked(feed: &str) -> String {
    let asked = [shape::WITH, SELECT, shape::SHAPE, TRIGGERS, shape::FROM, " ORDER BY n.at"];
    in_schema(feed, &asked.concat())
}

impl Catalogue {
    /// What was answered.
    pub(super) fn of(rows: &[PgRow]) -> Result<Self> {
        rows.iter().map(entry).collect::<Result<_>>().map(Self)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// A number that it comes to, the same in each process; zero, the lowest, is none's.
    pub(super) fn number(&self) -> u32 {
        shape::mixed(self.0.iter().map(|entry| &*entry.shape)).max(1)
    }

    /// Nobody knows what is in tables that a crash empties.
    pub(super) fn doubt_unlogged(&mut self) {
        for entry in self.0.iter_mut().filter(|entry| entry.is_unlogged) {
            entry.shape.clear();
        }
    }

    /// What is to be told of the tables that answer otherwise than they did `before`, whichever of
    /// their rows one reads.
    pub(super) fn altered_since(&self, before: &Self) -> Vec<Notice> {
        let both = before.0.iter().zip(&self.0);
        let altered = both.filter(|(was, is)| was.shape != is.shape);
        let tables = altered.flat_map(|(was, is)| [&was.table, &is.table]).flatten();
        let tables: BTreeSet<Table> = tables.cloned().collect();
        // Its rows are other ones too: who goes by rows only must hear of it as well.
        let both = |table: Table| [Notice::Altered(table.clone()), Notice::truncated(table)];
        tables.into_iter().flat_map(both).collect()
    }
}

fn entry(row: &PgRow) -> Result<Entry> {
    let maybe = |at: usize| row.try_get::<Option<String>, _>(at).map_err(|error| internal(&error));
    let table = match (maybe(0)?, maybe(1)?) {
        (Some(schema), Some(name)) => Some(Table { schema: schema.into(), name: name.into() }),
        _ => None,
    };
    Ok(Entry {
        table,
        elsewhere: maybe(2)?,
        child: maybe(3)?,
        is_unlogged: maybe(4)?.is_some(),
        shape: text(row, 5)?,
    })
}
