//! What the database says of the tables besides their rows, and where its log ended then.
//!
//! A SELECT may answer otherwise although no row was changed: a column is added or computed anew,
//! a partition comes or goes, another table has taken the name, the publication has left it out
//! for a while. The log tells nothing of that, or only with the next row. So each of these shows
//! in a *shape*: a text made of the rows of the catalogue that say it, and of the transactions
//! that wrote them (`xmin`), so that what is changed and changed back is another shape too.
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

use super::config;
use super::control::{Control, Place, internal, text};
use super::tables::{Problem, TableStanding};
use crate::pgoutput::Lsn;

/// The publication's name and the tables' go in; a row of each table comes out.
///
/// `member` are a table and what inherits from it: partitions, and children of the old kind.
/// `viewed` are the views that read it, and those that read them. `labels` are those of the enums
/// among its columns' types. `OFFSET 0` keeps the planner, which can't know how few they are, from
/// reading all of a large catalogue.
const READ: &str = "
WITH RECURSIVE
place AS MATERIALIZED (
    SELECT pg_current_wal_insert_lsn()::text AS lsn, s.system_identifier AS system,
           left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline
      FROM pg_control_system() s),
named AS MATERIALIZED (
    SELECT n.at, to_regclass(n.name)::oid AS root
      FROM unnest($2::text[]) WITH ORDINALITY n(name, at)),
publication AS MATERIALIZED (
    SELECT oid, xmin AS written, puballtables,
           pubinsert AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot AS is_whole
      FROM pg_publication WHERE pubname = $1),
member AS (
    SELECT DISTINCT root, root AS oid, ''::text AS link FROM named WHERE root IS NOT NULL
     UNION
    SELECT m.root, i.inhrelid, concat_ws('/', i.inhparent, i.xmin)
      FROM member m JOIN pg_inherits i ON i.inhparent = m.oid),
members AS (
    SELECT m.root,
           string_agg(concat_ws('/', m.oid, m.link, c.written), ','
                      ORDER BY m.oid, m.link) AS shape,
           min(m.oid::regclass::text) FILTER (WHERE c.relkind = 'f') AS elsewhere,
           min(m.oid::regclass::text) FILTER (WHERE c.relpersistence <> 'p') AS unlogged,
           min(m.oid::regclass::text) FILTER (WHERE NOT c.relispartition
               AND m.oid <> ALL (ARRAY(SELECT root FROM named WHERE root IS NOT NULL))) AS child
      FROM member m CROSS JOIN LATERAL (
           SELECT xmin AS written, relkind, relpersistence, relispartition
             FROM pg_class WHERE oid = m.oid OFFSET 0) c
     GROUP BY m.root),
viewed AS (
    SELECT m.root, r.view, r.written
      FROM member m CROSS JOIN LATERAL (
           SELECT r.ev_class AS view, concat_ws('/', r.oid, r.xmin, c.xmin) AS written
             FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> m.oid
             JOIN pg_class c ON c.oid = r.ev_class
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = m.oid
              AND d.classid = 'pg_rewrite'::regclass OFFSET 0) r
     UNION
    SELECT v.root, r.view, r.written
      FROM viewed v CROSS JOIN LATERAL (
           SELECT r.ev_class AS view, concat_ws('/', r.oid, r.xmin, c.xmin) AS written
             FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> v.view
             JOIN pg_class c ON c.oid = r.ev_class
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = v.view
              AND d.classid = 'pg_rewrite'::regclass OFFSET 0) r),
views AS (
    SELECT root, string_agg(written, ',' ORDER BY written) AS shape FROM viewed GROUP BY root),
labels AS (
    SELECT n.root, string_agg(concat_ws('/', e.oid, e.xmin), ',' ORDER BY e.oid) AS shape
      FROM (SELECT DISTINCT root FROM named) n JOIN pg_attribute a ON a.attrelid = n.root
      JOIN pg_type t ON t.oid = a.atttypid
     CROSS JOIN LATERAL (VALUES (t.oid), (t.typelem), (t.typbasetype)) AS of(type)
      JOIN pg_enum e ON e.enumtypid = of.type
     WHERE a.attnum > 0 GROUP BY n.root)
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
       concat_ws('/', p.oid, p.written, r.oid, r.xmin),
       md5(concat_ws(';', c.oid, s.oid, s.xmin, s.nspname, m.shape, v.shape, l.shape,
           (SELECT string_agg(concat_ws('/', a.attnum, a.xmin), ',' ORDER BY a.attnum)
              FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
           (SELECT string_agg(concat_ws('/', y.oid, y.xmin), ',' ORDER BY y.oid)
              FROM pg_policy y WHERE y.polrelid = c.oid)))
  FROM named n CROSS JOIN place
  LEFT JOIN LATERAL (
       SELECT oid, relname, relnamespace, relkind, relreplident
         FROM pg_class WHERE oid = n.root OFFSET 0) c ON true
  LEFT JOIN pg_namespace s ON s.oid = c.relnamespace
  LEFT JOIN members m ON m.root = c.oid
  LEFT JOIN views v ON v.root = c.oid
  LEFT JOIN labels l ON l.root = c.oid
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
    let rows = control.rows(READ, &[name, &array(tables)]).await?;
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
        log: mixed([&*system.to_string(), &*timeline.to_string()]),
        lsn: lsn.without_page_header(),
        catalogue: mixed(shapes),
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

/// Texts as SQL writes an array of them.
fn array(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// A number that these texts come to, the same in each process: 64-bit FNV-1a (Fowler, Noll, Vo),
/// folded.
fn mixed<'t>(texts: impl IntoIterator<Item = &'t str>) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    #[allow(clippy::cast_possible_truncation)] // Both halves are in it.
    let folded = (hash ^ hash >> 32) as u32;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_an_array_whatever_is_in_them() {
        let texts = ["users", "\"Odd, one\"", "back\\slash", "{}"].map(str::to_owned);
        assert_eq!(array(&texts), r#"{"users","\"Odd, one\"","back\\slash","{}"}"#);
    }

    #[test]
    fn where_one_text_ends_counts() {
        assert_ne!(mixed(["ab", "c"]), mixed(["a", "bc"]));
        assert_eq!(mixed(["ab", "c"]), mixed(["ab", "c"]));
    }
}
