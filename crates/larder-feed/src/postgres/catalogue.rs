//! What the database says of the tables besides their rows, and where its log ended then.
//!
//! A SELECT may answer otherwise although no row was changed, and the log tells nothing of that, or
//! only with the next row. It shows in the tables' `shape`. That the publication has left a table
//! out for a while shows in what says that it is told, in the same way.
//!
//! One statement reads it all, and so it is what one snapshot sees. It is read whenever the log's
//! end is asked for, and takes about a millisecond for a few tables.
//!
//! It doesn't know what is told of it, nor when: see `watch`.

use std::collections::BTreeSet;

use larder_core::change::Table;
use larder_core::{Error, ErrorKind, Result};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::control::{Control, Place, internal, text};
use super::tables::{Problem, TableStanding};
use super::{config, shape};
use crate::pgoutput::Lsn;

/// Where the log ends, and the publication of this name, beside the tables.
const WITH: &str = ",
place AS MATERIALIZED (
    SELECT pg_current_wal_insert_lsn()::text AS lsn, s.system_identifier AS system,
           left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline
      FROM pg_control_system() s),
publication AS MATERIALIZED (
    SELECT oid, xmin AS written, puballtables,
           pubinsert AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot AS is_whole
      FROM pg_publication WHERE pubname = $2)";

/// What is said of each table before its shape.
const SELECT: &str = "
SELECT place.lsn, place.system, place.timeline,
       s.nspname::text, c.relname::text, c.relkind::text,
       quote_ident(s.nspname) || '.' || quote_ident(c.relname),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND (c.relreplident = 'f' OR a.attnum = ANY (
                     SELECT unnest(i.indkey) FROM pg_index i
                      WHERE i.indrelid = c.oid AND i.indisvalid
                        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                            WHEN 'i' THEN i.indisreplident ELSE false END))
              ORDER BY a.attnum),
       m.unlogged, m.elsewhere, m.child,
       (SELECT min(a.relid::regclass::text) FROM pg_partition_ancestors(c.oid) a(relid)
         WHERE a.relid <> c.oid AND a.relid IN (SELECT root FROM named)),
       CASE WHEN p.oid IS NULL THEN 'isn''t there'
            WHEN NOT p.is_whole THEN 'leaves out some kinds of changes'
            WHEN NOT p.puballtables AND r.oid IS NULL
                THEN 'doesn''t name ' || s.nspname || '.' || c.relname
            WHEN to_jsonb(r) ->> 'prqual' IS NOT NULL OR to_jsonb(r) ->> 'prattrs' IS NOT NULL
                THEN 'leaves out rows or columns of ' || s.nspname || '.' || c.relname
            WHEN EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a(relid)
                          WHERE a.relid <> c.oid AND (p.puballtables OR EXISTS (
                                SELECT FROM pg_publication_rel o
                                 WHERE o.prpubid = p.oid AND o.prrelid = a.relid)))
                THEN 'names a table that is the root of ' || s.nspname || '.' || c.relname END,
       concat_ws('/', p.oid, p.written, r.oid, r.xmin),";

const FROM: &str = "
 CROSS JOIN place
  LEFT JOIN publication p ON true
  LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
 ORDER BY n.at";

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    /// Where the log ended when it was read: what it shows was written before.
    pub(super) end: Place,
    pub(super) tables: Vec<Entry>,
}

/// What it says of one table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) standing: TableStanding,
    /// Why its changes aren't all told, if so.
    pub(super) unpublished: Option<String>,
    /// What says that they are told.
    publication: String,
    shape: String,
}

/// Reads it.
pub(super) async fn read(control: &Control, name: &str, tables: &[String]) -> Result<Catalogue> {
    let asked = [shape::WITH, WITH, SELECT, shape::SHAPE, shape::FROM, FROM].concat();
    let rows = control.rows(&asked, &[&shape::array(tables), name]).await?;
    let first = rows.first().ok_or_else(|| {
        Error::new(ErrorKind::Internal, "the database says nothing of the tables")
    })?;
    let lsn: Lsn = text(first, 0)?.parse().map_err(|error| internal(&error))?;
    let system: i64 = first.try_get(1).map_err(|error| internal(&error))?;
    let timeline = u32::from_str_radix(&text(first, 2)?, 16).map_err(|error| internal(&error))?;
    let entries = tables.iter().zip(&rows).map(|(name, row)| entry(name, row));
    let tables = entries.collect::<Result<Vec<_>>>()?;
    let shapes = tables.iter().flat_map(|table| [&*table.publication, &*table.shape]);
    let end = Place {
        log: shape::mixed([&*system.to_string(), &*timeline.to_string()]),
        lsn: lsn.without_page_header(),
        catalogue: shape::mixed(shapes),
    };
    Ok(Catalogue { end, tables })
}

