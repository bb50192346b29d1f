//! The columns whose old values the log tells: a table's replica identity.

use larder_core::change::Table;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::asked;
use crate::pool::Failure;

/// One row for each table that holds rows: of a partitioned one, its partitions, since each has an
/// identity of its own. A deferrable key identifies nothing.
const IDENTITY: &str = "\
SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND (c.relreplident = 'f' OR a.attnum = ANY (
                     SELECT pg_catalog.unnest(i.indkey) FROM pg_catalog.pg_index i
                      WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                            WHEN 'i' THEN i.indisreplident ELSE false END))
              ORDER BY a.attnum)
FROM pg_catalog.pg_class named JOIN pg_catalog.pg_namespace n ON n.oid = named.relnamespace
CROSS JOIN LATERAL (
    SELECT named.oid WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_partition_tree(named.oid) AS t WHERE t.isleaf)
    UNION SELECT t.relid::oid FROM pg_catalog.pg_partition_tree(named.oid) AS t WHERE t.isleaf
) AS held JOIN pg_catalog.pg_class c ON c.oid = held.oid
WHERE n.nspname = $1 AND named.relname = $2 AND named.relkind IN ('r', 'p')
ORDER BY c.oid";

/// What all of them tell; `None` where there is no such table.
pub(super) async fn columns(
    connection: &mut PgConnection,
    table: &Table,
) -> Result<Option<Vec<Box<str>>>, Failure> {
    let named = asked(IDENTITY).bind(table.schema.to_string()).bind(table.name.to_string());
    let mut common: Option<Vec<String>> = None;
    for row in named.fetch_all(connection).await? {
        let told: Vec<String> = row.try_get(0)?;
        common = Some(match common {
            None => told,
            Some(common) => common.into_iter().filter(|name| told.contains(name)).collect(),
        });
    }
    Ok(common.map(|columns| columns.into_iter().map(Into::into).collect()))
}
