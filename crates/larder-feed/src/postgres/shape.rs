//! How a table is besides its rows, as one text that is another one whenever that changes.
//!
//! A SELECT may answer otherwise although no row was changed: a column is added or computed anew,
//! a partition comes or goes, another table has taken the name, a view goes over it in another
//! way. So each of these shows in a *shape*: the rows of the catalogue that say it, and the
//! transactions that wrote them (`xmin`), so that what is changed and changed back is another shape
//! too.
//!
//! It is SQL for who reads it with something else in the same statement; it asks nobody.

/// Begins a statement, with the names of the tables as its first parameter, an array.
///
/// `member` are a table and what inherits from it: partitions, and children of the old kind.
/// `viewed` are the views that read it, and those that read them. `labels` are those of the enums
/// among its columns' types. `OFFSET 0` keeps the planner, which can't know how few they are, from
/// reading all of a large catalogue.
pub(super) const WITH: &str = "
WITH RECURSIVE
named AS MATERIALIZED (
    SELECT n.at, to_regclass(n.name)::oid AS root
      FROM unnest($1::text[]) WITH ORDINALITY n(name, at)),
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
     WHERE a.attnum > 0 GROUP BY n.root)";

/// A row of each name, in their order (`n.at`): the table `c` in the schema `s`, and the `members`
/// `m`.
pub(super) const FROM: &str = "
  FROM named n
  LEFT JOIN LATERAL (
       SELECT oid, relname, relnamespace, relkind, relreplident
         FROM pg_class WHERE oid = n.root OFFSET 0) c ON true
  LEFT JOIN pg_namespace s ON s.oid = c.relnamespace
  LEFT JOIN members m ON m.root = c.oid
  LEFT JOIN views v ON v.root = c.oid
  LEFT JOIN labels l ON l.root = c.oid";

/// The shape of such a row's table, a text.
pub(super) const SHAPE: &str = "
       md5(concat_ws(';', c.oid, s.oid, s.xmin, s.nspname, m.shape, v.shape, l.shape,
           (SELECT string_agg(concat_ws('/', a.attnum, a.xmin), ',' ORDER BY a.attnum)
              FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
           (SELECT string_agg(concat_ws('/', y.oid, y.xmin), ',' ORDER BY y.oid)
              FROM pg_policy y WHERE y.polrelid = c.oid)))";

/// Texts as SQL writes an array of them.
pub(super) fn array(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// A number that these texts come to, the same in each process: 64-bit FNV-1a (Fowler, Noll, Vo),
/// folded.
pub(super) fn mixed<'t>(texts: impl IntoIterator<Item = &'t str>) -> u32 {
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