impl Catalogue {
    /// Whether everything that changes a row of these tables is told.
    ///
    /// A table that nothing identifies isn't refused here: its rows can't be changed, and what
    /// can't be changed needn't be told.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let told_as_they_are = |problem: &&Problem| !matches!(problem, Problem::Unidentified(_));
        for table in &self.tables {
            if let Some(problem) = table.standing.problems.iter().find(told_as_they_are) {
                return Err(config(problem.to_string()));
            }
            if let Some(wrong) = &table.unpublished {
                return Err(config(format!(
                    "the publication {name} {wrong}: install the feed first"
                )));
            }
        }
        Ok(())
    }

    /// The tables that answer otherwise than they did `before`, whichever of their rows one reads.
    ///
    /// # Errors
    ///
    /// When some of their changes may not have been told in between, for whatever was running
    /// then.
    pub(super) fn altered_since(&self, before: &Self) -> Result<BTreeSet<Table>> {
        let mut altered = BTreeSet::new();
        for (was, is) in before.tables.iter().zip(&self.tables) {
            if was.publication != is.publication {
                return Err(Error::new(
                    ErrorKind::SourceDown,
                    "the publication was changed: what it left out meanwhile isn't known",
                ));
            }
            if was.shape != is.shape {
                altered.insert(was.standing.table.clone());
                altered.insert(is.standing.table.clone());
            }
        }
        Ok(altered)
    }

    /// Whether it is of the same log: after a failover the address leads to another server, while
    /// the connection to the first one stays.
    pub(super) fn check_log(&self, before: &Self) -> Result<()> {
        if before.end.log == self.end.log {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::SourceDown,
            "another server answers at the database's address than the one whose log is followed",
        ))
    }

    /// Whether the publication tells everything of these tables.
    pub(super) fn is_published(&self) -> bool {
        self.tables.iter().all(|table| table.unpublished.is_none())
    }
}

fn entry(name: &str, row: &PgRow) -> Result<Entry> {
    let maybe = |column: usize| -> Result<Option<String>> {
        row.try_get(column).map_err(|error| internal(&error))
    };
    let (unpublished, publication, shape) = (maybe(12)?, text(row, 13)?, text(row, 14)?);
    let entry = |standing| Entry { standing, unpublished, publication, shape };
    let Some(schema) = maybe(3)? else {
        let table = Table { schema: "".into(), name: name.into() };
        let problems = vec![Problem::Missing(name.to_owned())];
        let quoted = String::new();
        return Ok(entry(TableStanding { table, identity: Vec::new(), problems, quoted }));
    };
    let table = Table { schema: schema.into(), name: text(row, 4)?.into() };
    let identity: Vec<String> = row.try_get(7).map_err(|error| internal(&error))?;
    let mut problems = Vec::new();
    if !matches!(text(row, 5)?.as_str(), "r" | "p") {
        problems.push(Problem::NoTable(table.clone()));
    } else {
        let of = |column| Ok::<_, Error>(maybe(column)?.map(|part| (table.clone(), part)));
        problems.extend(maybe(8)?.map(Problem::NotLogged));
        problems.extend(of(9)?.map(|(table, part)| Problem::ElsewhereIn { table, part }));
        problems.extend(of(10)?.map(|(table, child)| Problem::Unnamed { table, child }));
        problems.extend(of(11)?.map(|(table, root)| Problem::PartOf { table, root }));
        if identity.is_empty() {
            problems.push(Problem::Unidentified(table.clone()));
        }
    }
    Ok(entry(TableStanding { table, identity, problems, quoted: text(row, 6)? }))
}
